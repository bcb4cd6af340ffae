"""From an order to a sum over |x|^p and back: the one road every norm takes to the kernels.

The fast pass sums in double. Where that sum left the range in which it is exact to rounding (it overflowed,
or its terms came near the smallest double), a rescue pass scales the data by a power of two, which is exact,
so that the largest modulus lies in [1/2, 1), and sums again.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._threads import threads_for
from .._validate import number

COUNT, ABS, SQUARE, POWER, LARGEST = range(5)  # as in kernels/norms.pyx
GRAIN = 1 << 16  # elements that pay for one more thread (measured)
# Each term rounds by at most 2^-1075 once it is subnormal, so a sum above n * 2^-1000 is exact to 2^-75.
TINY = 2.0**-1000

_ORDERS = {0: COUNT, 1: ABS, 2: SQUARE, math.inf: LARGEST}
_specialized: dict[tuple[str, str, str], Callable[..., Any]] = {}


def kernel(name: str, dtype: np.dtype) -> Callable[..., Any]:
    """The kernel for this type: looked up once, since choosing by argument takes longer than a small norm."""
    key = (kernels.level, name, dtype.char)
    found = _specialized.get(key)
    if found is None:
        found = getattr(kernels.norms, name)["float" if dtype.char == "f" else "double"]
        _specialized[key] = found
    return found


def order(ord: Any) -> float:
    """The order of a vector norm over several arrays, as a float."""
    if ord in _ORDERS:
        return float(ord)
    return number("ord", ord, 0)


def total(x: np.ndarray, kind: int, p: float) -> float:
    """The sum, or the largest, over one contiguous array."""
    size = x.size
    if size <= kernels.norms.BLOCK_SIZE:
        return kernel("reduce_block", x.dtype)(x.reshape(-1), kind, p)
    parts = np.empty((1, -(-size // kernels.norms.BLOCK_SIZE)))
    out = np.empty(1)
    kernel("reduce_rows", x.dtype)(x.reshape(1, -1), kind, p, parts, out, threads_for(size, GRAIN))
    return float(out[0])


def norm_of(arrays: Iterable[np.ndarray], p: float) -> float:
    """The norm of order p >= 0 of the concatenation of contiguous arrays."""
    arrays = list(arrays)
    kind = _ORDERS.get(p, POWER)
    totals = [total(x, kind, p) for x in arrays]
    if kind == LARGEST:
        return math.nan if any(map(math.isnan, totals)) else max(totals, default=0.0)
    value = sum(totals)
    if kind <= ABS:
        return value
    if not sum(x.size for x in arrays) * TINY <= value < math.inf and not math.isnan(value):
        return _rescued(arrays, kind, p)
    return math.sqrt(value) if kind == SQUARE else value ** (1 / p)


def _rescued(arrays: list[np.ndarray], kind: int, p: float) -> float:
    largest = norm_of(arrays, math.inf)
    if largest == 0 or math.isinf(largest):
        return largest
    shift = math.frexp(largest)[1]
    value = sum(total(np.ldexp(x, -shift), kind, p) for x in arrays)
    root = math.sqrt(value) if kind == SQUARE else value ** (1 / p)
    return float(np.ldexp(root, shift))
