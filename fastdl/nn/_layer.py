"""One cell in one direction: its parameters, the masks drawn for it, time cut into segments, forward and backward."""

import math
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import dropout as functional
from .. import recurrent
from .._validate import integer, mapping, number
from ..recurrent._step import Stepper
from ._biases import Form, bias_shapes, hand_on, join_into, joined, place_of
from ._call import Cell, States, Way, Weights, backward, forward
from ._parameter import Parameter, claim_all

_SPARE = 8  # steppers that are kept
_DATA = operator.attrgetter("_data")
Options = Mapping[str, Any]  # of the topic's functions, by name
Draw = dict[str, int]  # seed and step: which masks are drawn

# What is drawn for one pass of one layer, by the stream it is drawn from.
_STREAMS = {"input": 0, "state": 1, "candidate": 2, "weight": 3, "zone_h": 4, "zone_c": 5}


class Settings(NamedTuple):
    """What the layers of a stack have in common."""

    cell: Cell
    hidden: int
    outputs: int  # columns of h
    dtype: np.dtype
    bias: Form
    bounds: Options  # clip and cell_clip, where there are such
    rates: Mapping[str, float]  # of what is drawn
    truncate: int | None
    checkpoint: bool


class Segment(NamedTuple):
    """A stretch of time that one call covers."""

    begin: int
    end: int
    lengths: np.ndarray | None
    states: States


class Pieces(NamedTuple):
    """Time cut into segments, which backward runs again, one by one."""

    x: np.ndarray
    segments: list[Segment]
    lengths: np.ndarray | None
    options: Options


class Pass(NamedTuple):
    """What backward needs of a layer's forward: the tape of its one call, or the pieces."""

    draw: Draw | None
    tape: Any = None
    pieces: Pieces | None = None


