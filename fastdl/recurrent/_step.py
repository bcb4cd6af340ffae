"""One time step of a cell again and again: the arrays of a call, its plan and its work space stay."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._memory import aligned_empty
from ..reference.recurrent import RecurrentTape
from ._run import GATES, STATES, options_for, threads_of


class Stepper:
    """A cell over one step of a batch, with memory of its own for all but the weights and the states that come in.

    Parameters
    ----------
    cell : int
        As the kernels know it.
    arrays : sequence of ndarray or None
        W_x, W_h, b, projection, peepholes and gains, which fit each other. Their values are read at every step.
    batch, outputs : int
        Sequences, at least one, and columns of h.
    options : mapping
        What the functions take beside, by name, but for masks.

    Attributes
    ----------
    b : ndarray
        The biases, as given.
    """

    def __init__(
        self, cell: int, arrays: Sequence[Any], batch: int, outputs: int, options: Mapping[str, Any]
    ) -> None:  # fmt: skip
        W_x, W_h, self.b, projection, peepholes, gains = arrays
        (inputs, columns), dtype = W_x.shape, W_x.dtype
        H = columns // GATES[cell]
        beside = (STATES[cell] - 1) * H
        given = options_for(cell, 1, batch, H, dtype, None, projection, peepholes, gains, **options)
        h = aligned_empty((2 * batch, outputs), dtype)
        c = aligned_empty((2 * batch, beside), dtype) if beside else None
        m = None if projection is None else aligned_empty((batch, H), dtype)
        self._x = aligned_empty((batch, inputs), dtype)
        self._tape = RecurrentTape(cell, self._x, W_x, W_h, self.b, h, c, None, m, given, None, (1, batch))
        self._h, self._c = h[batch:], None if c is None else c[batch:]
        self._batch, self._threads = batch, threads_of(self._tape, batch)
        self._plan = kernels.recurrent.Plan(self._tape, self._threads)
        self._keep = self._plan.forward_rows >= batch  # as of a whole sequence, so the bits are the same
        self._tape.gates = aligned_empty((batch if self._keep else self._plan.forward_rows, self._plan.row), dtype)
        self._work = aligned_empty(max(self._plan.forward_size, 1), dtype)

    def fits(self, batch: int) -> bool:
        """Whether it is for so many sequences, and for as many threads as may be used now."""
        return batch == self._batch and threads_of(self._tape, batch) == self._threads

    def step(self, x: np.ndarray, states: Sequence[np.ndarray], ends: Sequence[np.ndarray]) -> None:
        """Write the states after a step to `ends`, which may be `states`."""
        self._x[...] = x
        if self._c is None:
            self._plan.forward(states[0], None, self._work, self._keep, False)
        else:
            self._plan.forward(states[0], states[1], self._work, self._keep, True)
            ends[1][...] = self._c
        ends[0][...] = self._h
