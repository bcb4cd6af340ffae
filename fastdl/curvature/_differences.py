"""Derivatives of any NumPy function: central differences with step control, complex steps, a check of gradients."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._validate import check_shape, choice, number

Function = Callable[[np.ndarray], Any]

# Ridders' extrapolation: steps shrink by a factor, each error term of the difference falls with its square.
_FIRST, _SHRINK, _ROUNDS, _SAFE = 0.1, 1.6, 12, 4.0
_COMPLEX_STEP = 1e-30  # any step works that neither underflows nor meets x's rounding: there is no cancellation
_RETRIES = 12  # ever shorter first steps where a long one leaves the function's domain
_METHODS = ("auto", "complex", "central")


def gradient(f: Function, x: np.ndarray, method: str = "auto", return_error: bool = False) -> Any:
    """Gradient of a real function of an array.

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns one number.
    x : ndarray, any shape
        Taken as float64.
    method : {"auto", "complex", "central"}, default "auto"
        "complex": f(x + i h e_k).imag / h with a tiny h, exact to rounding for an f that is made of analytic
        operations (no abs, conj, comparison or cast to real). "central": differences at shrinking steps,
        extrapolated to zero (Ridders 1982), about 10 digits. "auto" takes complex steps if f accepts them and
        they agree with differences along a direction.
    return_error : bool, default False
        Whether to return (gradient, error), the error an estimate of every entry's absolute error.

    Returns
    -------
    ndarray of x's shape

    Raises
    ------
    TypeError
        If f is not callable, x no array of real numbers, or f cannot take complex steps that were asked for.
    ValueError
        If f's value is not one finite number.

    References
    ----------
    C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982. W. Squire, G. Trapp, "Using complex variables
    to estimate derivatives of real functions", SIAM Review 40(1), 1998.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.curvature.gradient(lambda x: (x ** 3).sum(), np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    x, value = _checked(f, x)
    _one_number(value)
    derivative, error = (one.reshape(x.shape) for one in _derivative(f, x, value, method))
    return (derivative, error) if return_error else derivative


def jacobian(f: Function, x: np.ndarray, method: str = "auto", return_error: bool = False) -> Any:
    """Jacobian (2.1) of a function of an array: entry [..., ...] is d f[...] / d x[...].

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns an array.
    x, method, return_error
        As for :func:`gradient`.

    Returns
    -------
    ndarray, f(x)'s shape followed by x's

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.curvature.jacobian(lambda x: np.array([x[0] * x[1], x[0]]), np.array([2.0, 3.0]))
    array([[3., 2.],
           [1., 0.]])
    """
    x, value = _checked(f, x)
    derivative, error = _derivative(f, x, value, method)
    return (derivative, error) if return_error else derivative


def hessian(f: Function, x: np.ndarray, method: str = "auto", return_error: bool = False) -> Any:
    """Hessian (2.2) of a real function of an array, symmetrised.

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns one number.
    x, return_error
        As for :func:`gradient`.
    method : {"auto", "complex", "central"}, default "auto"
        "complex" differentiates the complex-step gradient by central differences, about 10 digits; "central"
        takes second differences of f, about 7.

    Returns
    -------
    ndarray, x's shape twice

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.curvature.hessian(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0])).round(6)
    array([[4., 2.],
           [2., 0.]])
    """
    x, value = _checked(f, x)
    _one_number(value)
    choice("method", method, _METHODS)
    if method == "complex" or (method == "auto" and _takes_complex(f, x, value)):
        result, error = _central(lambda at: _complex(f, at, value), x, (*value.shape, *x.shape))
    else:
        result, error = _second_differences(f, x)
    n = x.size
    flat = result.reshape(n, n)
    result = (0.5 * (flat + flat.T)).reshape(x.shape * 2)
    error = np.maximum(error.reshape(n, n), error.reshape(n, n).T).reshape(x.shape * 2)
    return (result, error) if return_error else result