class Layer:
    """A layer of a stack, made anew whenever the stack's parameters or settings change.

    Parameters
    ----------
    settings : Settings
    parameters : mapping of str to Parameter
        By name within the layer: weight_ih, bias_ih, ...
    at : int
        Which of the stack's, for the streams of what it draws.
    backwards : bool
        Whether it reads from the true end of a sequence to its beginning.
    """

    def __init__(self, settings: Settings, parameters: Mapping[str, Parameter], at: int, backwards: bool) -> None:
        self.settings, self.stream, self.backwards = settings, 8 * at, backwards
        names = ("weight_ih", "weight_hh", "weight_hr", "peephole", "gain")
        self.arrays: list[Any] = [parameters.get(name) for name in names]  # None for what it has not
        self.biases = [parameters[name] for name in ("bias_ih", "bias_hh", "bias") if name in parameters]
        self.first_states = [parameters[name] for name in ("h0", "c0") if name in parameters]
        self.bias_size = settings.cell.biases * settings.hidden  # of the functions' b
        self._has_options = any(self.arrays[2:])
        self._trained = [*self.biases, *(self.arrays if self._has_options else self.arrays[:2])]
        self._whole = settings.truncate is None and not settings.checkpoint  # whether one call covers all steps
        self._drops = any(settings.rates.values())
        # What steps; each is one thread's while it does.
        self._spare: list[tuple[Stepper, list[tuple[Parameter, np.ndarray]]]] = []

    def twin_biases(self) -> tuple[Parameter, Parameter, int] | None:
        """Two parameters of which, in so many first elements, the sum alone counts."""
        if len(self.biases) != 2:
            return None
        first, second = self.biases
        return first, second, 2 * first.size - self.bias_size

    def weights(self, draw: Draw | None = None) -> Weights:
        """The values as calls take them: after DropConnect where something is drawn, the biases as one."""
        W_x, W_h = self.arrays[0]._data, None if self.arrays[1] is None else self.arrays[1]._data
        if draw and W_h is not None and self.settings.rates["weight"]:
            W_h = functional.dropout_forward(W_h, self.settings.rates["weight"], **self._which("weight", draw))
        b = joined(list(map(_DATA, self.biases)), self.bias_size, self.settings.dtype)
        if not self._has_options:
            return Weights(W_x, W_h, b)
        return Weights(W_x, W_h, b, *[None if one is None else one._data for one in self.arrays[2:]])

    # ---- forward --------------------------------------------------------------------------------------------
    def forward(
        self, x: np.ndarray, states: States, lengths: np.ndarray | None, training: bool, draw: Draw | None, ends: bool
    ) -> tuple[np.ndarray, np.ndarray | None, States, Pass | None]:
        """Outputs, cells and final states (both if `ends`), and what backward needs."""
        T, B, _ = x.shape
        if draw and self.settings.rates["input"]:
            which = self._which("input", draw)
            x = functional.dropout_forward(x, self.settings.rates["input"], broadcast_axes=0, **which)
        options = self._options(draw, T, B) if self._drops else self.settings.bounds
        weights = self.weights(draw)
        size = self._segment_size(T) if training and not self._whole else T
        if size >= T:
            way = Way(training, lengths, self.backwards, options, ends)
            h, c, tape = forward(self.settings.cell, x, states, weights, way)
            last = self._last(h, c, states, lengths) if ends else states
            return h, c, last, Pass(draw, tape) if training else None
        segments, outputs = [], []
        cells: list[Any] = []
        begins = range(0, T, size)
        for begin in reversed(begins) if self.backwards else begins:
            end = min(begin + size, T)
            part = None if lengths is None else np.clip(lengths - begin, 0, end - begin)
            way = Way(False, part, self.backwards, _cut(options, begin, end))
            h, c, _ = forward(self.settings.cell, x[begin:end], states, weights, way)
            segments.append(Segment(begin, end, part, states))
            states = self._last(h, c, states, part)
            outputs.append(h)
            cells.append(c)
        if self.backwards:
            outputs.reverse()
            cells.reverse()
        all_c = None if c is None else np.concatenate(cells)
        pieces = Pieces(x, segments, lengths, options)
        return np.concatenate(outputs), all_c, states, Pass(draw, pieces=pieces)

    def step(self, x: np.ndarray, states: States, ends: States) -> None:
        """Write the states after one step in evaluation to `ends`, which may be `states`. No array is made."""
        try:
            stepper, values = self._spare.pop()
            for one, array in values:
                if one._data is not array:  # it has moved to another arena
                    raise IndexError
            if not stepper.fits(len(x)):
                raise IndexError
        except IndexError:
            stepper, values = self._stepper(len(x))
        if len(self.biases) == 2:
            first, second = self.biases
            join_into(stepper.b, first._data, second._data)
        stepper.step(x, states, ends)
        if len(self._spare) < _SPARE:
            self._spare.append((stepper, values))

    def _stepper(self, batch: int) -> tuple[Stepper, list[tuple[Parameter, np.ndarray]]]:
        """What steps for so many sequences, and the parameters with the arrays that it reads."""
        options, arrays = self._options(None, 1, batch), self.weights()
        stepper = Stepper(self.settings.cell.number, arrays, batch, self.settings.outputs, options)
        return stepper, [(one, one._data) for one in self._trained if one is not None]

    def _segment_size(self, T: int) -> int:
        """Steps that one call covers in training: all, unless backward shall run the layer again piece by piece."""
        if self.settings.truncate is not None:
            return self.settings.truncate
        return math.isqrt(T - 1) + 1 if self.settings.checkpoint and T > 1 else T

    def _last(self, h: np.ndarray, c: np.ndarray | None, before: States, lengths: np.ndarray | None) -> States:
        """The states after a call; those before it of sequences of which nothing lies within."""
        if len(h) == 0:
            return before
        if lengths is None:
            at = 0 if self.backwards else -1
            return (h[at],) if c is None else (h[at], c[at])
        ends, within = np.maximum(lengths, 1), (lengths > 0)[:, None]
        found = [recurrent.last_step(one, ends, self.backwards) for one in (h, c) if one is not None]
        return tuple([np.where(within, last, one) for last, one in zip(found, before, strict=True)])

    # ---- backward -------------------------------------------------------------------------------------------
    def backward(
        self, run: Pass, dh: np.ndarray, dc: np.ndarray | None, dlast: States, input_gradient: bool
    ) -> tuple[Any, States]:
        """dx, or None where nobody wants it, and the initial states' gradients; the parameters' go where they are
        gathered.

        dc: with respect to the cells of all steps, or None. dlast: to the final states, or empty.
        """
        places, add = claim_all(self._trained)
        count = len(self.biases)
        by_bias, (dW_x, dW_h, *options) = places[:count], places[count:]
        db = place_of(by_bias, self.bias_size, add, dh.dtype)  # kernels write one; two biases get it in the end
        gradients = [dW_x, dW_h, db, *(options or (None, None, None))]
        if run.draw is not None:
            dx, dstates = self._back_through_drops(run, dh, dc, dlast, gradients, add, input_gradient)
        elif run.pieces is not None:
            dx, dstates = self._back_through(run, dh, dc, dlast, gradients, add, input_gradient)
        else:
            dx, dstates = backward(self.settings.cell, dh, dc, run.tape, gradients, add, dlast, input_gradient)
        if count == 2:
            hand_on(db, by_bias[0], by_bias[1], add)
        return dx, dstates

    def _back_through_drops(
        self, run: Pass, dh: np.ndarray, dc: np.ndarray | None, dlast: States, gradients: list[Any], add: bool,
        input_gradient: bool,
    ) -> tuple[Any, States]:  # fmt: skip
        """`_back_through` where something was drawn: DropConnect on the weights, dropout on the input."""
        rates, which = self.settings.rates, self._which("weight", run.draw)
        dW_h = gradients[1]
        if rates["weight"] and add:
            gradients[1] = np.zeros_like(dW_h)  # what is added to must not be masked with the rest
        dx, dstates = self._back_through(run, dh, dc, dlast, gradients, add, input_gradient)
        if rates["weight"]:
            functional.dropout_backward(gradients[1], rates["weight"], **which, out=gradients[1])
            if gradients[1] is not dW_h:
                dW_h += gradients[1]
        if input_gradient and rates["input"]:
            which = self._which("input", run.draw)
            dx = functional.dropout_backward(dx, rates["input"], broadcast_axes=0, **which)
        return dx, dstates

    def _back_through(
        self, run: Pass, dh: np.ndarray, dc: np.ndarray | None, states: States, gradients: list[Any], add: bool,
        input_gradient: bool,
    ) -> tuple[Any, States]:  # fmt: skip
        """The calls from the last to the first. states: the gradients with respect to those after the last."""
        cell = self.settings.cell
        if run.pieces is None:
            return backward(cell, dh, dc, run.tape, gradients, add, states, input_gradient)
        (x, segments, lengths, options), weights, parts = run.pieces, self.weights(run.draw), []
        for k, (begin, end, own_lengths, before) in reversed(list(enumerate(segments))):
            way = Way(True, own_lengths, self.backwards, _cut(options, begin, end), False)
            tape = forward(cell, x[begin:end], before, weights, way)[2]
            by_cells = None if dc is None else dc[begin:end]
            dx, states = backward(cell, dh[begin:end], by_cells, tape, gradients, add, states, input_gradient)
            add = True
            if self.settings.truncate is not None and k > 0:
                # Gradients end at a window's edge, except those of sequences that had not come from beyond it: they
                # end before this window, or in reverse begin within it.
                edge = end if self.backwards else begin
                own = np.zeros(dh.shape[1], bool) if lengths is None else lengths <= edge
                states = tuple(one * own[:, None] for one in states)
            parts.append(dx)
        if not self.backwards:
            parts.reverse()
        return np.concatenate(parts) if input_gradient else None, states

    def add_first_states(self, dstates: States) -> None:
        """Gradients of learned initial states, which all sequences share."""
        for parameter, one in zip(self.first_states, dstates, strict=False):
            place, add = parameter.claim_grad()
            place[...] = place + one.sum(0) if add else one.sum(0)

    # ---- what is drawn --------------------------------------------------------------------------------------
    def _options(self, draw: Draw | None, T: int, B: int) -> Options:
        """The functions' options of a layer that drops: the bounds, and masks, or where nothing is drawn their
        expectation."""
        rates, bounds = self.settings.rates, self.settings.bounds
        zones = {f"zoneout_{s}": rates[f"zone_{s}"] for s in "hc" if rates[f"zone_{s}"]}
        return {**bounds, **(self._masks(draw, T, B) if draw else zones)}

    def _masks(self, draw: Draw, T: int, B: int) -> dict[str, Any]:
        H, R, rates = self.settings.hidden, self.settings.outputs, self.settings.rates

        def mask(name: str, shape: tuple[int, ...], p: float, form: str = "bytes") -> np.ndarray:
            drawn = functional.dropout_mask(shape, p, form=form, dtype=self.settings.dtype, **self._which(name, draw))
            return drawn.view(bool) if form == "bytes" else drawn

        masks: dict[str, Any] = {}
        if rates["state"]:
            masks["state_mask"] = mask("state", (B, R), rates["state"], "floats")
        if rates["candidate"]:
            masks["candidate_mask"] = mask("candidate", (T, B, H), rates["candidate"])
            masks["candidate_scale"] = 1 / (1 - rates["candidate"])
        if rates["zone_h"]:  # drawn as what is kept of the old
            masks["zoneout_h"] = mask("zone_h", (T, B, R), 1 - rates["zone_h"])
        if rates["zone_c"]:
            masks["zoneout_c"] = mask("zone_c", (T, B, H), 1 - rates["zone_c"])
        return masks

    def _which(self, name: str, draw: Draw | None) -> dict[str, Any]:
        """Where random numbers for something drawn come from."""
        return {"stream": self.stream + _STREAMS[name], **(draw or {})}


