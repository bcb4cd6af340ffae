"""Convolution and pooling over time as the equations stand (docs/sequence.md 6.22, 6.23)."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True, eq=False, repr=False)
class PoolTape:
    """What the backward of a pool needs of its forward.

    Attributes
    ----------
    steps : int
        Of x.
    shape : tuple of int
        Of y.
    dtype : numpy.dtype
    geometry : tuple
        kernel_size, stride, padding, dilation, and whether padding counts in a mean.
    lengths : tuple of two ndarrays (B,), or None
        Of x and of y.
    best : ndarray of int32, of the shape of y, or None
        Which of its window is the largest, -1 for none; None of a mean.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.max_pool1d_forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1), 2)
    >>> tape.best.ravel()
    array([1, 0], dtype=int32)
    """

    steps: int
    shape: tuple[int, ...]
    dtype: Any
    geometry: tuple[Any, ...]
    lengths: Any
    best: Any


def _steps(before, size, stride, left, right, dilation, ceil=False):
    """Windows over so many steps."""
    if before == 0:
        return 0
    reach = before + left + right - dilation * (size - 1) - 1
    after = (reach + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (after - 1) * stride >= before + left:
        after -= 1
    return max(after, 0)


def _sides(padding, span):
    """Zeros before and after a sequence."""
    if padding == "causal":
        return span, 0
    return (span // 2, span - span // 2) if padding == "same" else (padding, padding)


def _sequences(x, lengths):
    """Each sequence (length, C) by itself."""
    return [x[: len(x) if lengths is None else lengths[b], b] for b in range(x.shape[1])]


def conv1d_forward(x, W, b=None, stride=1, padding=0, dilation=1, groups=1, lengths=None):
    K, wide, O = W.shape  # noqa: E741
    left, right = _sides(padding, dilation * (K - 1))
    y = np.zeros((_steps(len(x), K, stride, left, right, dilation), x.shape[1], O), x.dtype)
    for at, one in enumerate(_sequences(x, lengths)):
        padded = np.pad(one, ((left, right), (0, 0)))
        for t in range(_steps(len(one), K, stride, left, right, dilation)):
            window = padded[t * stride : t * stride + dilation * (K - 1) + 1 : dilation]
            for g in range(groups):
                own, into = slice(g * wide, (g + 1) * wide), slice(g * O // groups, (g + 1) * O // groups)
                y[t, at, into] = np.einsum("kc,kco->o", window[:, own], W[:, :, into])
            if b is not None:
                y[t, at] += b
    return y


def conv1d_backward(
    dy, x, W, out=None, accumulate=False, input_gradient=True, stride=1, padding=0, dilation=1, groups=1, lengths=None
):
    K, wide, O = W.shape  # noqa: E741
    left, right = _sides(padding, dilation * (K - 1))
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(O, W.dtype)
    for at, one in enumerate(_sequences(x, lengths)):
        padded = np.pad(one, ((left, right), (0, 0)))
        dpadded = np.zeros_like(padded)
        for t in range(_steps(len(one), K, stride, left, right, dilation)):
            span = slice(t * stride, t * stride + dilation * (K - 1) + 1, dilation)
            for g in range(groups):
                own, into = slice(g * wide, (g + 1) * wide), slice(g * O // groups, (g + 1) * O // groups)
                dW[:, :, into] += np.einsum("kc,o->kco", padded[span, own], dy[t, at, into])
                dpadded[span, own] += np.einsum("kco,o->kc", W[:, :, into], dy[t, at, into])
            db += dy[t, at]
        dx[: len(one), at] = dpadded[left : left + len(one)]
    if out is not None:
        for place, gradient in zip(out, (dW, db), strict=True):
            if place is not None:
                place[...] = place + gradient if accumulate else gradient
        dW, db = out
    return dx if input_gradient else None, dW, db


def max_pool1d_forward(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, lengths=None):
    return _pool(x, (kernel_size, stride, padding, dilation, True), ceil_mode, lengths, True)


def avg_pool1d_forward(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, lengths=None
):  # fmt: skip
    return _pool(x, (kernel_size, stride, padding, 1, count_include_pad), ceil_mode, lengths, False)


def _window(t, length, geometry):
    """Which of a window's steps lie within the sequence, and where."""
    size, stride, padding, dilation, _ = geometry
    at = t * stride - padding + np.arange(size) * dilation
    inside = (at >= 0) & (at < length)
    return np.flatnonzero(inside), at[inside]


def _divisor(t, length, geometry):
    size, stride, padding, _, include = geometry
    begin = t * stride - padding
    return min(begin + size, length + padding) - begin if include else max(len(_window(t, length, geometry)[0]), 1)


def _pool(x, geometry, ceil, lengths, largest):
    size, stride, padding, dilation, include = geometry
    geometry = size, size if stride is None else stride, padding, dilation, include
    sides = (size, geometry[1], padding, padding, dilation, ceil)
    y = np.zeros((_steps(len(x), *sides), *x.shape[1:]), x.dtype)
    best = np.full(y.shape, -1, np.int32) if largest else None
    after = []
    for b, one in enumerate(_sequences(x, lengths)):
        after.append(_steps(len(one), *sides))
        for t in range(after[-1]):
            which, at = _window(t, len(one), geometry)
            if not largest:
                y[t, b] = one[at].sum(0) / x.dtype.type(_divisor(t, len(one), geometry))
            elif len(at):
                found = np.where(np.isnan(one[at]).any(0), len(at) - 1 - np.isnan(one[at])[::-1].argmax(0), -1)
                found = np.where(found < 0, one[at].argmax(0), found)
                y[t, b], best[t, b] = np.take_along_axis(one[at], found[None], 0)[0], which[found]
    pair = None if lengths is None else (np.array(lengths, np.int64), np.array(after, np.int64))
    return y, PoolTape(len(x), y.shape, x.dtype, geometry, pair, best)


def max_pool1d_backward(dy, tape):
    return _spread(dy, tape)


def avg_pool1d_backward(dy, tape):
    return _spread(dy, tape)


def _spread(dy, tape):
    dx = np.zeros((tape.steps, *tape.shape[1:]), tape.dtype)
    for b in range(dy.shape[1]):
        length, after = (tape.steps, len(dy)) if tape.lengths is None else (one[b] for one in tape.lengths)
        for t in range(after):
            which, at = _window(t, length, tape.geometry)
            for k, place in zip(which, at, strict=True):
                if tape.best is None:
                    dx[place, b] += dy[t, b] / dy.dtype.type(_divisor(t, length, tape.geometry))
                else:
                    dx[place, b] += np.where(tape.best[t, b] == k, dy[t, b], 0)
    return dx
