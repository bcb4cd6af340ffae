"""A stack of recurrent layers on NumPy arrays, one upon the other in one or two directions, forward and backward.

Matrices come as kernels take them, the transposes of torch's.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._dispatch import backend, get_backend
from ..._memory import aligned_empty
from ...nn import _biases, _call
from ...nn._call import Cell, Way, Weights
from ...recurrent._run import PLAIN, RecurrentTape, walk_back, walk_rows
from ._batch import Batch

Arrays = tuple[Any, Any]  # h, and what is carried beside it; None for what there is not, or for zeros


class Form(NamedTuple):
    """What the layers of a stack have in common, and how many there are."""

    cell: Cell
    layers: int
    ways: int  # directions
    hidden: int
    outputs: int  # columns of h
    biases: int  # of each layer: torch's two, one, or none
    projected: bool

    @property
    def parameters(self) -> int:
        """Parameters of a layer in one direction."""
        return 1 + (self.cell.recurrence != "none") + self.biases + self.projected

    def weights(self, arrays: Sequence[np.ndarray]) -> Weights:
        """What a call takes, of a layer's arrays in torch's order."""
        has_state = self.cell.recurrence != "none"
        b = _biases.joined(
            arrays[1 + has_state : 1 + has_state + self.biases], self.cell.biases * self.hidden, arrays[0].dtype
        )
        return Weights(arrays[0], arrays[1] if has_state else None, b, arrays[-1] if self.projected else None)

    def gradients(self, places: Sequence[Any]) -> list[np.ndarray]:
        """Of gradients in a call's order, those of a layer's arrays in torch's order, none of which share memory."""
        dW_x, dW_h, db, dprojection = places[:4]
        by_bias = _biases.parted(db, self.biases, self.cell.gates * self.hidden)
        if self.biases == 2 and by_bias[0] is by_bias[1]:
            by_bias[1] = db.copy()
        return [one for one in (dW_x, dW_h, *by_bias, dprojection) if one is not None]


class Kept(NamedTuple):
    """What backward needs of a forward: of each layer its input and the factors its outputs were dropped by, and of
    each layer and direction the tape."""

    inputs: list[np.ndarray]
    factors: list[np.ndarray]
    tapes: list[Any]


def forward(
    form: Form, batch: Batch, x: np.ndarray, states: Sequence[Arrays], weights: Sequence[Weights],
    training: bool, drop: Callable[[np.ndarray], np.ndarray] | None,
) -> tuple[np.ndarray, list[Arrays], Kept | None]:  # fmt: skip
    """All layers: the outputs (N, W), the last states by layer and direction, and what backward needs.

    x: (N, I). states: the first ones by layer and direction, h and what is carried beside it. drop: the factors that
    a layer's outputs are multiplied by on the way to the next one.
    """
    kept, lasts = Kept([], [], []), list[Arrays]()
    for layer in range(form.layers):
        kept.inputs.append(x)
        outputs = []
        for way in range(form.ways):
            at = len(lasts)
            h, c, tape = _walk(form, batch, way, x, states[at], weights[at], training)
            first = states[at]
            lasts.append((batch.last(h, first[0], way), None if c is None else batch.last(c, first[1], way)))
            outputs.append(h)
            kept.tapes.append(tape)
        x = outputs[0] if form.ways == 1 else np.concatenate(outputs, axis=1)
        if drop is not None and layer < form.layers - 1:
            kept.factors.append(drop(x))
            x = x * kept.factors[-1]
    return x, lasts, kept if training else None


