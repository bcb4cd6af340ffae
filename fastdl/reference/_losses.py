"""Losses as the equations stand (docs/dense.md 6.2, 6.3, 6.8 and on): terms, derivatives, and what all share."""

import math

import numpy as np

from ._loss_value import LossValue


def reduced(terms, slopes, dtype, reduction, weights=None, lengths=None):
    """The loss, and its gradient, of terms and their derivatives by what a model gave (a tuple of them for several).

    What has weight 0, or stands past the end of its sequence, is not read. Derivatives may have more axes than terms.
    """
    several = slopes if isinstance(slopes, tuple) else (slopes,)
    count = terms.size
    if weights is not None or lengths is not None:
        factors, count = weighed(terms.shape, dtype, weights, lengths)
        terms, *several = (_times(one, factors) for one in (terms, *several))
    scale = 1.0 / count if reduction == "mean" and count else 1.0
    gradients = tuple((one * scale).astype(dtype) for one in several)
    gradient = gradients if isinstance(slopes, tuple) else gradients[0]
    if reduction == "none":
        return terms.astype(dtype), gradient
    total = float(np.sum(terms, dtype=np.float64))
    if reduction == "mean":
        total = total / count if count else math.nan
    return LossValue(total, count, reduction), gradient


def weighed(shape, dtype, weights, lengths):
    """The weight of each term, 0 past the end of its sequence, and what the terms count together."""
    factors = np.ones(shape, dtype) if weights is None else np.broadcast_to(weights, shape).astype(dtype)
    if lengths is not None:
        real = np.arange(shape[0])[:, None] < np.asarray(lengths)
        factors = np.where(real.reshape(real.shape + (1,) * (len(shape) - 2)), factors, np.zeros((), dtype))
    total = np.sum(factors, dtype=np.float64)
    return factors, int(total) if weights is None or np.asarray(weights).dtype == bool else float(total)


def _times(array, factors):
    factors = factors.reshape(factors.shape + (1,) * (array.ndim - factors.ndim))
    return np.where(factors > 0, factors * array, np.zeros((), array.dtype))


# ---- errors -----------------------------------------------------------------------------------------------------


def mse_loss(prediction, target, reduction="mean", *, weights=None, lengths=None):
    d = prediction - target
    return reduced(d.astype(np.float64) ** 2, 2 * d, d.dtype, reduction, weights, lengths)


def l1_loss(prediction, target, reduction="mean", *, weights=None, lengths=None):
    d = prediction - target
    return reduced(np.abs(d), np.sign(d), d.dtype, reduction, weights, lengths)


def smooth_l1_loss(prediction, target, reduction="mean", *, beta=1.0, weights=None, lengths=None):
    d = prediction - target
    near, b, wide = np.abs(d) < d.dtype.type(beta), d.dtype.type(beta), np.abs(d.astype(np.float64))
    with np.errstate(all="ignore"):  # what is not taken may be divided by 0
        terms = np.where(near, wide * wide / (2 * float(b)), wide - float(b) / 2)
        slopes = np.where(near, d / b, np.sign(d))
    return reduced(terms, slopes, d.dtype, reduction, weights, lengths)


def huber_loss(prediction, target, reduction="mean", *, delta=1.0, weights=None, lengths=None):
    d = prediction - target
    most, wide = d.dtype.type(delta), np.abs(d.astype(np.float64))
    terms = np.where(wide <= float(most), wide * wide / 2, float(most) * (wide - float(most) / 2))
    return reduced(terms, np.clip(d, -most, most), d.dtype, reduction, weights, lengths)


def quantile_loss(prediction, target, reduction="mean", *, quantiles=0.5, weights=None, lengths=None):
    levels = np.asarray(quantiles, prediction.dtype)
    d = prediction - (target[..., None] if levels.ndim else target)
    under, over = levels, 1 - levels
    terms = np.where(d < 0, under * -d, over * d)
    return reduced(terms, np.where(d < 0, -under, np.where(d > 0, over, d)), d.dtype, reduction, weights, lengths)


def binary_cross_entropy_with_logits(logits, target, reduction="mean", *, pos_weight=None, weights=None, lengths=None):
    z, y = logits.astype(np.float64), target.astype(np.float64)
    rare = 1.0 if pos_weight is None else np.asarray(pos_weight, logits.dtype).astype(np.float64)
    near = np.log1p(np.exp(-np.abs(z)))
    terms = y * rare * (near + np.maximum(-z, 0)) + (1 - y) * (near + np.maximum(z, 0))
    return reduced(terms, (1 - y) * _sigmoid(z) - y * rare * _sigmoid(-z), logits.dtype, reduction, weights, lengths)


