"""One time step of a cell again and again: the arrays of a call, its plan and its work space stay."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._memory import aligned_empty
from ..reference.recurrent import RecurrentTape
from ._run import GATES, GRAIN, PLAIN, options_for, team_of


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
        given = options_for(cell, 1, batch, H, dtype, None, projection, peepholes, gains, **options)
        asked = None if given is PLAIN else given
        self._x = aligned_empty((batch, inputs), dtype)
        later: Any = None  # the plan makes it
        tape = RecurrentTape(cell, self._x, W_x, W_h, self.b, later, None, None, None, asked, None, (1, batch))
        self._plan, self._batch = kernels.recurrent.Plan(tape, GRAIN, team_of), batch
        self._threads = self._plan.worth(GRAIN, team_of)
        self._h: np.ndarray | None = None
        self._c: np.ndarray | None = None

    def fits(self, batch: int) -> bool:
        """Whether it is for so many sequences, and for as many threads as may be used now."""
        return batch == self._batch and self._plan.worth(GRAIN, team_of) == self._threads

    def step(self, x: np.ndarray, states: Sequence[np.ndarray], ends: Sequence[np.ndarray]) -> None:
        """Write the states after a step to `ends`, which may be `states`."""
        self._x[...] = x
        c0 = states[1] if len(states) > 1 else None
        if self._h is None:
            self._h, self._c = self._plan.forward(states[0], c0, False, c0 is not None, aligned_empty, aligned_empty)
        else:
            self._plan.again(states[0], c0)
        if self._c is not None:
            ends[1][...] = self._c[0]
        ends[0][...] = self._h[0]
