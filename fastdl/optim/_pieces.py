"""Where a kernel finds what it updates: in pieces, so that one call serves any number of arrays and threads."""

import functools
from collections.abc import Sequence

import numpy as np

PIECE = 2048  # elements of a piece at most: few enough that those of a small model can be shared out among threads
ROUND = 12  # many pieces are a multiple of so many: as many for each of 2, 3, 4, 6 or 12 threads
UNIT = 16  # elements a piece is a multiple of: a cache line of float32


def pieces_of(runs: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The pieces of several runs, each a sequence of flat arrays of one size: parameters, gradients, states.

    A row is a piece: its length, then for each array where it begins, in elements from the first run's array.
    It holds for as long as the arrays stay where they are.
    """
    tables = []
    for run in runs:
        size = _piece(run[0].size)
        starts = np.arange(0, run[0].size, size)
        begins = [starts + _distance(array, first) for array, first in zip(run, runs[0], strict=True)]
        tables.append(np.column_stack([np.minimum(size, run[0].size - starts), *begins]))
    return np.ascontiguousarray(np.concatenate(tables), np.int64)


def _piece(size: int) -> int:
    """Elements of each of the pieces that so many elements are cut into; the last may have fewer."""
    count = -(-size // PIECE)
    if count > ROUND:
        count = -(-count // ROUND) * ROUND
    return max(UNIT, -(-size // (max(count, 1) * UNIT)) * UNIT)


@functools.lru_cache(maxsize=64)
def pieces_of_one(size: int, count: int) -> np.ndarray:
    """The pieces of one run of `count` arrays of that size."""
    like = np.broadcast_to(np.int8(0), size)
    return pieces_of([[like] * count])


def _distance(array: np.ndarray, first: np.ndarray) -> int:
    return (array.ctypes.data - first.ctypes.data) // array.itemsize
