"""Where the steps of a batch lie: dense, padded with true lengths, or packed as torch packs them."""

from typing import Any, NamedTuple

import numpy as np

from ...recurrent._sequences import Rows, rows_of


class Batch(NamedTuple):
    """Sequences whose steps lie one after the other, and by direction how they are walked.

    `lasts` says in which rows the last states are, None where they are the last step's, or in reverse the first's.
    """

    steps: int
    size: int
    total: int  # rows of the input
    rows: tuple[Rows | None, ...]
    lasts: tuple[np.ndarray, ...] | None = None
    empty: np.ndarray | None = None  # (B, 1), the sequences without a step, where there are such
    lengths: np.ndarray | None = None
    places: np.ndarray | None = None  # of a packed batch, its rows' places in the padded one

    def last(self, states: np.ndarray, first: np.ndarray, way: int) -> np.ndarray:
        """The states (B, ...) after a walk, of those of all rows and those before it."""
        if not self.total:
            return first
        if self.lasts is None:
            return states[: self.size] if way else states[-self.size :]
        found = states[self.lasts[way]]
        return found if self.empty is None else np.where(self.empty, first, found)


def dense(steps: int, size: int, ways: int) -> Batch:
    """Sequences that all have so many steps."""
    return Batch(steps, size, steps * size, tuple([rows_of(None, way == 1, steps, size) for way in range(ways)]))


def padded(lengths: np.ndarray, steps: int, ways: int) -> Batch:
    """Sequences (T, B) with true lengths, checked."""
    size = len(lengths)
    if size == 0 or int(lengths.min()) == steps:
        return dense(steps, size, ways)
    places = np.arange(size)
    empty = (lengths == 0)[:, None]
    lasts = (np.maximum(lengths - 1, 0) * size + places, places)
    rows = tuple([rows_of(lengths, way == 1, steps, size) for way in range(ways)])
    return Batch(steps, size, steps * size, rows, lasts, empty if empty.any() else None, lengths)


def packed(batch_sizes: np.ndarray, ways: int) -> Batch:
    """Sequences sorted by falling length, step after step without padding: as kernels walk them."""
    steps, size = len(batch_sizes), int(batch_sizes[0])
    offsets = np.zeros(steps + 1, np.int64)
    np.cumsum(batch_sizes, out=offsets[1:])
    total, order = int(offsets[-1]), np.arange(size)
    lengths = np.searchsorted(-batch_sizes, -order, side="left").astype(np.int64)
    walk = np.arange(total)
    rows: list[Any] = [Rows(offsets, None, walk, total)]
    step = np.repeat(np.arange(steps), batch_sizes)
    at = walk - offsets[step]
    if ways == 2:
        rows.append(Rows(offsets, None, offsets[lengths[at] - 1 - step] + at, total))
    lasts = (offsets[lengths - 1] + order, order)
    return Batch(steps, size, total, tuple(rows), lasts, None, lengths, step * size + at)
