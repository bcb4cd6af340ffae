"""A call of a cell, on the backend in force: here alone the layers meet the recurrent topic, and choose.

On the compiled backend the topic's functions are passed by. What they would check is the layer's own, and to check it
takes longer than a small layer.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import recurrent
from .._dispatch import get_backend
from ..recurrent._run import BIASES, GATES, PLAIN, RECURRENCES, STATES, options_for, walk, walk_back
from ..recurrent._sequences import rows_of

States = tuple[np.ndarray, ...]  # h, or h and what is carried beside it: c, or c, n and m side by side


class Cell(NamedTuple):
    """What a layer computes: a row of the topic's table."""

    number: int  # as the kernels know it
    function: str  # of the topic, without _forward and _backward
    own: Mapping[str, Any]  # the function's arguments that tell its cells apart
    heads: int = 1  # of a recurrence by heads

    @property
    def gates(self) -> int:
        return GATES[self.number]

    @property
    def biases(self) -> int:
        """Parts of H numbers in b."""
        return BIASES[self.number]

    @property
    def recurrence(self) -> str:
        """What multiplies h: "dense", a matrix; "heads", one or one for each head; "diagonal", a vector; "none". All
        but the dense have one bias."""
        return RECURRENCES[self.number]

    @property
    def states(self) -> int:
        """1: h; 2: h and c; 4: h, c, n and m, of which the last three are one array here."""
        return STATES[self.number]


class Weights(NamedTuple):
    """A layer's arrays, or places for their gradients, in the order of the functions' `out`."""

    W_x: Any
    W_h: Any
    b: Any
    projection: Any = None
    peepholes: Any = None
    gains: Any = None


class Way(NamedTuple):
    """How a call goes through its input."""

    training: bool
    lengths: np.ndarray | None
    backwards: bool
    options: Mapping[str, Any]  # bounds, and what was drawn, by the functions' names
    cells: bool = True  # whether c of all steps is wanted


def forward(
    cell: Cell, x: np.ndarray, states: States, weights: Weights, way: Way
) -> tuple[np.ndarray, np.ndarray | None, Any]:
    """h, c (None where it is not wanted or there is none) and the tape."""
    if get_backend() == "reference":
        return _by_function(cell, x, states, weights, way)
    rows, options = None, PLAIN
    T, B, _ = x.shape
    if way.lengths is not None or way.backwards:
        rows = rows_of(way.lengths, way.backwards, T, B)
    W_x, W_h, b, projection, peepholes, gains = weights
    if way.options or not projection is peepholes is gains is None:
        H = W_x.shape[1] // cell.gates
        options = options_for(cell.number, T, B, H, x.dtype, rows, projection, peepholes, gains, **way.options)
    h0, c0 = states if len(states) == 2 else (states[0], None)
    return walk(cell.number, x, h0, c0, W_x, W_h, b, way.training, rows, options, way.cells)


def _by_function(
    cell: Cell, x: np.ndarray, states: States, weights: Weights, way: Way
) -> tuple[np.ndarray, np.ndarray | None, Any]:
    """`forward` by the topic's function, which the reference has, too."""
    parts = {name: getattr(weights, name) for name in ("projection", "peepholes", "gains")}
    options = {name: array for name, array in parts.items() if array is not None}
    apart = states if cell.states < 4 else (states[0], *np.split(states[1], 3, axis=1))
    h, *c, tape = getattr(recurrent, f"{cell.function}_forward")(
        x, *apart, *_of_product(cell, weights), way.training, lengths=way.lengths, reverse=way.backwards,
        **cell.own, **options, **way.options,
    )  # fmt: skip
    return h, np.concatenate(c, axis=2) if c else None, tape


def _of_product(cell: Cell, weights: Weights) -> tuple[Any, ...]:
    """Weights and bias as the topic's functions take them."""
    W_x, W_h, b = weights[:3]
    return (W_x, b) if cell.recurrence == "none" else (W_x, W_h, b)


def backward(
    cell: Cell, dh: np.ndarray, dc: np.ndarray | None, tape: Any, gradients: list[Any], add: bool, dlast: States,
    input_gradient: bool,
) -> tuple[Any, States]:  # fmt: skip
    """dx, or None where nobody wants it, and the initial states' gradients; the weights' go, or are added, to
    `gradients`, in the order of Weights. dlast: the gradients with respect to the final states, or empty.
    """
    dh_last, dc_last = (*dlast, None, None)[:2]
    if not isinstance(tape.gates, list):  # which the reference's are
        dx, dh0, dc0 = walk_back(tape, dh, dc, dh_last, dc_last, gradients, add, input_gradient)
        return dx, (dh0,) if dc0 is None else (dh0, dc0)
    function = getattr(recurrent, f"{cell.function}_backward")
    if cell.states == 2:
        dx, dh0, dc0, *_ = function(dh, dc, tape, tuple(gradients), add, input_gradient, dh_last, dc_last)
        return dx, (dh0, dc0)
    if cell.states == 4:
        last = (None, None) if dc_last is None else np.split(dc_last, 3, axis=1)[:2]
        out = _of_product(cell, Weights(*gradients))
        dx, dh0, dc0, dn0, *_ = function(dh, tape, out, add, input_gradient, dh_last, *last)
        return dx, (dh0, np.concatenate([dc0, dn0, np.zeros_like(dc0)], axis=1))
    places = Weights(*gradients)
    out = _of_product(cell, places) + ((places.gains,) if cell.recurrence == "dense" else ())
    dx, dh0, *_ = function(dh, tape, out, add, input_gradient, dh_last)
    return dx, (dh0,)
