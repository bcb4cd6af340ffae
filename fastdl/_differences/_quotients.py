"""Derivatives of any NumPy function: central differences with step control, complex steps, a check of gradients."""

import math
from typing import Any, NamedTuple

import numpy as np

from .._validate import check_shape, choice, flag, number
from ._functions import Function, Sampled, checked_function, one_number, real_array
from ._settle import settled, starts

# Any step works that neither underflows nor is seen beside x: there is no cancellation.
_COMPLEX_STEP, _OF_X, _LEAST = 1e-30, 1e-20, 1e-300
_METHODS = ("auto", "complex", "central")
_STARTS, _SHORTER = 8, (1e-3, 1e-5, 1e-7)  # steps of first differences, in units of max(1, abs(x))
_SECOND_STARTS, _SECOND_SHORTER = 5, (1e-3, 1e-4)
_SIDES = (1e-5, 1e-7, 1e-9)  # where the slopes on both sides are compared


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
        extrapolated to zero (Ridders 1982), about 10 digits, believed where far shorter steps agree. "auto" takes
        complex steps if f accepts them and every entry agrees with a difference.
    return_error : bool, default False
        Whether to return (gradient, error), the error an estimate of every entry's absolute error. It is infinite
        where differences settled at no step; at a kink it reaches to both one-sided slopes.

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
    return_error = flag("return_error", return_error)
    x, value = checked_function(f, x)
    one_number(value)
    derivative, error, _ = (one.reshape(x.shape) for one in _derivative(f, x, value, method))
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

    Raises
    ------
    TypeError, ValueError
        As :func:`gradient`, but that f may have any number of values.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.curvature.jacobian(lambda x: np.array([x[0] * x[1], x[0]]), np.array([2.0, 3.0]))
    array([[3., 2.],
           [1., 0.]])
    """
    return_error = flag("return_error", return_error)
    x, value = checked_function(f, x)
    derivative, error, _ = _derivative(f, x, value, method)
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

    Raises
    ------
    TypeError, ValueError
        As :func:`gradient`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.curvature.hessian(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0])).round(6)
    array([[4., 2.],
           [2., 0.]])
    """
    choice("method", method, _METHODS)
    return_error = flag("return_error", return_error)
    x, value = checked_function(f, x)
    one_number(value)
    near = Sampled(f, x, value)
    exact = _exact(near, method)
    if exact is not None:
        slopes = Sampled(lambda at: _slope_within(near, at), x, exact)
        slopes.unit = near.unit
        result, error, _ = _central(slopes)
    else:
        result, error = _second_differences(near)
    n = x.size
    flat = result.reshape(n, n)
    result = (0.5 * (flat + flat.T)).reshape(x.shape * 2)
    error = error.reshape(n, n)
    error = (np.maximum(error, error.T) + 0.5 * np.abs(flat - flat.T)).reshape(x.shape * 2)
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
        Estimated error of `expected`: infinite where f shows no slope, and the check then fails.
    kink : bool
        Whether f has a kink there: then whatever lies between the slopes on both sides passes.
    """

    passed: bool
    where: tuple[int, ...]
    given: float
    expected: float
    difference: float
    error: float
    kink: bool = False

    def __bool__(self) -> bool:  # a tuple of several is true: `assert check_gradient(...)` would always hold
        return self.passed

    def __str__(self) -> str:
        return (
            f"{'passed' if self.passed else 'FAILED'}: worst entry {list(self.where)}{', a kink of f' * self.kink}: "
            f"given {self.given:.10g}, "
            f"expected {self.expected:.10g} +- {self.error:.1g}, relative difference {self.difference:.2g}"
        )


def check_gradient(f: Function, grad: Any, x: np.ndarray, rtol: float = 1e-5, method: str = "auto") -> GradientCheck:
    """Compare a gradient that was written by hand with differences of the function (docs/curvature.md).

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns one number.
    grad : callable or ndarray
        The gradient: a function of x, or its value at `x`.
    x : ndarray, any shape
        Where they are compared; taken as float64.
    rtol : float, default 1e-5
        Largest relative difference that passes; the differences' own estimated error is allowed on top, and
        entries below 1e-9 of the largest one are compared with that. Where the error is as large as the gradient
        the check fails, as nothing was compared.
    method : {"auto", "complex", "central"}, default "auto"
        As for :func:`gradient`.

    Returns
    -------
    GradientCheck
        Prints as one line.

    Raises
    ------
    TypeError, ValueError
        As :func:`gradient`; and if the given gradient holds something else than real numbers, or is of another shape.

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
    x, value = checked_function(f, x)
    one_number(value)
    expected, error, kink = (one.reshape(x.shape) for one in _derivative(f, x, value, method))
    given = real_array("grad", grad(x.copy()) if callable(grad) else grad)
    check_shape("grad", given, expected.shape)
    if not given.size:
        return GradientCheck(True, (), math.nan, math.nan, 0.0, 0.0)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(expected), np.abs(given))
        # An error as large as what it belongs to would let anything pass.
        unknown = (error > 0.1 * size.max()) & (error > 1e-6 * (1 + np.abs(value).max())) & ~kink
        size = np.maximum(size, 1e-9 * np.abs(expected).max(initial=0)) + np.finfo(np.float64).tiny
        apart = np.abs(given - expected)
        allowed = np.where(kink, error * (1 + 1e-6), 2 * error)
        excess = np.where(np.isfinite(apart) & ~unknown, (apart - allowed) / size, np.inf)
    index = tuple(int(k) for k in np.unravel_index(int(np.argmax(excess)), excess.shape))
    return GradientCheck(
        bool(excess[index] <= rtol),
        index,
        float(given[index]),
        float(expected[index]),
        float(apart[index] / size[index]),
        float(error[index]),
        bool(kink[index]),
    )


