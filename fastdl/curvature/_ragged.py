"""Padded batches of sequences: what a recurrent layer's passes do where sequences end before the longest."""

from typing import Any

import numpy as np

from .._validate import lengths_array


class Whole:
    """Sequences that all have T steps."""

    def clear(self, a: np.ndarray) -> np.ndarray:
        """(T, B, ...) with zeros in the padding."""
        return a

    def wipe(self, a: np.ndarray) -> None:
        """`clear` in place."""

    def turn(self, a: np.ndarray) -> np.ndarray:
        """(T, B, ...) with each sequence from its end to its beginning, and the padding behind as before."""
        return np.ascontiguousarray(a[::-1])

    def last(self, h: np.ndarray) -> np.ndarray:
        """What (T, B, H) has at each sequence's end; zeros of one without steps."""
        return h[-1]

    def at_last(self, d: np.ndarray, steps: int) -> np.ndarray:
        """The transpose of `last`: (B, H) at the ends, zeros elsewhere."""
        whole = np.zeros((steps, *d.shape), d.dtype)
        whole[-1] = d
        return whole


class Ragged(Whole):
    """Sequences of true lengths.

    Walks go over the padding, too: what they make of it comes behind the last true step, so it changes nothing before,
    and gradients are zero there.
    """

    def __init__(self, lengths: Any, steps: int, batch: int) -> None:
        lengths = lengths_array("lengths", lengths, steps, batch)
        t, self.each = np.arange(steps)[:, None], np.arange(batch)
        self.inside = t < lengths
        self.turned = np.where(self.inside, lengths - 1 - t, t)
        self.ends, self.any = np.maximum(lengths - 1, 0), (lengths > 0)[:, None]

    def clear(self, a):
        return np.where(self.inside[:, :, None], a, a.dtype.type(0))  # no product, or a NaN of the padding would stay

    def wipe(self, a):
        a[~self.inside] = 0

    def turn(self, a):
        return a[self.turned, self.each]

    def last(self, h):
        return np.where(self.any, h[self.ends, self.each], h.dtype.type(0))

    def at_last(self, d, steps):
        whole = np.zeros((steps, *d.shape), d.dtype)
        whole[self.ends, self.each] = np.where(self.any, d, d.dtype.type(0))
        return whole
