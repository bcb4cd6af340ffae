"""Dropout (docs/dropout.md) in plain NumPy: the mask element by element, then the formula."""

import math

import numpy as np

from .random import normals_of_words, philox

WORD = 0xFFFFFFFF


def _blocks(index, kind, seed, stream, step):
    """Philox blocks `index` of the sequence for masks (kind 0), noise or ties."""
    counter = np.empty((index.size, 4), np.uint64)
    counter[:, 0] = index & np.uint64(WORD)
    counter[:, 1] = (index >> np.uint64(32)) | np.uint64(kind)
    counter[:, 2], counter[:, 3] = step, stream
    return philox(counter, (seed & WORD, seed >> 32))


def _keep(count, p, seed, stream, step, start=0):
    """Elements start .. of r: element i against byte e // 256 of word e % 256 of its group, e = i % 1024."""
    threshold = round(p * 2**32)
    if threshold == 2**32:
        return np.zeros(count, bool)
    i = np.arange(start, start + count, dtype=np.uint64)
    group, e = i // np.uint64(1024), (i % np.uint64(1024)).astype(np.int64)
    first = int(group[0]) if count else 0
    groups = int(group[-1]) - first + 1 if count else 0
    block = np.arange(first * 64, (first + groups) * 64, dtype=np.uint64)
    words = _blocks(block, 0, seed, stream, step).reshape(groups, 64, 4).transpose(0, 2, 1).reshape(groups, 256)
    own = words[(group - np.uint64(first)).astype(np.int64), e % 256]
    byte = (own >> (8 * (e // 256)).astype(np.uint32)) & np.uint32(255)
    top, rest = threshold >> 24, threshold & 0xFFFFFF
    keep = byte >= top
    tie = np.flatnonzero(byte == top)
    drawn = _blocks(i[tie] >> np.uint64(2), 0x80000000, seed, stream, step)
    keep[tie] = drawn[np.arange(tie.size), (i[tie] & np.uint64(3)).astype(np.int64)] >> np.uint32(8) >= rest
    return keep


def dropout_mask(shape, p=0.5, *, seed=0, stream=0, step=0, start=0, form="bytes", dtype=np.float32):
    """r as bytes, packed bits, or floats r / (1 - p)."""
    extents = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    keep = _keep(math.prod(extents), p, seed, stream, step, start)
    if form == "bits":
        return np.packbits(keep, bitorder="little")
    if form == "bytes":
        return keep.astype(np.uint8).reshape(extents)
    return (keep * np.dtype(dtype).type(0 if p == 1 else 1 / (1 - p))).reshape(extents)


def dropout_forward(
    x,
    p=0.5,
    *,
    seed=0,
    stream=0,
    step=0,
    scaling="inverted",
    training=True,
    broadcast_axes=(),
    out=None,
    return_mask=None,
):
    """y = where(r, x / (1 - p), 0), or by the classic scaling where(r, x, 0); see docs/dropout.md 4.1 and 4.2."""
    axes = broadcast_axes if isinstance(broadcast_axes, (tuple, list)) else (broadcast_axes,)
    axes = [axis % x.ndim for axis in axes]
    shape = [1 if axis in axes else extent for axis, extent in enumerate(x.shape)]
    where = {"seed": seed, "stream": stream, "step": step}
    y = np.empty_like(x, dtype=x.dtype.newbyteorder("="), order="C") if out is None else out
    if training:
        keep = _keep(math.prod(shape), p, **where).reshape(shape)
        scale = 0 if p == 1 else 1 / (1 - p) if scaling == "inverted" else 1
        y[...] = np.where(keep, x * y.dtype.type(scale), y.dtype.type(0))
    else:
        y[...] = x * y.dtype.type(1 if scaling == "inverted" else 1 - p)
    if return_mask is None:
        return y
    return y, dropout_mask(shape, p, **where, form=return_mask, dtype=y.dtype)


def dropout_backward(
    dy, p=0.5, *, seed=0, stream=0, step=0, scaling="inverted", training=True, broadcast_axes=(), out=None
):
    """The same linear map with the same r."""
    where = {"seed": seed, "stream": stream, "step": step}
    return dropout_forward(dy, p, **where, scaling=scaling, training=training, broadcast_axes=broadcast_axes, out=out)


def embedding_dropout(x, index, num_embeddings, p=0.1, *, seed=0, stream=0, step=0, training=True):
    """Rows whose word is dropped are zero."""
    if not training:
        return x.copy()
    keep = _keep(num_embeddings, p, seed, stream, step)[index]
    return np.where(keep[..., None], x * x.dtype.type(0 if p == 1 else 1 / (1 - p)), x.dtype.type(0))


ALPHA_PRIME = -1.7580993408473766


def _alpha(p):
    a = 0.0 if p == 1 else 1 / math.sqrt((1 - p) * (1 + p * ALPHA_PRIME**2))
    return a, -a * p * ALPHA_PRIME


def alpha_dropout_forward(x, p=0.1, *, seed=0, stream=0, step=0, training=True):
    """y = where(r, a x + b, a alpha' + b)."""
    if not training:
        return x.copy()
    real, (a, b) = x.dtype.type, _alpha(p)
    return np.where(_like(x, p, seed, stream, step), x * real(a) + real(b), real(a * ALPHA_PRIME + b))


def alpha_dropout_backward(dy, p=0.1, *, seed=0, stream=0, step=0, training=True):
    """dx = where(r, a dy, 0)."""
    if not training:
        return dy.copy()
    real, (a, _) = dy.dtype.type, _alpha(p)
    return np.where(_like(dy, p, seed, stream, step), dy * real(a), real(0))


def _like(x, p, seed, stream, step):
    return _keep(x.size, p, seed, stream, step).reshape(x.shape)


def _noise(x, seed, stream, step):
    """Standard normals, 256 a group of 64 blocks: words q and 128 + q give elements q and 128 + q."""
    groups = -(-x.size // 256)
    words = _blocks(np.arange(groups * 64, dtype=np.uint64), 0x20000000, seed, stream, step)
    words = words.reshape(groups, 64, 4).transpose(0, 2, 1).reshape(groups, 2, 128)
    z = normals_of_words(words[:, 0], words[:, 1])
    return np.stack(z, axis=1).reshape(-1)[: x.size].reshape(x.shape).astype(x.dtype)


def gaussian_dropout_forward(x, p=0.5, *, seed=0, stream=0, step=0, training=True):
    """y = x (1 + sqrt(p / (1 - p)) z)."""
    if not training or p == 0:
        return x.copy()
    real = x.dtype.type
    return x * (real(1) + real(math.sqrt(p / (1 - p))) * _noise(x, seed, stream, step))


def gaussian_dropout_backward(dy, p=0.5, *, seed=0, stream=0, step=0, training=True):
    """The same linear map with the same z."""
    return gaussian_dropout_forward(dy, p, seed=seed, stream=stream, step=step, training=training)


def gaussian_noise(x, std=0.1, *, seed=0, stream=0, step=0, training=True):
    """x + std z."""
    return x + x.dtype.type(std) * _noise(x, seed, stream, step) if training and std else x.copy()


def zoneout_forward(new, old, p=0.1, *, seed=0, stream=0, step=0, training=True):
    """where(r, new, old); after training the expectation."""
    if not training and p in (0, 1):
        return (old if p else new).copy()
    if not training:
        return new.dtype.type(p) * old + new.dtype.type(1 - p) * new
    return np.where(_like(new, p, seed, stream, step), new, old)


def zoneout_backward(dy, p=0.1, *, seed=0, stream=0, step=0, training=True):
    """dy goes where the element came from."""
    where = {"seed": seed, "stream": stream, "step": step, "training": training}
    zeros = np.zeros_like(dy)
    return zoneout_forward(dy, zeros, p, **where), zoneout_forward(zeros, dy, p, **where)
