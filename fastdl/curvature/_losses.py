"""Losses at a point: value, gradient, and the product with their Hessian by the model's output."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dense
from .._differences import NotFinite, real_array
from .._validate import float_array, function, shown

LossFunction = Callable[..., tuple[Any, np.ndarray]]


class LossAt:
    """A loss at an output z: its value, its gradient with respect to z, and products with its Hessian (2.3).

    Parameters
    ----------
    value : float
        The loss.
    gradient : ndarray, of z's shape
        With respect to z.

    Attributes
    ----------
    value, gradient
        As given.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Linear(1, 1, bias=False, rng=0, dtype=np.float64)
    >>> point = fd.curvature.LossPoint(model, fd.mse_loss, (np.array([[3.0]]), np.array([[0.0]])))
    >>> point.loss.hvp(np.array([[1.0]]))            # of z^2
    array([[2.]])
    """

    def __init__(self, value: float, gradient: np.ndarray) -> None:
        self.value, self.gradient = value, gradient

    def hvp(self, u: np.ndarray) -> np.ndarray:
        """The product H_L u with the loss's Hessian; subclasses say how.

        Parameters
        ----------
        u : ndarray, of z's shape
            A direction.

        Returns
        -------
        ndarray of z's shape

        Raises
        ------
        TypeError, ValueError
            If `u` does not fit; TypeError where a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} defines no hvp")

    def residual_scale(self) -> float:
        """What makes the loss a sum of squares.

        Returns
        -------
        float
            s, for a loss that is s/2 times the sum of squares of z - targets.

        Raises
        ------
        TypeError
            For any other loss: it has no residuals.
        """
        raise TypeError("loss: it is not a sum of squares, so it has no residuals")


class _CrossEntropy(LossAt):
    """Each row's Hessian is s (diag(p) - p p^T), s the row's share of the mean; the targets do not matter."""

    def __init__(self, z: np.ndarray, targets: np.ndarray, value: float, gradient: np.ndarray, options: Any) -> None:
        super().__init__(value, gradient)
        counted = np.ones(z.shape[:-1], bool)
        if options["ignore_index"] is not None:
            counted = np.asarray(targets) != options["ignore_index"]
        if options["lengths"] is not None:
            counted = counted & (np.arange(len(z))[:, None] < np.asarray(options["lengths"]))
        scale = 1 / max(int(counted.sum()), 1) if options["reduction"] == "mean" else 1.0
        self.scale = z.dtype.type(scale)
        # The gradient is s (p - (1 - a) one-hot - a / C): it has the softmax, which need not be computed again.
        p = gradient / self.scale
        smoothing = options["label_smoothing"]
        p += z.dtype.type(smoothing / z.shape[-1])
        rows = p.reshape(-1, z.shape[-1])
        flat = np.where(counted, targets, 0).reshape(-1)
        rows[np.arange(len(rows)), flat] += z.dtype.type(1 - smoothing)
        if not counted.all():
            p[~counted] = 0
        self.p = p

    def hvp(self, u):
        weighted = self.p * float_array("u", u, self.gradient.shape, self.gradient.dtype)
        mean = weighted.sum(-1, keepdims=True)
        weighted -= self.p * mean
        weighted *= self.scale
        return weighted


