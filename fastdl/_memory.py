"""Aligned memory: vector loads that straddle cache lines cost twice."""

import math
import threading
from collections.abc import Sequence

import numpy as np

from .kernels.baseline.system import empty

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
SMALL = 4096  # bytes below which alignment is left to NumPy
LARGE = 1 << 22  # bytes from which on zeros come from the system, which gives them page by page
SIDE = 512  # of a square that the second-level cache holds


def aligned_empty(shape: int | Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An uninitialised C-contiguous array, in memory used before if there is any.

    It starts at a multiple of 64 bytes, unless it is smaller than a page: a straddled line costs less there than
    asking the pool.
    """
    return empty(shape if type(shape) is tuple else _extents(shape), dtype, SMALL)


def aligned_zeros(shape: int | Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes, however few. Many take memory only once they are written to."""
    extents = _extents(shape)
    size = math.prod(extents) * dtype.itemsize
    if size >= LARGE:
        memory = np.zeros(size + ALIGNMENT, np.uint8)
        first = -memory.ctypes.data % ALIGNMENT
        return memory[first : first + size].view(dtype).reshape(extents)
    array = empty(extents, dtype, 0)
    array[...] = 0
    return array


def lay(place: np.ndarray, values: np.ndarray) -> None:
    """``place[...] = values``; of a transpose square by square, since by rows each number takes a line of the cache."""
    if place.ndim == 2 and max(place.shape) > SIDE and _by_columns(place) != _by_columns(values):
        for row in range(0, place.shape[0], SIDE):
            for column in range(0, place.shape[1], SIDE):
                square = slice(row, row + SIDE), slice(column, column + SIDE)
                place[square] = values[square]
    else:
        place[...] = values


def _by_columns(array: np.ndarray) -> bool:
    return array.strides[0] < array.strides[1]


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
