"""Bernoulli dropout: forward, backward and the mask itself."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _validate
from .._dispatch import kernels, mirrored
from .._memory import aligned_empty
from .._threads import threads_for

GRAIN = 1 << 15  # elements per thread below which a second thread costs more than it brings (docs/profiling.md)
_PAST_CACHES = 1 << 24  # bytes from which results are written past the caches
_CHUNK = 1 << 20  # mask elements drawn at a time where the result is bits or floats


def counter(seed: Any, stream: Any, step: Any) -> tuple[int, int, int]:
    """(seed, stream, step) checked, as every function of this topic takes them."""
    return (
        _validate.integer("seed", seed, 0, 2**64 - 1),
        _validate.integer("stream", stream, 0, 2**32 - 1),
        _validate.integer("step", step, 0, 2**32 - 1),
    )


def threshold_of(p: float) -> int:
    """p * 2^32, to nearest: P(drop) is exact to 2^-32. 2^32 itself stands for "everything"."""
    return round(p * 2**32)


def result_array(name: str, x: np.ndarray, source: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Where the result goes: a new array, or `out`, which may be the argument itself but not overlap it."""
    if out is None:
        return aligned_empty(x.shape, x.dtype)
    _validate.out_array("out", out, x.shape, x.dtype)
    if out is not source and np.may_share_memory(out, source):
        same = source is x and source.__array_interface__["data"][0] == out.__array_interface__["data"][0]
        if not same:
            _validate.check_apart(**{"out": out, name: source})
    return out


def _scaled_mask(
    name: str, x: Any, p: Any, where: tuple[int, int, int], scaling: str, training: bool, axes: Any, out: Any
) -> np.ndarray:
    """The linear map that forward and backward are: x * r * scale while training, x * scale after."""
    p = _validate.number("p", p, 0.0, 1.0)
    _validate.choice("scaling", scaling, ("inverted", "classic"))
    array = _validate.float_array(name, x)
    axes = _axes(axes, array.ndim)
    y = result_array(name, array, x, out)
    training = _validate.flag("training", training)
    threshold = threshold_of(p) if training else 0
    everything = threshold == 2**32
    if training:
        scale = 1 / (1 - p) if scaling == "inverted" and not everything else 1.0
    else:
        scale = 1.0 if scaling == "inverted" else 1 - p
    num_threads = threads_for(array.size, GRAIN)
    if axes and 0 < threshold < 2**32 and array.size:
        keep, outer, shared = _shared_mask(array.shape, axes, threshold, where)
        shape = (outer, shared, keep.shape[1])
        kernels.dropout.apply_mask(array.reshape(shape), keep, y.reshape(shape), scale, num_threads)
    else:
        past_caches = array.nbytes >= _PAST_CACHES and out is not x
        kernels.dropout.dropout(array, y, scale, (*where, threshold), past_caches, num_threads)
    return y


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    items = tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)
    positions = [_validate.integer("broadcast_axes", axis, -ndim, ndim - 1) % ndim for axis in items]
    return tuple(sorted(set(positions)))


def _mask_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))


def _shared_mask(
    shape: tuple[int, ...], axes: tuple[int, ...], threshold: int, where: tuple[int, int, int]
) -> tuple[np.ndarray, int, int]:
    """The mask as (outer, inner), with `shared` elements to each between the two.

    The kernel repeats a mask along one run of axes. That is the last run of the axes given; the mask is
    written out along the others, which few callers have.
    """
    last = axes[-1]
    begin = last
    while begin - 1 in axes:
        begin -= 1
    keep = _draw(math.prod(_mask_shape(shape, axes)), 0, threshold, where).reshape(_mask_shape(shape, axes))
    expanded = (*shape[:begin], *(1 for _ in range(begin, last + 1)), *shape[last + 1 :])
    outer = math.prod(shape[:begin])
    keep = np.ascontiguousarray(np.broadcast_to(keep, expanded)).reshape(outer, math.prod(shape[last + 1 :]))
    return keep, outer, math.prod(shape[begin : last + 1])


