"""Recurrent layers at a point: large products for what needs no recurrence, kernel walks for what does."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._dispatch import kernels
from .._memory import aligned_empty, aligned_zeros, scratch
from .._threads import threads_for
from .._validate import float_array
from ..nn import Parameter
from ..nn._biases import joined, parted
from ..nn._stack import Stack as Layers
from ..recurrent._run import BIASES, GATES, PLAIN, RECURRENCES, STATES, walk
from . import _heads
from ._affine import Term, add_outer, sum_of_products
from ._guard import Linearization
from ._linearization import register
from ._ragged import Ragged, Whole

_GRAIN = 2_000_000  # multiply-adds a thread should have in a walk, which may meet at a barrier every step
_POINT = 16  # multiply-adds that take about as long as a unit's equations


class Weights(NamedTuple):
    """What a cell has: arrays, or the parameters that hold them.

    W_x (I, G H); W_h (H, G H), by heads (heads, H / heads, G H / heads), of a diagonal recurrence u (G H,), None
    without a recurrence; b (G H,); for the GRU also b_n (H,), the bias within the reset product.
    """

    W_x: Any
    W_h: Any
    b: Any
    b_n: Any = None


class Cell:
    """One recurrent layer at an input sequence: its states, and the walks along a direction.

    Parameters
    ----------
    kind : int
        Which cell, by the kernels' table.
    x : ndarray (T, B, I)
    weights : Weights of ndarray
    h, c : ndarray (T + 1, B, H)
        The states, slot 0 the initial one; c is None without a cell state, and of the sLSTM c, n and m side by side.
    gates : ndarray, or None
        Gate values as the forward kernel saves them. GRU: n, r, z and u = h W_hn + b_n; others: in the order of W_x,
        of the sLSTM d and s in the places of i and f. None for cells of one gate, whose value is h.
    time : Whole
        Where sequences end.
    """

    def __init__(
        self,
        kind: int,
        x: np.ndarray,
        weights: Weights,
        h: np.ndarray,
        c: np.ndarray | None = None,
        gates: np.ndarray | None = None,
        time: Whole | None = None,
    ) -> None:
        self.time = time or Whole()
        self.kind, self.x, self.weights = kind, x, weights
        self.h, self.c, self.gates = h, c, gates
        self.recurrence = RECURRENCES[kind]
        if self.recurrence == "heads" and weights.W_h.ndim == 2:  # one head
            self.recurrence = "dense"
        self.apart = BIASES[kind] > GATES[kind]  # whether a gate keeps the products of x and of h apart
        self.wide = weights.W_x.shape[1]
        self.th = self.ta = self.dh = self.da = _NONE[x.dtype.char]
        self.tc: np.ndarray | None = None
        self.tax: np.ndarray | None = None
        self.dc: np.ndarray | None = None
        self.dax: np.ndarray | None = None
        inner = weights.W_h.shape[-2] if self.recurrence in ("dense", "heads") else _POINT
        self._num_threads = threads_for(x.shape[0] * x.shape[1] * self.wide * inner, _GRAIN)

    # ---- the three walks ----------------------------------------------------------------------------
    def tangent(
        self, tx: np.ndarray | None, direction: Weights | None, th0: np.ndarray | None = None,
        tc0: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """th of every step (T, B, H), from the tangents of input, weights and initial state."""
        T = len(self.x)
        self.th = _started(th0, T, self.h)
        self.tc = None if self.c is None else _started(tc0, T, self.c)
        self.tx, self.direction = tx, direction
        of_input = [] if tx is None else [(tx, self.weights.W_x)]
        of_state = []
        bias = bias_n = None
        if direction is not None:
            of_input.append((self.x, direction.W_x))
            if self.recurrence == "dense":
                of_state.append((self.h[:-1], direction.W_h))
            bias, bias_n = direction.b, direction.b_n
        if self.apart:
            self.tax = self._products(of_input, bias)
            self.ta = self._products(of_state, None)
            if bias_n is not None:
                self.ta[..., 2 * len(bias_n) :] += bias_n
        else:
            self.ta = self._products([*of_input, *of_state], bias)
        if direction is not None and self.recurrence == "heads":
            _heads.add_products(self.h[:-1], direction.W_h, self.ta)
        if direction is not None and self.recurrence == "diagonal":
            self.ta += (self._by_gate(direction.W_h) * self.h[:-1, :, None]).reshape(self.ta.shape)
        if self.x.size:
            kernels.curvature.tangent_walk(self._point(), self._tangents(), self._work(), self._num_threads)
        self.time.wipe(self.th[1:])  # in long padding it may grow beyond all bounds
        return self.th[1:]

    def adjoint(self, dy: np.ndarray) -> None:
        """da of every step for a gradient dy (T, B, H) with respect to all states, with what its tangent needs."""
        self.dh = aligned_empty(dy.shape, dy.dtype)
        self.dc = None if self.c is None else aligned_empty(self.c[1:].shape, dy.dtype)
        self.da = aligned_empty((*dy.shape[:2], self.wide), dy.dtype)
        self.dax = aligned_empty(self.da.shape, dy.dtype) if self.apart else None
        if self.x.size:
            kernels.curvature.adjoint_walk(
                self._point(), dy, self._last(), self._gradients(), self._work(), self._num_threads
            )

    def adjoint_tangent(self, tdy: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Tangents of da (of the state's products) and dax (of the input's; the same array but for the GRU)."""
        tdy = self._above(tdy)
        tda = aligned_empty(self.da.shape, tdy.dtype)
        tdax = aligned_empty(self.da.shape, tdy.dtype) if self.apart else tda
        if self.x.size:
            kernels.curvature.adjoint_tangent_walk(
                self._point(), self._tangents(), self._gradients(), tdy, self._last(), (tda, tdax), self._work(),
                self._num_threads,
            )  # fmt: skip
        return tda, tdax

    def _point(self) -> tuple[Any, ...]:
        return self.kind, self.weights.W_h, self.gates, self.h, self.c

    def _tangents(self) -> tuple[Any, ...]:
        return self.th, self.tc, self.ta, self.tax

    def _gradients(self) -> tuple[Any, ...]:
        return self.dh, self.dc, self.da, self.dax

    def _last(self) -> tuple[Any, ...]:
        """What comes to h and c of the last step from no step."""
        return np.zeros_like(self.h[0]), None if self.c is None else np.zeros_like(self.c[0])

    def _above(self, tdy: np.ndarray | None) -> np.ndarray:
        """What adds to the tangent of dh_t from outside the walk: tdy_t + da_{t+1} V_h^T."""
        if self.direction is None or self.recurrence == "none":
            return np.zeros_like(self.dh) if tdy is None else tdy
        if self.recurrence == "diagonal":
            result = np.zeros_like(self.dh) if tdy is None else tdy.copy()
            result[:-1] += (self._by_gate(self.da[1:]) * self._by_gate(self.direction.W_h)).sum(2)
            return result
        if self.recurrence == "heads":
            result = np.zeros_like(self.dh) if tdy is None else tdy.copy()
            _heads.add_transposed_products(self.da[1:], self.direction.W_h, result[:-1])
            return result
        result = aligned_empty(self.dh.shape, self.dh.dtype)
        result[-1:] = 0 if tdy is None else tdy[-1:]
        start = None if tdy is None else tdy[:-1]
        sum_of_products([(self.da[1:], self.direction.W_h)], start, transposed=True, out=result[:-1])
        return result

    def _by_gate(self, a: np.ndarray) -> np.ndarray:
        """The columns of W_x, or of u, by gate and unit."""
        return a.reshape(*a.shape[:-1], GATES[self.kind], self.h.shape[2])

    # ---- gradients from da --------------------------------------------------------------------------
    def of_input(self) -> np.ndarray:
        """dax or, where input and state share their products, da."""
        return self.da if self.dax is None else self.dax

    def of_diagonal(self, da: np.ndarray, h: np.ndarray) -> np.ndarray:
        """What every step and sequence adds to the gradient with respect to u: h_{t-1} da_t."""
        return (self._by_gate(da) * h[:-1, :, None]).reshape(da.shape)

    def add_gradients(self, out: Weights) -> None:
        self._add(self.of_input(), self.da, self.x, self.h, out, True)

    def add_gradient_tangents(self, tda: np.ndarray, tdax: np.ndarray, out: Weights) -> None:
        self._add(tdax, tda, self.x, self.h, out, True)
        self._add(self.of_input(), self.da, self.tx, self.th, out, False)

    def _add(
        self, by_input: np.ndarray, by_state: np.ndarray, x: np.ndarray | None, h: np.ndarray, out: Weights,
        biases: bool,
    ) -> None:  # fmt: skip
        """x^T da and h^T da to the weights' gradients, in one pass over da where both have the same."""
        of_x = [] if x is None else [(x, out.W_x)]
        of_h = [(h[:-1], out.W_h)] if self.recurrence == "dense" else []
        db = out.b if biases else None
        if self.recurrence == "diagonal":
            add_outer(self.of_diagonal(by_state, h), db=out.W_h)
        elif self.recurrence == "heads":
            _heads.add_gradients(h[:-1], by_state, out.W_h)
        if by_input is by_state:
            add_outer(by_state, *of_x, *of_h, db=db)
            return
        add_outer(by_input, *of_x, db=db)
        add_outer(by_state, *of_h)
        if biases and out.b_n is not None:
            np.add(out.b_n, by_state[..., 2 * len(out.b_n) :].sum((0, 1)), out=out.b_n)

    def _products(self, terms: list[tuple[np.ndarray, np.ndarray]], bias: np.ndarray | None) -> np.ndarray:
        return sum_of_products(terms, bias) if terms else aligned_zeros((*self.x.shape[:2], self.wide), self.x.dtype)

    def _work(self) -> np.ndarray | None:
        """For W_h in panels, as it is and transposed."""
        H, wide, itemsize = self.h.shape[2], self.wide, self.x.itemsize
        packed = kernels.curvature.packed_size
        if self.recurrence == "heads":
            heads, D, _ = self.weights.W_h.shape
            return scratch(heads * GATES[self.kind] * packed(D, D, itemsize), self.x.dtype)
        if self.recurrence != "dense":
            return None
        return scratch(max(packed(H, wide, itemsize), packed(wide, H, itemsize)), self.x.dtype)


