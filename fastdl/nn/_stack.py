"""Layers in a stack: one upon the other, in one or two directions, with their initial and last states.

A layer is in _layer.py, which cell it has in _cells.py, other frameworks' layouts in _formats.py.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._dispatch import get_backend
from .._validate import choice, flag, float_array, integer, lengths_array, number
from ..random import Generator, as_generator
from ._biases import Form, checked_form, from_torch, to_torch
from ._call import Cell
from ._ends import Directions, Ends, State
from ._handing import checked_lengths
from ._initial import Initial, checked_init
from ._layer import Draw, Layer, Settings, checked_draw, checked_rates, shapes_of
from ._layers import float_dtype
from ._links import Link, link_recurrent
from ._module import Module
from ._parameter import Parameter
from ._tape import warn
from .dropout import Dropout


def shared(given: Mapping[str, Any], *own: str) -> dict[str, Any]:
    """Of a constructor's arguments, its ``locals()`` before anything else is done, those that every stack has."""
    return {name: value for name, value in given.items() if name not in ("self", "__class__", *own)}


class Stack(Module):
    """Base of the recurrent layers of _cells.py and _lean_cells.py; their docstrings say what the arguments are."""

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, num_layers: int, dropout: float, batch_first: bool, *,
        bias: Form, bidirectional: bool, merge: str, reverse: bool, output: str, learned_state: bool,
        input_dropout: float, zoneout: float, truncate: int | None, checkpoint: bool, rng: int | Generator | None,
        dtype: Any, init: str = "torch", layer_norm: bool = False, clip: float | None = None,
        state_dropout: float = 0.0, weight_dropout: float = 0.0, candidate_dropout: float = 0.0,
        zoneout_cell: float = 0.0, cell_clip: float | None = None, peepholes: bool = False, proj_size: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self._cell = cell
        self.input_size = integer("input_size", input_size, 1)
        self.hidden_size = integer("hidden_size", hidden_size, 1)
        self.num_layers = integer("num_layers", num_layers, 1)
        self.dropout = number("dropout", dropout, 0, 1)
        if self.dropout and self.num_layers == 1:
            warn(f"dropout: got {dropout} with one layer, but it acts between layers: nothing is dropped")
        self.bias, self.init = checked_form(bias), checked_init(init, cell)
        self.batch_first, self.bidirectional = flag("batch_first", batch_first), flag("bidirectional", bidirectional)
        reverse = flag("reverse", reverse)
        self.merge = choice("merge", merge, ("concat", "sum", "mean"))
        self.output = choice("output", output, ("sequence", "last"))
        if self.bidirectional and reverse:
            raise ValueError("reverse: got True with bidirectional=True, expected one of the two")
        self.directions = [("", reverse), ("_reverse", True)] if self.bidirectional else [("", reverse)]
        self.learned_state, self.layer_norm = flag("learned_state", learned_state), flag("layer_norm", layer_norm)
        self.peepholes = flag("peepholes", peepholes)
        self.proj_size = integer("proj_size", proj_size, 0)
        self.clip = None if clip is None else number("clip", clip, 0, open_low=True)
        self.cell_clip = None if cell_clip is None else number("cell_clip", cell_clip, 0, open_low=True)
        self.rates = checked_rates(
            input_dropout, state_dropout, candidate_dropout, weight_dropout, zoneout, zoneout_cell
        )
        self.truncate = None if truncate is None else integer("truncate", truncate, 1)
        self.checkpoint = flag("checkpoint", checkpoint)
        self.dtype = float_dtype(dtype)
        widths = (self.proj_size or self.hidden_size, *(cell.states - 1) * [self.hidden_size])
        self._both = Directions(len(self.directions), self.merge, self.dtype)
        self._ends = Ends(self.num_layers * len(self.directions), widths, self.dtype, sum(widths[1:]))
        source = as_generator(rng)
        self._fill(source)
        drawn = any(self.rates.values())  # by the layers: the dropout between them is a child's
        self._draw: Draw = {"seed": int(source.integers(0, 2**63 - 1)), "step": 0} if drawn else {}

    def _fill(self, source: Generator) -> None:
        """Make the parameters, and the dropout between layers."""
        settings, outputs = self._settings(), self._both.width(self.proj_size or self.hidden_size)
        initial = Initial(self.init, self._cell, self.hidden_size, self.dtype, source)
        parts = {
            "weight_hr": self.proj_size, "gain": self.layer_norm, "peephole": self.peepholes,
            "h0": self.learned_state, "c0": self.learned_state and self._cell.states == 2,
        }  # fmt: skip
        for k in range(self.num_layers):
            for suffix, _ in self.directions:
                shapes = shapes_of(settings, outputs if k else self.input_size, parts)
                for name, array in initial.values(shapes, k / max(self.num_layers - 1, 1)).items():
                    full, matrix = f"{name}_l{k}{suffix}", name.startswith("weight") and array.ndim < 3
                    setattr(self, full, Parameter(full, array, transposed=matrix))
            if self.dropout and k < self.num_layers - 1:
                setattr(self, f"dropout_l{k}", Dropout(self.dropout, rng=int(source.integers(0, 2**31))))

    # ---- the layers -----------------------------------------------------------------------------------------
    @property
    def _layers(self) -> list[Layer]:
        """By layer and direction; made when they are first asked for, and anew once something was assigned."""
        layers: list[Layer] | None = self.__dict__.get("_made")
        if layers is None:
            settings, layers = self._settings(), []
            for k in range(self.num_layers):
                for suffix, backwards in self.directions:
                    end, own = f"_l{k}{suffix}", self._parameters
                    named = {name.removesuffix(end): own[name] for name in own if name.endswith(end)}
                    layers.append(Layer(settings, named, len(layers), backwards))
            self.__dict__["_made"] = layers
        return layers

    def _settings(self) -> Settings:
        bounds = {"clip": self.clip, "cell_clip": self.cell_clip}
        form = self.bias if self._cell.recurrence == "dense" else self.bias and "single"
        return Settings(
            self._cell, self.hidden_size, self.proj_size or self.hidden_size, self.dtype, form,
            {name: value for name, value in bounds.items() if value is not None}, self.rates, self.truncate,
            self.checkpoint,
        )  # fmt: skip

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.__dict__.pop("_made", None)

    def _changed(self) -> None:
        super()._changed()
        self.__dict__.pop("_made", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_made"}

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
            For the LSTM (h, c), c (num_layers * directions, batch, hidden_size); for the sLSTM (h, c, n, m).

        Raises
        ------
        TypeError, ValueError
            If `batch` is no integer, or below 0.
        """
        return self._ends.given(self._first_states(integer("batch", batch, 0)))

    def _first_states(self, batch: int) -> tuple[np.ndarray, ...]:
        states = self._ends.zeros(batch)
        if self.learned_state:
            for at, layer in enumerate(self._layers):
                for one, first in zip(states, layer.first_states, strict=True):
                    one[at] = first.data
        return states

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

        Raises
        ------
        TypeError, ValueError
            If `x`, `state` or `lengths` do not fit the layer or each other, there is no step for ``output="last"``, or
            cells are asked for of a layer without.
        """
        if not (return_state is return_cells is False):
            return_state, return_cells = flag("return_state", return_state), flag("return_cells", return_cells)
        x = float_array("x", x, (None, None, self.input_size), self.dtype)
        if self.output == "last" and x.shape[1 if self.batch_first else 0] == 0:
            raise ValueError(f"x: got shape {x.shape}, expected at least one step for output='last'")
        if self.batch_first:
            x = self._turned(x)
        T, B, _ = x.shape
        if return_cells and self._cell.states != 2:
            raise ValueError(f"return_cells: got True, but {type(self).__name__} {self._without_cells()}")
        if lengths is not None:
            lengths = lengths_array("lengths", lengths, T, B)
        ends = return_state or return_cells or self.output == "last"
        y, found = self._through(x, self._taken(state, B), lengths, self.training, ends)
        _, cells, finals, passes = zip(*found, strict=True)
        if self.training:
            self._tape.append((passes, (T, B), state is None))
        if self.output == "last":
            y = self._both.merged([last[0] for last in finals[-len(self.directions) :]])
        elif self.batch_first:
            y = self._turned(y)
        if not (return_state or return_cells):
            return y
        result: list[Any] = [y]
        if return_state:
            result.append(self._ends.stacked(finals))
        if return_cells:
            result.append(self._turned(np.concatenate(cells[-len(self.directions) :], axis=-1)))
        return tuple(result)

    def _through(
        self, y: np.ndarray, initial: list[tuple[np.ndarray, ...]], lengths: Any, training: bool, ends: bool
    ) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
        """All layers: the last one's outputs, and what `Layer.forward` gives of each."""
        found, layers, D = [], self._layers, len(self.directions)
        draw = self._draw if training and self._draw else None
        for at, layer in enumerate(layers):
            found.append(layer.forward(y, initial[at], lengths, training, draw, ends))
            if len(found) % D == 0:
                y = found[at][0] if D == 1 else self._both.merged([found[at - 1][0], found[at][0]])
                if training and self.dropout and len(found) < len(layers):
                    y = self._children[f"dropout_l{at // D}"].forward(y)
        if draw:
            self.__dict__["_draw"] = draw | {"step": draw["step"] + 1}  # past __setattr__: the layers stay
        return y, found

    def step(
        self, x: np.ndarray, state: State | None = None, *, out: tuple[np.ndarray | None, State] | None = None
    ) -> tuple[np.ndarray, State]:
        """One time step, for streams: nothing is saved for backward, and nothing dropped.

        Parameters
        ----------
        x : ndarray (B, input_size)
        state : optional
            States as the last step returned them; the initial ones by default.
        out : tuple (y, state), optional
            Arrays to write into, C-contiguous: then no array is made. The states may be those given as `state`. None
            for y makes it a view into the new states.

        Returns
        -------
        y : ndarray (B, W)
        state
            The new states.

        Raises
        ------
        TypeError, ValueError
            If `x`, `state` or `out` do not fit or overlap, or the layer reads the future (reverse or bidirectional);
            nothing is written then.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> layer = fd.nn.LSTM(3, 4, rng=0)
        >>> y, state = layer.step(np.ones((1, 3), np.float32))
        >>> again, state = layer.step(np.ones((1, 3), np.float32), state, out=(y, state))
        >>> again is y
        True
        """
        if self.directions[0][1] or self.bidirectional:
            raise ValueError("step: a layer that reads the future cannot go step by step, expected reverse=False")
        x = float_array("x", x, (None, self.input_size), self.dtype)
        before = self._first_states(len(x)) if state is None else self._ends.checked("state", state, len(x))
        if out is None:
            y, after, given = None, tuple([np.empty_like(one) for one in before]), None
        else:
            y, after, given = self._ends.places(out, before, state)
        self._advance(x, before, after)
        return self._ends.handed(y, after, given)

    def _steps_plainly(self) -> bool:
        """Whether `_advance` is all of its step, for states that a caller has as kernels take them."""
        return type(self).step is Stack.step and len(self._ends.widths) < 3

    def _advance(self, x: np.ndarray, before: tuple[np.ndarray, ...], after: tuple[np.ndarray, ...]) -> np.ndarray:
        """Write the states after a step to `after`, which may be `before`; y, a view into them."""
        if not len(x) or get_backend() == "reference":
            initial = [tuple([one[at] for one in before]) for at in range(self._ends.rows)]
            found = self._through(x[None], initial, None, False, True)[1]
            for one, parts in zip(after, zip(*[last for _, _, last, _ in found], strict=True), strict=True):
                one[...] = parts
        elif self._ends.rows == 1:
            self._layers[0].step(x, before, after)
        else:
            for at, layer in enumerate(self._layers):
                layer.step(x, tuple([one[at] for one in before]), tuple([one[at] for one in after]))
                x = after[0][at]
        y: np.ndarray = after[0][-1]
        return y

    def lengths_after(self, lengths: Any) -> Any:
        """How long sequences are behind the layer.

        Parameters
        ----------
        lengths : array of int (B,)
            How long they are before it.

        Returns
        -------
        ndarray of int (B,), or None
            The same; None with ``output="last"``, which leaves no steps.

        Raises
        ------
        TypeError, ValueError
            If `lengths` are no integers of one axis, or below 0.
        """
        lengths = checked_lengths(lengths)
        return lengths if self.output == "sequence" else None

    # ---- backward -------------------------------------------------------------------------------------------
    def backward(
        self,
        dy: np.ndarray,
        dstate: State | None = None,
        dcells: np.ndarray | None = None,
        *,
        return_state: bool = False,
        input_gradient: bool = True,
    ) -> Any:
        """Gradients of the last forward.

        Parameters
        ----------
        dy : ndarray, shaped as y
            Gradient with respect to the output.
        dstate : optional
            Gradient with respect to the final states, shaped as these; of the sLSTM (dh, dc, dn), since m has none.
        dcells : ndarray (T, B, hidden_size * directions), optional
            Gradient with respect to the last layer's cell states (LSTM).
        return_state : bool, default False
            Whether to return (dx, dstate) with the gradients with respect to the initial states.
        input_gradient : bool, default True
            Whether dx is wanted; False returns None for it and leaves out a product of the first layer.

        Returns
        -------
        dx : ndarray (T, B, input_size), or None
            With ``return_state=True`` (dx, dstate), dstate shaped as :meth:`initial_state` gives.

        Raises
        ------
        TypeError, ValueError
            If a gradient does not fit; nothing is written then.
        RuntimeError
            If no forward in training mode waits for it.
        """
        T, B = self._peek()[1]
        D, dtype = len(self.directions), self.dtype
        if return_state is not False or input_gradient is not True:
            return_state, input_gradient = flag("return_state", return_state), flag("input_gradient", input_gradient)
        dy = float_array("dy", dy, self._out_shape(T, B), dtype)
        if dcells is not None:
            if self._cell.states != 2:
                raise ValueError(f"dcells: got an array, but {type(self).__name__} {self._without_cells()}")
            lead = (B, T) if self.batch_first else (T, B)
            dcells = float_array("dcells", dcells, (*lead, self.hidden_size * D), dtype)
        given = None if dstate is None else self._ends.checked("dstate", dstate, B, gradients=True)
        passes, _, from_start = self._tape.pop()
        if self.output == "last":
            given = self._ends.zeros(B) if given is None else given
            given = (given[0].copy(), *given[1:])
            for at, part in enumerate(self._both.split(dy), len(passes) - D):
                given[0][at] += part
            parts = [np.zeros((T, B, given[0].shape[2]), dtype)] * D
        else:
            dy = self._turned(dy) if self.batch_first else dy
            parts = [dy] if D == 1 else self._both.split(dy)
        by_cells: list[Any] = [None] * len(passes)
        if dcells is not None:
            by_cells[-D:] = [np.ascontiguousarray(one) for one in np.split(self._turned(dcells), D, axis=-1)]
        dx, first = self._back_through(passes, parts, by_cells, given, input_gradient)
        if self.learned_state and from_start:
            for layer, dstates in zip(self._layers, first, strict=True):
                layer.add_first_states(dstates)
        if self.batch_first and input_gradient:
            dx = self._turned(dx)
        return (dx, self._ends.stacked(first, gradients=True)) if return_state else dx

    def _back_through(
        self, passes: list[Any], parts: list[np.ndarray], by_cells: list[Any], given: tuple[np.ndarray, ...] | None,
        input_gradient: bool,
    ) -> tuple[Any, list[tuple]]:  # fmt: skip
        """All layers from the last to the first: dx, and every layer's gradients with respect to its initial states."""
        layers, D, first = self._layers, len(self.directions), []
        dx: Any = None
        for at in range(len(layers) - 1, -1, -1):
            dlast = () if given is None else tuple([one[at] for one in given])
            wanted = input_gradient or at >= D
            one, dstates = layers[at].backward(passes[at], parts[at % D], by_cells[at], dlast, wanted)
            first.append(dstates)
            dx = one if dx is None else dx + one
            if at >= D and at % D == 0:
                if self.dropout:
                    dx = self._children[f"dropout_l{at // D - 1}"].backward(dx)
                parts, dx = self._both.split(dx), None
        return dx, first[::-1]

    def _out_shape(self, T: int, B: int) -> tuple[int, ...]:
        width = self._both.width(self.proj_size or self.hidden_size)
        if self.output == "last":
            return B, width
        return (B, T, width) if self.batch_first else (T, B, width)

    def _without_cells(self) -> str:
        return "has no cell state" if self._cell.states == 1 else "has one that means nothing without n and m"

    def _link(self, args: Any, kwargs: Any, result: Any, backward: Any) -> Link:
        """The input and the initial states; the outputs, final states and cells (nn/_links.py)."""
        return link_recurrent(self._cell.states, args, kwargs, result, backward)

    # ---- small parts ----------------------------------------------------------------------------------------
    def _taken(self, state: State | None, batch: int) -> list[tuple[np.ndarray, ...]]:
        """The states that each layer and direction begins with."""
        ends = self._ends
        if state is None and not self.learned_state:
            return [ends.zeros_of_one(batch)] * ends.rows  # they are only read
        states = self._first_states(batch) if state is None else ends.checked("state", state, batch)
        return [tuple([one[i] for one in states]) for i in range(ends.rows)]

    def _turned(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first else x

    # ---- other frameworks' layouts --------------------------------------------------------------------------
    def _export(self) -> dict[str, np.ndarray]:
        arrays = super()._export()
        return to_torch(arrays, self._cell.gates * self.hidden_size) if self.bias == "single" else arrays

    def _import(self, arrays: dict[str, np.ndarray]) -> None:
        if self.bias == "single":
            sizes = {name: one.size for name, one in self._parameters.items() if name.startswith("bias")}
            arrays = from_torch(arrays, sizes)
        super()._import(arrays)

    # ---- what is drawn --------------------------------------------------------------------------------------
    def _own_random_state(self) -> dict[str, Any]:
        """What decides the layers' own masks; the dropout between layers is its children's."""
        return {"own": dict(self._draw)} if self._draw else {}

    def _load_own_random_state(self, state: Mapping[str, Any]) -> None:
        if self._draw:
            self._draw = checked_draw("state['own']", state["own"])
