"""Recurrent layers as the equations stand (docs/recurrent.md), one sequence after another where lengths differ."""

from dataclasses import dataclass
from typing import Any

import numpy as np

RNN_TANH, RNN_RELU, LSTM, LSTM_COUPLED, GRU_AFTER, GRU_BEFORE, INDRNN_TANH, INDRNN_RELU = range(8)
MINGRU, MINGRU_POSITIVE, MINLSTM = 8, 9, 10  # and its three other forms
CELLS = (
    "RNN", "RNN with relu", "LSTM", "LSTM with coupled=True", "GRU", "GRU with reset_after=False", "IndRNN with tanh",
    "IndRNN", "MinGRU", "MinGRU with positive=True", "MinLSTM",
    "MinLSTM with positive=True", "MinLSTM with normalized=False", "MinLSTM with positive=True, normalized=False",
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
    options : tuple, or the reference's cell
        What was asked for beyond the weights.
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


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


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
    cell = _LSTM(3 if coupled else 4, W_x, W_h, b, projection, peepholes, gains, epsilon, clip, candidate_scale)
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
    cell = _GRU(3, W_x, W_h, b, None, None, gains, epsilon, clip, candidate_scale)
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
    cell = _RNN(1, W_x, W_h, b, None, None, gains, epsilon, clip, 1.0)
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
    cell = _IndRNN(1, W_x, u, b, None, None, None, 0.0, clip, 1.0)
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
    cell = _MinGRU(2, W_x, None, b, None, None, None, 0.0, None, candidate_scale)
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
    cell = _MinLSTM(3, W_x, None, b, None, None, None, 0.0, None, candidate_scale)
    cell.positive, cell.normalized, cell.number = positive, normalized, MINLSTM + positive + 2 * (not normalized)
    masks = {"state": None, "candidate": candidate_mask, "zone_h": zoneout_h, "zone_c": None}
    h, _, tape = _forward(cell, x, h0, None, lengths, reverse, masks)
    return h, tape if training else None


def minlstm_backward(dh, tape, out=None, accumulate=False, input_gradient=True, dh_last=None):
    return mingru_backward(dh, tape, out, accumulate, input_gradient, dh_last)


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


# ---- The cells ------------------------------------------------------------------------------------------------------


class _Cell:
    def __init__(self, gates, W_x, W_h, b, projection, peepholes, gains, epsilon, clip, scale):
        self.parameters = {"W_x": W_x, "W_h": W_h, "b": b, "projection": projection, "peepholes": peepholes,
                           "gains": gains}  # fmt: skip
        self.W_x, self.W_h, self.b, self.projection, self.peepholes, self.gains = self.parameters.values()
        self.epsilon, self.clip, self.scale = epsilon, clip, scale
        self.hidden = W_x.shape[1] // gates

    def products(self, v, W, part):
        """v @ W by gates, layer-normed if asked; and what that needs to be undone."""
        a = np.split(v @ W, W.shape[1] // self.hidden, axis=1)
        if self.gains is None:
            return a, None
        normed, kept = [], []
        for g, one in enumerate(a):
            scale = 1 / np.sqrt(one.var(axis=1, keepdims=True) + self.epsilon)
            hat = (one - one.mean(axis=1, keepdims=True)) * scale
            normed.append(self.gains[part, g] * hat)
            kept.append((hat, scale))
        return normed, kept

    def products_backward(self, da, v, W, part, kept, gates):
        """dv, and adds dW and dgains of the gates whose gradients da are."""
        gradients, dv = {}, 0
        dW = np.zeros_like(W)
        for d, g in zip(da, gates, strict=True):
            if kept is not None:
                hat, scale = kept[g]
                gradients.setdefault("gains", np.zeros_like(self.gains))[part, g] = (d * hat).sum(0)
                d = d * self.gains[part, g]
                d = scale * (d - d.mean(1, keepdims=True) - hat * (d * hat).mean(1, keepdims=True))
            columns = slice(g * self.hidden, (g + 1) * self.hidden)
            dW[:, columns] = v.T @ d
            dv = dv + d @ W[:, columns].T
        gradients["W_h" if part else "W_x"] = dW
        return dv, gradients

    def bounded(self, a):
        return a if self.clip is None else np.clip(a, -self.clip, self.clip)

    def inside(self, a):
        return 1 if self.clip is None else (np.abs(a) <= self.clip)

    def keep(self, g, mask):
        return g if mask is None else g * np.where(mask, self.scale, 0).astype(g.dtype)

    @staticmethod
    def zoned(old, new, zone):
        if zone is None:
            return new
        return np.where(zone, old, new) if np.ndim(zone) else zone * old + (1 - zone) * new

    @staticmethod
    def unzoned(d, zone):
        """Gradients with respect to the old and the new value."""
        if zone is None:
            return np.zeros_like(d), d
        return (np.where(zone, d, 0), np.where(zone, 0, d)) if np.ndim(zone) else (zone * d, (1 - zone) * d)


def _merge(*many):
    total = {}
    for gradients in many:
        for name, gradient in gradients.items():
            total[name] = total.get(name, 0) + gradient
    return total


def _masked(h, mask):
    return h if mask is None else h * mask


class _RNN(_Cell):
    def step(self, x, h, c, own):
        (of_x,), kept_x = self.products(x, self.W_x, 0)
        (of_h,), kept_h = self.products(_masked(h, own["state"]), self.W_h, 1)
        a = of_x + of_h + self.b
        value = np.maximum(self.bounded(a), 0) if self.relu else np.tanh(self.bounded(a))
        return (self.zoned(h, value, own["zone_h"]), None), (kept_x, kept_h, a, value)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        kept_x, kept_h, a, value = kept
        passed, d = self.unzoned(dh, own["zone_h"])
        da = d * ((value > 0) if self.relu else 1 - value**2) * self.inside(a)
        dx, by_x = self.products_backward([da], x, self.W_x, 0, kept_x, [0])
        dm, by_h = self.products_backward([da], _masked(h, own["state"]), self.W_h, 1, kept_h, [0])
        return dx, passed + _masked(dm, own["state"]), None, _merge(by_x, by_h, {"b": da.sum(0)})


class _IndRNN(_RNN):
    """W_h is the vector u."""

    def step(self, x, h, c, own):
        (of_x,), _ = self.products(x, self.W_x, 0)
        a = of_x + self.W_h * _masked(h, own["state"]) + self.b
        value = np.maximum(self.bounded(a), 0) if self.relu else np.tanh(self.bounded(a))
        return (self.zoned(h, value, own["zone_h"]), None), (a, value)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        a, value = kept
        passed, d = self.unzoned(dh, own["zone_h"])
        da = d * ((value > 0) if self.relu else 1 - value**2) * self.inside(a)
        dx, by_x = self.products_backward([da], x, self.W_x, 0, None, [0])
        by_u = {"W_h": (da * _masked(h, own["state"])).sum(0), "b": da.sum(0)}
        return dx, passed + _masked(da * self.W_h, own["state"]), None, _merge(by_x, by_u)


class _Minimal(_Cell):
    """Cells whose gates do not read h."""

    def candidate(self, a):
        return np.where(a >= 0, a + 0.5, _sigmoid(a)) if self.positive else a

    def candidate_slope(self, a):
        return np.where(a >= 0, 1, _sigmoid(a) * (1 - _sigmoid(a))) if self.positive else 1


class _MinGRU(_Minimal):
    def step(self, x, h, c, own):
        a_z, a_n = np.split(x @ self.W_x + self.b, 2, axis=1)
        z, n = _sigmoid(a_z), self.candidate(a_n)
        value = (1 - z) * h + z * self.keep(n, own["candidate"])
        return (self.zoned(h, value, own["zone_h"]), None), (a_n, z, n)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        a_n, z, n = kept
        passed, d = self.unzoned(dh, own["zone_h"])
        da_z = d * (self.keep(n, own["candidate"]) - h) * z * (1 - z)
        da_n = self.keep(d * z, own["candidate"]) * self.candidate_slope(a_n)
        dx, by_x = self.products_backward([da_z, da_n], x, self.W_x, 0, None, [0, 1])
        db = np.concatenate([da_z.sum(0), da_n.sum(0)])
        return dx, passed + d * (1 - z), None, _merge(by_x, {"b": db})


class _MinLSTM(_Minimal):
    def step(self, x, h, c, own):
        a_f, a_i, a_n = np.split(x @ self.W_x + self.b, 3, axis=1)
        f, i, n = _sigmoid(a_f), _sigmoid(a_i), self.candidate(a_n)
        if self.normalized:  # f / (f + i), also where both are near 0
            f = _sigmoid(np.logaddexp(0, -a_i) - np.logaddexp(0, -a_f))
            i = 1 - f
        value = f * h + i * self.keep(n, own["candidate"])
        return (self.zoned(h, value, own["zone_h"]), None), (a_f, a_i, a_n, f, i, n)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        a_f, a_i, a_n, f, i, n = kept
        passed, d = self.unzoned(dh, own["zone_h"])
        n = self.keep(n, own["candidate"])
        if self.normalized:
            da_f, da_i = d * (h - n) * f * i * _sigmoid(-a_f), d * (n - h) * f * i * _sigmoid(-a_i)
        else:
            da_f, da_i = d * h * f * (1 - f), d * n * i * (1 - i)
        da_n = self.keep(d * i, own["candidate"]) * self.candidate_slope(a_n)
        dx, by_x = self.products_backward([da_f, da_i, da_n], x, self.W_x, 0, None, [0, 1, 2])
        db = np.concatenate([one.sum(0) for one in (da_f, da_i, da_n)])
        return dx, passed + d * f, None, _merge(by_x, {"b": db})


class _LSTM(_Cell):
    def step(self, x, h, c, own):
        of_x, kept_x = self.products(x, self.W_x, 0)
        of_h, kept_h = self.products(_masked(h, own["state"]), self.W_h, 1)
        a = [p + q + r for p, q, r in zip(of_x, of_h, np.split(self.b, len(of_x)), strict=True)]
        p_i, p_f, p_o = np.zeros((3, self.hidden), x.dtype) if self.peepholes is None else self.peepholes
        a[0] = a[0] + p_i * c
        i = _sigmoid(self.bounded(a[0]))
        if self.coupled:
            f = 1 - i
        else:
            a[1] = a[1] + p_f * c
            f = _sigmoid(self.bounded(a[1]))
        g = np.tanh(self.bounded(a[-2]))
        free = f * c + i * self.keep(g, own["candidate"])
        new = free if self.cell_clip is None else np.clip(free, -self.cell_clip, self.cell_clip)
        a[-1] = a[-1] + p_o * new
        o = _sigmoid(self.bounded(a[-1]))
        m = o * np.tanh(new)
        value = m if self.projection is None else m @ self.projection
        states = self.zoned(h, value, own["zone_h"]), self.zoned(c, new, own["zone_c"])
        return states, (kept_x, kept_h, a, i, f, g, o, free, new, m)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        kept_x, kept_h, a, i, f, g, o, free, new, m = kept
        gradients = {}
        passed, d = self.unzoned(dh, own["zone_h"])
        if self.projection is not None:
            gradients["projection"] = m.T @ d
            d = d @ self.projection.T
        p_i, p_f, p_o = np.zeros((3, self.hidden), x.dtype) if self.peepholes is None else self.peepholes
        passed_c, s = self.unzoned(dc, own["zone_c"])
        th = np.tanh(new)
        da_o = d * th * o * (1 - o) * self.inside(a[-1])
        s = s + d * o * (1 - th**2) + p_o * da_o
        if self.cell_clip is not None:
            s = s * (np.abs(free) <= self.cell_clip)
        kept_g = self.keep(g, own["candidate"])
        da_i = s * (kept_g - c if self.coupled else kept_g) * i * (1 - i) * self.inside(a[0])
        da_g = self.keep(s * i, own["candidate"]) * (1 - g**2) * self.inside(a[-2])
        da_f = 0 * s if self.coupled else s * c * f * (1 - f) * self.inside(a[1])
        dc = passed_c + s * f + p_i * da_i + p_f * da_f
        da = [da_i, da_g, da_o] if self.coupled else [da_i, da_f, da_g, da_o]
        if self.peepholes is not None:
            gradients["peepholes"] = np.array([(da_i * c).sum(0), (da_f * c).sum(0), (da_o * new).sum(0)])
        gates = range(len(da))
        dx, by_x = self.products_backward(da, x, self.W_x, 0, kept_x, gates)
        dm, by_h = self.products_backward(da, _masked(h, own["state"]), self.W_h, 1, kept_h, gates)
        gradients["b"] = np.concatenate([one.sum(0) for one in da])
        return dx, passed + _masked(dm, own["state"]), dc, _merge(gradients, by_x, by_h)


class _GRU(_Cell):
    def step(self, x, h, c, own):
        H, (x_r, x_z, x_n), kept_x = self.hidden, *self.products(x, self.W_x, 0)
        b_r, b_z, b_n = self.b[: 3 * H].reshape(3, H)
        seen = _masked(h, own["state"])
        if self.reset_after:
            (h_r, h_z, h_n), kept_h = self.products(seen, self.W_h, 1)
            u = h_n + self.b[3 * H :]
        else:
            (h_r, h_z, _), kept_h = self.products(seen, self.W_h, 1)
        a_r, a_z = x_r + h_r + b_r, x_z + h_z + b_z
        r, z = _sigmoid(self.bounded(a_r)), _sigmoid(self.bounded(a_z))
        if not self.reset_after:
            (_, _, u), kept_n = self.products(r * seen, self.W_h, 1)
            kept_h = None if kept_h is None else [*kept_h[:2], kept_n[2]]
        a_n = x_n + b_n + (r * u if self.reset_after else u)
        n = np.tanh(self.bounded(a_n))
        value = (1 - z) * self.keep(n, own["candidate"]) + z * h
        return (self.zoned(h, value, own["zone_h"]), None), (kept_x, kept_h, a_r, a_z, a_n, r, z, n, u)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        kept_x, kept_h, a_r, a_z, a_n, r, z, n, u = kept
        passed, d = self.unzoned(dh, own["zone_h"])
        seen = _masked(h, own["state"])
        da_n = self.keep(d * (1 - z), own["candidate"]) * (1 - n**2) * self.inside(a_n)
        da_z = d * (h - self.keep(n, own["candidate"])) * z * (1 - z) * self.inside(a_z)
        if self.reset_after:
            da_r = da_n * u * r * (1 - r) * self.inside(a_r)
            du = da_n * r
            dm, by_h = self.products_backward([da_r, da_z, du], seen, self.W_h, 1, kept_h, [0, 1, 2])
            db = np.concatenate([one.sum(0) for one in (da_r, da_z, da_n, du)])
        else:
            drh, by_n = self.products_backward([da_n], r * seen, self.W_h, 1, kept_h, [2])
            da_r = drh * seen * r * (1 - r) * self.inside(a_r)
            dm, by_h = self.products_backward([da_r, da_z], seen, self.W_h, 1, kept_h, [0, 1])
            dm, by_h = dm + drh * r, _merge(by_h, by_n)
            db = np.concatenate([one.sum(0) for one in (da_r, da_z, da_n)])
        dx, by_x = self.products_backward([da_r, da_z, da_n], x, self.W_x, 0, kept_x, [0, 1, 2])
        return dx, passed + d * z + _masked(dm, own["state"]), None, _merge(by_x, by_h, {"b": db})