_NONE = {kind: np.empty((0, 0, 0), kind) for kind in "fd"}


def _started(first: np.ndarray | None, steps: int, like: np.ndarray) -> np.ndarray:
    states = aligned_empty((steps + 1, *like.shape[1:]), like.dtype)
    states[0] = 0 if first is None else first
    return states


def run_cell(kind: int, x: np.ndarray, weights: Weights, h0: np.ndarray, c0: np.ndarray | None, time: Whole) -> Cell:
    """The layer run over x; here alone a tape is taken apart."""
    W_x, W_h, b, b_n = weights
    b = b if b_n is None else np.concatenate([b, b_n])
    tape: Any = walk(kind, x, h0, c0, W_x, W_h, b, True, None, PLAIN)[2]  # a kernel's, whichever backend is in force
    steps = len(x) + 1
    h, c = tape.h.reshape(steps, *h0.shape), None if c0 is None else tape.c.reshape(steps, *c0.shape)
    time.wipe(h[1:])
    return Cell(kind, x, weights, h, c, tape.gates if GATES[kind] > 1 else None, time)


_PLAIN = {  # options under which a layer is what the walks compute, in evaluation mode
    "layer_norm": False, "proj_size": 0, "clip": None, "learned_state": False, "truncate": None,
    "peepholes": False, "coupled": False, "cell_clip": None, "reset_after": True,
}  # fmt: skip


