"""What enters and leaves a stack of recurrent layers: initial and last states, the outputs of two directions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._validate import float_array

State = Any  # h, or for the LSTM (h, c): arrays (num_layers * directions, B, ...)


class Ends(NamedTuple):
    """How the states are laid out: one array for each kind of state, with a row for each layer and direction."""

    rows: int  # layers times directions
    widths: tuple[int, ...]  # of h, or of h and c
    dtype: np.dtype

    def zeros(self, batch: int) -> tuple[np.ndarray, ...]:
        return tuple([np.zeros((self.rows, batch, width), self.dtype) for width in self.widths])

    def checked(self, name: str, state: State, batch: int) -> tuple[np.ndarray, ...]:
        """What a caller gave, as one array for each kind."""
        if len(self.widths) == 1:
            return (float_array(name, state, (self.rows, batch, self.widths[0]), self.dtype),)
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"{name}: got {type(state).__name__}, expected (h, c)")
        if len(state) != 2:
            raise ValueError(f"{name}: got {len(state)} arrays, expected (h, c)")
        R, H = self.widths
        h = float_array(f"{name}[0]", state[0], (self.rows, batch, R), self.dtype)
        return h, float_array(f"{name}[1]", state[1], (self.rows, batch, H), self.dtype)

    def stacked(self, states: Sequence[tuple[np.ndarray, ...]]) -> State:
        """What a caller gets, from the states of each layer and direction."""
        return self.given(tuple([_stacked(parts) for parts in zip(*states, strict=True)]))

    def given(self, states: tuple[np.ndarray, ...]) -> State:
        return states[0] if len(self.widths) == 1 else states


class Directions(NamedTuple):
    """How the outputs of one or two directions become one."""

    ways: int
    merge: str
    dtype: np.dtype

    def width(self, outputs: int) -> int:
        """Columns of what comes out, of so many of each."""
        return outputs * (self.ways if self.merge == "concat" else 1)

    def merged(self, outputs: list[np.ndarray]) -> np.ndarray:
        if self.ways == 1:
            return outputs[0]
        if self.merge == "concat":
            return np.concatenate(outputs, axis=-1)
        return (outputs[0] + outputs[1]) * self.dtype.type(0.5 if self.merge == "mean" else 1)

    def split(self, dy: np.ndarray) -> list[np.ndarray]:
        """The gradients of `merged`'s arguments."""
        if self.ways == 1:
            return [dy]
        if self.merge == "concat":
            return [np.ascontiguousarray(part) for part in np.split(dy, 2, axis=-1)]
        return [dy * self.dtype.type(0.5 if self.merge == "mean" else 1)] * 2


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """np.stack, which takes as long as a small layer."""
    if len(parts) == 1:
        return parts[0][None].copy()
    out = np.empty((len(parts), *parts[0].shape), parts[0].dtype)
    for i, part in enumerate(parts):
        out[i] = part
    return out
