"""What enters and leaves a stack of recurrent layers: initial and last states, the outputs of two directions."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._validate import float_array, is_plain, out_array, parts

_FEW = 4096  # numbers of initial states that are kept
State = Any  # h, or for the LSTM (h, c), for the sLSTM (h, c, n, m): arrays (num_layers * directions, B, ...)


class Ends(NamedTuple):
    """How the states are laid out: h, and in one array what is carried beside it, with a row for each layer and
    direction. Of gradients there are no more than three, since m has none: its place is zero."""

    rows: int  # layers times directions
    widths: tuple[int, ...]  # of h, or of h and c, or of h, c, n and m
    dtype: np.dtype
    beside: int  # columns of all states but h

    def zeros(self, batch: int) -> tuple[np.ndarray, ...]:
        h = np.zeros((self.rows, batch, self.widths[0]), self.dtype)
        return (h, np.zeros((self.rows, batch, self.beside), self.dtype)) if self.beside else (h,)

    def zeros_of_one(self, batch: int) -> tuple[np.ndarray, ...]:
        """Of one layer and direction, to be read."""
        make = _few_zeros if batch * (self.widths[0] + self.beside) <= _FEW else _zeros
        return make(batch, self.widths[0], self.beside, self.dtype)

    def checked(self, name: str, state: State, batch: int, gradients: bool = False) -> tuple[np.ndarray, ...]:
        """What a caller gave, as one or two arrays."""
        if len(self.widths) == 2 and self.fits(state, batch):
            given: tuple[np.ndarray, ...] = state
            return given
        if len(self.widths) == 1:
            return (float_array(name, state, (self.rows, batch, self.widths[0]), self.dtype),)
        widths = self.widths[: 3 if gradients else 4]
        expected = f"({', '.join([f'd{one}' if gradients else one for one in 'hcnm'[: len(widths)]])})"
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"{name}: got {type(state).__name__}, expected {expected}")
        if len(state) != len(widths):
            raise ValueError(f"{name}: got {len(state)} arrays, expected {expected}")
        h, *others = [
            float_array(f"{name}[{i}]", one, (self.rows, batch, width), self.dtype)
            for i, (one, width) in enumerate(zip(state, widths, strict=True))
        ]
        others += [np.zeros_like(others[0])] * (len(self.widths) - len(widths))
        return h, others[0] if len(others) == 1 else np.concatenate(others, axis=2)

    def fits(self, states: Any, batch: int, written: bool = False) -> bool:
        """Whether a caller gave the arrays themselves, as kernels take them: the rule, and quick to tell."""
        if states.__class__ is not tuple or len(states) != len(self.widths):
            return False
        for one, width in zip(states, self.widths, strict=True):
            if not is_plain(one, self.dtype, (self.rows, batch, width), written):
                return False
        return True

    def places(
        self, out: Any, before: tuple[np.ndarray, ...], state: State
    ) -> tuple[np.ndarray | None, tuple[np.ndarray, ...], State]:
        """Where a step writes, of what a caller gave: y, one or two arrays of states, and these as the caller has them.

        before: the states it begins with, which the caller gave as `state`.
        """
        y, given = parts("out", out, "y", "state")
        batch = before[0].shape[1]
        if y is not None:
            y = out_array("out[0]", y, (batch, self.widths[0]), self.dtype)
        single = len(self.widths) == 1
        found = (given,) if single else given
        if not self.fits(found, batch, True):
            if not single:
                parts("out[1]", given, *"hcnm"[: len(self.widths)])
            shapes = [(self.rows, batch, width) for width in self.widths]
            names = ["out[1]"] if single else [f"out[1][{i}]" for i in range(len(shapes))]
            found = tuple(
                [out_array(name, one, shape, self.dtype) for name, one, shape in zip(names, found, shapes, strict=True)]
            )
        _check_apart(y, found, before if state is not None and state is not given else ())
        return y, found if len(found) < 3 else (found[0], np.empty_like(before[1])), given

    def handed(self, y: np.ndarray | None, after: tuple[np.ndarray, ...], given: State) -> tuple[np.ndarray, State]:
        """y and the states of a step as the caller gets them, by what `places` gave."""
        last = after[0][-1]
        if given is None:
            return last.copy(), self.given(after)
        if len(self.widths) > 2:
            for place, one in zip(given[1:], np.split(after[1], len(self.widths) - 1, axis=2), strict=True):
                place[...] = one
        if y is None:
            return last, given
        y[...] = last
        return y, given

    def stacked(self, states: Sequence[tuple[np.ndarray, ...]], gradients: bool = False) -> State:
        """What a caller gets, from the states of each layer and direction."""
        return self.given(tuple([_stacked(parts) for parts in zip(*states, strict=True)]), gradients)

    def given(self, states: tuple[np.ndarray, ...], gradients: bool = False) -> State:
        """What a caller gets of one or two arrays."""
        if len(self.widths) < 3:
            return states[0] if len(self.widths) == 1 else states
        others = [np.ascontiguousarray(one) for one in np.split(states[1], len(self.widths) - 1, axis=2)]
        return states[0], *others[: 2 if gradients else 3]


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


def _check_apart(y: np.ndarray | None, states: tuple[np.ndarray, ...], before: tuple[np.ndarray, ...]) -> None:
    """Refuse places that share memory, but for states that are written where they were read."""
    places = states if y is None else (y, *states)
    for at, one in enumerate(places):
        for other in places[at + 1 :]:
            if np.may_share_memory(one, other):
                raise ValueError("out: got arrays that overlap, expected separate memory")
    for i, one in enumerate(states):
        for j, other in enumerate(before):
            if np.may_share_memory(one, other) and not (i == j and one.ctypes.data == other.ctypes.data):
                raise ValueError("out[1]: overlaps state, expected the same arrays or separate memory")


def _zeros(batch: int, outputs: int, beside: int, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    states = np.zeros((batch, outputs), dtype), np.zeros((batch, beside), dtype)
    for one in states:
        one.flags.writeable = False
    return states if beside else states[:1]


_few_zeros = functools.lru_cache(8)(_zeros)  # to make them takes as long as a small layer's kernel


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """np.stack, which takes as long as a small layer."""
    if len(parts) == 1:
        return parts[0][None].copy()
    out = np.empty((len(parts), *parts[0].shape), parts[0].dtype)
    for i, part in enumerate(parts):
        out[i] = part
    return out