class GradientCheck(NamedTuple):
    """What :func:`check_gradient` found.

    Attributes
    ----------
    passed : bool
    where : tuple of int
        Where the given gradient is worst.
    given, expected : float
        The given entry there, and what differences say.
    difference : float
        The relative difference there, to the larger of the two.
    error : float
        Estimated error of `expected`.
    """

    passed: bool
    where: tuple[int, ...]
    given: float
    expected: float
    difference: float
    error: float

    def __str__(self) -> str:
        return (
            f"{'passed' if self.passed else 'FAILED'}: worst entry {list(self.where)}: given {self.given:.10g}, "
            f"expected {self.expected:.10g} +- {self.error:.1g}, relative difference {self.difference:.2g}"
        )


def check_gradient(f: Function, grad: Any, x: np.ndarray, rtol: float = 1e-5, method: str = "auto") -> GradientCheck:
    """Compare a gradient that was written by hand with differences of the function.

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns one number.
    grad : callable or ndarray
        The gradient: a function of x, or its value at `x`.
    x : ndarray
    rtol : float, default 1e-5
        Largest relative difference that passes; the differences' own estimated error is allowed on top, and
        entries below 1e-9 of the largest one are compared with that.
    method : {"auto", "complex", "central"}
        As for :func:`gradient`.

    Returns
    -------
    GradientCheck
        Prints as one line.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.array([1.0, 2.0])
    >>> fd.curvature.check_gradient(lambda x: (x ** 2).sum(), lambda x: 2 * x, x).passed
    True
    >>> print(fd.curvature.check_gradient(lambda x: (x ** 2).sum(), np.array([2.0, 4.004]), x))
    FAILED: worst entry [1]: given 4.004, expected 4 +- ..., relative difference 0.001
    """
    number("rtol", rtol, 0)
    expected, error = gradient(f, x, method, return_error=True)
    given = np.asarray(grad(np.array(x, np.float64)) if callable(grad) else grad)
    if given.dtype.kind not in "fiu":
        raise TypeError(f"grad: got dtype {given.dtype}, expected real numbers")
    check_shape("grad", given, expected.shape)
    if not given.size:
        return GradientCheck(True, (), math.nan, math.nan, 0.0, 0.0)
    size = np.maximum(np.abs(expected), np.abs(given))
    size = np.maximum(size, 1e-9 * np.abs(expected).max(initial=0)) + np.finfo(np.float64).tiny
    apart = np.abs(given - expected)
    excess = np.where(np.isfinite(apart), (apart - 2 * error) / size, np.inf)
    index = tuple(int(k) for k in np.unravel_index(int(np.argmax(excess)), excess.shape))
    return GradientCheck(
        bool(excess[index] <= rtol),
        index,
        float(given[index]),
        float(expected[index]),
        float(apart[index] / size[index]),
        float(error[index]),
    )


# ---- How ------------------------------------------------------------------------------------------------------


def _checked(f: Function, x: Any) -> tuple[np.ndarray, np.ndarray]:
    if not callable(f):
        raise TypeError(f"f: got {type(f).__name__}, expected a function of an array")
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiu":
        raise TypeError(f"x: got {getattr(x, 'dtype', type(x).__name__)}, expected an array of real numbers")
    x = x.astype(np.float64)
    value = np.asarray(f(x.copy()))
    if value.dtype.kind not in "fiu":
        raise TypeError(f"f: got a value of dtype {value.dtype}, expected real numbers")
    if not np.isfinite(value).all():
        raise ValueError("f: its value at x is not finite, expected finite numbers")
    return x, value


def _one_number(value: np.ndarray) -> None:
    if value.size != 1:
        raise ValueError(f"f: got a value of shape {value.shape}, expected one number; see jacobian")