class Stack(Linearization):
    """A stack of recurrent layers, in one or two directions, from zero states, dropout off; sequences may be shorter
    than their batch."""

    def __init__(self, layer: Layers, x: np.ndarray, lengths: Any = None) -> None:
        _check_plain(layer)
        kind = layer._cell.number
        x = float_array("x", x, (None, None, layer.input_size), layer.dtype)
        self.batch_first, self.last, self.both = layer.batch_first, layer.output == "last", layer._both
        y = self._turned(x)
        if self.last and len(y) == 0:
            raise ValueError(f"x: got shape {x.shape}, expected at least one step for output='last'")
        self.time = Whole() if lengths is None else Ragged(lengths, *y.shape[:2])
        y = self.time.clear(y)
        h0 = np.zeros((y.shape[1], layer.hidden_size), layer.dtype)
        c0 = np.concatenate([h0] * (STATES[kind] - 1), 1) if STATES[kind] > 1 else None
        self.levels: list[list[tuple[Place, Cell]]] = []
        for k in range(0, len(layer._layers), self.both.ways):
            self.levels.append([])
            for one in layer._layers[k : k + self.both.ways]:
                place = Place(one.arrays[0], one.arrays[1], one.biases, one.bias_size, one.backwards, self.time)
                weights = place.weights({one: one.data for one in place.parameters})
                self.levels[-1].append((place, run_cell(kind, place.in_time(y), weights, h0, c0, self.time)))
            y = self._merged([cell.h[1:] for cell in self.cells[k:]])
        self.y = self._above([cell.h[1:] for _, cell in self.levels[-1]])

    @property
    def cells(self) -> list[Cell]:
        """By layer and direction."""
        return [cell for level in self.levels for _, cell in level]

    def jvp(self, tx, direction):
        tx = self._inside(tx)
        for level in self.levels:
            along = [None if direction is None else place.weights(direction) for place, _ in level]
            th = [cell.tangent(place.in_time(tx), v) for (place, cell), v in zip(level, along, strict=True)]
            tx = self._merged(th)
        return self._above(th)

    def backward(self, dy, out, need_input):
        def one(place: Place, cell: Cell, dy: np.ndarray) -> list[Term]:
            cell.adjoint(dy)
            if out is not None:
                with place.gradients(out) as gradients:
                    cell.add_gradients(gradients)
            return [(cell.of_input(), cell.weights.W_x)]

        return self._back(dy, one, need_input)

    def jvp_backward(self, tdy, direction, out, need_input):
        def one(place: Place, cell: Cell, tdy: np.ndarray | None) -> list[Term]:
            tda, tdax = cell.adjoint_tangent(tdy)
            if out is not None:
                with place.gradients(out) as gradients:
                    cell.add_gradient_tangents(tda, tdax, gradients)
            moved = [] if direction is None else [(cell.of_input(), direction[place.W_x])]
            return [(tdax, cell.weights.W_x), *moved]

        return self._back(tdy, one, need_input)

    def check_axis(self, axis):
        own = 0 if self.batch_first or self.last else 1
        if axis != own:
            raise ValueError(f"axis: got {axis}, expected the batch axis of a recurrent layer, {own}")

    def sample_gradients(self, dy, axis, out, need_input):
        def one(place: Place, cell: Cell, dy: np.ndarray) -> list[Term]:
            cell.adjoint(dy)
            place.add_sample_gradients(cell, out)
            return [(cell.of_input(), cell.weights.W_x)]

        return self._back(dy, one, need_input)

    def _back(self, dy: np.ndarray | None, one: Callable[..., list[Term]], need_input: bool) -> np.ndarray | None:
        """From the last layer to the first. one: goes through a cell, and says what gives its input's gradient."""
        parts = self._parted(dy)
        for k, level in reversed(list(enumerate(self.levels))):
            dx: Any = None
            for (place, cell), part in zip(level, parts, strict=True):
                terms = one(place, cell, part)
                if need_input or k > 0:
                    of_one = place.in_time(sum_of_products(terms, transposed=True))
                    dx = of_one if dx is None else dx + of_one
            if k:
                parts = [place.in_time(part) for (place, _), part in zip(level, self.both.split(dx), strict=True)]
        return self._turned(dx)

    def _parted(self, dy: np.ndarray | None) -> list[Any]:
        """A gradient with respect to the output, as those with respect to every step's h, in each direction's time."""
        if dy is None:
            return [None] * self.both.ways
        last, parts = self.levels[-1], self.both.split(dy if self.last else self._inside(dy))
        if not self.last:
            return [place.in_time(part) for (place, _), part in zip(last, parts, strict=True)]
        return [self.time.at_last(part, len(last[0][1].x)) for part in parts]

    def _merged(self, outputs: list[np.ndarray]) -> np.ndarray:
        """What comes out of a layer, from that of each direction in its own time."""
        places = [place for place, _ in self.levels[0]]
        return self.both.merged([place.in_time(h) for place, h in zip(places, outputs, strict=True)])

    def _above(self, outputs: list[np.ndarray]) -> np.ndarray:
        """What comes out of the stack, from that of each direction of the last layer."""
        return (
            self.both.merged([self.time.last(h) for h in outputs]) if self.last else self._turned(self._merged(outputs))
        )

    def _inside(self, x: Any) -> Any:
        """What a caller gives of every step, without what lies in the padding."""
        return None if x is None else self.time.clear(self._turned(x))

    def _turned(self, x: Any) -> Any:
        return np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first and x is not None else x


