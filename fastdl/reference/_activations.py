"""Activations as the equations stand (docs/dense.md 6.4, 6.7); a gradient takes x, or y where that is enough."""

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


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
    return np.where(y <= 0, np.zeros((), dy.dtype), dy)


def leaky_relu(x, negative_slope=0.01):
    return np.where(x > 0, x, x * x.dtype.type(negative_slope))


def leaky_relu_backward(dy, x, negative_slope=0.01):
    return np.where(x > 0, dy, dy * x.dtype.type(negative_slope))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0).astype(np.float64))).astype(x.dtype)


def elu_backward(dy, x, alpha=1.0):
    return np.where(x > 0, dy, dy * (alpha * np.exp(np.minimum(x, 0).astype(np.float64)))).astype(x.dtype)


def hardtanh(x, min_val=-1.0, max_val=1.0):
    return np.clip(x, x.dtype.type(min_val), x.dtype.type(max_val))


def hardtanh_backward(dy, y, min_val=-1.0, max_val=1.0):
    outside = (y <= y.dtype.type(min_val)) | (y >= y.dtype.type(max_val))
    return np.where(outside, np.zeros((), dy.dtype), dy)


def softplus(x, beta=1.0, threshold=20.0):
    z = beta * x.astype(np.float64)
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta).astype(x.dtype)


def softplus_backward(dy, x, beta=1.0, threshold=20.0):
    z = beta * x.astype(np.float64)
    return np.where(z > threshold, dy, dy * sigmoid(z)).astype(x.dtype)


def silu(x):
    z = x.astype(np.float64)
    return _limit(x, z * sigmoid(z))


def silu_backward(dy, x):
    z = np.clip(x.astype(np.float64), -750, 750)  # where the derivative is 0 or 1
    s = sigmoid(z)
    return (dy * (s + z * s * sigmoid(-z))).astype(x.dtype)


def gelu(x, approximate="none"):
    z = x.astype(np.float64)
    return _limit(x, z * (_phi(z) if approximate == "none" else sigmoid(_inner(z))))


def gelu_backward(dy, x, approximate="none"):
    z = np.clip(x.astype(np.float64), -40, 40)  # where the derivative is 0 or 1
    if approximate == "none":
        slope = _phi(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    else:
        s = sigmoid(_inner(z))
        slope = s + z * s * sigmoid(-_inner(z)) * math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * z * z)
    return (dy * slope).astype(x.dtype)


def _phi(z):
    """The normal distribution function."""
    return _erfc(-z / math.sqrt(2)) / 2


def _inner(z):
    z = np.clip(z, -40, 40)
    return math.sqrt(8 / math.pi) * (z + 0.044715 * z**3)


def _limit(x, y):
    """y, which is x times what falls to 0: so at minus infinity 0."""
    return np.where(np.isneginf(x), -0.0, y).astype(x.dtype)


def softmax(x, axis=-1):
    return np.exp(_log_softmax(x, axis)).astype(x.dtype)


def softmax_backward(dy, y, axis=-1):
    return y * (dy - (dy * y).sum(axis, keepdims=True))


def log_softmax(x, axis=-1):
    return _log_softmax(x, axis).astype(x.dtype)


def log_softmax_backward(dy, y, axis=-1):
    return dy - np.exp(y) * dy.sum(axis, keepdims=True)


def _log_softmax(x, axis):
    z = x.astype(np.float64)
    z = z - z.max(axis, keepdims=True, initial=-np.inf)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))
