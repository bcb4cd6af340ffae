"""Ragged batches: sequences of several lengths as rows without padding, in the order the kernels walk them."""

from typing import Any, NamedTuple

import numpy as np

from .._dispatch import kernels
from .._memory import aligned_empty
from .._threads import threads_for
from .._validate import FLOATS, check_shape

__all__ = ["Rows", "rows_of"]

GRAIN = 1 << 16  # elements that pay for one more thread to copy them


class Rows(NamedTuple):
    """Where each row of the walk lies in a padded (T, B) batch.

    Sequences are sorted by falling length, so that step t of the walk has the first ``offsets[t + 1] - offsets[t]`` of
    them. Row r of the walk is element ``places[r]`` of the padded batch, its time and sequence flattened; reversed
    sequences begin at their true end.
    """

    offsets: np.ndarray | None  # (steps + 1,), None where every step has all sequences
    order: np.ndarray | None  # (B,), the sequence that is r-th longest; None where they stay as they are
    places: np.ndarray  # (rows,)
    shape: tuple[int, int]
    back: np.ndarray  # (T * B,), the row at each place of the padded batch, -1 where there is none

    def gather(self, padded: np.ndarray) -> np.ndarray:
        """(T, B, ...) to (rows, ...), of any type."""
        return _taken(padded.reshape(-1, *padded.shape[2:]), self.places)

    def scatter(self, rows: np.ndarray) -> np.ndarray:
        """(rows, n) to (T, B, n), zero past each sequence's end."""
        return _taken(rows, self.back).reshape(*self.shape, rows.shape[1])

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
    """The rows of a batch; None where it is dense and runs forward, so that arrays can be used as they lie."""
    if lengths is None:
        if not reverse:
            return None
        flat = np.arange(T * B).reshape(T, B)[::-1].ravel()
        return Rows(None, None, flat, (T, B), flat)
    lengths = check_lengths("lengths", lengths, T, B, 0)
    if B and (lengths == T).all():
        return rows_of(None, reverse, T, B)
    order = np.argsort(-lengths, kind="stable")
    longest = lengths[order]
    steps = int(longest[0]) if B else 0
    counts = np.searchsorted(-longest, -np.arange(steps), side="left")  # how many are longer than t
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    t = np.repeat(np.arange(steps), counts)
    rank = np.arange(len(t)) - offsets[t]
    time = longest[rank] - 1 - t if reverse else t
    places, back = time * B + order[rank], np.full(T * B, -1)
    back[places] = np.arange(len(places))
    return Rows(offsets, order, places, (T, B), back)


def _taken(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """rows[places], zeros where a place is negative."""
    out = aligned_empty((len(places), *rows.shape[1:]), rows.dtype)
    if out.size and rows.dtype in FLOATS:
        kernels.recurrent.take_rows(rows, places, out, threads_for(out.size, GRAIN))
    elif out.size:  # a mask; mode="clip" writes straight into out, and the indices are in range
        np.take(rows, places, axis=0, out=out, mode="clip")
    return out


def check_lengths(name: str, lengths: Any, T: int, B: int, least: int) -> np.ndarray:
    """(B,) integers from `least` to T as int64."""
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise TypeError(f"{name}: got dtype {lengths.dtype}, expected integers")
    check_shape(name, lengths, (B,))
    if B and (lengths.min() < least or lengths.max() > T):
        raise ValueError(f"{name}: got values from {lengths.min()} to {lengths.max()}, expected {least} to {T}")
    return lengths.astype(np.int64)