# ---- How ------------------------------------------------------------------------------------------------------


def _derivative(
    f: Function, x: np.ndarray, value: np.ndarray, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """df/dx in the shape value's + x's, its estimated error, and where f has a kink."""
    choice("method", method, _METHODS)
    near = Sampled(f, x, value)
    exact = _exact(near, method)
    if exact is None:
        return _central(near)
    return exact, np.abs(exact) * 8 * near.unit, np.zeros(exact.shape, bool)


def _exact(near: Sampled, method: str) -> np.ndarray | None:
    """The derivative by complex steps, where they were asked for or can be trusted."""
    if method == "central":
        return None
    if method == "complex":
        return _complex(near, near.x)
    try:
        with np.errstate(all="ignore"):
            found = _complex(near, near.x)
    except Exception:  # whatever a function does with numbers it was not made for
        return None
    return found if np.isfinite(found).all() and _agrees(near, found) else None


def _complex(near: Sampled, x: np.ndarray) -> np.ndarray:
    at = x.astype(np.complex128)
    result = np.empty((*near.value.shape, x.size))
    for k in range(x.size):
        size = abs(float(x.flat[k]))
        step = max(min(_COMPLEX_STEP, _OF_X * size), _LEAST) if size else _COMPLEX_STEP
        at.flat[k] += 1j * step
        result[..., k] = near.complex(at).imag / step
        at.flat[k] = x.flat[k]
    return result.reshape((*near.value.shape, *x.shape))


def _slope_within(near: Sampled, at: np.ndarray) -> np.ndarray:
    """The complex-step gradient, and NaN out of the domain, past whose edge complex functions may go on."""
    if not np.isfinite(near(at)).all():
        return np.full((*near.value.shape, *at.shape), np.nan)
    with np.errstate(all="ignore"):
        return _complex(near, at)


def _agrees(near: Sampled, exact: np.ndarray) -> bool:
    """Whether every entry is what a difference gives.

    An f with abs, a maximum or a conjugate takes complex numbers without complaint and answers wrongly.
    """
    columns = exact.reshape((*near.value.shape, near.x.size))
    noise = _noise(near)
    largest = np.abs(exact).max(initial=0)
    for k in range(near.x.size):
        line = _Line(near, k, noise)
        found, h = columns[..., k] * line.unit, 1e-6
        with np.errstate(all="ignore"):
            rounding = line.rounding(h)
            near_enough = np.abs(line.slope(h) - found) <= 1e-8 * np.abs(found) + 4 * rounding
            straight = line.bend(h) <= 1e-4 * largest * line.unit + 16 * rounding
        if (near_enough & straight).all():
            continue
        try:
            slope, error, kink = line.settle()
        except ValueError:
            return False
        if (
            not (np.abs(slope - found) <= 1e-6 * np.abs(found) + 10 * error).all()
            or kink.any()
            or np.isinf(error).any()
        ):
            return False
    return True


class _Line:
    """A function along one coordinate, in steps of max(1, abs(x))."""

    def __init__(self, near: Sampled, k: int, noise: np.ndarray) -> None:
        self.near, self.k, self.noise = near, k, noise
        self.size = abs(float(near.x.flat[k]))
        self.unit = max(1.0, self.size)
        self._met: dict[float, tuple[np.ndarray, np.ndarray, float]] = {}

    def sides(self, h: float) -> tuple[np.ndarray, np.ndarray, float]:
        """f at x + h, at x - h, and the step that was made, a number that x can be moved by."""
        if h not in self._met:
            up, down = self.near.x.copy(), self.near.x.copy()
            up.flat[self.k] += h * self.unit
            step = float(up.flat[self.k] - self.near.x.flat[self.k])
            down.flat[self.k] -= step
            self._met[h] = self.near(up), self.near(down), step / self.unit
        return self._met[h]

    def slope(self, h: float) -> np.ndarray:
        up, down, step = self.sides(h)
        return (up - down) / (2 * step) if step else np.full(up.shape, np.nan)

    def bend(self, h: float) -> np.ndarray:
        """By how much the slopes on both sides differ."""
        up, down, step = self.sides(h)
        return np.abs(up - 2 * self.near.value + down) / step if step else np.full(up.shape, np.nan)

    def rounding(self, h: float) -> np.ndarray:
        of_x = np.abs(self.slope(h)) * self.near.unit * self.size / (h * self.unit)
        up, down, _ = self.sides(h)
        largest = np.fmax(np.fmax(np.abs(up), np.abs(down)), np.abs(self.near.value))
        return np.maximum(self.near.unit * largest, self.noise) / h + of_x

    def settle(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slope in units, estimated error, and where there is a kink: there the error reaches to both sides' slopes."""
        with np.errstate(all="ignore"):
            first = starts(_STARTS, self.size / self.unit)
            slope, error = settled(self.slope, self.rounding, first, _SHORTER, self.near.value.shape)
            # At a kink the slopes on both sides stay apart however short the step; where f is smooth they meet.
            bends = [self.bend(h) for h in _SIDES]
            seen = [bend > 32 * self.rounding(h) for bend, h in zip(bends, _SIDES, strict=True)]
            kink = seen[0] & seen[1]
            for before, after, clear in zip(bends, bends[1:], seen[1:], strict=False):
                kink &= ~clear | (after > 0.5 * before)
            cusp = kink & (bends[1] > 3 * bends[0])
            error = np.where(kink, np.maximum(error, 0.5 * bends[1]), error)
            error = np.where(cusp, np.inf, error)
        return slope, error, kink & ~cusp & np.isfinite(error)


def _noise(near: Sampled) -> np.ndarray:
    """How uneven f is at the finest scale: fifth differences, in which all but rounding is gone.

    An f that computes in float32 is level over short distances, so two are looked at.
    """
    direction = np.cos(1.0 + np.arange(near.x.size)).reshape(near.x.shape) * np.maximum(1, np.abs(near.x))
    estimates = []
    for spacing in (1e-6, 1e-9):
        least = np.full(near.value.shape, np.inf)
        for side in (1, -1):  # beside x, where it has no kink
            values = np.array([near(near.x + side * j * spacing * direction) for j in range(20, 30)])
            with np.errstate(all="ignore"):
                fifth = np.diff(values, 5, axis=0) / math.sqrt(252)
                spread = 4 * np.sqrt((fifth * fifth).mean(0))
            least = np.fmin(least, spread)
        estimates.append(np.where(np.isfinite(least), least, 0))
        level = (values == values[0]).all(0)
    far, close = estimates
    return np.where(~level & (far > 30 * close), close, np.maximum(far, close))  # f itself bends so over the longer


def _central(near: Sampled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, shape = near.x.size, near.value.shape
    result, error = np.empty((2, *shape, n))
    kink = np.empty((*shape, n), bool)
    noise = _noise(near)
    for k in range(n):
        line = _Line(near, k, noise)
        slope, uncertain, kink[..., k] = line.settle()
        result[..., k], error[..., k] = slope / line.unit, uncertain / line.unit
    return tuple(one.reshape((*shape, *near.x.shape)) for one in (result, error, kink))  # type: ignore[return-value]


def _second_differences(near: Sampled) -> tuple[np.ndarray, np.ndarray]:
    x, n = near.x, near.x.size
    scale = np.maximum(1.0, np.abs(x)).reshape(-1)
    noise, middle = _noise(near).reshape(()), near.value.reshape(())
    met: dict[tuple[tuple[int, float], ...], np.ndarray] = {}

    def at(*moves: tuple[int, float]) -> np.ndarray:
        if moves not in met:
            moved = x.copy()
            for k, step in moves:
                moved.flat[k] += step
            met[moves] = near(moved).reshape(())
        return met[moves]

    def step(k: int, h: float) -> float:
        """h in units of the coordinate's scale, as a number that x can be moved by."""
        return float((x.flat[k] + h * scale[k]) - x.flat[k])

    result, error = np.empty((2, n, n))
    for i in range(n):
        for j in range(i + 1):
            met.clear()

            def second(h: float, i: int = i, j: int = j) -> np.ndarray:
                a, b = step(i, h), step(j, h)
                if not (a and b):
                    return np.array(np.nan)
                if i == j:
                    return (at((i, a)) - 2 * middle + at((i, -a))) / (a * a)
                mixed = at((i, a), (j, b)) - at((i, a), (j, -b)) - at((i, -a), (j, b)) + at((i, -a), (j, -b))
                return mixed / (4 * a * b)

            def rounding(h: float, i: int = i, j: int = j) -> np.ndarray:
                a, b = step(i, h), step(j, h)
                if not (a and b):
                    return np.array(np.inf)
                around = [at((i, a)), at((i, -a)), at((j, b)), at((j, -b)), middle]
                level = np.maximum(near.unit * np.nanmax(np.abs(around)), noise)
                return 4 * level / (a * b) + 2.0**-51 / h * np.abs(second(h))

            relative = min(abs(float(x.flat[k])) / scale[k] for k in (i, j))
            first = starts(_SECOND_STARTS, relative)
            with np.errstate(all="ignore"):
                result[i, j], error[i, j] = settled(second, rounding, first, _SECOND_SHORTER, ())
            result[j, i], error[j, i] = result[i, j], error[i, j]
    return result, error
