"""Aligned memory: vector loads that straddle cache lines cost twice."""

import threading
from collections.abc import Sequence

import numpy as np

from .kernels.baseline.system import empty

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
SMALL = 4096  # bytes below which alignment is left to NumPy


def aligned_empty(shape: int | Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An uninitialised C-contiguous array, in memory used before if there is any.

    It starts at a multiple of 64 bytes, unless it is smaller than a page: a straddled line costs less there than
    asking the pool.
    """
    return empty(shape if type(shape) is tuple else _extents(shape), dtype, SMALL)


def aligned_zeros(shape: int | Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes, however few."""
    array = empty(_extents(shape), dtype, 0)
    array[...] = 0
    return array


def _extents(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


_local = threading.local()


def scratch(size: int, dtype: np.dtype) -> np.ndarray:
    """Uninitialised work space that is valid until this thread asks again: kept, so it costs nothing.

    It grows to the largest size asked for. For use within one kernel call.
    """
    held: dict[str, np.ndarray] = _local.__dict__
    array = held.get(dtype.char)
    if array is None or array.size < size:
        array = held[dtype.char] = aligned_empty(max(size, 1), dtype)
    return array
