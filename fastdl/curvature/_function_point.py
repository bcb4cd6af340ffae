"""A NumPy function at a point, with what spectrum, landscape and optimizers ask of a model's loss."""

from collections.abc import Callable, Collection
from functools import cached_property

import numpy as np

from .._validate import choice, float_array
from ._differences import Function, gradient, hessian


class FunctionPoint:
    """A real function of an array at a point: value, gradient, Hessian and its products.

    It stands wherever a :class:`LossPoint` may: in :func:`eigenpairs`, ``Landscape.at``, the optimizers here.

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns one number.
    x : ndarray
        Copied; float64.
    grad, hess : callable, optional
        The derivatives at an array of x's shape, the Hessian with x's shape twice; by differences of f where not
        given.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 - x[1] ** 2, np.zeros(2))
    >>> point.hvp(np.array([1.0, 1.0])).round(6)
    array([ 2., -2.])
    """

    def __init__(
        self,
        f: Function,
        x: np.ndarray,
        grad: Callable[[np.ndarray], np.ndarray] | None = None,
        hess: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._f, self._grad, self._hess = f, grad, hess
        self._x = np.array(x, np.float64)
        self.size = self._x.size
        self.dtype = self._x.dtype
        self.value = self.value_at(np.zeros(self.size))
        if not np.isfinite(self.value):
            raise ValueError(f"f: got {self.value} at this point, expected a finite number")

    @cached_property
    def gradient(self) -> np.ndarray:
        found = gradient(self._f, self._x) if self._grad is None else np.asarray(self._grad(self._x.copy()))
        return found.reshape(-1).astype(np.float64)

    @cached_property
    def _matrix(self) -> np.ndarray:
        found = hessian(self._f, self._x) if self._hess is None else np.asarray(self._hess(self._x.copy()))
        return found.reshape(self.size, self.size).astype(np.float64)

    def value_at(self, offset: np.ndarray) -> float:
        """The function at x + offset."""
        value = np.asarray(self._f(self._x + offset.reshape(self._x.shape)))
        if value.size != 1:
            raise ValueError(f"f: got a value of shape {value.shape}, expected one number")
        return float(value.reshape(()))

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """H v."""
        return self._matrix @ float_array("v", v, (self.size,), self.dtype)

    def hessian(self) -> np.ndarray:
        """The Hessian, (N, N)."""
        return self._matrix.copy()

    def product(self, matrix: str) -> Callable[[np.ndarray], np.ndarray]:
        choice("matrix", matrix, ("hessian",))
        return self.hvp

    def places(self, parameters: Collection[str] | None) -> None:
        if parameters is not None:
            raise ValueError(f"parameters: got {parameters!r}, expected None: a function's argument has no names")