def _draw(count: int, start: int, threshold: int, where: tuple[int, int, int]) -> np.ndarray:
    """Elements start .. start + count - 1 of the mask as bytes 0 and 1."""
    if threshold == 2**32:
        return np.zeros(count, np.uint8)
    keep = aligned_empty(count, np.dtype(np.uint8))
    kernels.dropout.mask(keep, start, (*where, threshold), threads_for(count, GRAIN))
    return keep


@mirrored
def dropout_mask(
    shape: int | Sequence[int],
    p: float = 0.5,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int = 0,
    start: int = 0,
    form: str = "bytes",
    dtype: Any = np.float32,
) -> np.ndarray:
    """The mask r that dropout applies, or any part of it, drawn alone.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of the part.
    p : float in [0, 1], default 0.5
        Probability of being dropped.
    seed, stream, step : int, default 0
        What the mask is a function of: seed below 2**64, the others below 2**32.
    start : int, default 0
        Index, in C order, of the part's first element within the whole mask.
    form : {"bytes", "bits", "floats"}, default "bytes"
        uint8 0 and 1; bits packed eight a byte, lowest bit first, into a 1-D array; or floats r / (1 - p),
        what inverted dropout multiplies by.
    dtype : float32 (default) or float64
        Type of "floats".

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Notes
    -----
    docs/dropout.md 4.4. The mask does not depend on the shape, the number of threads, the build or the machine.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.dropout_mask(8, 0.5, seed=1)
    array([0, 0, 1, 1, 0, 0, 1, 1], dtype=uint8)
    >>> fd.dropout_mask(3, 0.5, seed=1, start=2)
    array([1, 1, 0], dtype=uint8)
    """
    extents = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    extents = tuple(_validate.integer("shape", extent, 0) for extent in extents)
    p = _validate.number("p", p, 0.0, 1.0)
    where = counter(seed, stream, step)
    count = math.prod(extents)
    start = _validate.integer("start", start, 0, 2**60)
    _validate.choice("form", form, ("bytes", "bits", "floats"))
    kind = _validate.float_type("dtype", dtype)
    if form == "bytes":
        return _draw(count, start, threshold_of(p), where).reshape(extents)
    if form == "bits":
        result = np.empty(-(-count // 8), np.uint8)
    else:
        result = aligned_empty(count, kind)
        scale = kind.type(0 if p == 1 else 1 / (1 - p))
    for begin in range(0, count, _CHUNK):  # so that what is in flight stays small
        end = min(begin + _CHUNK, count)
        keep = _draw(end - begin, start + begin, threshold_of(p), where)
        if form == "bits":
            result[begin // 8 : -(-end // 8)] = np.packbits(keep, bitorder="little")
        else:
            np.multiply(keep, scale, out=result[begin:end])
    return result if form == "bits" else result.reshape(extents)


@mirrored
def dropout_forward(
    x: np.ndarray,
    p: float = 0.5,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int = 0,
    scaling: str = "inverted",
    training: bool = True,
    broadcast_axes: int | Sequence[int] = (),
    out: np.ndarray | None = None,
    return_mask: str | None = None,
) -> Any:
    """Drop elements of `x` at random.

    Parameters
    ----------
    x : ndarray, float32 or float64
        Any shape.
    p : float in [0, 1], default 0.5
        Probability of being *dropped* (Srivastava's p is that of being kept).
    seed, stream, step : int, default 0
        What the mask is a function of (docs/dropout.md 4.4): seed below 2**64; stream, the place of use, and step, the
        training step, below 2**32.
    scaling : {"inverted", "classic"}, default "inverted"
        Inverted: x r / (1 - p) in training, x after. Classic: x r in training, (1 - p) x after.
    training : bool, default True
        Which of the two forms.
    broadcast_axes : int or tuple of int, default ()
        Axes along which one mask element serves all: time for variational dropout, the positions of a
        feature map for spatial dropout, the last axis of an embedding table for dropping words. The mask
        then is that of the shape with 1 in their place.
    out : ndarray, optional
        Where the result goes: contiguous, of x's shape and type. It may be `x` itself, but not overlap it.
    return_mask : {"bytes", "bits", "floats"}, optional
        Also return the mask, as :func:`dropout_mask` gives it; backward does not need it.

    Returns
    -------
    ndarray, or (ndarray, mask)

    Raises
    ------
    TypeError
        If `x` is not a float array, or another argument is of the wrong kind.
    ValueError
        If p is outside [0, 1] or NaN, or `out` is read-only, of another shape or overlaps `x`.

    Notes
    -----
    y = where(r, x * dtype(1 / (1 - p)), 0), so a dropped NaN or infinity is 0. Nothing is stored for
    backward, which draws the mask again. Srivastava et al., JMLR 15 (2014) 1929; docs/dropout.md 4.1 and 4.2.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.dropout_forward(np.arange(8.0), 0.5, seed=1)
    array([ 0.,  0.,  4.,  6.,  0.,  0., 12., 14.])
    """
    where = counter(seed, stream, step)
    if return_mask is None:
        return _scaled_mask("x", x, p, where, scaling, training, broadcast_axes, out)
    _validate.choice("return_mask", return_mask, ("bytes", "bits", "floats"))
    y = _scaled_mask("x", x, p, where, scaling, training, broadcast_axes, out)
    shape = _mask_shape(y.shape, _axes(broadcast_axes, y.ndim))
    return y, dropout_mask(shape, p, seed=seed, stream=stream, step=step, form=return_mask, dtype=y.dtype)


@mirrored
def dropout_backward(
    dy: np.ndarray,
    p: float = 0.5,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int = 0,
    scaling: str = "inverted",
    training: bool = True,
    broadcast_axes: int | Sequence[int] = (),
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient of :func:`dropout_forward`: with the same arguments, the same mask.

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient of the output.
    p, seed, stream, step, scaling, training, broadcast_axes, out
        As in :func:`dropout_forward`.

    Returns
    -------
    ndarray
        dx = where(r, dy * dtype(1 / (1 - p)), 0) (docs/dropout.md 4.3).

    Raises
    ------
    TypeError, ValueError
        As :func:`dropout_forward`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.dropout_backward(np.ones(8), 0.5, seed=1)
    array([0., 0., 2., 2., 0., 0., 2., 2.])
    """
    return _scaled_mask("dy", dy, p, counter(seed, stream, step), scaling, training, broadcast_axes, out)


@mirrored
def embedding_dropout(
    x: np.ndarray,
    index: np.ndarray,
    num_embeddings: int,
    p: float = 0.1,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int = 0,
    training: bool = True,
) -> np.ndarray:
    """Drop whole words: every occurrence of a dropped index becomes zero, all others are scaled.

    The map is linear and diagonal, so the backward pass is the same function of the gradient.

    Parameters
    ----------
    x : ndarray, float32 or float64, shape (..., E)
        Embedded words, or the gradient of the result.
    index : ndarray of int, shape (...)
        The words, in [0, num_embeddings).
    num_embeddings : int
        Size of the vocabulary.
    p : float in [0, 1], default 0.1
        Probability of a word being dropped.
    seed, stream, step, training
        As in :func:`dropout_forward`. Element i of the mask is word i.

    Returns
    -------
    ndarray, shape (..., E)

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an index is out of range, or as :func:`dropout_forward`.

    Notes
    -----
    The same as dropping rows of the table (``dropout_forward(table, p, broadcast_axes=-1)``) before looking
    words up, without touching the table. Gal and Ghahramani, NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.embedding_dropout(np.ones((4, 1)), np.array([2, 1, 2, 0]), 3, 0.5, seed=1).ravel()
    array([2., 0., 2., 0.])
    """
    size = _validate.integer("num_embeddings", num_embeddings, 1)
    array = _validate.float_array("x", x)
    if array.ndim == 0:
        raise ValueError("x: got shape (), expected (..., E)")
    rows = _validate.index_array("index", index, size, array.shape[:-1], f", since num_embeddings is {size}")
    if not _validate.flag("training", training):
        p = _validate.number("p", p, 0.0, 1.0)
        return array.copy()
    keep = dropout_mask(size, p, seed=seed, stream=stream, step=step)[rows.reshape(-1)]
    y = aligned_empty(array.shape, array.dtype)
    if array.size:
        shape = (rows.size, array.shape[-1], 1)
        scale = 0.0 if p == 1 else 1 / (1 - p)
        kernels.dropout.apply_mask(
            array.reshape(shape), keep.reshape(-1, 1), y.reshape(shape), scale, threads_for(array.size, GRAIN)
        )
    return y
