"""Layer and batch normalisation as the equations stand (docs/dense.md 6.20, 6.21)."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True, eq=False, repr=False)
class LayerNormTape:
    """What :func:`fastdl.layer_norm_backward` needs of the forward: its arrays themselves, and two numbers a row.

    Attributes
    ----------
    x : ndarray
    weight, bias : ndarray or None
    mean, rstd : ndarray
        Of each row, in the type of x: its mean, and 1 / sqrt(variance + eps).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.layer_norm_forward(np.array([[1.0, 3.0], [0.0, 4.0]]), eps=0.0)
    >>> tape.mean, tape.rstd
    (array([2., 2.]), array([1. , 0.5]))
    """

    x: Any
    weight: Any
    bias: Any
    mean: Any
    rstd: Any


@dataclass(slots=True, eq=False, repr=False)
class BatchNormTape:
    """What :func:`fastdl.batch_norm_backward` needs of the forward: its arrays themselves, and two numbers a feature.

    Attributes
    ----------
    x : ndarray
    weight, bias : ndarray or None
    mean, rstd : ndarray (C,)
        Over the rows that count: the mean, and 1 / sqrt(variance + eps).
    real : ndarray of bool (T, B), or None
        Which rows count, where `lengths` was given.
    count : int
        How many do.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.batch_norm_forward(np.array([[1.0], [3.0]]), eps=0.0)
    >>> tape.mean, tape.rstd, tape.count
    (array([2.]), array([1.]), 2)
    """

    x: Any
    weight: Any
    bias: Any
    mean: Any
    rstd: Any
    real: Any
    count: int


def layer_norm_forward(x, weight=None, bias=None, eps=1e-5):
    like = bias if weight is None else weight
    axes = tuple(range(-1 if like is None else -like.ndim, 0))
    mean = x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + x.dtype.type(eps))
    y = (x - mean) * rstd
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y, LayerNormTape(x, weight, bias, mean.squeeze(axes), rstd.squeeze(axes))


def layer_norm_backward(dy, tape, out=None, accumulate=False, input_gradient=True):
    x, weight, bias, mean, rstd = tape.x, tape.weight, tape.bias, tape.mean, tape.rstd
    rows, wide = mean.size, x.shape[mean.ndim :]
    v, d = x.reshape(rows, *wide), dy.reshape(rows, *wide)
    each = (rows, *[1] * len(wide))
    mean, rstd = mean.reshape(each), rstd.reshape(each)
    v, axes = (v - mean) * rstd, tuple(range(1, v.ndim))
    gradients = None if weight is None else (d * v).sum(0), None if bias is None else d.sum(0)
    dx = None
    if input_gradient:
        d = d if weight is None else d * weight
        dx = rstd * (d - d.mean(axes, keepdims=True) - v * (d * v).mean(axes, keepdims=True))
        dx = dx.reshape(x.shape)
    return dx, *_written(gradients, out, accumulate)


def batch_norm_forward(
    x, weight=None, bias=None, running_mean=None, running_var=None, training=True, momentum=0.1, eps=1e-5, lengths=None
):
    real = None if lengths is None else np.arange(len(x))[:, None] < lengths
    rows = x.reshape(-1, x.shape[-1]) if real is None else x[real]
    count = len(rows)
    if not training:
        mean, variance = running_mean, running_var
    elif count == 0:
        mean, variance = np.zeros(x.shape[-1], x.dtype), np.ones(x.shape[-1], x.dtype)
    else:
        mean = rows.mean(0)
        variance = ((rows - mean) ** 2).mean(0)
        if running_mean is not None:
            running_mean[...] = (1 - momentum) * running_mean + momentum * mean
            running_var[...] = (1 - momentum) * running_var + momentum * (variance * (count / (count - 1)))
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
    y = (x - mean) * (rstd if weight is None else rstd * weight)
    if bias is not None:
        y = y + bias
    if real is not None:
        y = np.where(real[..., None], y, np.zeros((), x.dtype))
    return y, BatchNormTape(x, weight, bias, mean, rstd, real, count) if training else None


def batch_norm_backward(dy, tape, out=None, accumulate=False, input_gradient=True):
    x, weight, bias, mean, rstd = tape.x, tape.weight, tape.bias, tape.mean, tape.rstd
    chosen = np.ones(x.shape[:-1], bool) if tape.real is None else tape.real
    v, d = (x[chosen] - mean) * rstd, dy[chosen]
    gradients = None if weight is None else (d * v).sum(0), None if bias is None else d.sum(0)
    dx = None
    if input_gradient:
        dx = np.zeros_like(x)
        if tape.count:
            dx[chosen] = (rstd if weight is None else rstd * weight) * (d - d.mean(0) - v * (d * v).mean(0))
    return dx, *_written(gradients, out, accumulate)


def _written(gradients, out, accumulate):
    """The gradients, in the places given for them."""
    if out is None:
        return gradients
    for place, gradient in zip(out, gradients, strict=True):
        if place is not None:
            place[...] = place + gradient if accumulate else gradient
    return tuple(out)
