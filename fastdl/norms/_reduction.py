"""From an order to a sum over |x|^p and back: the one road every norm takes to the kernels.

The fast pass sums in double. Where that sum left the range in which it is exact to rounding (it overflowed,
or its terms came near the smallest double), a rescue pass scales the data and sums again (see `rescaled`).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._threads import threads_for
from .._validate import number

# As in kernels/reduce/_norms.pxd.
COUNT, ABS, SQUARE, CUBE, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH, WHOLE, POWER, QUICK, ROOT, INVERSE = range(14)
LARGEST, SMALLEST = 14, 15
TIMES, DIVIDE, SIGN, SOFT, HARD, CLIP, SIGN_AT, SLOPE, POSITIVE = range(9)

GRAIN = 1 << 16  # elements that pay for one more thread (docs/profiling.md)
BLOCK = kernels.norms.BLOCK_SIZE
SMALL = kernels.norms.SMALL_SIZE
# Each term rounds by at most 2^-1075 once it is subnormal, so a sum above n * 2^-1000 is exact to 2^-75.
TINY = 2.0**-1000
# From here on |x|^p sums to the largest term in any length a computer holds.
ALL_BUT_INFINITE = 1e17
_SURE = SMALL * TINY
_NUMBERS = (float, int)  # not bool

_KINDS: dict[float, int] = {0: COUNT, 1: ABS, 2: SQUARE, 3: CUBE, 4: FOURTH, 5: FIFTH, 6: SIXTH, 7: SEVENTH, 8: EIGHTH}
_KINDS |= {0.5: ROOT, -1: INVERSE}
_KINDS |= {math.inf: LARGEST, -math.inf: SMALLEST}
_C_NAMES = {"f": "float", "d": "double"}


def kernel(name: str, dtype: np.dtype) -> Any:
    """The kernel for this type: choosing by arguments would take longer than a small norm."""
    return getattr(kernels.norms, name)[_C_NAMES[dtype.char]]


def order(ord: Any, low: float = -math.inf, name: str = "ord") -> float:
    """The order of a vector norm as a float, at least `low`; NaN is refused."""
    p = number(name, ord, low)
    return math.copysign(math.inf, p) if abs(p) > ALL_BUT_INFINITE else p


@functools.lru_cache(maxsize=256)
def kind_of(p: float) -> int:
    """The reduction that serves order p."""
    if p in _KINDS:
        return _KINDS[p]
    if p.is_integer() and 0 < p <= 64:
        return WHOLE
    return QUICK if abs(p) <= 64 else POWER


def in_float(p: float) -> bool:
    """Whether float32 arrays have their terms computed in float32 for order p."""
    return CUBE <= kind_of(p) <= WHOLE or kind_of(p) == QUICK


def small(x: Any, p: Any, typed: bool = True) -> Any:
    """The norm of up to SMALL elements as a scalar of its type or a float; None for all else and where care is needed.

    For it, checking first would take longer than the norm: so the kernel's own checks serve.
    """
    if p.__class__ not in _NUMBERS:
        return None
    if p in _KINDS:
        kind = _KINDS[p]
    elif abs(p) < 2**64:
        kind = kind_of(float(p))
    else:  # no float may hold it: that is for `order` to say
        return None
    return kernels.norms.norm_small(x, kind, p, _SURE, typed)


def total(x: np.ndarray, kind: int, p: float) -> float:
    """The reduction of one contiguous array; 0 for an empty one."""
    size = x.size
    if size <= SMALL:
        flat = x if x.ndim == 1 else x.reshape(-1)
        return kernels.norms.reduce_small(flat, kind, p) if size else 0.0
    parts = np.empty((1, -(-size // BLOCK)))
    out = np.empty(1)
    kernel("reduce_rows", x.dtype)(x.reshape(1, -1), kind, p, parts, out, threads_for(size, GRAIN))
    return float(out[0])


def norm_of(arrays: Sequence[np.ndarray], p: float) -> float:
    """The norm of order p of the concatenation of contiguous arrays."""
    kind = _KINDS[p] if p in _KINDS else kind_of(p)
    if len(arrays) == 1:
        value, size = total(arrays[0], kind, p), arrays[0].size
    else:
        totals, size = [total(x, kind, p) for x in arrays if x.size], sum(x.size for x in arrays)
        if kind >= LARGEST:
            return _extreme(totals, kind)
        value = sum(totals)
    if kind == SQUARE:
        return math.sqrt(value) if size * TINY <= value < math.inf else _rescued(arrays, SQUARE, 2.0)
    if kind <= ABS or kind >= LARGEST:
        return value
    if size * TINY <= value < math.inf:
        return root(value, p)
    return _rescued(arrays, POWER if kind == QUICK else kind, p)


def root(value: float, p: float) -> float:
    """value^(1/p), infinite where Python would raise."""
    if value == 0:
        return 0.0 if p > 0 else math.inf
    try:
        return value ** (1 / p)
    except OverflowError:
        return math.inf


def _extreme(totals: list[float], kind: int) -> float:
    if any(map(math.isnan, totals)):
        return math.nan
    return max(totals, default=0.0) if kind == LARGEST else min(totals)


def _rescued(arrays: Sequence[np.ndarray], kind: int, p: float) -> float:
    """The same where the fast sum was infinite, NaN, or too near to 0; TINY is what every length passes."""
    decides = norm_of(arrays, math.inf if p > 0 else -math.inf) if any(x.size for x in arrays) else 0.0
    if math.isnan(decides) or math.isinf(decides) or decides == 0:
        # One entry settles it: NaN and inf propagate, |0|^p with p < 0 is infinite, and its root is 0.
        return decides if any(x.size for x in arrays) or p > 0 else math.inf
    value, by = 0.0, 1.0
    with np.errstate(all="ignore"):  # entries that vanish beside the one that decides
        for x in arrays:
            by, scaled = rescaled(x, decides, p)
            value += total(scaled, kind, p)
        return float(root(value, p) * by)


def rescaled(x: np.ndarray, decides: Any, p: float) -> tuple[Any, np.ndarray]:
    """A divisor, and x divided by it as double, so that no power that counts leaves the range.

    `decides` is the modulus that decides: the largest for p > 0, the smallest for p < 0. A power of two leaves all bits
    as they are and brings it into [1, 2). Orders above 64 divide by the modulus itself: its power is 1. Powers of
    orders up to 1/2 cannot leave the range, and an entry that vanished by scaling would still count.
    """
    if abs(p) <= 0.5:
        return 1.0, x
    divisor = np.ldexp(0.5, np.frexp(decides)[1]) if abs(p) <= 64 else decides
    return divisor, np.divide(x, divisor, dtype=np.float64)
