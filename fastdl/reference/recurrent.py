"""Recurrent layers as the equations stand (docs/recurrent.md)."""

import numpy as np


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def lstm_forward(x, h0, c0, W_x, W_h, b, training=True):
    h, c, steps = [h0], [c0], []
    for x_t in x:
        i, f, g, o = np.split(x_t @ W_x + h[-1] @ W_h + b, 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        c.append(f * c[-1] + i * g)
        h.append(o * np.tanh(c[-1]))
        steps.append((i, f, g, o))
    shape = (len(x), *h0.shape)
    tape = (x, W_x, W_h, h, c, steps) if training else None
    return np.array(h[1:], x.dtype).reshape(shape), np.array(c[1:], x.dtype).reshape(shape), tape


def lstm_backward(dh, dc, tape, out=None, accumulate=False, input_gradient=True):
    x, W_x, W_h, h, c, steps = tape
    dx = np.zeros_like(x) if input_gradient else None
    dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(W_x.shape[1], x.dtype)
    dh_t, dc_t = np.zeros_like(h[0]), np.zeros_like(c[0])
    for t in reversed(range(len(x))):
        i, f, g, o = steps[t]
        dh_t = dh_t + dh[t]
        if dc is not None and (dc.ndim == 3 or t == len(x) - 1):
            dc_t = dc_t + (dc[t] if dc.ndim == 3 else dc)
        tanh_c = np.tanh(c[t + 1])
        dc_t = dc_t + dh_t * o * (1 - tanh_c**2)
        da = np.concatenate(
            [
                dc_t * g * i * (1 - i),
                dc_t * c[t] * f * (1 - f),
                dc_t * i * (1 - g**2),
                dh_t * tanh_c * o * (1 - o),
            ],
            axis=1,
        )
        if input_gradient:
            dx[t] = da @ W_x.T
        dW_x += x[t].T @ da
        dW_h += h[t].T @ da
        db += da.sum(0)
        dh_t, dc_t = da @ W_h.T, dc_t * f
    if out is not None:
        for place, gradient in zip(out, (dW_x, dW_h, db), strict=True):
            place[...] = place + gradient if accumulate else gradient
        dW_x, dW_h, db = out
    return dx, dh_t, dc_t, dW_x, dW_h, db