class Place(NamedTuple):
    """A layer's parameters, and how a cell's weights, or their gradients, are made of arrays for each."""

    W_x: Parameter
    W_h: Parameter | None
    biases: Sequence[Parameter]
    size: int  # of the one bias that these make, which the GRU ends with that of the reset product
    backwards: bool  # whether it reads from the end to the beginning
    time: Whole

    def in_time(self, x: Any) -> Any:
        """An array (T, ...) in the order of this layer's steps, or back in that of the others."""
        return self.time.turn(x) if self.backwards and x is not None else x

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.W_x, *([] if self.W_h is None else [self.W_h]), *self.biases)

    def weights(self, arrays: Any) -> Weights:
        b = joined([arrays[one] for one in self.biases], self.size, self.W_x.dtype)
        return self._as_weights(arrays, b)

    @contextlib.contextmanager
    def gradients(self, out: Any) -> Iterator[Weights]:
        """Where gradients are added; in the end each bias gets its part of the one bias's."""
        db = np.zeros(self.size, self.W_x.dtype)
        yield self._as_weights(out, db)
        for one, part in zip(self.biases, parted(db, len(self.biases), self.W_x.shape[1]), strict=True):
            out[one][...] += part

    def add_sample_gradients(self, cell: Cell, out: Any) -> None:
        """Those of each sequence to its slots."""
        out[self.W_x].add_products(cell.x, cell.of_input())
        if cell.recurrence == "dense":
            out[self.W_h].add_products(cell.h[:-1], cell.da)
        elif cell.recurrence == "heads":
            slots = out[self.W_h].split(len(cell.weights.W_h))
            for slot, h_j, da_j in zip(slots, *_heads.factors(cell.h[:-1], cell.da, cell.weights.W_h), strict=True):
                slot.add_products(h_j, da_j)
        elif cell.recurrence == "diagonal":
            out[self.W_h].add_sums(cell.of_diagonal(cell.da, cell.h))
        sums = cell.of_input().sum(0, keepdims=True)
        if cell.apart:
            sums = np.concatenate([sums, cell.da[..., -cell.h.shape[2] :].sum(0, keepdims=True)], axis=-1)
        for one, part in zip(self.biases, parted(sums, len(self.biases), cell.wide), strict=True):
            out[one].add_sums(part)

    def _as_weights(self, arrays: Any, b: np.ndarray) -> Weights:
        wide, W_h = self.W_x.shape[1], None if self.W_h is None else arrays[self.W_h]
        return Weights(arrays[self.W_x], W_h, b[:wide], b[wide:] if len(b) > wide else None)


def _check_plain(layer: Any) -> None:
    given = [name for name, plain in _PLAIN.items() if getattr(layer, name, plain) != plain]
    given += [
        {"zone_h": "zoneout", "zone_c": "zoneout_cell"}[name] for name in ("zone_h", "zone_c") if layer.rates[name]
    ]
    if given:
        raise TypeError(f"model: {type(layer).__name__} has no jvp with {', '.join(given)}")


for _layer in Layers.__subclasses__():
    register(_layer, Stack)