def _derivative(f: Function, x: np.ndarray, value: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """df/dx in the shape value's + x's, and its estimated error."""
    choice("method", method, _METHODS)
    if method == "complex" or (method == "auto" and _takes_complex(f, x, value)):
        result = _complex(f, x, value)
        return result, np.abs(result) * 8 * np.finfo(np.float64).eps
    return _central(f, x, value.shape)


def _complex(f: Function, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    at = x.astype(np.complex128)
    result = np.empty((*value.shape, x.size))
    for k in range(x.size):
        at.flat[k] += 1j * _COMPLEX_STEP
        moved = np.asarray(f(at.copy()))
        if moved.dtype.kind != "c":
            raise TypeError("f: got a real value for a complex argument, expected a complex one; try 'central'")
        result[..., k] = moved.imag / _COMPLEX_STEP
        at.flat[k] = x.flat[k]
    return result.reshape(*value.shape, *x.shape)


def _takes_complex(f: Function, x: np.ndarray, value: np.ndarray) -> bool:
    """Whether a complex step gives what differences give, along a direction that favours no axis.

    An f with abs, a maximum or a conjugate takes complex numbers without complaint and answers wrongly.
    """
    direction = np.cos(1.0 + np.arange(x.size)).reshape(x.shape)
    try:
        with np.errstate(all="ignore"):
            moved = np.asarray(f(x + 1j * _COMPLEX_STEP * direction))
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        return False
    if moved.dtype.kind != "c" or moved.shape != value.shape or not np.isfinite(moved).all():
        return False
    slope, error = _ridders(_difference(f, x, direction), value.shape)
    scale = np.abs(slope).max(initial=0)
    return bool((np.abs(moved.imag / _COMPLEX_STEP - slope) <= 1e-6 * scale + 10 * error).all())


def _difference(f: Function, x: np.ndarray, direction: np.ndarray) -> Callable[[float], np.ndarray]:
    return lambda h: (np.asarray(f(x + h * direction)) - np.asarray(f(x - h * direction))) / (2 * h)


def _central(f: Function, x: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    result, error = np.empty((2, *shape, x.size))
    for k in range(x.size):
        direction = np.zeros(x.shape)
        direction.flat[k] = max(1.0, abs(float(x.flat[k])))
        slope, uncertain = _ridders(_difference(f, x, direction), shape)
        result[..., k] = slope / direction.flat[k]
        error[..., k] = uncertain / direction.flat[k]
    return result.reshape(*shape, *x.shape), error.reshape(*shape, *x.shape)


def _second_differences(f: Function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def at(*moves: tuple[int, float]) -> float:
        moved = x.copy()
        for k, step in moves:
            moved.flat[k] += step
        return np.asarray(f(moved), np.float64).reshape(())  # type: ignore[return-value]

    n = x.size
    scale = np.maximum(1.0, np.abs(x)).reshape(-1)
    result, error = np.empty((2, n, n))
    middle = at()
    for i in range(n):
        for j in range(i + 1):

            def second(h: float, i: int = i, j: int = j) -> Any:
                a, b = h * scale[i], h * scale[j]
                if i == j:
                    return (at((i, a)) - 2 * middle + at((i, -a))) / (a * a)
                mixed = at((i, a), (j, b)) - at((i, a), (j, -b)) - at((i, -a), (j, b)) + at((i, -a), (j, -b))
                return mixed / (4 * a * b)

            result[i, j], error[i, j] = _ridders(second, ())
            result[j, i], error[j, i] = result[i, j], error[i, j]
    return result, error


def _ridders(phi: Callable[[float], Any], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The limit of phi(h) for h to 0, phi even in h, and the estimated error, entry by entry.

    Polynomial extrapolation over shrinking steps (Neville's table). Of all entries of the table the one that
    differs least from its neighbours is taken; it ends where rounding takes over.
    """
    h = _FIRST
    with np.errstate(all="ignore"):
        row = [np.asarray(phi(h), np.float64)]
        for _ in range(_RETRIES):
            if np.isfinite(row[0]).all():
                break
            h /= 8
            row = [np.asarray(phi(h), np.float64)]
    if not np.isfinite(row[0]).all():
        raise ValueError("f: its values near x are not finite, expected a function that is smooth there")
    best, error = row[0].copy(), np.full(shape, np.inf)
    for _ in range(_ROUNDS):
        h /= _SHRINK
        new, factor = [np.asarray(phi(h), np.float64)], 1.0
        for k in range(len(row)):
            factor *= _SHRINK * _SHRINK
            new.append((new[k] * factor - row[k]) / (factor - 1))
            guess = np.maximum(np.abs(new[k + 1] - new[k]), np.abs(new[k + 1] - row[k]))
            better = guess <= error
            best, error = np.where(better, new[k + 1], best), np.where(better, guess, error)
        if (np.abs(new[-1] - row[-1]) >= _SAFE * error).all() and len(row) > 2:
            break
        row = new
    return best, error + 4 * np.finfo(np.float64).eps * np.abs(best)
