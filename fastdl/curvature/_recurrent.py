"""Recurrent layers at a point: large products for what needs no recurrence, kernel walks for what does."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np

from .. import nn
from .._dispatch import kernels
from .._memory import aligned_empty, aligned_zeros, scratch
from .._threads import threads_for
from .._validate import float_array
from ..nn import Parameter
from ..nn._biases import joined, parted
from ..recurrent._run import BIASES, GATES, PLAIN, RECURRENCES, STATES, walk
from ._affine import add_outer, sum_of_products
from ._guard import Linearization
from ._linearization import register

RecurrentLayer = nn.RNN | nn.LSTM | nn.GRU | nn.IndRNN | nn.MinGRU | nn.MinLSTM

_GRAIN = 2_000_000  # multiply-adds a thread should have in a walk, which may meet at a barrier every step
_POINT = 16  # multiply-adds that take about as long as a unit's equations


class Weights(NamedTuple):
    """What a cell has: arrays, or the parameters that hold them.

    W_x (I, G H); W_h (H, G H), of a diagonal recurrence u (G H,), None without a recurrence; b (G H,); for the GRU also
    b_n (H,), the bias within the reset product.
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
        The states, slot 0 the initial one; c is None without a cell state.
    gates : ndarray, or None
        Gate values as the forward kernel saves them. GRU: n, r, z and u = h W_hn + b_n; others: in the order of W_x.
        None for cells of one gate, whose value is h.
    """

    def __init__(
        self,
        kind: int,
        x: np.ndarray,
        weights: Weights,
        h: np.ndarray,
        c: np.ndarray | None = None,
        gates: np.ndarray | None = None,
    ) -> None:
        self.kind, self.x, self.weights = kind, x, weights
        self.h, self.c, self.gates = h, c, gates
        self.recurrence, self.two_states = RECURRENCES[kind], STATES[kind] == 2
        self.apart = BIASES[kind] > GATES[kind]  # whether a gate keeps the products of x and of h apart
        self.wide = weights.W_x.shape[1]
        self.th = self.ta = self.dh = self.da = _NONE[x.dtype.char]
        self.tc: np.ndarray | None = None
        self.tax: np.ndarray | None = None
        self.dc: np.ndarray | None = None
        self.dax: np.ndarray | None = None
        inner = h.shape[2] if self.recurrence == "dense" else _POINT
        self._num_threads = threads_for(x.shape[0] * x.shape[1] * self.wide * inner, _GRAIN)

    # ---- the three walks ----------------------------------------------------------------------------
    def tangent(
        self, tx: np.ndarray | None, direction: Weights | None, th0: np.ndarray | None = None,
        tc0: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """th of every step (T, B, H), from the tangents of input, weights and initial state."""
        T = len(self.x)
        self.th = _started(th0, T, self.h)
        self.tc = _started(tc0, T, self.h) if self.two_states else None
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
        if direction is not None and self.recurrence == "diagonal":
            self.ta += (self._by_gate(direction.W_h) * self.h[:-1, :, None]).reshape(self.ta.shape)
        if self.x.size:
            kernels.curvature.tangent_walk(self._point(), self._tangents(), self._work(), self._num_threads)
        return self.th[1:]

    def adjoint(self, dy: np.ndarray) -> None:
        """da of every step for a gradient dy (T, B, H) with respect to all states, with what its tangent needs."""
        self.dh = aligned_empty(dy.shape, dy.dtype)
        self.dc = aligned_empty(dy.shape, dy.dtype) if self.two_states else None
        self.da = aligned_empty((*dy.shape[:2], self.wide), dy.dtype)
        self.dax = aligned_empty(self.da.shape, dy.dtype) if self.apart else None
        last_dh, last_dc = np.zeros((2, *dy.shape[1:]), dy.dtype)
        if self.x.size:
            kernels.curvature.adjoint_walk(
                self._point(), dy, (last_dh, last_dc), self._gradients(), self._work(), self._num_threads
            )

    def adjoint_tangent(self, tdy: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Tangents of da (of the state's products) and dax (of the input's; the same array but for the GRU)."""
        tdy = self._above(tdy)
        tda = aligned_empty(self.da.shape, tdy.dtype)
        tdax = aligned_empty(self.da.shape, tdy.dtype) if self.apart else tda
        tdh, tdc = np.zeros((2, *tdy.shape[1:]), tdy.dtype)
        if self.x.size:
            kernels.curvature.adjoint_tangent_walk(
                self._point(), self._tangents(), self._gradients(), tdy, (tdh, tdc), (tda, tdax), self._work(),
                self._num_threads,
            )  # fmt: skip
        return tda, tdax

    def _point(self) -> tuple[Any, ...]:
        return self.kind, self.weights.W_h, self.gates, self.h, self.c

    def _tangents(self) -> tuple[Any, ...]:
        return self.th, self.tc, self.ta, self.tax

    def _gradients(self) -> tuple[Any, ...]:
        return self.dh, self.dc, self.da, self.dax

    def _above(self, tdy: np.ndarray | None) -> np.ndarray:
        """What adds to the tangent of dh_t from outside the walk: tdy_t + da_{t+1} V_h^T."""
        if self.direction is None or self.recurrence == "none":
            return np.zeros_like(self.dh) if tdy is None else tdy
        if self.recurrence == "diagonal":
            result = np.zeros_like(self.dh) if tdy is None else tdy.copy()
            result[:-1] += (self._by_gate(self.da[1:]) * self._by_gate(self.direction.W_h)).sum(2)
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
        if self.recurrence != "dense":
            return None
        H, wide, itemsize = self.h.shape[2], self.wide, self.x.itemsize
        packed = kernels.curvature.packed_size
        return scratch(max(packed(H, wide, itemsize), packed(wide, H, itemsize)), self.x.dtype)


