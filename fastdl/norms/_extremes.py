"""Rows whose norm, or a quotient by it, leaves the range of double though what is asked for does not.

The functions here are the second road, for few rows: a row is scaled by the power of two that brings its largest
modulus into [1/2, 1), and whoever divides by the norm divides what is scaled. The first road finds out by `is_mild`.
"""

import math

import numpy as np

from ._axes import map_rows, norms_along, reduced
from ._reduction import DIVIDE, LARGEST, POWER, SLOPE, SMALLEST, TIMES

_LOW, _HIGH = 2.0**-960, 2.0**960
_NORMAL = 2.0**-1000  # a quotient from here on has all its bits


def is_mild(norms: np.ndarray) -> bool:
    """Whether rows can be divided by all these norms as they are."""
    return bool((((norms > _LOW) & (norms < _HIGH)) | (norms == 0)).all())


def scaled(rows: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows as double times 2^-shift, their norms, and the shifts; NaN, infinity and zeros are not shifted."""
    largest = reduced(rows, (1,), LARGEST, 0.0)
    usual = (largest > 0) & (largest < np.inf)
    shift = np.where(usual, np.frexp(largest)[1], 0)
    with np.errstate(all="ignore"):
        result = np.ldexp(rows.astype(np.float64), -shift[:, None])
        if p > 0.5:
            return result, norms_along(result, (1,), p), shift
        # Entries that vanish when scaled still count for such orders, whose powers need no scaling; and the norm may be
        # far above the largest modulus, so the shift is its own.
        power = np.log2(reduced(rows.astype(np.float64), (1,), POWER, p)) / p
        shift = np.where(usual, np.clip(np.floor(power), -(2**30), 2**30), 0).astype(np.int64)
        norms = np.where(largest == 0, 0.0, np.exp2(power - shift))
        return np.ldexp(rows.astype(np.float64), -shift[:, None]), norms, shift


def divided(rows: np.ndarray, p: float) -> np.ndarray:
    """Each row by its norm of order p > 0; zeros stay."""
    norms = norms_along(rows, (1,), p)
    if is_mild(norms):
        return map_rows(rows, DIVIDE, norms)
    moved, norms, _ = scaled(rows, p)
    return map_rows(moved, DIVIDE, norms).astype(rows.dtype, copy=False)


def limited(rows: np.ndarray, p: float, radius: float, norms: np.ndarray) -> np.ndarray:
    """Rows of a larger norm scaled down to the radius; others as they are."""
    factors = np.divide(radius, norms, out=np.ones_like(norms), where=~(norms <= radius))
    if is_mild(norms) and (radius == 0 or factors.min(initial=1.0) >= _NORMAL):
        return map_rows(rows, TIMES, factors)
    _, sizes, shift = scaled(rows, p)
    with np.errstate(all="ignore"):
        stay = (norms <= radius) & (np.ldexp(sizes, shift) <= radius)
        result = times(rows.astype(np.float64), radius / sizes[:, None], -shift[:, None]).astype(rows.dtype)
    result[stay] = rows[stay]
    return result


def times(x: np.ndarray, factor: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """x * factor * 2^exponent, where the product of the last two is at most 1 and may be no double."""
    mantissa, more = np.frexp(factor)
    return np.ldexp(x * mantissa, more + exponent)


def shortened(rows: np.ndarray, step: float) -> np.ndarray:
    """Each row shortened by `step` in its 2-norm; 0 where it is no longer than that."""
    norms = norms_along(rows, (1,), 2.0)
    if is_mild(norms):
        return map_rows(rows, TIMES, _shares(norms, step))
    moved, sizes, shift = scaled(rows, 2.0)
    with np.errstate(all="ignore"):
        result = map_rows(moved, TIMES, _shares(sizes, np.ldexp(step, -shift)))
        return np.ldexp(result, shift[:, None]).astype(rows.dtype, copy=False)


def _shares(norms: np.ndarray, step: float | np.ndarray) -> np.ndarray:
    # 1 - s / n as (n - s) / n, which loses nothing to rounding near n = s.
    return np.divide(norms - step, norms, out=np.zeros_like(norms), where=~(norms <= step))


def slopes(rows: np.ndarray, p: float) -> np.ndarray:
    """sign(x) (abs(x) / norm)^(p - 1)."""
    norms = norms_along(rows, (1,), p)
    if is_mild(norms) and (rows.dtype.char == "f" or not rows.size):
        return map_rows(rows, SLOPE, norms, p - 1)
    smallest = reduced(rows, (1,), SMALLEST, 0.0) if rows.size else norms
    if is_mild(norms) and (smallest >= norms * _NORMAL).all():
        return map_rows(rows, SLOPE, norms, p - 1)
    moved, norms, shift = scaled(rows, p)
    result = map_rows(moved, SLOPE, norms, p - 1)
    with np.errstate(all="ignore"):
        # A ratio that vanishes has a power that need not.
        lost = (np.abs(moved) < norms[:, None] * _NORMAL) & (rows != 0)
        if lost.any():
            ratio = np.log(np.abs(rows.astype(np.float64))) - (np.log(norms) + shift * math.log(2))[:, None]
            result = np.where(lost, np.copysign(np.exp((p - 1) * ratio), rows), result)
        return result.astype(rows.dtype, copy=False)


def onto_simplex(rows: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Projections of rows outside the L1 ball on it, and the thresholds t, without the differences that cancel.

    With d = max abs(x) - abs(x), what remains of an entry is max(tau - d, 0), and tau = max abs(x) - t is at most the
    radius: Newton's method from there, in units of the radius.
    """
    a = np.abs(rows.astype(np.float64))
    largest = a.max(axis=1, keepdims=True)
    unit = math.frexp(radius)[1]
    d = np.ldexp(np.minimum(largest - a, radius), -unit)
    whole = math.ldexp(radius, -unit)
    tau = np.full((len(rows), 1), whole)
    while True:
        active = d < tau
        new = (whole + np.where(active, d, 0.0).sum(axis=1, keepdims=True)) / np.maximum(active.sum(axis=1), 1)[:, None]
        if not (new < tau).any():
            break
        tau = np.minimum(new, tau)
    with np.errstate(all="ignore"):
        result = np.copysign(np.ldexp(np.maximum(tau - d, 0.0), unit), rows)
        return result.astype(rows.dtype, copy=False), (largest - np.ldexp(tau, unit))[:, 0]
