"""Sampled softmax: a target against some classes that are drawn by rank (docs/dense.md 6.25)."""

import math
from typing import Any

import numpy as np

from .. import dense
from ..random import Generator
from ._layers import Linear
from ._pull import Computed, Part

_NEVER = -1e30  # the logit of a class that was drawn and is the target: as good as minus infinity


def draw_classes(rng: Generator, count: int, classes: int) -> tuple[np.ndarray, float]:
    """So many different classes by the log-uniform distribution, and how many draws there were until then."""
    if count == classes:
        return np.arange(classes), math.inf
    drawn = np.empty(0, np.int64)
    while True:
        u = rng.uniform(size=max(1024, 2 * count), dtype=np.float64)
        more = np.exp(u * math.log(classes + 1)).astype(np.int64) - 1
        drawn = np.append(drawn, np.minimum(more, classes - 1))
        first = np.sort(np.unique(drawn, return_index=True)[1])
        if first.size >= count:
            return drawn[first[:count]], float(first[count - 1] + 1)


def log_expected(index: np.ndarray, tries: float, classes: int) -> np.ndarray:
    """log(1 - (1 - p)^tries), p = log((k + 2) / (k + 1)) / log(C + 1): of how often a class is among those drawn."""
    if tries == math.inf:
        return np.zeros(index.shape)
    chance = np.log1p(1 / (index + 1.0)) / math.log(classes + 1)
    expected: np.ndarray = np.log(-np.expm1(tries * np.log1p(-chance)))
    return expected


def sampled_loss(
    linear: Linear,
    operands: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    wanted: tuple[np.ndarray, np.ndarray, float],
    sample: tuple[np.ndarray, float],
) -> tuple[Any, Computed]:
    """Softmax cross-entropy over the target and the sample, each logit less the logarithm of how often it is there."""
    x, W, b = operands
    targets, each, total = wanted
    drawn, tries = sample
    inputs, classes = W.shape
    real = np.flatnonzero(each.reshape(-1))
    rows, y = x.reshape(-1, inputs)[real], targets.reshape(-1)[real]
    weights = each.reshape(-1)[real] / (total or 1)
    own, among = W.T[y], np.ascontiguousarray(W[:, drawn])
    shift, target = -log_expected(drawn, tries, classes), np.einsum("ni,ni->n", rows, own)
    target = target - log_expected(y, tries, classes)
    if b is not None:
        shift, target = shift + b[drawn], target + b[y]
    others = dense.linear_forward(rows, among, shift.astype(x.dtype))
    others[y[:, None] == drawn] = _NEVER
    logits = np.concatenate([target[:, None].astype(x.dtype), others], 1)
    loss, dz = dense.softmax_cross_entropy(logits, np.zeros(len(y), np.int64), reduction="sum", weights=weights)
    ours = dz[:, :1]
    dsome, damong, dshift = dense.linear_backward(np.ascontiguousarray(dz[:, 1:]), rows, among)
    dx = np.zeros_like(x)
    dx.reshape(-1, inputs)[real] = dsome + ours * own
    some, place = np.unique(np.concatenate([drawn, y]), return_inverse=True)
    gradient = np.zeros((some.size, inputs), x.dtype)
    gradient[place[: drawn.size]] = damong.T
    dense.embedding_backward(ours * rows, place[drawn.size :], gradient, gradient, True)
    parts = [Part(linear.weight, gradient, some, not linear.tied)]
    if b is not None:
        slopes = np.bincount(place, np.concatenate([dshift, dz[:, 0]]), some.size).astype(x.dtype)
        parts.append(Part(linear.bias, slopes, some))
    value = float(loss) if total else math.nan
    return dense.LossValue(value, total), Computed(dx, parts)