def _sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


# ---- likelihoods ------------------------------------------------------------------------------------------------


def poisson_nll_loss(
    prediction, target, reduction="mean", *, log_input=True, full=False, eps=1e-8, weights=None, lengths=None
):
    z, y = prediction.astype(np.float64), target.astype(np.float64)
    if log_input:
        terms, slopes = np.exp(z) - y * z, np.exp(z) - y
    else:
        terms, slopes = z - y * np.log(z + eps), 1 - y / (z + eps)
    if full:  # log y! as Stirling has it
        wide = np.maximum(y, 1)
        terms = terms + np.where(y > 1, y * np.log(wide) - y + 0.5 * np.log(2 * math.pi * wide), 0.0)
    return reduced(terms, slopes, prediction.dtype, reduction, weights, lengths)


def gaussian_nll_loss(prediction, target, reduction="mean", *, full=False, eps=1e-6, weights=None, lengths=None):
    mean, var = (one.astype(np.float64) for one in prediction)
    var = np.maximum(var, eps)
    d = mean - target
    terms = 0.5 * (np.log(var) + d * d / var) + (0.5 * math.log(2 * math.pi) if full else 0.0)
    slopes = d / var, 0.5 * (1 / var - (d / var) ** 2)
    return reduced(terms, slopes, prediction[0].dtype, reduction, weights, lengths)


def kl_div(prediction, target, reduction="mean", *, log_target=False, weights=None, lengths=None):
    q, p = prediction.astype(np.float64), target.astype(np.float64)
    log_p = p if log_target else np.log(np.where(p > 0, p, 1.0))
    p = np.exp(p) if log_target else p
    terms = np.where(p == 0, 0.0, p * (log_p - q)).sum(-1)
    return reduced(terms, -p, prediction.dtype, reduction, weights, lengths)


# ---- vectors and signals ----------------------------------------------------------------------------------------


def cosine_embedding_loss(prediction, target=None, reduction="mean", *, margin=0.0, weights=None, lengths=None):
    u, v = (one.astype(np.float64) for one in prediction)
    uu, vv = ((one * one).sum(-1, keepdims=True) + 1e-12 for one in (u, v))
    both = np.sqrt(uu * vv)
    cosine = (u * v).sum(-1, keepdims=True) / both
    alike = True if target is None else (np.asarray(target) == 1)[..., None]
    terms = np.where(alike, 1 - cosine, np.maximum(cosine - margin, 0.0))
    sign = np.where(alike, -1.0, np.where(cosine > margin, 1.0, 0.0))
    slopes = sign * (v / both - cosine * u / uu), sign * (u / both - cosine * v / vv)
    return reduced(terms[..., 0], slopes, prediction[0].dtype, reduction, weights, lengths)


def error_to_signal_ratio(
    prediction, target, reduction="mean", *, pre_emphasis=0.85, dc=0.0, eps=1e-5, weights=None, lengths=None
):
    y, error = target.astype(np.float64), prediction.astype(np.float64) - target
    ends = np.full(y.shape[1:2], len(y)) if lengths is None else np.asarray(lengths)
    ends = ends.reshape(ends.shape + (1,) * (y.ndim - 2))
    real = np.arange(len(y)).reshape(-1, *[1] * (y.ndim - 1)) < ends
    size = np.maximum(ends, 1)
    y, error = np.where(real, y, 0.0), np.where(real, error, 0.0)
    high = np.where(real, _emphasised(error, pre_emphasis), 0.0)
    energy = (_emphasised(y, pre_emphasis) ** 2 * real).sum(0) / size + eps
    power, mean = (y * y).sum(0) / size + eps, error.sum(0) / size
    terms = (high * high).sum(0) / size / energy + dc * mean * mean / power
    slopes = 2 * high / (size * energy)
    slopes[:-1] -= pre_emphasis * slopes[1:].copy()
    slopes = np.where(real, slopes + 2 * dc * mean / (size * power), 0.0)
    counts = np.broadcast_to(ends > 0, terms.shape)
    weights = counts if weights is None else counts * np.asarray(weights)
    loss, gradient = reduced(terms, np.moveaxis(slopes, 0, -1), prediction.dtype, reduction, weights)
    return loss, np.ascontiguousarray(np.moveaxis(gradient, -1, 0))


def _emphasised(x, coefficient):
    """x[t] - coefficient x[t - 1]"""
    high = x.copy()
    high[1:] -= coefficient * x[:-1]
    return high
