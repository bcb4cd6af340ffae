"""Recurrent layers in obvious NumPy, one sequence after another where lengths differ; cells: _recurrent_cells.py."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _recurrent_cells as cells

RNN_TANH, RNN_RELU, LSTM, LSTM_COUPLED, GRU_AFTER, GRU_BEFORE, INDRNN_TANH, INDRNN_RELU = range(8)
MINGRU, MINGRU_POSITIVE, MINLSTM = 8, 9, 10  # and its three other forms
SLSTM, SLSTM_EXP = 14, 15
CELLS = (
    "RNN", "RNN with relu", "LSTM", "LSTM with coupled=True", "GRU", "GRU with reset_after=False", "IndRNN with tanh",
    "IndRNN", "MinGRU", "MinGRU with positive=True", "MinLSTM",
    "MinLSTM with positive=True", "MinLSTM with normalized=False", "MinLSTM with positive=True, normalized=False",
    "sLSTM", "sLSTM with forget_gate='exp'",
)  # fmt: skip


@dataclass(slots=True, eq=False, repr=False)
class RecurrentTape:
    """What the backward of a recurrent layer needs of its forward: references to what was given by time.

    `h` and `c` have the initial states, in the walk's order, in their first B rows and those of every step behind
    them, of which forward's results are views; `gates` are the gate values, in the kernel's own layout. Do not write to
    any of them before the backward. On the reference sequences keep their order, `gates` is a list of what every step
    kept, and `options` is the cell. It is no tuple: a backward takes what a forward left, and nothing put together.

    Attributes
    ----------
    cell : int
        Row of the table of cells (docs/recurrent.md).
    x : ndarray (T B, I)
        The input, its steps one after the other.
    W_x, W_h, b : ndarray
        The weights as given; W_h is u for the independently recurrent layer, and None for those without.
    h, c : ndarray ((T + 1) B, R), ((T + 1) B, H)
        States; c is None for a cell without.
    gates : ndarray, or list on the reference
        Gate values of all steps.
    projected : ndarray or None
        With a projection, h before it.
    options : tuple or None, or the reference's cell
        What was asked for beyond the weights; None for nothing.
    rows : tuple or None
        Which rows stand where when sequences differ in length or run in reverse.
    shape : (int, int)
        T and B.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> h, tape = fd.rnn_forward(np.ones((3, 1, 1)), np.zeros((1, 1)), np.eye(1), np.eye(1), np.zeros(1))
    >>> tape
    RecurrentTape(RNN, 3 steps, batch 1, 1 outputs, float64)
    """

    cell: int
    x: np.ndarray
    W_x: np.ndarray
    W_h: np.ndarray | None
    b: np.ndarray
    h: np.ndarray
    c: np.ndarray | None
    gates: Any  # ndarray of the kernels
    projected: np.ndarray | None
    options: Any
    rows: Any
    shape: tuple[int, int]

    def __repr__(self) -> str:  # not its arrays, which are those of a whole forward
        steps, batch = self.shape
        sizes = f"{steps} steps, batch {batch}, {self.h.shape[1]} outputs, {self.x.dtype}"
        return f"RecurrentTape({CELLS[self.cell]}, {sizes})"


def last_step(h, lengths=None, reverse=False):
    lengths = [len(h)] * h.shape[1] if lengths is None else lengths
    return np.array([h[0 if reverse else n - 1, b] for b, n in enumerate(lengths)], h.dtype).reshape(h.shape[1:])


def last_step_backward(dlast, T, lengths=None, reverse=False):
    dh = np.zeros((T, *dlast.shape), dlast.dtype)
    for b, n in enumerate([T] * len(dlast) if lengths is None else lengths):
        dh[0 if reverse else n - 1, b] = dlast[b]
    return dh


def lstm_forward(
    x, h0, c0, W_x, W_h, b, training=True, *, lengths=None, reverse=False, coupled=False, projection=None,
    peepholes=None, gains=None, epsilon=1e-5, clip=None, cell_clip=None, state_mask=None, candidate_mask=None,
    candidate_scale=1.0, zoneout_h=None, zoneout_c=None,
):  # fmt: skip
    cell = cells.LSTM(3 if coupled else 4, W_x, W_h, b, projection, peepholes, gains, epsilon, clip, candidate_scale)
    cell.coupled, cell.cell_clip, cell.number = coupled, cell_clip, LSTM_COUPLED if coupled else LSTM
    masks = {"state": state_mask, "candidate": candidate_mask, "zone_h": zoneout_h, "zone_c": zoneout_c}
    h, c, tape = _forward(cell, x, h0, c0, lengths, reverse, masks)
    return h, c, tape if training else None


def lstm_backward(dh, dc, tape, out=None, accumulate=False, input_gradient=True, dh_last=None, dc_last=None):
    return _backward(tape, dh, dc, dh_last, out, accumulate, input_gradient, dc_last)


def gru_forward(
    x, h0, W_x, W_h, b, training=True, *, reset_after=True, lengths=None, reverse=False, gains=None, epsilon=1e-5,
    clip=None, state_mask=None, candidate_mask=None, candidate_scale=1.0, zoneout_h=None,
):  # fmt: skip
    cell = cells.GRU(3, W_x, W_h, b, None, None, gains, epsilon, clip, candidate_scale)
    cell.reset_after, cell.number = reset_after, GRU_AFTER if reset_after else GRU_BEFORE
    masks = {"state": state_mask, "candidate": candidate_mask, "zone_h": zoneout_h, "zone_c": None}
    h, _, tape = _forward(cell, x, h0, None, lengths, reverse, masks)
    return h, tape if training else None


def gru_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None):
    whole = None if out is None else (*out[:3], None, None, *out[3:4])
    dx, dh0, _, dW_x, dW_h, db, _, _, dgains = _backward(tape, dh, None, dh_last, whole, accumulate, input_gradient)
    return dx, dh0, dW_x, dW_h, db, dgains


def rnn_forward(
    x, h0, W_x, W_h, b, training=True, *, nonlinearity="tanh", lengths=None, reverse=False, gains=None, epsilon=1e-5,
    clip=None, state_mask=None, zoneout_h=None,
):  # fmt: skip
    cell = cells.RNN(1, W_x, W_h, b, None, None, gains, epsilon, clip, 1.0)
    cell.relu = nonlinearity == "relu"
    cell.number = RNN_RELU if cell.relu else RNN_TANH
    masks = {"state": state_mask, "candidate": None, "zone_h": zoneout_h, "zone_c": None}
    h, _, tape = _forward(cell, x, h0, None, lengths, reverse, masks)
    return h, tape if training else None


def rnn_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None):
    return gru_backward(dh, tape, out, accumulate, input_gradient, dh_last)


def indrnn_forward(
    x, h0, W_x, u, b, training=True, *, nonlinearity="relu", lengths=None, reverse=False, clip=None, state_mask=None,
    zoneout_h=None,
):  # fmt: skip
    cell = cells.IndRNN(1, W_x, u, b, None, None, None, 0.0, clip, 1.0)
    cell.relu = nonlinearity == "relu"
    cell.number = INDRNN_RELU if cell.relu else INDRNN_TANH
    masks = {"state": state_mask, "candidate": None, "zone_h": zoneout_h, "zone_c": None}
    h, _, tape = _forward(cell, x, h0, None, lengths, reverse, masks)
    return h, tape if training else None


def indrnn_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None):
    return gru_backward(dh, tape, out, accumulate, input_gradient, dh_last)[:5]


def mingru_forward(
    x, h0, W_x, b, training=True, *, positive=False, lengths=None, reverse=False, candidate_mask=None,
    candidate_scale=1.0, zoneout_h=None,
):  # fmt: skip
    cell = cells.MinGRU(2, W_x, None, b, None, None, None, 0.0, None, candidate_scale)
    cell.positive, cell.number = positive, MINGRU_POSITIVE if positive else MINGRU
    masks = {"state": None, "candidate": candidate_mask, "zone_h": zoneout_h, "zone_c": None}
    h, _, tape = _forward(cell, x, h0, None, lengths, reverse, masks)
    return h, tape if training else None


def mingru_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None):
    whole = None if out is None else (out[0], None, *out[1:])
    dx, dh0, _, dW_x, _, db, *_ = _backward(tape, dh, None, dh_last, whole, accumulate, input_gradient)
    return dx, dh0, dW_x, db


def minlstm_forward(
    x, h0, W_x, b, training=True, *, positive=False, normalized=True, lengths=None, reverse=False, candidate_mask=None,
    candidate_scale=1.0, zoneout_h=None,
):  # fmt: skip
    cell = cells.MinLSTM(3, W_x, None, b, None, None, None, 0.0, None, candidate_scale)
    cell.positive, cell.normalized, cell.number = positive, normalized, MINLSTM + positive + 2 * (not normalized)
    masks = {"state": None, "candidate": candidate_mask, "zone_h": zoneout_h, "zone_c": None}
    h, _, tape = _forward(cell, x, h0, None, lengths, reverse, masks)
    return h, tape if training else None


def minlstm_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None):
    return mingru_backward(dh, tape, out, accumulate, input_gradient, dh_last)


def slstm_forward(
    x, h0, c0, n0, m0, W_x, W_h, b, training=True, *, forget_gate="sigmoid", lengths=None, reverse=False,
    state_mask=None, candidate_mask=None, candidate_scale=1.0, zoneout_h=None,
):  # fmt: skip
    cell = cells.sLSTM(4, W_x, W_h, b, None, None, None, 0.0, None, candidate_scale)
    cell.exponential = forget_gate == "exp"
    cell.number = SLSTM_EXP if cell.exponential else SLSTM
    masks = {"state": state_mask, "candidate": candidate_mask, "zone_h": zoneout_h, "zone_c": None}
    h, all_c, tape = _forward(cell, x, h0, np.concatenate([c0, n0, m0], axis=1), lengths, reverse, masks)
    return h, *np.split(all_c, 3, axis=2), tape if training else None


def slstm_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None, dc_last=None, dn_last=None):
    zeros = np.zeros((tape.shape[1], tape.h.shape[1]), tape.h.dtype)
    last = np.concatenate([zeros if one is None else one for one in (dc_last, dn_last, None)], axis=1)
    dx, dh0, dc0, dW_x, dW_h, db, *_ = _backward(tape, dh, None, dh_last, out, accumulate, input_gradient, last)
    return dx, dh0, *np.split(dc0, 3, axis=1)[:2], dW_x, dW_h, db


# ---- The walk over time, one sequence (a batch of one) after another ----------------------------------------------


def _forward(cell, x, h0, c0, lengths, reverse, masks):
    T, B = x.shape[:2]
    lengths = [T] * B if lengths is None else lengths
    groups = [slice(None)] if all(n == T for n in lengths) else [slice(b, b + 1) for b in range(B)]
    all_h, all_c = _states(h0, T), None if c0 is None else _states(c0, T)
    h, c = (None if a is None else a[B:].reshape(T, B, a.shape[1]) for a in (all_h, all_c))
    tapes = []
    for group in groups:
        n = T if group == slice(None) else lengths[group.start]
        times = list(range(n))[::-1] if reverse else list(range(n))
        state, steps = (h0[group], None if c0 is None else c0[group]), []
        for t in times:
            own = {k: _at(m if k == "state" or np.ndim(m) < 3 else m[t], group) for k, m in masks.items()}
            before = state
            state, kept = cell.step(x[t, group], *before, own)
            h[t, group] = state[0]
            if c is not None:
                c[t, group] = state[1]
            steps.append((t, before, own, kept))
        tapes.append((group, steps))
    seen = x.reshape(T * B, x.shape[2])
    tape = RecurrentTape(cell.number, seen, cell.W_x, cell.W_h, cell.b, all_h, all_c, tapes, None, cell, None, (T, B))
    return h, c, tape


def _states(first, T):
    """The initial states, and behind them room for those of every step."""
    return np.concatenate([first, np.zeros((T * len(first), first.shape[1]), first.dtype)])


def _at(mask, group):
    return mask if np.ndim(mask) == 0 else mask[group]


def _backward(tape, dh, dc, dh_last, out, accumulate, input_gradient, dc_last=None):
    cell, tapes, (T, B) = tape.options, tape.gates, tape.shape
    x, h0, c0 = tape.x.reshape(T, B, tape.x.shape[1]), tape.h[:B], None if tape.c is None else tape.c[:B]
    dx, dh0, dc0 = np.zeros_like(x), np.zeros_like(h0), None if c0 is None else np.zeros_like(c0)
    total = {name: np.zeros_like(value) for name, value in cell.parameters.items() if value is not None}
    for group, steps in tapes:
        dh_t = np.zeros_like(h0[group]) if dh_last is None else dh_last[group]
        dc_t = None if c0 is None else np.zeros_like(c0[group])
        for last in (dc_last, dc if dc is not None and dc.ndim == 2 else None):
            if last is not None:
                dc_t = dc_t + last[group]
        for t, before, own, kept in reversed(steps):
            dh_t = dh_t + dh[t, group]
            if dc is not None and dc.ndim == 3:
                dc_t = dc_t + dc[t, group]
            dx[t, group], dh_t, dc_t, gradients = cell.step_backward(dh_t, dc_t, x[t, group], *before, own, kept)
            for name, gradient in gradients.items():
                total[name] += gradient
        dh0[group] = dh_t
        if dc0 is not None:
            dc0[group] = dc_t
    result = [total.get(name) for name in cell.parameters]
    if out is not None:
        out = [*out, *[None] * (len(result) - len(out))]
        for place, gradient in zip(out, result, strict=True):
            if place is not None:
                place[...] = place + gradient if accumulate else gradient
        result = out
    return dx if input_gradient else None, dh0, dc0, *result