_NONE = {kind: np.empty((0, 0, 0), kind) for kind in "fd"}


def _started(first: np.ndarray | None, steps: int, like: np.ndarray) -> np.ndarray:
    states = aligned_empty((steps + 1, *like.shape[1:]), like.dtype)
    states[0] = 0 if first is None else first
    return states


def run_cell(kind: int, x: np.ndarray, weights: Weights, h0: np.ndarray, c0: np.ndarray | None) -> Cell:
    """The layer run over x; here alone a tape is taken apart."""
    W_x, W_h, b, b_n = weights
    b = b if b_n is None else np.concatenate([b, b_n])
    tape: Any = walk(kind, x, h0, c0, W_x, W_h, b, True, None, PLAIN)[2]  # a kernel's, whichever backend is in force
    shape = (len(x) + 1, *h0.shape)
    c = None if tape.c is None else tape.c.reshape(shape)
    return Cell(kind, x, weights, tape.h.reshape(shape), c, tape.gates if GATES[kind] > 1 else None)


_PLAIN = {  # options under which a layer is what the walks compute, in evaluation mode
    "bidirectional": False, "layer_norm": False, "proj_size": 0, "clip": None, "learned_state": False, "truncate": None,
    "peepholes": False, "coupled": False, "cell_clip": None, "reset_after": True,
}  # fmt: skip


