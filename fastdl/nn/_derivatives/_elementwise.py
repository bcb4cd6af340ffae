"""Elementwise functions: dy times the derivative, with respect to each argument."""

import math

import numpy as np

from ._table import composed, constant, row

_MISSING = object()


def _times(factor):
    """The rule of a function of one argument whose derivative is factor(x, y)."""
    return lambda dy, y, x: dy * factor(x, y)


def _pass(dy, y, *args):
    return dy


def _minus(dy, y, *args):
    return -dy


row(np.add, _pass, _pass, linear=True)
row(np.subtract, _pass, _minus, linear=True)
row(np.negative, _minus, linear=True)
row(np.positive, _pass, linear=True)
row(np.multiply, lambda dy, y, a, b: dy * b, lambda dy, y, a, b: dy * a)
row(np.true_divide, lambda dy, y, a, b: dy / b, lambda dy, y, a, b: -dy * y / b)
row(np.reciprocal, _times(lambda x, y: -y * y))
row(np.square, _times(lambda x, y: 2 * x))


def _power_base(dy, y, a, b):
    """b a^(b - 1), 0 for b = 0."""
    if b.__class__ is int and b == 2:
        return dy * (2 * a)
    if np.ndim(b) == 0:
        return dy * (b * a ** (b - 1)) if b != 0 else np.zeros_like(dy)
    with np.errstate(all="ignore"):
        return dy * np.where(b == 0, 0, b * np.power(a, np.where(b == 0, 1, b - 1)))


def _power_exponent(dy, y, a, b):
    """y log(a), 0 for a = 0."""
    return dy * y * np.log(np.where(a == 0, 1, a))


row(np.power, _power_base, _power_exponent)
row(np.float_power, _power_base, _power_exponent)

# ---- exponentials and logarithms, roots ---------------------------------------------------------------------
row(np.exp, _times(lambda x, y: y))
row(np.exp2, _times(lambda x, y: y * math.log(2)))
row(np.expm1, _times(lambda x, y: y + 1))
row(np.log, lambda dy, y, x: dy / x)
row(np.log2, lambda dy, y, x: dy / (x * math.log(2)))
row(np.log10, lambda dy, y, x: dy / (x * math.log(10)))
row(np.log1p, lambda dy, y, x: dy / (1 + x))
row(np.sqrt, lambda dy, y, x: dy / (2 * y))
row(np.cbrt, lambda dy, y, x: dy / (3 * y * y))
row(np.logaddexp, lambda dy, y, a, b: dy * np.exp(a - y), lambda dy, y, a, b: dy * np.exp(b - y))
row(np.logaddexp2, lambda dy, y, a, b: dy * np.exp2(a - y), lambda dy, y, a, b: dy * np.exp2(b - y))

# ---- circle and hyperbola -----------------------------------------------------------------------------------
row(np.sin, _times(lambda x, y: np.cos(x)))
row(np.cos, _times(lambda x, y: -np.sin(x)))
row(np.tan, _times(lambda x, y: 1 + y * y))
row(np.arcsin, lambda dy, y, x: dy / np.sqrt(1 - x * x))
row(np.arccos, lambda dy, y, x: -dy / np.sqrt(1 - x * x))
row(np.arctan, lambda dy, y, x: dy / (1 + x * x))
row(np.sinh, _times(lambda x, y: np.cosh(x)))
row(np.cosh, _times(lambda x, y: np.sinh(x)))
row(np.tanh, _times(lambda x, y: 1 - y * y))
row(np.arcsinh, lambda dy, y, x: dy / np.sqrt(x * x + 1))
row(np.arccosh, lambda dy, y, x: dy / np.sqrt(x * x - 1))
row(np.arctanh, lambda dy, y, x: dy / (1 - x * x))
row(np.arctan2, lambda dy, y, a, b: dy * b / (a * a + b * b), lambda dy, y, a, b: -dy * a / (a * a + b * b))
row(np.hypot, lambda dy, y, a, b: dy * a / y, lambda dy, y, a, b: dy * b / y)
for _degrees in (np.deg2rad, np.radians):
    row(_degrees, lambda dy, y, x: dy * (math.pi / 180), linear=True)
for _radians in (np.rad2deg, np.degrees):
    row(_radians, lambda dy, y, x: dy * (180 / math.pi), linear=True)

# ---- with a kink: the gradient is shared where arguments tie, 0 for the modulus at 0 ------------------------
row(np.absolute, _times(lambda x, y: np.sign(x)))
row(np.fabs, _times(lambda x, y: np.sign(x)))


def _chosen(dy, y, one, other):
    """dy where `one` is the result, half of it where both are; whatever dy is elsewhere, 0."""
    both = one == other
    found = np.where(one == y, dy, 0)
    return np.where(both, found / 2, found) if both.any() else found


for _best in (np.maximum, np.fmax, np.minimum, np.fmin):
    row(_best, lambda dy, y, a, b: _chosen(dy, y, a, b), lambda dy, y, a, b: _chosen(dy, y, b, a))
row(np.remainder, _pass, lambda dy, y, a, b: -dy * np.floor_divide(a, b))
row(np.fmod, _pass, lambda dy, y, a, b: -dy * np.trunc(a / b))
row(np.copysign, lambda dy, y, a, b: dy * np.sign(a) * np.sign(y), None)


def _clip(a, a_min=_MISSING, a_max=_MISSING, *, min=_MISSING, max=_MISSING):
    """Under either of the pairs of names that NumPy knows."""
    if a_min is _MISSING and a_max is _MISSING:
        return CLIP.record((a, None if min is _MISSING else min, None if max is _MISSING else max))
    if a_min is _MISSING or a_max is _MISSING or min is not _MISSING or max is not _MISSING:
        raise TypeError("np.clip: expected both a_min and a_max (None for no bound), or min, max or both by name")
    return CLIP.record((a, a_min, a_max))


def _inside(dy, y, a, a_min, a_max):
    within = True if a_min is None else a >= a_min
    if a_max is not None:
        within = within & (a <= a_max)
    return np.where(within, dy, 0)


CLIP = row(np.clip, _inside)
composed(np.clip, _clip)
row(np.nan_to_num, lambda dy, y, x: dy * np.isfinite(x))
row(np.sinc, lambda dy, y, x: dy * np.where(x == 0, 0, (np.cos(np.pi * x) - y) / np.where(x == 0, 1, x)))

# ---- of which the gradient is 0, or that answer a question --------------------------------------------------
constant(
    np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round, np.around, np.fix, np.floor_divide, np.heaviside,
    np.signbit, np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal, np.array_equiv, np.equal,
    np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.logical_and, np.logical_or, np.logical_not,
    np.logical_xor, np.isposinf, np.isneginf, np.iscomplexobj, np.isrealobj, np.spacing,
)  # fmt: skip
