"""Functions that move elements: the gradient moves back."""

import itertools
import math

import numpy as np

from ..._dispatch import kernels
from .._traced import (
    TABLE,
    Function,
    Traced,
    check_here,
    check_result,
    kept,
    plain,
    strange,
    traced_in,
    undispatched,
    unknown,
)
from ._table import composed, constant, row

Parts = kernels.record.Parts


def _back(dy, y, a, *args, **options):
    """In the shape of before."""
    return np.reshape(dy, a.shape)


def _to_shape(a, shape):
    return a.reshape(shape)


# The new shape is an option here, which is handed on without a look for arrays in it.
_RESHAPE = Function(_to_shape, (lambda dy, y, a, shape: dy.reshape(a.shape),), ("a",), 1)
for _shaper in (np.expand_dims, np.squeeze, np.atleast_1d, np.atleast_2d, np.atleast_3d):
    row(_shaper, _back)
row(np.ravel, lambda dy, y, a: np.reshape(dy, a.shape))


def _reshape(a, shape=None, order="C", *, newshape=None):
    _check_order(order)
    return _RESHAPE.record((a,), {"shape": newshape if shape is None else shape})


def _check_order(order):
    if order != "C":
        raise ValueError(f"order: got {order!r}, expected 'C' of a traced array")


_RAVEL = TABLE[np.ravel]


def _ravel(a, order="C"):
    _check_order(order)
    return _RAVEL(a)


composed(np.ravel, _ravel)


composed(np.reshape, _reshape)


def _transpose(dy, y, a, axes=None):
    if axes is None:
        return dy.transpose()
    axes = [axis % a.ndim for axis in axes]
    return dy.transpose(sorted(range(a.ndim), key=axes.__getitem__))


row(np.transpose, _transpose)
composed(np.permute_dims, TABLE[np.transpose])
row(np.matrix_transpose, lambda dy, y, x: dy.swapaxes(-1, -2))
row(np.swapaxes, lambda dy, y, a, axis1, axis2: dy.swapaxes(axis1, axis2))
row(np.moveaxis, lambda dy, y, a, source, destination: np.moveaxis(dy, destination, source))


def _rolled(dy, y, a, axis, start=0):
    start = start + a.ndim if start < 0 else start
    return np.moveaxis(dy, start - (axis % a.ndim < start), axis)


row(np.rollaxis, _rolled)
row(np.broadcast_to, lambda dy, y, array, shape: dy)
row(np.flip, lambda dy, y, m, axis=None: np.flip(dy, axis))
composed(np.fliplr, lambda m: np.flip(m, 1))
composed(np.flipud, lambda m: np.flip(m, 0))


def _roll(dy, y, a, shift, axis=None):
    return np.roll(dy, -np.asarray(shift), axis)


row(np.roll, _roll)
row(np.tril, lambda dy, y, m, k=0: np.tril(dy, k))
row(np.triu, lambda dy, y, m, k=0: np.triu(dy, k))


def _repeat(dy, y, a, repeats, axis=None):
    """The sum over what was made of each element."""
    if axis is None:
        return _repeat(dy, y, a.reshape(-1), repeats, 0).reshape(a.shape)
    counts = np.broadcast_to(repeats, a.shape[axis])
    total = np.zeros_like(np.moveaxis(a, axis, 0), dtype=dy.dtype)
    np.add.at(total, np.repeat(np.arange(a.shape[axis]), counts), np.moveaxis(dy, axis, 0))
    return np.moveaxis(total, 0, axis)


row(np.repeat, _repeat)


def _tile(dy, y, A, reps):
    """The sum over the copies."""
    reps = np.atleast_1d(reps)
    ndim = max(reps.size, A.ndim)
    reps, shape = [1] * (ndim - reps.size) + [int(one) for one in reps], (1,) * (ndim - A.ndim) + A.shape
    apart = [size for pair in zip(reps, shape, strict=True) for size in pair]
    return dy.reshape(apart).sum(axis=tuple(range(0, 2 * ndim, 2))).reshape(A.shape)


row(np.tile, _tile)


_MIRRORS = ("edge", "reflect", "symmetric", "wrap")  # what pads with elements of the array


def _pairs(pad_width, ndim):
    """How many before and after, by axis."""
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(axis, pad_width.get(axis - ndim, (0, 0))) for axis in range(ndim)]
    return np.broadcast_to(pad_width, (ndim, 2))


def _pad(dy, y, array, pad_width, mode="constant", constant_values=0):
    pairs = _pairs(pad_width, array.ndim)
    return dy[tuple(slice(before, before + size) for (before, _), size in zip(pairs, array.shape, strict=True))]


row(np.pad, _pad)
_PAD = TABLE[np.pad]


