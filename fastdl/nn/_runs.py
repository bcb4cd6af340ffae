"""One layer in one direction: masks drawn, time cut into segments, the topic's functions called, undone again."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import dropout as functional
from .. import recurrent
from .._dispatch import get_backend
from .._validate import integer, mapping
from ..recurrent._run import PLAIN, options_for, walk, walk_back
from ..recurrent._sequences import rows_of
from ._biases import joined, parted
from ._module import Module
from ._parameter import Parameter, claim_all, values_of

_NAMES = ("weight_ih", "weight_hh", "weight_hr", "peephole", "gain")  # of a layer's parameters, without biases
_BIAS_NAMES = ("bias_ih", "bias_hh", "bias")
_AFTER = 2  # of the first, where _function takes its b
_NOTHING: dict[str, Any] = {}
# What is drawn for one run of one layer, by the stream it is drawn from.
_STREAMS = {"input": 0, "state": 1, "candidate": 2, "weight": 3, "zone_h": 4, "zone_c": 5}


class _Segment(NamedTuple):
    """A stretch of time that one call of the kernels covers."""

    begin: int
    end: int
    lengths: np.ndarray | None
    states: tuple[np.ndarray, ...]
    tape: Any  # None where backward has to run it again


class _Run(NamedTuple):
    """What backward needs of one layer and direction."""

    x: np.ndarray
    segments: list[_Segment]
    lengths: np.ndarray | None
    options: dict[str, Any]
    where: dict[str, Any] | None  # the masks that were drawn: None without regularisers


class Runs(Module):
    """What :class:`Recurrent` is built on: it has the stack, this runs one layer of it."""

    _cell: int  # as fastdl.recurrent._run numbers them
    _gates: int
    clip: float | None
    cell_clip: float | None = None
    hidden_size: int
    num_layers: int
    proj_size: int
    dtype: np.dtype
    directions: list[tuple[str, bool]]
    rates: dict[str, float]
    truncate: int | None
    checkpoint: bool
    seed: int
    step_count: int
    _regularised: bool
    _known: dict[str, tuple[list[Parameter | None], list[Parameter]]]  # parameters and biases found, by place

    def _biases(self) -> int:
        """Parts of H numbers in the functions' b."""
        raise TypeError(f"{type(self).__name__} defines no cell")

    def _function(self, x: np.ndarray, states: tuple, weights: list, training: bool, **options: Any) -> Any:
        """(h, c or None, tape) of the topic's function, which the reference has, too."""
        raise TypeError(f"{type(self).__name__} defines no cell")

    def _function_backward(self, dh: np.ndarray, dc: Any, tape: Any, **options: Any) -> Any:
        """(dx, the states' gradients); the parameters' go to options["out"]."""
        raise TypeError(f"{type(self).__name__} defines no cell")

    def _walk(
        self, x: np.ndarray, states: tuple, weights: list, training: bool, lengths: Any, backwards: bool,
        drawn: dict[str, Any], cells: bool,
    ) -> Any:  # fmt: skip
        """(h, c or None, tape). What the topic's functions would check is the layer's own, so they are passed by.

        To check it again would take longer than a small layer. drawn: options beside the layer's own, by name.
        cells: whether all c are wanted.
        """
        if get_backend() == "reference":
            return self._function(x, states, weights, training, lengths=lengths, reverse=backwards, **drawn)
        W_x, W_h, b, projection, peepholes, gains = weights
        T, B = x.shape[:2]
        rows = rows_of(lengths, backwards, T, B) if lengths is not None or backwards else None
        options = PLAIN
        if drawn or not projection is peepholes is gains is self.clip is self.cell_clip is None:
            options = options_for(
                self._cell, T, B, self.hidden_size, self.dtype, rows, projection, peepholes, gains, clip=self.clip,
                cell_clip=self.cell_clip, **drawn,
            )  # fmt: skip
        c0 = states[1] if len(states) == 2 else None
        return walk(self._cell, x, states[0], c0, W_x, W_h, b, training, rows, options, cells)

    def _walk_back(
        self, dh: np.ndarray, dc: Any, tape: Any, places: list, accumulate: bool, dstates: tuple
    ) -> tuple[np.ndarray, tuple]:
        """(dx, the states' gradients); the parameters' go to `places`. dstates: by the final states, or empty."""
        if isinstance(tape.gates, list):  # the reference's
            return self._function_backward(dh, dc, tape, out=tuple(places), accumulate=accumulate, dstates=dstates)
        dh_last, dc_last = (*dstates, None, None)[:2]
        dx, dh0, dc0 = walk_back(tape, dh, dc, dh_last, dc_last, places, accumulate)
        return dx, (dh0,) if dc0 is None else (dh0, dc0)

    # ---- forward and backward ----------------------------------------------------------------------------------
    def _run(
        self,
        place: str,
        at: int,
        x: np.ndarray,
        states: tuple,
        lengths: Any,
        backwards: bool,
        training: bool,
        ends: bool,
    ) -> tuple[np.ndarray, np.ndarray | None, tuple, _Run | None]:
        """One layer in one direction: its outputs, cells and final states (if ends), and what backward needs."""
        T, B = x.shape[:2]
        where: dict[str, Any] | None = None
        options = _NOTHING
        if self._regularised:
            if training:
                where = {"seed": self.seed, "step": self.step_count}
                self.step_count += at == self.num_layers * len(self.directions) - 1
                if self.rates["input"]:
                    x = functional.dropout_forward(x, self.rates["input"], broadcast_axes=0, stream=at * 8, **where)
                options = self._drawn(where, at, T, B)
            else:  # prediction takes zoneout's expectation
                options = {f"zoneout_{s}": self.rates[f"zone_{s}"] for s in "hc" if self.rates[f"zone_{s}"]}
        weights = self._weights(place, at, where)
        size = self._segment_size(T) if training else T
        if size >= T:
            h, c, tape = self._walk(x, states, weights, training, lengths, backwards, options, ends)
            whole = [_Segment(0, T, lengths, states, tape)]
            run = _Run(x, whole, lengths, options, where) if training else None
            return h, c, self._ends(h, c, states, lengths, backwards) if ends else states, run
        segments, outputs, cells = [], [], []
        begins = range(0, T, size)
        for begin in reversed(begins) if backwards else begins:
            end = min(begin + size, T)
            part = None if lengths is None else np.clip(lengths - begin, 0, end - begin)
            cut = self._cut(options, begin, end)
            h, c, _ = self._walk(x[begin:end], states, weights, False, part, backwards, cut, True)
            segments.append(_Segment(begin, end, part, states, None))
            states = self._ends(h, c, states, part, backwards)
            outputs.append(h)
            cells.append(c)
        if backwards:
            outputs.reverse()
            cells.reverse()
        all_c = None if c is None else np.concatenate(cells)
        return np.concatenate(outputs), all_c, states, _Run(x, segments, lengths, options, where)

    @staticmethod
    def _ends(h: np.ndarray, c: np.ndarray | None, before: tuple, lengths: Any, backwards: bool) -> tuple:
        """The states after a run."""
        if lengths is None and len(h):
            at = 0 if backwards else -1
            return (h[at],) if c is None else (h[at], c[at])
        last = _last(h, before[0], lengths, backwards)
        return (last,) if c is None else (last, _last(c, before[1], lengths, backwards))

    def _segment_size(self, T: int) -> int:
        """Steps that one call covers in training: all, unless backward shall run the layer again piece by piece."""
        if self.truncate is not None:
            return self.truncate
        return math.isqrt(T - 1) + 1 if self.checkpoint and T > 1 else T

    def _drawn(self, where: dict[str, Any], at: int, T: int, B: int) -> dict[str, Any]:
        """Masks of one run as the functions' options."""
        options: dict[str, Any] = {}
        H, R = self.hidden_size, self.proj_size or self.hidden_size

        def draw(name: str, shape: tuple[int, ...], p: float, form: str) -> np.ndarray:
            stream = at * 8 + _STREAMS[name]
            return functional.dropout_mask(shape, p, form=form, dtype=self.dtype, stream=stream, **where)

        rates = self.rates
        if rates["state"]:
            options["state_mask"] = draw("state", (B, R), rates["state"], "floats")
        if rates["candidate"]:
            options["candidate_mask"] = draw("candidate", (T, B, H), rates["candidate"], "bytes").view(bool)
            options["candidate_scale"] = 1 / (1 - rates["candidate"])
        if rates["zone_h"]:  # drawn as what is kept of the old
            options["zoneout_h"] = draw("zone_h", (T, B, R), 1 - rates["zone_h"], "bytes").view(bool)
        if rates["zone_c"]:
            options["zoneout_c"] = draw("zone_c", (T, B, H), 1 - rates["zone_c"], "bytes").view(bool)
        return options

    @staticmethod
    def _cut(options: dict[str, Any], begin: int, end: int) -> dict[str, Any]:
        """The options of a segment: masks by time are cut."""
        return {k: v[begin:end] if isinstance(v, np.ndarray) and v.ndim == 3 else v for k, v in options.items()}

    def _changed(self) -> None:
        self.__dict__["_known"] = {}
        super()._changed()

    def _found(self, place: str) -> tuple[list[Parameter | None], list[Parameter]]:
        """The parameters of a place in the order of _NAMES, None for what it has not; and its biases."""
        found = self._known.get(place)
        if found is None:
            own = self._parameters
            biases = [own[name + place] for name in _BIAS_NAMES if name + place in own]
            found = self._known[place] = [own.get(name + place) for name in _NAMES], biases
        return found

    def _weights(self, place: str, at: int, where: dict[str, Any] | None) -> list[Any]:
        """Their values as _function takes them, the recurrent ones after DropConnect, the biases as one."""
        others, biases = self._found(place)
        weights = values_of(others)
        weights.insert(_AFTER, joined(values_of(biases), self._biases() * self.hidden_size, self.dtype))
        if where and self.rates["weight"]:
            weights[1] = functional.dropout_forward(weights[1], self.rates["weight"], **self._dropping(at, where))
        return weights

    @staticmethod
    def _dropping(at: int, where: dict[str, Any]) -> dict[str, Any]:
        """Which recurrent weights are dropped."""
        return {"stream": at * 8 + _STREAMS["weight"], **where}

    def _run_backward(
        self,
        place: str,
        at: int,
        run: _Run,
        dh: np.ndarray,
        dc: np.ndarray | None,
        dfinal: tuple | None,
        backwards: bool,
    ) -> tuple[np.ndarray, tuple]:
        """Gradients of one layer in one direction: dx and those of its initial states."""
        others, biases = self._found(place)
        places, accumulate = claim_all([*others, *biases])
        by_bias, places = places[len(others) :], places[: len(others)]
        added = accumulate
        db = by_bias[0] if len(biases) == 1 else np.zeros(self._biases() * self.hidden_size, self.dtype)
        places.insert(_AFTER, db)
        earlier = None
        drop = run.where if self.rates["weight"] else None
        if drop and accumulate:  # what is added to must not be masked with the rest
            earlier, places[1] = places[1], np.zeros_like(places[1])
        states: tuple = dfinal if dfinal is not None else ()
        weights: list[Any] = []
        pieces = []
        for segment in reversed(run.segments):
            begin, end, lengths, before, tape = segment
            span = slice(begin, end)
            if tape is None:
                weights = weights or self._weights(place, at, run.where)
                cut = self._cut(run.options, begin, end)
                tape = self._walk(run.x[span], before, weights, True, lengths, backwards, cut, False)[2]
            dx, states = self._walk_back(dh[span], None if dc is None else dc[span], tape, places, accumulate, states)
            accumulate = True
            if self.truncate is not None and segment is not run.segments[0]:
                # Gradients end at a window's edge, except those of sequences that had not come from beyond it: they
                # end before this window, or in reverse begin within it.
                edge = end if backwards else begin
                own = np.zeros(dx.shape[1], bool) if run.lengths is None else run.lengths <= edge
                states = tuple(one * own[:, None] for one in states)
            pieces.append(dx)
        if drop:
            product = places[1]
            functional.dropout_backward(product, self.rates["weight"], **self._dropping(at, drop), out=product)
            if earlier is not None:
                earlier += product
        if len(biases) == 2:
            for gradient, part in zip(by_bias, parted(db, 2, by_bias[0].size), strict=True):
                gradient[...] = gradient + part if added else part
        if not backwards:
            pieces.reverse()
        dx = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        if run.where and self.rates["input"]:
            dx = functional.dropout_backward(dx, self.rates["input"], broadcast_axes=0, stream=at * 8, **run.where)
        return dx, states

    # ---- what is drawn ------------------------------------------------------------------------------------------
    def _own_random_state(self) -> dict[str, Any]:
        """What decides the layer's own masks; the dropout between layers is its children's."""
        return {"own": {"seed": self.seed, "step": self.step_count}} if self._regularised else {}

    def _load_own_random_state(self, state: Mapping[str, Any]) -> None:
        if self._regularised:
            own = mapping("state['own']", state["own"], "names to numbers")
            if set(own) != {"seed", "step"}:
                raise ValueError(f"state['own']: got keys {sorted(map(str, own))}, expected ['seed', 'step']")
            seed = integer("state['own']['seed']", own["seed"], 0, 2**64 - 1)
            self.seed, self.step_count = seed, integer("state['own']['step']", own["step"], 0, 2**32 - 1)


def _last(h: np.ndarray, before: np.ndarray, lengths: np.ndarray, backwards: bool) -> np.ndarray:
    """Each sequence's state after a segment; the one before it where nothing of it lies within."""
    if len(h) == 0:
        return before
    last = recurrent.last_step(h, np.maximum(lengths, 1), backwards)
    return np.where((lengths > 0)[:, None], last, before)
