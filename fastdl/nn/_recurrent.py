"""What recurrent layers share as objects: stacks, directions, initial states, what they emit.

The cells themselves are in _cells.py, a single layer's run in _runs.py, other frameworks' layouts in _formats.py.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validate import choice, flag, float_array, integer, lengths_array, number
from ..random import Generator, as_generator
from ._biases import Form, bias_shapes, checked_form
from ._layers import float_dtype
from ._parameter import Parameter
from ._runs import Runs
from ._tape import warn
from .dropout import Dropout

State = Any  # h, or for the LSTM (h, c): arrays (num_layers * directions, B, ...)


class Recurrent(Runs):
    """Base of :class:`RNN`, :class:`LSTM` and :class:`GRU`; their docstrings say what the arguments are."""

    _gates = 1
    _states = 1  # 2 with a cell state

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        batch_first: bool,
        *,
        bias: Form,
        bidirectional: bool,
        merge: str,
        reverse: bool,
        output: str,
        learned_state: bool,
        layer_norm: bool,
        clip: float | None,
        input_dropout: float,
        state_dropout: float,
        candidate_dropout: float,
        weight_dropout: float,
        zoneout: float,
        zoneout_cell: float,
        truncate: int | None,
        checkpoint: bool,
        rng: int | Generator | None,
        dtype: Any,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        self.input_size = integer("input_size", input_size, 1)
        self.hidden_size = H = integer("hidden_size", hidden_size, 1)
        self.num_layers = integer("num_layers", num_layers, 1)
        self.dropout = number("dropout", dropout, 0, 1)
        if self.dropout and self.num_layers == 1:
            warn(f"dropout: got {dropout} with one layer, but it acts between layers: nothing is dropped")
        self.bias = checked_form(bias)
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        self.merge = choice("merge", merge, ("concat", "sum", "mean"))
        self.output = choice("output", output, ("sequence", "last"))
        if bidirectional and reverse:
            raise ValueError("reverse: got True with bidirectional=True, expected one of the two")
        self.directions = [("", bool(reverse)), ("_reverse", True)] if bidirectional else [("", bool(reverse))]
        self.learned_state, self.layer_norm = bool(learned_state), bool(layer_norm)
        self.proj_size = integer("proj_size", proj_size, 0)
        self.clip = None if clip is None else number("clip", clip, 0, open_low=True)
        self.rates = {
            "input": number("input_dropout", input_dropout, 0, 1, open_high=True),
            "state": number("state_dropout", state_dropout, 0, 1, open_high=True),
            "candidate": number("candidate_dropout", candidate_dropout, 0, 1, open_high=True),
            "weight": number("weight_dropout", weight_dropout, 0, 1, open_high=True),
            "zone_h": number("zoneout", zoneout, 0, 1),
            "zone_c": number("zoneout_cell", zoneout_cell, 0, 1),
        }
        self._regularised = any(self.rates.values())
        self.truncate = None if truncate is None else integer("truncate", truncate, 1)
        self.checkpoint = bool(checkpoint)
        self.dtype = float_dtype(dtype)
        source = as_generator(rng)
        width = self.proj_size or H
        outputs = width * (2 if bidirectional and merge == "concat" else 1)
        for k in range(self.num_layers):
            for suffix, _ in self.directions:
                shapes = {
                    "weight_ih": (outputs if k else self.input_size, self._gates * H),
                    "weight_hh": (width, self._gates * H),
                    **bias_shapes(self.bias, self._gates * H, self._biases() * H),
                    **({"weight_hr": (H, width)} if self.proj_size else {}),
                    **({"gain": (2, self._gates, H)} if layer_norm else {}),
                    **self._own_shapes(),
                    **({"h0": (width,)} if learned_state else {}),
                    **({"c0": (H,)} if learned_state and self._states == 2 else {}),
                }
                for name, shape in shapes.items():
                    full = f"{name}_l{k}{suffix}"
                    values = self._initial(name, shape, source)
                    setattr(self, full, Parameter(full, values, transposed=name.startswith("weight")))
            if self.dropout and k < self.num_layers - 1:
                setattr(self, f"dropout_l{k}", Dropout(self.dropout, rng=int(source.integers(0, 2**31))))
        self.seed = source.integers(0, 2**63 - 1) if self._regularised else 0
        self.step_count = 0

    # ---- what a cell adds -----------------------------------------------------------------------------------
    def _biases(self) -> int:
        """Parts of H numbers in the functions' b."""
        return self._gates

    def _own_shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def _own_options(self) -> dict[str, Any]:
        return {}

    def _initial(self, name: str, shape: tuple[int, ...], source: Generator) -> np.ndarray:
        """U(-1/sqrt(H), 1/sqrt(H)) as in torch; gains start at one, learned states at zero."""
        if name in ("gain", "h0", "c0"):
            return np.full(shape, name == "gain", self.dtype)
        bound = 1 / math.sqrt(self.hidden_size)
        values: np.ndarray = source.uniform(-bound, bound, shape, self.dtype)
        return values

    # ---- forward --------------------------------------------------------------------------------------------
    def initial_state(self, batch: int) -> State:
        """What a sequence begins with: zeros, or the learned states.

        Parameters
        ----------
        batch : int
            Sequences, at least 0.

        Returns
        -------
        h : ndarray (num_layers * directions, batch, hidden_size or proj_size)
            For the LSTM (h, c), c (num_layers * directions, batch, hidden_size).
        """
        states = self._zero_state(integer("batch", batch, 0))
        if self.learned_state:
            for one, name in zip(states, ("h0", "c0"), strict=False):
                one[...] = np.stack([self._parameters[f"{name}{at}"].data for at in self._places()])[:, None]
        return states if self._states == 2 else states[0]

    def forward(
        self,
        x: np.ndarray,
        state: State | None = None,
        *,
        lengths: Any = None,
        return_state: bool = False,
        return_cells: bool = False,
    ) -> Any:
        """Run all layers over the sequences.

        Parameters
        ----------
        x : ndarray (T, B, input_size)
        state : optional
            Initial states as :meth:`initial_state` gives them, which are the default.
        lengths : array of int (B,), optional
            True lengths, 0 to T, in any order. Outputs past the end are 0; final states are those at the true end.
        return_state : bool, default False
            Whether to return the final states, too.
        return_cells : bool, default False
            Whether to return the last layer's cell states of all steps, too (LSTM).

        Returns
        -------
        y : ndarray (T, B, W), or (B, W) with ``output="last"``
            Outputs of the last layer: where backward reads them, so do not write to them before it. W is hidden_size
            or proj_size, twice that for two directions by "concat".
        state, cells : only if asked for
            ``y, state``, ``y, cells`` or ``y, state, cells``; cells is (T, B, hidden_size * directions).
        """
        return_state, return_cells = flag("return_state", return_state), flag("return_cells", return_cells)
        x = float_array("x", x, (None, None, self.input_size), self.dtype)
        if self.output == "last" and x.shape[1 if self.batch_first else 0] == 0:
            raise ValueError(f"x: got shape {x.shape}, expected at least one step for output='last'")
        x = self._turned(x)
        T, B = x.shape[:2]
        if return_cells and self._states == 1:
            raise ValueError(f"return_cells: got True, but {type(self).__name__} has no cell state")
        if lengths is not None:
            lengths = lengths_array("lengths", lengths, T, B)
        ends = return_state or return_cells or self.output == "last"
        y, cells, finals, runs = self._stack(x, self._checked_state(state, B), lengths, self.training, ends)
        if self.training:
            self._tape.append((runs, (T, B), state is None))
        if self.output == "last":
            y = self._merged([last[0] for last in finals[-len(self.directions) :]])
        else:
            y = self._turned(y)
        if not (return_state or return_cells):
            return y
        result: list[Any] = [y]
        if return_state:
            result.append(self._stacked(finals))
        if return_cells:
            result.append(self._turned(np.concatenate(cells, axis=-1)))
        return tuple(result)

    def _stack(
        self, y: np.ndarray, initial: tuple[np.ndarray, ...], lengths: Any, training: bool, ends: bool
    ) -> tuple[np.ndarray, list[Any], list[tuple], list[Any]]:
        """All layers: outputs, the last layer's cells and every run's final states (if ends), what backward needs."""
        finals, runs, at = [], [], 0
        for k in range(self.num_layers):
            outputs, cells = [], []
            for suffix, backwards in self.directions:
                states = tuple([one[at] for one in initial])
                h, c, last, run = self._run(f"_l{k}{suffix}", at, y, states, lengths, backwards, training, ends)
                outputs.append(h)
                cells.append(c)
                finals.append(last)
                runs.append(run)
                at += 1
            y = self._merged(outputs)
            if training and self.dropout and k < self.num_layers - 1:
                y = self._children[f"dropout_l{k}"].forward(y)
        return y, cells, finals, runs

    def _stacked(self, states: list[tuple]) -> State:
        stacked = tuple([_stacked(parts) for parts in zip(*states, strict=True)])
        return stacked if self._states == 2 else stacked[0]

    def step(self, x: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
        """One time step, for generation: nothing is kept for backward, and nothing dropped.

        Parameters
        ----------
        x : ndarray (B, input_size)
        state : optional
            States as the last step returned them; the initial ones by default.

        Returns
        -------
        y : ndarray (B, W)
        state
            The new states.
        """
        if self.directions[0][1] or self.bidirectional:
            raise ValueError("step: a layer that reads the future cannot go step by step, expected reverse=False")
        x = float_array("x", x, (None, self.input_size), self.dtype)
        y, _, finals, _ = self._stack(x[None], self._checked_state(state, len(x)), None, False, True)
        return y[0], self._stacked(finals)

    # ---- backward -------------------------------------------------------------------------------------------
    def backward(
        self,
        dy: np.ndarray,
        dstate: State | None = None,
        dcells: np.ndarray | None = None,
        *,
        return_state: bool = False,
    ) -> Any:
        """Gradients of the last forward.

        Parameters
        ----------
        dy : ndarray, shaped as y
            Gradient by the output.
        dstate : optional
            Gradient by the final states, shaped as these.
        dcells : ndarray (T, B, hidden_size * directions), optional
            Gradient by the last layer's cell states (LSTM).
        return_state : bool, default False
            Whether to return (dx, dstate) with the gradients by the initial states.

        Returns
        -------
        dx : ndarray (T, B, input_size)
        """
        T, B = self._peek()[1]
        return_state = flag("return_state", return_state)
        dy = float_array("dy", dy, self._out_shape(T, B), self.dtype)
        if dcells is not None:
            if self._states == 1:
                raise ValueError(f"dcells: got an array, but {type(self).__name__} has no cell state")
            lead = (B, T) if self.batch_first else (T, B)
            dcells = float_array("dcells", dcells, (*lead, self.hidden_size * len(self.directions)), self.dtype)
        D, top = len(self.directions), (self.num_layers - 1) * len(self.directions)
        given = None if dstate is None else self._checked_state(dstate, B, "dstate")
        runs, _, from_start = self._pop()
        if self.output == "last":
            given = self._zero_state(B) if given is None else given
            given = (given[0].copy(), *given[1:])
            for d, part in enumerate(self._split(dy)):
                given[0][top + d] += part
            parts = [np.zeros((T, B, given[0].shape[2]), self.dtype)] * D
        else:
            parts = self._split(self._turned(dy))
        by_cells = None if dcells is None else np.split(self._turned(dcells), D, axis=-1)
        first = []
        for k in reversed(range(self.num_layers)):
            dx: Any = 0
            for d, (suffix, backwards) in reversed(list(enumerate(self.directions))):
                at = k * D + d
                dc = np.ascontiguousarray(by_cells[d]) if by_cells is not None and k == self.num_layers - 1 else None
                final = None if given is None else tuple(one[at] for one in given)
                one, dstates = self._run_backward(f"_l{k}{suffix}", at, runs[at], parts[d], dc, final, backwards)
                dx = one if D == 1 else dx + one
                first.append(dstates)
            if k and self.dropout:
                dx = self._children[f"dropout_l{k - 1}"].backward(dx)
            parts = self._split(dx) if k else [dx]
        first.reverse()
        if self.learned_state and from_start:
            for at, place in enumerate(self._places()):
                for one, name in zip(first[at], ("h0", "c0"), strict=False):
                    place_, accumulate = self._parameters[f"{name}{place}"].claim_grad()
                    place_[...] = place_ + one.sum(0) if accumulate else one.sum(0)
        dx = self._turned(parts[0])
        return (dx, self._stacked(first)) if return_state else dx

    def _out_shape(self, T: int, B: int) -> tuple[int, ...]:
        width = (self.proj_size or self.hidden_size) * (len(self.directions) if self.merge == "concat" else 1)
        if self.output == "last":
            return B, width
        return (B, T, width) if self.batch_first else (T, B, width)

    def _zero_state(self, batch: int) -> tuple[np.ndarray, ...]:
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: self._states]
        return tuple([np.zeros((self.num_layers * len(self.directions), batch, w), self.dtype) for w in widths])

    def _twin_biases(self) -> list[tuple[Parameter, Parameter, int]]:
        """Pairs of parameters of which, in so many first elements, the sum alone counts."""
        if self.bias is not True:
            return []
        shared = (2 * self._gates - self._biases()) * self.hidden_size
        named = self._parameters
        return [(named[f"bias_ih{place}"], named[f"bias_hh{place}"], shared) for place in self._places()]

    # ---- small parts ----------------------------------------------------------------------------------------
    def _places(self) -> list[str]:
        return [f"_l{k}{suffix}" for k in range(self.num_layers) for suffix, _ in self.directions]

    def _merged(self, outputs: list[np.ndarray]) -> np.ndarray:
        if len(outputs) == 1:
            return outputs[0]
        if self.merge == "concat":
            return np.concatenate(outputs, axis=-1)
        return (outputs[0] + outputs[1]) * self.dtype.type(0.5 if self.merge == "mean" else 1)

    def _split(self, dy: np.ndarray) -> list[np.ndarray]:
        if len(self.directions) == 1:
            return [dy]
        if self.merge == "concat":
            return [np.ascontiguousarray(part) for part in np.split(dy, 2, axis=-1)]
        return [dy * self.dtype.type(0.5 if self.merge == "mean" else 1)] * 2

    def _checked_state(self, state: State | None, batch: int, name: str = "state") -> tuple[np.ndarray, ...]:
        if state is None:
            if not self.learned_state:
                return self._zero_state(batch)
            state = self.initial_state(batch)
            return state if self._states == 2 else (state,)
        H, count = self.hidden_size, self.num_layers * len(self.directions)
        width = self.proj_size or H
        if self._states == 1:
            return (float_array(name, state, (count, batch, width), self.dtype),)
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"{name}: got {type(state).__name__}, expected (h, c)")
        if len(state) != 2:
            raise ValueError(f"{name}: got {len(state)} arrays, expected (h, c)")
        return (
            float_array(f"{name}[0]", state[0], (count, batch, width), self.dtype),
            float_array(f"{name}[1]", state[1], (count, batch, H), self.dtype),
        )

    def _turned(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first else x

    def _listed(self, **own: Any) -> str:
        """The constructor's arguments that are not the defaults. own: the cell's, with theirs."""
        defaults = {"num_layers": 1, "dropout": 0, "batch_first": False, **own, "bias": True, "proj_size": 0,
                    "bidirectional": False, "merge": "concat", "output": "sequence", "learned_state": False,
                    "layer_norm": False, "clip": None, "truncate": None, "checkpoint": False}  # fmt: skip
        given = {name: getattr(self, name) for name, value in defaults.items() if getattr(self, name) != value}
        if self.directions[0][1]:
            given["reverse"] = True
        names = {"zone_h": "zoneout", "zone_c": "zoneout_cell"}
        given |= {names.get(name, f"{name}_dropout"): rate for name, rate in self.rates.items() if rate}
        listed = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in given.items()]
        return ", ".join([str(self.input_size), str(self.hidden_size), *listed])


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """np.stack, which takes as long as a small layer."""
    if len(parts) == 1:
        return parts[0][None].copy()
    out = np.empty((len(parts), *parts[0].shape), parts[0].dtype)
    for i, part in enumerate(parts):
        out[i] = part
    return out
