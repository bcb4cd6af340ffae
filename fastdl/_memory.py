"""Aligned memory: vector loads that straddle cache lines cost twice."""

import math
import threading
from collections.abc import Sequence

import numpy as np

from .kernels.baseline.system import Block

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def aligned_empty(shape: int | Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An uninitialised C-contiguous array at a multiple of 64 bytes, in memory used before if there is any."""
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    size = math.prod(extents) * dtype.itemsize
    if size == 0:
        return np.empty(extents, dtype)
    return np.frombuffer(Block(size), dtype).reshape(extents)


def aligned_zeros(shape: int | Sequence[int], dtype: np.dtype) -> np.ndarray:
    """The same, filled with zeros."""
    array = aligned_empty(shape, dtype)
    array[...] = 0
    return array


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
