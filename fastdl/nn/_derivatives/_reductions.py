"""Functions that sum, or choose, along axes."""

import numpy as np

from .._traced import TABLE, plain
from ._table import composed, constant, row


def _spread(dy, x, axis, keepdims):
    """dy at every element that it was made of."""
    return np.broadcast_to(_kept(dy, x, axis, keepdims), x.shape)


def _kept(dy, x, axis, keepdims):
    """dy, or y, with the axes that were reduced, at size 1."""
    if keepdims:
        return dy
    if axis is None or x.ndim == 0:
        return dy.reshape((1,) * x.ndim)
    shape = list(x.shape)
    for one in axis if axis.__class__ is tuple else (axis,):
        shape[one] = 1
    return dy.reshape(shape)


def _count(x, y):
    return x.size / (y.size or 1)


row(np.sum, lambda dy, y, a, axis=None, keepdims=False: _spread(dy, a, axis, keepdims))
row(np.mean, lambda dy, y, a, axis=None, keepdims=False: _spread(dy / (a.size / (y.size or 1)), a, axis, keepdims))


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


def _median(dy, y, a, axis=None, keepdims=False):
    """dy where the middle of the elements in order lies, or half of it at each of the two."""
    axes = list(range(a.ndim)) if axis is None else sorted(k % a.ndim for k in np.atleast_1d(axis))
    last = list(range(a.ndim - len(axes), a.ndim))
    moved = np.moveaxis(a, axes, last)
    flat = moved.reshape(*moved.shape[: a.ndim - len(axes)], -1)
    total, size = np.zeros(flat.shape, dy.dtype), flat.shape[-1]
    if size:
        order = np.argsort(flat, -1, kind="stable")
        dy = np.reshape(dy, (*flat.shape[:-1], 1))
        for place in {(size - 1) // 2, size // 2}:
            np.put_along_axis(total, order[..., place : place + 1], dy if size % 2 else dy / 2, -1)
    return np.moveaxis(total.reshape(moved.shape), last, axes)


row(np.median, _median)


def _cumsum(dy, y, a, axis=None):
    if axis is None:
        return np.cumsum(np.reshape(dy, -1)[::-1])[::-1].reshape(a.shape)
    return np.flip(np.cumsum(np.flip(dy, axis), axis), axis)


row(np.cumsum, _cumsum)


def _cumprod(dy, y, a, axis=None):
    """p_i s_i, with p_i = a_0 .. a_(i-1) and s_i = dy_i + a_(i+1) s_(i+1): right where there are zeros, too."""
    if axis is None:
        return _cumprod(np.reshape(dy, -1), y, a.reshape(-1), 0).reshape(a.shape)
    a, before = np.moveaxis(a, axis, 0), np.moveaxis(y, axis, 0)
    total = np.array(np.moveaxis(dy, axis, 0))
    for step in range(len(a) - 2, -1, -1):
        total[step] += a[step + 1] * total[step + 1]
    total[1:] *= before[:-1]
    return np.moveaxis(total, 0, axis)


row(np.cumprod, _cumprod)


def _average(a, axis=None, weights=None, *, keepdims=False):
    """The mean, or the mean under weights; what NumPy refuses it refuses."""
    return _AVERAGE(a, axis, weights, keepdims=keepdims)


def _weights(a, axis, weights):
    """In the shape of a, or in one that broadcasts to it; and the axes that were summed."""
    axes = tuple(range(a.ndim)) if axis is None else tuple(k % a.ndim for k in np.atleast_1d(axis))
    if weights is None:
        return np.ones(a.shape, a.dtype), axes
    weights = np.asarray(weights)
    if weights.shape != a.shape:
        weights = np.transpose(weights, np.argsort(axes))
        weights = weights.reshape([size if k in axes else 1 for k, size in enumerate(a.shape)])
    return np.broadcast_to(weights, a.shape), axes


def _average_of(dy, y, a, axis=None, weights=None, keepdims=False):
    weights, axes = _weights(a, axis, weights)
    return _spread(dy, a, axis, keepdims) * weights / weights.sum(axis=axes, keepdims=True)


def _average_weights(dy, y, a, axis=None, weights=None, keepdims=False):
    whole, axes = _weights(a, axis, weights)
    off = a - _kept(y, a, axis, keepdims)
    found = _spread(dy, a, axis, keepdims) * off / whole.sum(axis=axes, keepdims=True)
    if np.shape(weights) == a.shape:
        return found
    found = found.sum(axis=tuple(k for k in range(a.ndim) if k not in axes))
    return np.transpose(found, np.argsort(np.argsort(axes)))


_AVERAGE = row(np.average, _average_of, None, _average_weights)
composed(np.average, _average)


def _sorted(dy, y, a, axis=-1, kind=None):
    """Each element's to where it was taken from."""
    if axis is None:
        return _sorted(dy, y, a.reshape(-1), 0).reshape(a.shape)
    total = np.zeros(a.shape, dy.dtype)
    np.put_along_axis(total, np.argsort(a, axis, kind="stable"), dy, axis)
    return total


row(np.sort, _sorted)


def _unique(ar, return_index=False, return_inverse=False, return_counts=False):
    """The values in order, each taken from where it is first found."""
    _, at, *others = np.unique(plain(ar), True, return_inverse, return_counts)
    found = (np.reshape(ar, -1)[at], *([at] if return_index else []), *others)
    return found if return_index or others else found[0]


composed(np.unique, _unique)


# ---- what the ufuncs' own methods do ------------------------------------------------------------------------
def _accumulated(ufunc, whole):
    def accumulated(a, axis=0, **options):
        if np.ndim(a) == 0:
            raise TypeError(f"np.{ufunc.__name__}.accumulate: got a number, expected an array")
        return TABLE[whole](a, axis=axis, **options)

    return accumulated


_REDUCED = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
for _ufunc, _whole in _REDUCED.items():
    TABLE[_ufunc, "reduce"] = lambda a, axis=0, _whole=_whole, **options: TABLE[_whole](a, axis=axis, **options)
for _ufunc, _whole in {np.add: np.cumsum, np.multiply: np.cumprod}.items():
    TABLE[_ufunc, "accumulate"] = _accumulated(_ufunc, _whole)
for _ufunc in (np.multiply, np.add, np.subtract, np.true_divide, np.maximum, np.minimum):
    TABLE[_ufunc, "outer"] = lambda a, b, _ufunc=_ufunc: _ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)

constant(
    np.argmax, np.argmin, np.argsort, np.any, np.all, np.count_nonzero, np.nonzero, np.flatnonzero, np.argwhere,
    np.searchsorted, np.digitize, np.nanargmax, np.nanargmin,
)  # fmt: skip
