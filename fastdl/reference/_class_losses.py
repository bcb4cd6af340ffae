"""Losses of classes as the equations stand (docs/dense.md 6.2, 6.10)."""

import numpy as np

from ._loss_value import LossValue
from ._losses import reduced


def softmax_cross_entropy(
    logits, targets, ignore_index=None, label_smoothing=0.0, reduction="mean", lengths=None, *, class_weights=None,
    weights=None,
):  # fmt: skip
    classes = logits.shape[-1]
    real = real_targets(logits, targets, ignore_index, lengths)
    each = np.ones(classes) if class_weights is None else np.asarray(class_weights, np.float64)
    if targets.dtype.kind == "f":
        wanted, counts = targets.astype(np.float64), None
    else:
        index = np.where(real, targets, 0)
        wanted, counts = np.eye(classes)[index], None if class_weights is None else each[index]
    wanted = ((1 - label_smoothing) * wanted + label_smoothing / classes) * each
    wanted = np.where(real[..., None], wanted, 0.0)
    z = logits.astype(np.float64)
    top = z.max(-1, keepdims=True)
    behind, log_sum = top - z, np.log(np.exp(z - top).sum(-1, keepdims=True))
    losses = np.where(wanted != 0, wanted * (log_sum + behind), 0.0 * log_sum).sum(-1)
    slopes = np.exp(-behind - log_sum) * wanted.sum(-1, keepdims=True) - wanted
    return of_classes(losses, slopes, counts, real, weights, logits.dtype, reduction)


def nll_loss(
    log_probabilities, targets, ignore_index=None, reduction="mean", *, class_weights=None, weights=None, lengths=None
):
    classes = log_probabilities.shape[-1]
    real = real_targets(log_probabilities, targets, ignore_index, lengths)
    index = np.where(real, targets, 0)
    each = np.ones(classes) if class_weights is None else np.asarray(class_weights, np.float64)
    losses = -np.take_along_axis(log_probabilities, index[..., None], -1)[..., 0].astype(np.float64) * each[index]
    slopes = -np.eye(classes)[index] * each[index][..., None]
    counts = None if class_weights is None else each[index]
    return of_classes(losses, slopes, counts, real, weights, log_probabilities.dtype, reduction)


def real_targets(logits, targets, ignore_index, lengths):
    """Which targets count: not those that are ignored, nor what stands past the end of a sequence."""
    real = np.ones(logits.shape[:-1], bool)
    if ignore_index is not None and targets.dtype.kind != "f":
        real &= targets != ignore_index
    if lengths is not None:
        real &= np.arange(len(real))[:, None] < np.asarray(lengths)
    return real


def of_classes(losses, slopes, counts, real, weights, dtype, reduction):
    """The loss of targets that each count as much as `counts` (None: 1), times the caller's weights."""
    factors = real if weights is None else real * np.broadcast_to(np.asarray(weights), real.shape)
    total = (factors * np.where(real, 1 if counts is None else counts, 0)).sum().item()
    if weights is not None and np.asarray(weights).dtype != bool:
        total = float(total)
    loss, gradient = reduced(losses, slopes, np.dtype(np.float64), "none", factors)
    if reduction == "none":
        return loss, gradient.astype(dtype)
    scale = 1.0 / total if reduction == "mean" and total else 1.0
    value = float(loss.sum()) * scale if total or reduction == "sum" else np.nan
    return LossValue(value, total, reduction), (gradient * scale).astype(dtype)


def linear_cross_entropy(
    x, W, b, targets, ignore_index=None, label_smoothing=0.0, reduction="mean", lengths=None, *, class_weights=None,
    weights=None, out=None, accumulate=False, input_gradient=True, gradients=True,
):  # fmt: skip
    logits = x @ W if b is None else x @ W + b
    loss, dlogits = softmax_cross_entropy(
        logits, targets, ignore_index, label_smoothing, reduction, lengths, class_weights=class_weights, weights=weights
    )
    if not gradients:
        return loss, None
    rows, drows = x.reshape(-1, W.shape[0]), dlogits.reshape(-1, W.shape[1])
    real = (drows != 0).any(-1)  # what stands in rows that do not count may be NaN
    found = rows[real].T @ drows[real], None if b is None else drows.sum(0)
    if out is not None:
        for place, gradient in zip(out, found, strict=True):
            if place is not None:
                place[...] = place + gradient if accumulate else gradient
        found = out
    return loss, (dlogits @ W.T if input_gradient else None, *found)
