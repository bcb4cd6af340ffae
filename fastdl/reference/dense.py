"""Dense layers and losses as the equations stand (docs/dense.md)."""

import numpy as np

from ._normalization import (  # noqa: F401
    BatchNormTape,
    LayerNormTape,
    batch_norm_backward,
    batch_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)


class LossValue(float):
    """A loss: a float that says how many targets it stands for (docs/dense.md).

    What the losses return (:func:`fastdl.softmax_cross_entropy`, :func:`fastdl.mse_loss`, :func:`fastdl.ctc_loss`),
    and what a loss of one's own may return, so that :mod:`fastdl.training` weighs batches by what counts in them.
    Sums and products with numbers, and with losses over as many targets, keep the count (a weight, a penalty that is
    added); all other arithmetic gives a plain float.

    Parameters
    ----------
    value : float
    count : int or float
        Targets that count; of a weighted mean, their total weight.
    reduction : {"mean", "sum"}, default "mean"
        Whether `value` is a mean or a sum over them.

    Attributes
    ----------
    count, reduction
        As given.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, gradient = fd.softmax_cross_entropy(np.zeros((3, 2)), np.array([0, 1, -1]), ignore_index=-1)
    >>> round(loss, 4), loss.count
    (0.6931, 2)
    >>> (0.5 * loss + 1).count
    2
    """

    __slots__ = ("count", "reduction")
    count: float
    reduction: str

    def __new__(cls, value, count, reduction="mean"):
        return counted(value, count, reduction, cls)

    def __reduce__(self):
        return type(self), (float(self), self.count, self.reduction)


def counted(value, count, reduction, kind=LossValue):
    """A LossValue, without the detour through its class."""
    loss = float.__new__(kind, value)
    loss.count, loss.reduction = count, reduction
    return loss


def _keeping(name):
    """A float's operator whose result stands for the same targets, where the other operand has none of its own."""
    plain = getattr(float, name)

    def operate(self, *others):
        result = plain(self, *others)
        for one in others:
            if result is NotImplemented or (
                isinstance(one, LossValue) and (one.count, one.reduction) != (self.count, self.reduction)
            ):
                return result
        return counted(result, self.count, self.reduction)

    return operate


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "neg", "pos"):
    setattr(LossValue, f"__{_name}__", _keeping(f"__{_name}__"))


def linear_forward(x, W, b=None):
    return x @ W if b is None else x @ W + b


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


def sigmoid(x):
    e = np.exp(-np.abs(x.astype(np.float64)))
    return np.where(x >= 0, 1 / (1 + e), np.where(x < 0, e / (1 + e), x)).astype(x.dtype)


def sigmoid_backward(dy, y):
    return dy * (y * (1 - y))


def tanh(x):
    return np.tanh(x)


def tanh_backward(dy, y):
    return dy * (1 - y * y)


def relu(x):
    return np.maximum(x, 0)


def relu_backward(dy, y):
    return np.where(y > 0, dy, np.zeros((), dy.dtype))


def softmax_cross_entropy(logits, targets, ignore_index=None, label_smoothing=0.0, reduction="mean", lengths=None):
    z = logits.astype(np.float64)
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    counted = np.ones(targets.shape, bool) if ignore_index is None else targets != ignore_index
    if lengths is not None:
        counted = counted & (np.arange(len(targets))[:, None] < lengths)
    wanted = np.eye(z.shape[-1])[np.where(counted, targets, 0)]
    wanted = (1 - label_smoothing) * wanted + label_smoothing / z.shape[-1]
    losses = np.where(counted, -(wanted * log_p).sum(-1), 0.0)
    gradient = np.where(counted[..., None], np.exp(log_p) - wanted, 0.0)
    if reduction == "none":
        return losses, gradient.astype(logits.dtype)
    count = counted.sum()
    scale = 1.0 / max(count, 1) if reduction == "mean" else 1.0
    loss = losses.sum() * scale if count or reduction == "sum" else np.nan
    return LossValue(loss, int(count), reduction), (gradient * scale).astype(logits.dtype)


def mse_loss(prediction, target, reduction="mean"):
    difference = prediction - target
    if reduction == "none":
        return difference**2, 2 * difference
    scale = 1.0 / max(difference.size, 1) if reduction == "mean" else 1.0
    loss = float(np.sum(difference.astype(np.float64) ** 2)) * scale
    loss = loss if difference.size or reduction == "sum" else np.nan
    return LossValue(loss, difference.size, reduction), difference * (2 * scale)
