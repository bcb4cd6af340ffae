"""Ragged batches: sequences of several lengths as rows without padding, in the order the kernels walk them."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import kernels
from .._validate import lengths_array

__all__ = ["Rows", "rows_of"]


class Rows(NamedTuple):
    """Where each row of the walk lies in a padded (T, B) batch, which the kernels read and write as it is.

    Sequences are sorted by falling length, so that step t of the walk has the first ``offsets[t + 1] - offsets[t]`` of
    them. Row r of the walk is element ``places[r]`` of the padded batch, its time and sequence flattened; reversed
    sequences begin at their true end. The rest of ``places`` is padding.
    """

    offsets: np.ndarray | None  # (steps + 1,), None where every step has all sequences
    order: np.ndarray | None  # (B,), the sequence that is r-th longest; None where they stay as they are
    places: np.ndarray  # (T * B,)
    total: int  # rows

    def sort(self, states: np.ndarray) -> np.ndarray:
        """(B, ...) in the walk's order of sequences."""
        return states if self.order is None else states[self.order]

    def unsort(self, states: np.ndarray) -> np.ndarray:
        """The inverse of sort."""
        if self.order is None:
            return states
        out = np.empty_like(states)
        out[self.order] = states
        return out


def rows_of(lengths: Any, reverse: bool, T: int, B: int) -> Rows | None:
    """The rows of a batch; None where it is dense and runs forward, so that it is one row after the other."""
    if lengths is None:
        return Rows(None, None, np.arange(T * B).reshape(T, B)[::-1].ravel(), T * B) if reverse else None
    lengths = lengths_array("lengths", lengths, T, B)
    if B and (lengths == T).all():
        return rows_of(None, reverse, T, B)
    order = np.argsort(-lengths, kind="stable")
    steps = int(lengths[order[0]]) if B else 0
    offsets, places = np.zeros(steps + 1, np.int64), np.empty(T * B, np.int64)
    if B:
        kernels.recurrent.lay_out(lengths, order, steps, reverse, offsets, places)
    return Rows(offsets, order, places, int(offsets[-1]))
