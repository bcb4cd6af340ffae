"""One step of each recurrent cell, forward and backward, as the equations stand (docs/recurrent.md)."""

import numpy as np


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


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


class RNN(_Cell):
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


class IndRNN(RNN):
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


class MinGRU(_Minimal):
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


class MinLSTM(_Minimal):
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


class LSTM(_Cell):
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


class sLSTM(_Cell):
    """c has c, n and m side by side; W_h may be several matrices, one for each head."""

    def heads(self):
        return self.W_h if self.W_h.ndim == 3 else self.W_h[None]

    def by_heads(self, v, parts):
        """(B, ...) of all units as (B, heads, ...), the units of one head in the last axis."""
        return v.reshape(len(v), len(self.heads()), parts)

    def step(self, x, h, c, own):
        W, D = self.heads(), self.heads().shape[1]
        of_h = np.einsum("bjd,jdk->bjk", self.by_heads(_masked(h, own["state"]), D), W)
        of_h = of_h.reshape(len(h), len(W), 4, D).swapaxes(1, 2).reshape(len(h), 4 * self.hidden)
        a_i, a_f, a_z, a_o = np.split(x @ self.W_x + of_h + self.b, 4, axis=1)
        old_c, old_n, old_m = np.split(c, 3, axis=1)
        seen = (a_f if self.exponential else -np.logaddexp(0, -a_f)) + old_m
        m = np.where(old_n > 0, np.maximum(seen, a_i), a_i)
        i, f = np.exp(a_i - m), np.where(old_n > 0, np.exp(np.minimum(seen - m, 0)), 0)
        z, o = np.tanh(a_z), _sigmoid(a_o)
        new_c, new_n = f * old_c + i * self.keep(z, own["candidate"]), f * old_n + i
        y = new_c / new_n
        h = self.zoned(h, o * y, own["zone_h"])
        return (h, np.concatenate([new_c, new_n, m], axis=1)), (a_f, i, f, z, o, new_n, y)

    def step_backward(self, dh, dc, x, h, c, own, kept):
        a_f, i, f, z, o, n, y = kept
        W, D, seen = self.heads(), self.heads().shape[1], _masked(h, own["state"])
        old_c, old_n, _ = np.split(c, 3, axis=1)
        passed, d = self.unzoned(dh, own["zone_h"])
        dc, dn, _ = np.split(dc, 3, axis=1)
        dc, dn = dc + d * o / n, dn - d * o * y / n
        da_i = (dc * self.keep(z, own["candidate"]) + dn) * i
        da_f = (dc * old_c + dn * old_n) * f * (1 if self.exponential else _sigmoid(-a_f))
        da_z = self.keep(dc * i, own["candidate"]) * (1 - z**2)
        da = [da_i, da_f, da_z, d * y * o * (1 - o)]
        dx, by_x = self.products_backward(da, x, self.W_x, 0, None, range(4))
        apart = np.concatenate([self.by_heads(one, D) for one in da], axis=2)
        dW_h = np.einsum("bjd,bjk->jdk", self.by_heads(seen, D), apart).reshape(self.W_h.shape)
        dm = np.einsum("bjk,jdk->bjd", apart, W).reshape(h.shape)
        db = np.concatenate([one.sum(0) for one in da])
        dc = np.concatenate([dc * f, dn * f, np.zeros_like(dc)], axis=1)
        return dx, passed + _masked(dm, own["state"]), dc, _merge(by_x, {"W_h": dW_h, "b": db})


class GRU(_Cell):
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