def backward(
    form: Form, batch: Batch, kept: Kept, dy: np.ndarray | None, dlasts: Sequence[Arrays], input_gradient: bool
) -> tuple[np.ndarray | None, list[Arrays], list[np.ndarray]]:
    """dx, or None where nobody wants it, the first states' gradients, and the weights', in torch's order.

    dy: (N, W), None for zeros. dlasts: by layer and direction with respect to the last states, None for zeros.
    """
    gradients: list[list[np.ndarray]] = []
    firsts: list[Arrays] = []
    dtype, R = kept.inputs[0].dtype, form.outputs
    for layer in reversed(range(form.layers)):
        if dy is None:
            dy = np.zeros((batch.total, R * form.ways), dtype)
        wanted, dx = input_gradient or layer > 0, None
        for way in reversed(range(form.ways)):
            at = layer * form.ways + way
            dh = dy if form.ways == 1 else np.ascontiguousarray(dy[:, way * R : (way + 1) * R])
            one, first, places = _walk_back(form, batch, way, kept.tapes[at], dh, dlasts[at], wanted)
            gradients.append(form.gradients(places))
            firsts.append(first)
            dx = one if dx is None else dx + one
        dy = dx
        if layer and kept.factors:
            dy = dy * kept.factors[layer - 1]
    return dy, firsts[::-1], [one for group in reversed(gradients) for one in group]


def _walk(
    form: Form, batch: Batch, way: int, x: np.ndarray, first: Arrays, weights: Weights, training: bool
) -> tuple[np.ndarray, np.ndarray | None, Any]:
    """h and c of all rows, and the tape, of one layer in one direction."""
    if get_backend() == "reference":
        return _by_function(form, batch, way, x, first, weights, training)
    options = PLAIN if weights.projection is None else PLAIN._replace(projection=weights.projection)
    shape, W = (batch.steps, batch.size), weights
    h, c, tape = walk_rows(
        form.cell.number, x, shape, first[0], first[1], W.W_x, W.W_h, W.b, training, batch.rows[way], options
    )
    return _all_rows(h, batch.total), None if c is None else _all_rows(c, batch.total), tape


def _walk_back(
    form: Form, batch: Batch, way: int, tape: RecurrentTape, dh: np.ndarray, dlast: Arrays, input_gradient: bool
) -> tuple[np.ndarray | None, Arrays, list[Any]]:
    """dx of all rows, the first states' gradients and, in a call's order, the weights', of a layer in one direction."""
    of = (tape.W_x, tape.W_h, tape.b)
    places: list[Any] = [None if one is None else aligned_empty(one.shape, dh.dtype) for one in of]
    places += [aligned_empty((form.hidden, form.outputs), dh.dtype) if form.projected else None, None, None]
    if isinstance(tape.gates, list):  # of the reference
        with backend("reference"):
            dx, first = _call.backward(form.cell, _spread(batch, dh), None, tape, places, False, dlast, input_gradient)
        return None if dx is None else _picked(batch, dx), (first[0], first[1] if len(first) == 2 else None), places
    dx, dh0, dc0 = walk_back(tape, dh, None, dlast[0], dlast[1], places, False, input_gradient)
    return None if dx is None else _all_rows(dx, batch.total), (dh0, dc0), places


def _all_rows(by_step: np.ndarray, total: int) -> np.ndarray:
    """What a walk gives by step and sequence as (N, ...); of a packed batch it is cut to whole steps."""
    T, B, width = by_step.shape
    if total == T * B:
        return by_step.reshape(total, width)
    rows: np.ndarray = by_step.base[-total:]  # type: ignore[index]
    return rows


# ---- on the reference, which knows no packed batch ---------------------------------------------------------------


def _by_function(
    form: Form, batch: Batch, way: int, x: np.ndarray, first: Arrays, weights: Weights, training: bool
) -> tuple[np.ndarray, np.ndarray | None, Any]:
    states = tuple(one for one in first if one is not None)
    how = Way(training, batch.lengths, way == 1, {})
    h, c, tape = _call.forward(form.cell, _spread(batch, x), states, weights, how)
    return _picked(batch, h), None if c is None else _picked(batch, c), tape


def _spread(batch: Batch, rows: np.ndarray) -> np.ndarray:
    """Rows as (T, B, ...), with zeros for padding."""
    if batch.places is not None:
        whole = np.zeros((batch.steps * batch.size, rows.shape[1]), rows.dtype)
        whole[batch.places] = rows
        rows = whole
    return rows.reshape(batch.steps, batch.size, rows.shape[1])


def _picked(batch: Batch, by_step: np.ndarray) -> np.ndarray:
    """Undo `_spread`."""
    rows = by_step.reshape(-1, by_step.shape[2])
    return rows if batch.places is None else rows[batch.places]