class Stack(Linearization):
    """A stack of recurrent layers from zero states, dropout off."""

    def __init__(self, layer: RecurrentLayer, x: np.ndarray) -> None:
        _check_plain(layer)
        kind = layer._cell.number
        x = float_array("x", x, (None, None, layer.input_size), layer.dtype)
        self.batch_first, self.last = layer.batch_first, layer.output == "last"
        self.places = [Place(one.arrays[0], one.arrays[1], one.biases, one.bias_size) for one in layer._layers]
        self.cells: list[Cell] = []
        y = self._turned(x)
        if self.last and len(y) == 0:
            raise ValueError(f"x: got shape {x.shape}, expected at least one step for output='last'")
        zeros = np.zeros((y.shape[1], layer.hidden_size), layer.dtype)
        for place in self.places:
            weights = place.weights({one: one.data for one in place.parameters})
            self.cells.append(run_cell(kind, y, weights, zeros, zeros if STATES[kind] == 2 else None))
            y = self.cells[-1].h[1:]
        self.y = y[-1] if self.last else self._turned(y)

    def jvp(self, tx, direction):
        tx = self._turned(tx)
        for cell, place in zip(self.cells, self.places, strict=True):
            tx = cell.tangent(tx, None if direction is None else place.weights(direction))
        return tx[-1] if self.last else self._turned(tx)

    def backward(self, dy, out, need_input):
        dy = self._of_all_steps(dy)
        for k, cell in reversed(list(enumerate(self.cells))):
            cell.adjoint(dy)
            if out is not None:
                with self.places[k].gradients(out) as gradients:
                    cell.add_gradients(gradients)
            dy = self._input_gradient(cell, need_input or k > 0)
        return self._turned(dy)

    def jvp_backward(self, tdy, direction, out, need_input):
        tdy = self._of_all_steps(tdy)
        for k, cell in reversed(list(enumerate(self.cells))):
            tda, tdax = cell.adjoint_tangent(tdy)
            if out is not None:
                with self.places[k].gradients(out) as gradients:
                    cell.add_gradient_tangents(tda, tdax, gradients)
            tdy = None
            if need_input or k > 0:
                terms = [(tdax, cell.weights.W_x)]
                if direction is not None:
                    terms.append((cell.of_input(), direction[self.places[k].W_x]))
                tdy = sum_of_products(terms, transposed=True)
        return self._turned(tdy)

    def check_axis(self, axis):
        own = 0 if self.batch_first or self.last else 1
        if axis != own:
            raise ValueError(f"axis: got {axis}, expected the batch axis of a recurrent layer, {own}")

    def sample_gradients(self, dy, axis, out, need_input):
        dy = self._of_all_steps(dy)
        for k, cell in reversed(list(enumerate(self.cells))):
            cell.adjoint(dy)
            place = self.places[k]
            out[place.W_x].add_products(cell.x, cell.of_input())
            if cell.recurrence == "dense":
                out[place.W_h].add_products(cell.h[:-1], cell.da)
            elif cell.recurrence == "diagonal":
                out[place.W_h].add_sums(cell.of_diagonal(cell.da, cell.h))
            sums = cell.of_input().sum(0, keepdims=True)
            if cell.apart:
                sums = np.concatenate([sums, cell.da[..., -cell.h.shape[2] :].sum(0, keepdims=True)], axis=-1)
            for one, part in zip(place.biases, parted(sums, len(place.biases), cell.wide), strict=True):
                out[one].add_sums(part)
            dy = self._input_gradient(cell, need_input or k > 0)
        return self._turned(dy)

    def _of_all_steps(self, dy: np.ndarray | None) -> Any:
        """A gradient with respect to the output, as one with respect to every step's h."""
        if not self.last or dy is None:
            return self._turned(dy)
        whole = np.zeros((len(self.cells[-1].h) - 1, *dy.shape), dy.dtype)
        whole[-1] = dy
        return whole

    def _input_gradient(self, cell: Cell, wanted: bool) -> np.ndarray | None:
        return sum_of_products([(cell.of_input(), cell.weights.W_x)], transposed=True) if wanted else None

    def _turned(self, x: Any) -> Any:
        return np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first and x is not None else x


class Place(NamedTuple):
    """A layer's parameters, and how a cell's weights, or their gradients, are made of arrays for each."""

    W_x: Parameter
    W_h: Parameter | None
    biases: Sequence[Parameter]
    size: int  # of the one bias that these make, which the GRU ends with that of the reset product

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

    def _as_weights(self, arrays: Any, b: np.ndarray) -> Weights:
        wide, W_h = self.W_x.shape[1], None if self.W_h is None else arrays[self.W_h]
        return Weights(arrays[self.W_x], W_h, b[:wide], b[wide:] if len(b) > wide else None)


def _check_plain(layer: Any) -> None:
    given = [name for name, plain in _PLAIN.items() if getattr(layer, name, plain) != plain]
    given += [
        {"zone_h": "zoneout", "zone_c": "zoneout_cell"}[name] for name in ("zone_h", "zone_c") if layer.rates[name]
    ]
    given += ["reverse"] if any(backwards for _, backwards in layer.directions) and not layer.bidirectional else []
    if given:
        raise TypeError(f"model: {type(layer).__name__} has no jvp with {', '.join(given)}")


for _layer in get_args(RecurrentLayer):
    register(_layer, Stack)