def _cut(options: Options, begin: int, end: int) -> Options:
    """The options of a segment: masks by time are cut."""
    return {k: v[begin:end] if isinstance(v, np.ndarray) and v.ndim == 3 else v for k, v in options.items()}


def checked_rates(
    input_dropout: float, state_dropout: float, candidate_dropout: float, weight_dropout: float, zoneout: float,
    zoneout_cell: float,
) -> dict[str, float]:  # fmt: skip
    """How much is dropped, by the names of _STREAMS."""
    return {
        "input": number("input_dropout", input_dropout, 0, 1, open_high=True),
        "state": number("state_dropout", state_dropout, 0, 1, open_high=True),
        "candidate": number("candidate_dropout", candidate_dropout, 0, 1, open_high=True),
        "weight": number("weight_dropout", weight_dropout, 0, 1, open_high=True),
        "zone_h": number("zoneout", zoneout, 0, 1),
        "zone_c": number("zoneout_cell", zoneout_cell, 0, 1),
    }


def checked_draw(name: str, value: Any) -> Draw:
    """What a random state says of the next masks."""
    given = mapping(name, value, "names to numbers")
    if set(given) != {"seed", "step"}:
        raise ValueError(f"{name}: got keys {sorted(map(str, given))}, expected ['seed', 'step']")
    seed = integer(f"{name}['seed']", given["seed"], 0, 2**64 - 1)
    return {"seed": seed, "step": integer(f"{name}['step']", given["step"], 0, 2**32 - 1)}


def shapes_of(settings: Settings, inputs: int, parts: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of a layer's parameters by name, in torch's order. parts: which there are beside weights and biases."""
    cell, H, R = settings.cell, settings.hidden, settings.outputs
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (inputs, cell.gates * H)}
    if cell.recurrence == "diagonal":
        shapes["weight_hh"] = (cell.gates * H,)
    elif cell.heads > 1:
        shapes["weight_hh"] = (cell.heads, H // cell.heads, cell.gates * H // cell.heads)
    elif cell.recurrence != "none":
        shapes["weight_hh"] = (R, cell.gates * H)
    shapes |= bias_shapes(settings.bias, cell.gates * H, cell.biases * H)
    others = {"weight_hr": (H, R), "gain": (2, cell.gates, H), "peephole": (3, H), "h0": (R,), "c0": (H,)}
    return shapes | {name: shape for name, shape in others.items() if parts[name]}
