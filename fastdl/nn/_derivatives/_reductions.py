"""Functions that sum, or choose, along axes."""

import numpy as np

from .._traced import TABLE, plain
from ._table import composed, constant, row


def _spread(dy, x, axis, keepdims):
    """dy at every element that it was made of."""
    return np.broadcast_to(_kept(dy, x, axis, keepdims), x.shape)


def _kept(dy, x, axis, keepdims):
    """dy, or y, with the axes that were reduced, at size 1."""
    if keepdims or axis is None or x.ndim == 0:
        return np.reshape(dy, (1,) * x.ndim) if not keepdims else dy
    return np.expand_dims(dy, axis)


def _count(x, y):
    return x.size / max(np.size(y), 1)


row(np.sum, lambda dy, y, a, axis=None, keepdims=False: _spread(dy, a, axis, keepdims))
row(np.mean, lambda dy, y, a, axis=None, keepdims=False: _spread(dy / a.dtype.type(_count(a, y)), a, axis, keepdims))


def _var(dy, y, a, axis=None, keepdims=False, ddof=0, correction=None):
    """2 (x - mean) / (n - ddof)."""
    off = a.dtype.type(_count(a, y) - (ddof if correction is None else correction))
    return _spread(dy, a, axis, keepdims) * (2 / off) * (a - a.mean(axis, keepdims=True))


def _std(dy, y, a, axis=None, keepdims=False, ddof=0, correction=None):
    return _var(dy / (2 * y), y, a, axis, keepdims, ddof, correction)


row(np.var, _var)
row(np.std, _std)


def _prod(dy, y, a, axis=None, keepdims=False):
    """The product of all the others, also where there are zeros."""
    zeros = a == 0
    if not zeros.any():
        return _spread(dy * y, a, axis, keepdims) / a
    count = zeros.sum(axis=axis, keepdims=True)
    others = np.prod(np.where(zeros, 1, a), axis=axis, keepdims=True)
    filled = np.where(zeros, 1, a)
    each = np.where(count == 0, others / filled, np.where((count == 1) & zeros, others, 0))
    return _spread(dy, a, axis, keepdims) * each


row(np.prod, _prod)


def _chosen(dy, y, a, axis=None, keepdims=False):
    """dy at the largest or smallest elements, shared where several are."""
    at = a == _kept(y, a, axis, keepdims)
    return _spread(dy, a, axis, keepdims) * at / at.sum(axis=axis, keepdims=True).astype(a.dtype)


for _best in (np.max, np.min):  # which np.amax and np.amin are
    row(_best, _chosen)
composed(np.amax, TABLE[np.max])
composed(np.amin, TABLE[np.min])
composed(
    np.ptp, lambda a, axis=None, keepdims=False: np.max(a, axis, keepdims=keepdims) - np.min(a, axis, keepdims=keepdims)
)


def _median(a, axis=None, keepdims=False):
    """The middle of the elements in order, or the mean of the two: read where they lie, so the gradient goes there."""
    if axis is None:
        a, axis, back = np.reshape(a, -1), 0, (1,) * a.ndim
    else:
        back = None
    size = a.shape[axis]
    order = np.argsort(plain(a), axis)
    middle = np.take(order, [(size - 1) // 2, size // 2], axis)
    found = np.mean(np.take_along_axis(a, middle, axis), axis, keepdims=keepdims and back is None)
    return np.reshape(found, back) if keepdims and back is not None else found


composed(np.median, _median)


def _cumsum(dy, y, a, axis=None):
    if axis is None:
        return np.cumsum(np.reshape(dy, -1)[::-1])[::-1].reshape(a.shape)
    return np.flip(np.cumsum(np.flip(dy, axis), axis), axis)


row(np.cumsum, _cumsum)


def _average(a, axis=None, weights=None, *, keepdims=False):
    """The mean, or the mean under weights along one axis."""
    if weights is None:
        return np.mean(a, axis, keepdims=keepdims)
    if np.ndim(weights) == 1 and axis is not None and np.ndim(a) > 1:
        weights = np.reshape(weights, [-1 if k == axis % np.ndim(a) else 1 for k in range(np.ndim(a))])
    total = np.sum(weights * np.ones(np.shape(a), np.result_type(plain(a))), axis, keepdims=keepdims)
    return np.sum(a * weights, axis, keepdims=keepdims) / total


composed(np.average, _average)


def _sorted(a, axis=-1):
    """The elements in order, each taken from where it lies."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return np.take_along_axis(a, np.argsort(plain(a), axis, kind="stable"), axis)


composed(np.sort, _sorted)

# ---- what the ufuncs' own methods do ------------------------------------------------------------------------
_REDUCED = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
for _ufunc, _whole in _REDUCED.items():
    TABLE[_ufunc, "reduce"] = lambda a, axis=0, _whole=_whole, **options: TABLE[_whole](a, axis=axis, **options)
TABLE[np.add, "accumulate"] = lambda a, axis=0: np.cumsum(a, axis)
for _ufunc in (np.multiply, np.add, np.subtract, np.true_divide, np.maximum, np.minimum):
    TABLE[_ufunc, "outer"] = lambda a, b, _ufunc=_ufunc: _ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)

constant(
    np.argmax, np.argmin, np.argsort, np.any, np.all, np.count_nonzero, np.nonzero, np.flatnonzero, np.argwhere,
    np.searchsorted, np.digitize, np.histogram, np.unique, np.nanargmax, np.nanargmin,
)  # fmt: skip