def _padded(array, pad_width, mode="constant", *, constant_values=0):
    if mode == "constant":
        return _PAD(array, pad_width, mode, constant_values=constant_values)
    if mode not in _MIRRORS:
        known = ", ".join(map(repr, ("constant", *_MIRRORS)))
        raise TypeError(f"np.pad: got mode {mode!r} of a traced array, expected one of {known}")
    np.pad(plain(array), pad_width, mode)  # says what it does not pad
    for axis, pair in enumerate(_pairs(pad_width, np.ndim(array))):
        if any(pair):  # by the places that it takes the elements from
            array = np.take(array, np.pad(np.arange(array.shape[axis]), tuple(pair), mode), axis)
    return array


composed(np.pad, _padded)

# ---- what is read from where --------------------------------------------------------------------------------


def _take(dy, y, a, indices, axis=None):
    total = np.zeros(a.shape, dy.dtype)
    if axis is None:
        np.add.at(total.reshape(-1), indices, dy)
        return total
    into = np.moveaxis(total, axis, 0)
    count, at = np.ndim(indices), axis % a.ndim
    np.add.at(into, indices, np.moveaxis(dy, range(at, at + count), range(count)))
    return total


row(np.take, _take)


def _take_along(dy, y, arr, indices, axis=-1):
    if axis is None:
        return _take_along(dy, y, arr.reshape(-1), indices, 0).reshape(arr.shape)
    total = np.zeros(arr.shape, dy.dtype)
    places = list(np.indices(np.shape(indices), sparse=True))
    places[axis] = indices
    np.add.at(total, tuple(places), dy)
    return total


row(np.take_along_axis, _take_along)


def _diagonal(dy, y, a, offset=0, axis1=0, axis2=1):
    total = np.zeros(a.shape, dy.dtype)
    rows = np.moveaxis(total, (axis1, axis2), (0, 1))
    steps = np.arange(dy.shape[-1])
    rows[steps + max(-offset, 0), steps + max(offset, 0)] = np.moveaxis(dy, -1, 0)
    return total


row(np.diagonal, _diagonal)
row(np.diag, lambda dy, y, v, k=0: np.diag(dy, k) if v.ndim == 1 else _diagonal(dy, y, v, k))
composed(np.trace, lambda a, offset=0, axis1=0, axis2=1: np.sum(np.diagonal(a, offset, axis1, axis2), -1))


def _where(condition, *given):
    condition = plain(condition)
    if len(given) != 2:
        return np.where(condition, *plain(given))
    parts = Parts(given, check_here)
    y = np.where(condition, *parts.values)
    if parts.record is None:
        return y
    check_result(np.where, y)
    return parts.chosen(y, kept(condition))


TABLE[np.where] = _where  # of which NumPy takes no argument by name


def _select(condlist, choicelist, default=0):
    """np.where from the last condition to the first; NumPy says what it does not take, and of which type all is."""
    found = np.select(plain(condlist), plain(choicelist), plain(default))
    chosen = np.broadcast_to(default, found.shape)
    for condition, one in zip(reversed(list(condlist)), reversed(list(choicelist)), strict=True):
        chosen = np.where(condition, one, chosen)
    return chosen if chosen.dtype == found.dtype else chosen.astype(found.dtype)


composed(np.select, _select)


# ---- several arrays into one, one into several --------------------------------------------------------------
def _joined(function, arrays, axis, more, others):
    """np.concatenate or np.stack, recorded."""
    if more or others:
        raise strange(function, next(iter(others), 2))
    parts = Parts(arrays, check_here)
    values = parts.values
    y = (function if parts.constants else undispatched(function))(values, axis)
    ends = None
    if function is np.concatenate:
        shapes = [one.shape if one.__class__ is np.ndarray else np.shape(one) for one in values]
        ends = [0, *itertools.accumulate(math.prod(one) if axis is None else one[axis] for one in shapes)]
    if parts.record is None:
        return y
    check_result(function, y)
    return parts.joined(y, axis, ends)


# Refusing what it does not take costs these, which are called at every step, less than `composed` would.
TABLE[np.concatenate] = lambda arrays, axis=0, *more, **others: _joined(np.concatenate, arrays, axis, more, others)
TABLE[np.stack] = lambda arrays, axis=0, *more, **others: _joined(np.stack, arrays, axis, more, others)
composed(np.vstack, lambda tup: np.concatenate([np.atleast_2d(one) for one in tup]))


def _hstack(tup):
    arrays = [np.atleast_1d(one) for one in tup]
    return np.concatenate(arrays, 0 if np.ndim(arrays[0]) == 1 else 1)


composed(np.hstack, _hstack)
composed(np.dstack, lambda tup: np.concatenate([np.atleast_3d(one) for one in tup], 2))
composed(
    np.column_stack,
    lambda tup: np.concatenate([one if np.ndim(one) > 1 else np.reshape(one, (-1, 1)) for one in tup], 1),
)
composed(np.append, lambda arr, values, axis=None: _appended(arr, values, axis))


