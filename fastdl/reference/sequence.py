"""CTC and attention as the equations stand (docs/sequence.md)."""

import numpy as np

from ._convolution import (  # noqa: F401
    PoolTape,
    avg_pool1d_backward,
    avg_pool1d_forward,
    conv1d_backward,
    conv1d_forward,
    max_pool1d_backward,
    max_pool1d_forward,
)
from .dense import LossValue


def _softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _log_sum(values):
    values = [value for value in values if value != -np.inf]
    return max(values) + np.log(sum(np.exp(value - max(values)) for value in values)) if values else -np.inf


def ctc_loss(logits, targets, input_lengths=None, target_lengths=None, blank=0, reduction="mean", zero_infinity=False):
    T, B, _ = logits.shape
    input_lengths = np.full(B, T) if input_lengths is None else input_lengths
    target_lengths = np.full(B, targets.shape[1]) if target_lengths is None else target_lengths
    losses, gradient = np.zeros(B), np.zeros(logits.shape)
    for b in range(B):
        z, labels = logits[: input_lengths[b], b].astype(np.float64), targets[b, : target_lengths[b]]
        losses[b], gradient[: len(z), b] = _ctc(z, labels, blank)
        if zero_infinity and np.isinf(losses[b]):
            losses[b], gradient[:, b] = 0, 0
    if reduction == "none":
        return losses, gradient.astype(logits.dtype)
    scale = 1 / (np.maximum(target_lengths, 1) * max(B, 1)) if reduction == "mean" else np.ones(B)
    loss = float((losses * scale).sum()) if B or reduction == "sum" else np.nan
    return LossValue(loss, B, reduction), (gradient * scale[:, None]).astype(logits.dtype)


def _ctc(z, labels, blank):
    """-log P(labels) and its gradient for one sequence, logits (T, C)."""
    T, L = len(z), 2 * len(labels) + 1
    if T == 0:
        return (np.inf if len(labels) else 0.0), z
    states = np.full(L, blank)
    states[1::2] = labels
    with np.errstate(divide="ignore", invalid="ignore"):
        p = _softmax(z)
        log_p = np.log(p)

    def jumps(s):  # may a path come to s from s - 2?
        return s >= 2 and states[s] != blank and states[s] != states[s - 2]

    alpha, beta = np.full((T, L), -np.inf), np.full((T, L), -np.inf)
    alpha[0, :2] = log_p[0, states[:2]]
    for t in range(1, T):
        for s in range(L):
            origins = [s, s - 1, s - 2] if jumps(s) else [s, s - 1]
            alpha[t, s] = _log_sum([alpha[t - 1, r] for r in origins if r >= 0]) + log_p[t, states[s]]
    beta[-1, -2:] = 0
    for t in reversed(range(T - 1)):
        for s in range(L):
            following = [s, s + 1, s + 2] if s + 2 < L and jumps(s + 2) else [s, s + 1]
            beta[t, s] = _log_sum([beta[t + 1, r] + log_p[t + 1, states[r]] for r in following if r < L])
    total = _log_sum(list(alpha[-1, -2:]))
    if total == -np.inf:
        return np.inf, np.full_like(z, np.nan)
    gradient = p.copy()
    for s in range(L):
        gradient[:, states[s]] -= np.exp(alpha[:, s] + beta[:, s] - total)
    return -total, gradient


def dot_attention_forward(query, keys, values, lengths=None, scaled=False):
    keys, values = _real(keys, lengths), _real(values, lengths)
    scores = np.einsum("tbh,sbh->tbs", query, keys)
    return _mean(scores / np.sqrt(query.shape[2]) if scaled else scores, values, lengths)


def dot_attention_backward(dcontext, weights, query, keys, values, lengths=None, scaled=False):
    keys, values = _real(keys, lengths), _real(values, lengths)
    dscores, dvalues = _mean_backward(dcontext, weights, values)
    if scaled:
        dscores = dscores / np.sqrt(query.shape[2])
    return _like(
        (query, keys, values),
        np.einsum("tbs,sbh->tbh", dscores, keys),
        np.einsum("tbs,tbh->sbh", dscores, query),
        dvalues,
    )


def additive_attention_forward(query, keys, values, v, lengths=None):
    keys, values = _real(keys, lengths), _real(values, lengths)
    return _mean(np.tanh(query[:, None] + keys[None]).swapaxes(1, 2) @ v, values, lengths)


def additive_attention_backward(dcontext, weights, query, keys, values, v, lengths=None):
    keys, values = _real(keys, lengths), _real(values, lengths)
    dscores, dvalues = _mean_backward(dcontext, weights, values)
    y = np.tanh(query[:, None] + keys[None])  # (T, S, B, A)
    d = dscores.swapaxes(1, 2)[..., None]
    dsums = d * v * (1 - y**2)
    return _like((query, keys, values, v), dsums.sum(1), dsums.sum(0), dvalues, (d * y).sum((0, 1, 2)))


def _real(source, lengths):
    """What lies past the lengths is not read: zeros in its place."""
    return source if lengths is None else np.where((np.arange(len(source))[:, None] < lengths)[..., None], source, 0)


def _mean(scores, values, lengths):
    """Softmax over the source up to its length, and the values' mean under it."""
    S, B, _ = values.shape
    lengths = np.full(B, S) if lengths is None else lengths
    weights = np.zeros_like(scores)
    for b, length in enumerate(lengths):
        if length:
            weights[:, b, :length] = _softmax(scores[:, b, :length])
    return _like((values, values), np.einsum("tbs,sbv->tbv", weights, values), weights)


def _mean_backward(dcontext, weights, values):
    dweights = np.einsum("tbv,sbv->tbs", dcontext, values)
    dscores = weights * (dweights - (weights * dweights).sum(-1, keepdims=True))
    return dscores, np.einsum("tbs,tbv->sbv", weights, dcontext)


def _like(inputs, *gradients):
    return tuple(gradient.astype(one.dtype, order="C") for one, gradient in zip(inputs, gradients, strict=True))