class _SquaredError(LossAt):
    def __init__(self, z: np.ndarray, targets: np.ndarray, value: float, gradient: np.ndarray, options: Any) -> None:
        super().__init__(value, gradient)
        count, self.inside = z.size, None
        if options["lengths"] is not None:
            inside = np.arange(len(z))[:, None] < np.asarray(options["lengths"])
            self.inside = inside.reshape(*inside.shape, *[1] * (z.ndim - 2))
            count = int(inside.sum()) * (z.size // max(inside.size, 1))
        self.factor = z.dtype.type(2 / max(count, 1) if options["reduction"] == "mean" else 2.0)

    def hvp(self, u):
        u = float_array("u", u, self.gradient.shape, self.gradient.dtype) * self.factor
        return u if self.inside is None else np.where(self.inside, u, u.dtype.type(0))

    def residual_scale(self):
        if self.inside is not None:
            raise TypeError("loss: it is not a sum of squares of all outputs, since it takes lengths")
        return self.factor


_known: dict[Any, Callable[..., LossAt]] = {
    inspect.unwrap(dense.softmax_cross_entropy): _CrossEntropy,
    inspect.unwrap(dense.mse_loss): _SquaredError,
}


def register_loss(loss: LossFunction, make: Callable[..., LossAt]) -> None:
    """Say what a loss function's Hessian is, so that it can be used for curvature (docs/curvature.md).

    Parameters
    ----------
    loss : callable
        Takes (output, targets, ``**options``) and returns (value, gradient with respect to the output).
    make : callable
        Takes (output, targets, value, gradient, options) and returns a ``LossAt``; options has the function's
        remaining arguments, defaults filled in.

    Raises
    ------
    TypeError
        If `loss` or `make` is no function.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> def half_square(z, targets):
    ...     return 0.5 * float(((z - targets) ** 2).sum()), z - targets
    >>> class HalfSquareAt(fd.curvature.LossAt):
    ...     def __init__(self, z, targets, value, gradient, options):
    ...         super().__init__(value, gradient)
    ...     def hvp(self, u):
    ...         return u
    ...     def residual_scale(self):
    ...         return 1.0
    >>> fd.curvature.register_loss(half_square, HalfSquareAt)
    >>> model = fd.nn.Linear(1, 1, bias=False, rng=0, dtype=np.float64)
    >>> point = fd.curvature.LossPoint(model, half_square, (np.array([[3.0]]), np.array([[0.0]])))
    >>> point.hvp(np.ones(1))            # of (3 w)^2 / 2
    array([9.])
    """
    function("loss", loss, "a function of an output and targets")
    _known[inspect.unwrap(loss)] = function("make", make, "a function of output, targets, value, gradient and options")


def _check_options(plain: LossFunction, options: dict[str, Any], targets: Any) -> None:
    """Refuse what the Hessians of this library's losses do not know."""
    if _known[plain] is _CrossEntropy and getattr(targets, "dtype", np.dtype(int)).kind == "f":
        raise TypeError("loss: got targets of probabilities, expected classes: the Hessian of others is not known")
    names: dict[Any, tuple[str, ...]] = {
        _CrossEntropy: ("class_weights", "weights"),
        _SquaredError: ("weights",),
    }
    for name in names.get(_known[plain], ()):
        if options[name] is not None:
            raise TypeError(f"loss: got {name}={shown(options[name])}, expected None: its Hessian is not known")


def loss_at(loss: LossFunction, z: np.ndarray, targets: Any) -> LossAt:
    """The loss at an output.

    Raises
    ------
    TypeError
        If the function's Hessian is not known.
    ValueError
        If the loss is not one number, or not finite.
    """
    whole, given = loss, {}
    if isinstance(loss, functools.partial):
        whole, given = loss.func, loss.keywords
        if loss.args:
            raise TypeError("loss: got a partial with positional arguments, expected options by keyword")
    plain = inspect.unwrap(whole)
    if not callable(plain) or plain not in _known:
        names = ", ".join(sorted(one.__name__ for one in _known))
        raise TypeError(f"loss: got {shown(loss)}, expected one whose Hessian is known: {names}; see register_loss")
    parameters = list(inspect.signature(plain).parameters.values())[2:]
    options = {one.name: one.default for one in parameters} | given
    _check_options(plain, options, targets)
    found = loss(z, targets)
    if not (isinstance(found, tuple) and len(found) == 2):
        raise TypeError(f"loss: got {shown(found)}, expected (value, gradient with respect to the output)")
    value, gradient = real_array("loss", found[0]), found[1]
    if value.ndim != 0:
        raise ValueError(f"loss: got an array of shape {value.shape}, expected one number (not reduction='none')")
    if not np.isfinite(value):
        raise NotFinite(f"loss: got {value} at this point, expected a finite number")
    gradient = float_array("loss's gradient", gradient, z.shape, z.dtype)  # the passes go back through it
    at = _known[plain](z, targets, float(value), gradient, options)
    if not isinstance(at, LossAt):
        raise TypeError(f"loss: got {type(at).__name__} from its make, expected a LossAt")
    return at
