"""Where a kernel finds what it updates: in pieces, so that one call serves any number of arrays and threads."""

import functools
from collections.abc import Sequence

import numpy as np

PIECE = 2048  # elements: few enough that the pieces of a small model are shared out evenly among threads


def pieces_of(runs: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The pieces of several runs, each a sequence of flat arrays of one size: parameters, gradients, states.

    A row is a piece: its length, then for each array where it begins, in elements from the first run's array.
    It holds for as long as the arrays stay where they are.
    """
    tables = []
    for run in runs:
        starts = np.arange(0, run[0].size, PIECE)
        begins = [starts + _distance(array, first) for array, first in zip(run, runs[0], strict=True)]
        tables.append(np.column_stack([np.minimum(PIECE, run[0].size - starts), *begins]))
    return np.ascontiguousarray(np.concatenate(tables), np.intp)


@functools.lru_cache(maxsize=64)
def pieces_of_one(size: int, count: int) -> np.ndarray:
    """The pieces of one run of `count` arrays of that size."""
    like = np.broadcast_to(np.int8(0), size)
    return pieces_of([[like] * count])


def _distance(array: np.ndarray, first: np.ndarray) -> int:
    return (array.ctypes.data - first.ctypes.data) // array.itemsize
