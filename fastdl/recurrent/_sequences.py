"""Ragged batches: sequences of several lengths as rows without padding, in the order the kernels walk them."""

from typing import Any, NamedTuple

import numpy as np

from .._memory import aligned_empty, aligned_zeros
from .._validate import check_shape

__all__ = ["Rows", "rows_of"]


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

    def gather(self, padded: np.ndarray) -> np.ndarray:
        """(T, B, ...) to (rows, ...)."""
        T, B = self.shape
        flat = padded.reshape(T * B, *padded.shape[2:])
        out = aligned_empty((len(self.places), *padded.shape[2:]), padded.dtype)
        # mode="clip" writes straight into out; the indices are ours, and in range.
        return np.take(flat, self.places, axis=0, out=out, mode="clip")

    def scatter(self, rows: np.ndarray) -> np.ndarray:
        """(rows, ...) to (T, B, ...), zero past each sequence's end."""
        T, B = self.shape
        out = aligned_zeros((T * B, *rows.shape[1:]), rows.dtype)
        out[self.places] = rows
        return out.reshape(T, B, *rows.shape[1:])

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
        flat = np.arange(T * B).reshape(T, B)[::-1]
        return Rows(None, None, flat.ravel(), (T, B))
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
    return Rows(offsets, order, time * B + order[rank], (T, B))


def check_lengths(name: str, lengths: Any, T: int, B: int, least: int) -> np.ndarray:
    """(B,) integers from `least` to T as int64."""
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise TypeError(f"{name}: got dtype {lengths.dtype}, expected integers")
    check_shape(name, lengths, (B,))
    if B and (lengths.min() < least or lengths.max() > T):
        raise ValueError(f"{name}: got values from {lengths.min()} to {lengths.max()}, expected {least} to {T}")
    return lengths.astype(np.int64)
