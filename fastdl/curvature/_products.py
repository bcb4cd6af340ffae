"""Products with the Jacobian and the Hessian of models (2.3), and the matrices made of them."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from .._differences import NotFinite
from .._memory import aligned_zeros
from .._validate import choice, float_array, integer, parts, written_as
from ..nn import Module
from ..nn._handing import parted
from ._layout import Layout
from ._linearization import linearize
from ._losses import LossFunction, loss_at
from ._residuals import Residuals
from ._slots import Slot

Data = tuple[Any, Any]
MEMORY_LIMIT = 2**30  # bytes


class ModelPoint:
    """A model at an input: the output there, and products with its Jacobian (docs/curvature.md 2.3).

    Parameters
    ----------
    model : fastdl.nn.Module
        A layer or model; see :func:`register` for layers of one's own.
    x : ndarray
        The model's input; or (x, lengths) for a model with recurrent layers, the true lengths (B,) of the sequences.

    Attributes
    ----------
    output : ndarray
    size : int
        Number of parameters, N.

    Raises
    ------
    TypeError
        If a layer has no jvp; the message names it.
    ValueError
        If the output is not finite.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.ModelPoint(fd.nn.Linear(2, 1, rng=0, dtype=np.float64), np.array([[3.0, 4.0]]))
    >>> point.jvp(np.array([1.0, 1.0, 1.0]))        # weights 3 and 4, bias 1
    array([[8.]])
    >>> point.vjp(np.array([[2.0]]))
    array([6., 8., 2.])
    """

    def __init__(self, model: Module, x: Any) -> None:
        self.layout = Layout(model)
        self._x, self._lengths = parted(model, x, None)
        with written_as(lengths="x[1]"):
            self._linear = linearize(model, self._x, self._lengths)
        self.output = self._linear.y
        if not np.isfinite(self.output).all():
            raise NotFinite("model: its output here is not finite, expected finite numbers")

    @property
    def size(self) -> int:
        """Number of parameters, N."""
        return self.layout.size

    @property
    def dtype(self) -> np.dtype:
        """Of the parameters, and of all vectors: float32 or float64."""
        return self.layout.dtype

    def jvp(self, v: np.ndarray, wrt: str = "parameters") -> np.ndarray:
        """The product J v, the output's tangent.

        Parameters
        ----------
        v : ndarray (N,), or of the input's shape
            The direction.
        wrt : {"parameters", "input"}, default "parameters"
            With respect to what.

        Returns
        -------
        ndarray of the output's shape

        Raises
        ------
        TypeError, ValueError
            If `v` does not fit, or the input is integers, by which there is no derivative.
        """
        return self._jvp(self._direction("v", v, wrt), wrt)

    def vjp(self, u: np.ndarray, wrt: str = "parameters") -> np.ndarray:
        """The product J^T u.

        Parameters
        ----------
        u : ndarray of the output's shape
            Gradient with respect to the output.
        wrt : {"parameters", "input"}, default "parameters"
            With respect to what.

        Returns
        -------
        ndarray (N,), or of the input's shape

        Raises
        ------
        TypeError, ValueError
            If `u` does not fit, or the input is integers, by which there is no derivative.
        """
        choice("wrt", wrt, ("parameters", "input"))
        u = float_array("u", u, self.output.shape, self.layout.dtype)
        if wrt == "input":
            self._real_input()
        return self._vjp(u, wrt)

    def _vjp(self, u: np.ndarray, wrt: str) -> np.ndarray:
        if wrt == "input":
            return self._linear.backward(u, None, True)
        out = np.zeros(self.size, self.layout.dtype)
        self._linear.backward(u, self.layout.views(out), False)
        return out

    def jacobian(self, wrt: str = "parameters", memory_limit: int = MEMORY_LIMIT) -> np.ndarray:
        """The Jacobian (2.1), by rows or by columns, whichever are fewer.

        Parameters
        ----------
        wrt : {"parameters", "input"}, default "parameters"
            With respect to what.
        memory_limit : int, default 2**30
            Bytes that the matrix may take.

        Returns
        -------
        ndarray
            The output's shape + (N,), or + the input's shape.

        Raises
        ------
        TypeError, ValueError
            If an argument is not known, or the input is integers, by which there is no derivative.
        MemoryError
            If the matrix takes more than `memory_limit`.
        """
        choice("wrt", wrt, ("parameters", "input"))
        inner = (self.size,) if wrt == "parameters" else self._real_input().shape
        m, n = self.output.size, int(np.prod(inner))
        _check_memory(memory_limit, m * n * self.layout.dtype.itemsize, f"a Jacobian of {m} x {n}")
        matrix = np.zeros((m, n), self.layout.dtype)
        unit = np.zeros(min(m, n), self.layout.dtype)
        for k in range(unit.size):
            unit[k] = 1
            if m <= n:
                matrix[k] = self.vjp(unit.reshape(self.output.shape), wrt).reshape(-1)
            else:
                matrix[:, k] = self._jvp(unit.reshape(inner), wrt).reshape(-1)
            unit[k] = 0
        return matrix.reshape((*self.output.shape, *inner))

    def _direction(self, name: str, v: Any, wrt: str) -> np.ndarray:
        choice("wrt", wrt, ("parameters", "input"))
        if wrt == "parameters":
            return self.layout.vector(name, v)
        return float_array(name, v, self._real_input().shape, self.layout.dtype)

    def _jvp(self, v: np.ndarray, wrt: str) -> np.ndarray:
        tangent = self._linear.jvp(None, self.layout.views(v)) if wrt == "parameters" else self._linear.jvp(v, None)
        return np.zeros_like(self.output) if tangent is None else tangent

    def _real_input(self) -> np.ndarray:
        if self._x.dtype.kind != "f":
            raise TypeError(f"x: got dtype {self._x.dtype}, expected real numbers for products by the input")
        return self._x


class LossPoint(ModelPoint):
    """A model's loss on one batch: value, gradient, and products with the Hessian and the Gauss-Newton matrix (2.3).

    Parameters
    ----------
    model : fastdl.nn.Module
        As for :class:`ModelPoint`.
    loss : callable
        ``fd.softmax_cross_entropy`` or ``fd.mse_loss``, with options by ``functools.partial``; more with
        ``fd.curvature.register_loss``. It must reduce to one number.
    data : tuple (x, targets)
        The batch: the model's input, and what the loss takes beside the output. For padded sequences ((x, lengths),
        targets), and the loss with its own `lengths`.

    Attributes
    ----------
    value : float
        The loss.
    gradient : ndarray (N,)

    Raises
    ------
    TypeError
        If a layer has no jvp, or the loss no known Hessian.
    ValueError
        If the loss is not one finite number.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Linear(1, 1, bias=False, rng=0, dtype=np.float64)
    >>> point = fd.curvature.LossPoint(model, fd.mse_loss, (np.array([[3.0]]), np.array([[0.0]])))
    >>> point.hvp(np.ones(1))            # of (3 w)^2
    array([18.])
    """

    def __init__(self, model: Module, loss: LossFunction, data: Data) -> None:
        x, targets = parts("data", data, "x", "targets")
        with written_as(x="data[0]", targets="data[1]", target="data[1]"):
            super().__init__(model, x)
            self.loss = loss_at(loss, self.output, targets)
        self._model, self._loss, self._targets = model, loss, targets
        self.value = self.loss.value
        self._at_gradient = False  # whether the layers hold the loss's gradient, which hvp needs

    @property
    def gradient(self) -> np.ndarray:
        """Gradient of the loss with respect to the parameters, (N,); computed anew each time."""
        self._at_gradient = False
        out = np.zeros(self.size, self.layout.dtype)
        self._linear.backward(self.loss.gradient, self.layout.views(out), False)
        self._at_gradient = True
        return out

    def _vjp(self, u: np.ndarray, wrt: str) -> np.ndarray:
        self._at_gradient = False
        return super()._vjp(u, wrt)

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """The product H v, exact to rounding: the derivative of the gradient along v (Pearlmutter 1994).

        Parameters
        ----------
        v : ndarray (N,)
            The direction.

        Returns
        -------
        ndarray (N,)

        Raises
        ------
        TypeError, ValueError
            If `v` does not fit.
        """
        v = self.layout.vector("v", v)
        if not self._at_gradient:
            self._linear.backward(self.loss.gradient, None, False)
            self._at_gradient = True
        direction, out = self.layout.views(v), np.zeros(self.size, self.layout.dtype)
        tangent = self._linear.jvp(None, direction)
        along = None if tangent is None else self.loss.hvp(tangent)
        self._linear.jvp_backward(along, direction, self.layout.views(out), False)
        return out

    def gauss_newton_product(self, v: np.ndarray) -> np.ndarray:
        """The product J^T H_L J v, H_L the loss's Hessian by the model's output (Schraudolph 2002).

        Parameters
        ----------
        v : ndarray (N,)
            The direction.

        Returns
        -------
        ndarray (N,)
            The matrix is positive semi-definite for the losses here.

        Raises
        ------
        TypeError, ValueError
            If `v` does not fit.
        """
        return self.vjp(self.loss.hvp(self.jvp(v)))

    def sample_gradients(self, axis: int, memory_limit: int = MEMORY_LIMIT) -> np.ndarray:
        """The part of the gradient that each index along a batch axis contributes.

        Parameters
        ----------
        axis : int
            The samples' axis of the output: 0 for (B, ...), 1 for time-major (T, B, ...).
        memory_limit : int, default 2**30
            Bytes that the rows may take.

        Returns
        -------
        ndarray (samples, N)
            The rows add up to the gradient.

        Raises
        ------
        ValueError
            If `axis` is not one before the output's last, or not the batch axis of a recurrent layer.
        MemoryError
            If the rows take more than `memory_limit` bytes.
        """
        self._linear.check_axis(axis)
        samples = self.output.shape[axis]
        _check_memory(memory_limit, samples * self.size * self.layout.dtype.itemsize, f"gradients of {samples} samples")
        rows = aligned_zeros((samples, self.size), self.layout.dtype)  # large: from the pool, not from fresh pages
        slots = {
            one: Slot(rows, start, one.size)
            for one, start in zip(self.layout.parameters, self.layout.bounds, strict=False)
        }
        self._at_gradient = False
        if samples and self.size:
            self._linear.sample_gradients(self.loss.gradient, axis, slots, False)
            self._at_gradient = True
        return rows

    def hessian(
        self, parameters: Collection[str] | None = None, memory_limit: int = MEMORY_LIMIT, matrix: str = "hessian"
    ) -> np.ndarray:
        """The Hessian (2.2) or the Gauss-Newton matrix, or a block of it, column by column.

        Parameters
        ----------
        parameters : collection of str, optional
            Names of parameters, or of layers: the block of those alone.
        memory_limit : int, default 2**30
            Bytes that the matrix may take.
        matrix : {"hessian", "gauss_newton"}, default "hessian"
            Which of the two.

        Returns
        -------
        ndarray (N, N)
            Or (n, n) for the n named.

        Raises
        ------
        TypeError, ValueError
            If a name or the matrix is not known.
        MemoryError
            If the matrix takes more than `memory_limit`.
        """
        product = self.product(matrix)
        places = self.places(parameters)
        chosen = np.arange(self.size) if places is None else places
        _check_memory(
            memory_limit, len(chosen) ** 2 * self.layout.dtype.itemsize, f"a matrix of {len(chosen)} x {len(chosen)}"
        )
        result = np.empty((len(chosen), len(chosen)), self.layout.dtype)
        unit = np.zeros(self.size, self.layout.dtype)
        for row, k in zip(result, chosen, strict=True):
            unit[k] = 1
            column = product(unit)
            row[...] = column if places is None else column[places]
            unit[k] = 0
        return result.T

    def places(self, parameters: Collection[str] | None) -> np.ndarray | None:
        """Where named parameters lie in a vector.

        Parameters
        ----------
        parameters : collection of str, or None
            Names of parameters, or of layers, whose parameters are all meant.

        Returns
        -------
        ndarray of int, or None
            Positions, ascending; None, for all of it, where `parameters` is None.

        Raises
        ------
        TypeError, ValueError
            If a name is not known, or there is none.
        """
        return self.layout.places(parameters)

    def value_at(self, offset: np.ndarray) -> float:
        """The loss with the parameters moved; afterwards they are as before, to the bit.

        Parameters
        ----------
        offset : ndarray of float32 or float64 (N,)
            By how much.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If `offset` does not fit.
        """
        before, offset = self.layout.values(), float_array("offset", offset, (self.size,))
        try:
            self.layout.assign(before + offset)
            return float(self._loss(linearize(self._model, self._x, self._lengths).y, self._targets)[0])
        finally:
            self.layout.assign(before)

    def residuals(self, memory_limit: int = MEMORY_LIMIT) -> Residuals:
        """A squared-error loss as half a sum of squared residuals, for :class:`LevenbergMarquardt`.

        Parameters
        ----------
        memory_limit : int, default 2**30
            Bytes that the Jacobian may take once it is asked for.

        Returns
        -------
        Residuals
            Their Jacobian is a function.

        Raises
        ------
        TypeError, ValueError
            If the loss is not a sum of squares, or `memory_limit` is no whole number of at least 0.
        """
        memory_limit = integer("memory_limit", memory_limit, 0)
        scale = math.sqrt(self.loss.residual_scale())

        def scaled_jacobian() -> np.ndarray:
            return scale * self.jacobian(memory_limit=memory_limit).reshape(-1, self.size)

        return Residuals(self.loss.gradient.reshape(-1) / scale, scaled_jacobian)

    def product(self, matrix: str) -> Any:
        """The method that multiplies with a matrix.

        Parameters
        ----------
        matrix : {"hessian", "gauss_newton"}
            Which.

        Returns
        -------
        callable
            :meth:`hvp` or :meth:`gauss_newton_product`.

        Raises
        ------
        ValueError
            For another matrix.
        """
        choice("matrix", matrix, ("hessian", "gauss_newton"))
        return self.hvp if matrix == "hessian" else self.gauss_newton_product


def _check_memory(limit: Any, needed: int, what: str) -> None:
    if needed > integer("memory_limit", limit, 0):
        raise MemoryError(f"memory_limit: got {limit:,} bytes, but {what} takes {needed:,}")
