"""Dense layers and losses as the equations stand (docs/dense.md): linear maps and tables here."""

import numpy as np

from ._activations import *
from ._class_losses import *
from ._loss_value import LossValue as LossValue
from ._loss_value import counted as counted
from ._losses import *
from ._normalization import (  # noqa: F401
    BatchNormTape,
    LayerNormTape,
    batch_norm_backward,
    batch_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)


def linear_forward(x, W, b=None, out=None):
    y = x @ W if b is None else x @ W + b
    if out is None:
        return y
    out[...] = y
    return out


def linear_backward(dy, x, W, out=None, accumulate=False, input_gradient=True):
    rows, drows = x.reshape(-1, W.shape[0]), dy.reshape(-1, W.shape[1])
    dW, db = rows.T @ drows, drows.sum(0)
    if out is not None:
        for place, gradient in zip(out, (dW, db), strict=True):
            if place is not None:
                place[...] = place + gradient if accumulate else gradient
        dW, db = out
    return dy @ W.T if input_gradient else None, dW, db


def embedding_forward(index, W):
    return W[index]


def embedding_backward(dy, index, W, out=None, accumulate=False):
    dW = np.zeros_like(W) if out is None else out
    if not accumulate:
        dW[...] = 0
    np.add.at(dW, index, dy)
    return dW