def _appended(arr, values, axis):
    if axis is None:
        return np.concatenate([np.reshape(arr, -1), np.reshape(values, -1)])
    return np.concatenate([arr, values], axis)


def _pieces(a, ends, axis):
    starts = [0, *ends]
    stops = [*ends, a.shape[axis]]
    lead = (slice(None),) * (axis % a.ndim)
    return [a[(*lead, slice(start, stop))] for start, stop in zip(starts, stops, strict=True)]


def _array_split(ary, indices_or_sections, axis=0):
    np.array_split(plain(ary), indices_or_sections, axis)  # says what it does not split
    if np.ndim(indices_or_sections):
        return _pieces(ary, list(indices_or_sections), axis)
    each, more = divmod(ary.shape[axis], indices_or_sections)
    sizes = [each + (k < more) for k in range(indices_or_sections)]
    return _pieces(ary, list(np.cumsum(sizes)[:-1]), axis)


def _split(ary, indices_or_sections, axis=0):
    if not np.ndim(indices_or_sections) and ary.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return _array_split(ary, indices_or_sections, axis)


composed(np.array_split, _array_split)
composed(np.split, _split)


def _split_along(function, axis):
    """One of the functions that know their axis; they say themselves what they do not split."""

    def split(ary, indices_or_sections):
        function(plain(ary), indices_or_sections)
        return _split(ary, indices_or_sections, axis if np.ndim(ary) > 1 else 0)

    composed(function, split)


for _axis, _splitter in enumerate((np.vsplit, np.hsplit, np.dsplit)):
    _split_along(_splitter, _axis)
composed(np.unstack, lambda x, *, axis=0: tuple(np.moveaxis(x, axis, 0)))
composed(np.diff, lambda a, n=1, axis=-1: _differences(a, n, axis))


def _differences(a, n, axis):
    if n < 0:
        raise ValueError(f"n: got {n}, expected at least 0")
    for _ in range(n):
        lead = (slice(None),) * (axis % a.ndim)
        a = a[(*lead, slice(1, None))] - a[(*lead, slice(None, -1))]
    return a


def _broadcast_arrays(*arrays):
    shape = np.broadcast_shapes(*[np.shape(one) for one in arrays])
    return tuple(np.broadcast_to(one, shape) for one in arrays)


composed(np.broadcast_arrays, _broadcast_arrays)
_COPY = row(np.copy, lambda dy, y, a: dy, linear=True)

composed(
    np.full_like,
    lambda a, fill_value, dtype=None: (
        np.full_like(plain(a), fill_value, dtype)
        if traced_in(fill_value) is None
        else _CAST(np.broadcast_to(fill_value, np.shape(a)), np.dtype(dtype or np.result_type(a)))
    ),
)
constant(
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type,
    np.shares_memory, np.may_share_memory, np.iscomplex, np.isreal, np.min_scalar_type, np.common_type,
)  # fmt: skip


# ---- an array's methods -------------------------------------------------------------------------------------
def _method(function):
    return lambda self, *args, **options: TABLE[function](self, *args, **options)


def _of_shape(self, *shape, **options):
    shape = shape[0] if len(shape) == 1 else shape
    return TABLE[np.reshape](self, shape, **options) if options else _RESHAPE.record((self,), {"shape": shape})


def _of_axes(self, *axes):
    return TABLE[np.transpose](self, axes[0] if len(axes) == 1 else axes or None)


_CAST: Function = Function(lambda x, dtype: x.astype(dtype), (lambda dy, y, x, dtype: dy,), ("x", "dtype"), 2)


def _astype(self, dtype, *others, copy=True, **options):
    """Of another type of real numbers; integers and truth values have no gradient."""
    if others or options:
        raise unknown(f"x.astype(..., {next(iter(options), 'order')}=...)")
    if np.dtype(dtype).kind in "iub":
        return self._value.astype(dtype)
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"x.astype: got {np.dtype(dtype)} of a traced array, expected real numbers")
    return _CAST(self, dtype)


for _name in (
    "sum", "mean", "var", "std", "prod", "max", "min", "cumsum", "cumprod", "squeeze", "swapaxes", "repeat", "take",
    "diagonal", "trace", "argmax", "argmin", "argsort", "any", "all", "nonzero", "round", "copy", "ravel",
):  # fmt: skip
    setattr(Traced, _name, _method(getattr(np, _name)))
Traced.clip = lambda self, min=None, max=None, **options: TABLE[np.clip](self, min=min, max=max, **options)
Traced.flatten = _method(np.ravel)
Traced.dot = _method(np.dot)
Traced.reshape = _of_shape
Traced.transpose = _of_axes
Traced.astype = _astype
