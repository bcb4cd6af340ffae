"""Reductions and maps along axes: every layout becomes rows (rows, n) or columns (outer, n, inner)."""

import math
from typing import Any

import numpy as np

from .._threads import threads_for
from .._validate import FLOATS, integer, plain_array, plain_number, shown
from ._reduction import (
    ABS,
    BLOCK,
    GRAIN,
    LARGEST,
    POWER,
    QUICK,
    SMALLEST,
    SQUARE,
    TINY,
    kernel,
    kind_of,
    rescaled,
)

Axis = int | tuple[int, ...] | None

DEPTH = 256  # rows of a column summed in one go
NARROW = 16  # columns fewer than this are turned into rows first


def real_array(name: str, value: Any) -> np.ndarray:
    """`value` as a native, aligned float32 or float64 array of any layout; integers, booleans as float64."""
    if isinstance(value, np.generic):
        value = np.asarray(value)
    value = plain_array(name, value)
    dtype = value.dtype
    if dtype.kind in "biu":
        return value.astype(np.float64)
    if dtype.newbyteorder("=") not in FLOATS:
        raise TypeError(f"{name}: got dtype {dtype}, expected float32, float64, integers or booleans")
    if dtype.isnative and value.flags.aligned:
        return value
    return np.require(value, dtype=dtype.newbyteorder("="), requirements=["ALIGNED"])


def axes_of(x: np.ndarray, axis: Axis) -> tuple[int, ...]:
    """The axes meant, in order; all of them for None."""
    if axis is None:
        return tuple(range(x.ndim))
    axis = plain_number(axis)
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer, tuple)):
        raise TypeError(f"axis: got {shown(axis)}, expected None, an int or a tuple of ints")
    items = axis if isinstance(axis, tuple) else (axis,)
    if items and not x.ndim:
        raise ValueError(f"axis: got {shown(axis)}, expected None or (), since there are no axes")
    axes = sorted(integer("axis", one, -x.ndim, x.ndim - 1) % x.ndim for one in items)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis: got {shown(axis)}, expected axes that differ")
    return tuple(axes)


def reduced(x: np.ndarray, axes: tuple[int, ...], kind: int, p: float) -> np.ndarray:
    """The reduction over some axes, in double, in the shape of those that are kept."""
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        return reduced(x.T, tuple(x.ndim - 1 - a for a in reversed(axes)), kind, p).T
    kept = tuple(extent for a, extent in enumerate(x.shape) if a not in axes)
    n = math.prod(x.shape[a] for a in axes)
    if n == 0 and kind == SMALLEST:
        raise ValueError(f"x: got shape {x.shape}, expected at least one entry to take the smallest of")
    if x.size == 0 or not axes:
        return np.zeros(kept) if x.size == 0 else reduced(x[..., None], (x.ndim,), kind, p)
    inner = math.prod(x.shape[axes[-1] + 1 :])
    adjacent = axes[-1] - axes[0] == len(axes) - 1 and x.flags.c_contiguous
    threads = threads_for(x.size, GRAIN)
    if adjacent and inner >= NARROW:
        depth = max(DEPTH, -(-n // 1024))
        parts = np.empty((x.size // (n * inner), -(-n // depth), inner))
        block = x.reshape(parts.shape[0], n, inner)
        kernel("reduce_columns", x.dtype)(block, kind, p, depth, parts, threads)
        combine = {LARGEST: np.maximum, SMALLEST: np.minimum}.get(kind, np.add)
        return combine.reduce(parts, axis=1).reshape(kept)
    rows = as_rows(x, axes)
    out = np.empty(rows.shape[0])
    parts = np.empty((rows.shape[0], -(-n // BLOCK)))
    kernel("reduce_rows", x.dtype)(rows, kind, p, parts, out, threads)
    return out.reshape(kept)


def norms_of_rows(x: np.ndarray, axes: tuple[int, ...], p: float) -> np.ndarray | None:
    """What `norms_along` gives, in the type of `x`, by one kernel; None for what that does not serve.

    After reading an array larger than the caches, every line of code takes long the first time: so no NumPy follows.
    """
    kind, n = kind_of(p), x.shape[-1] if x.ndim else 0
    if axes != (x.ndim - 1,) or x.size == 0 or not x.flags.c_contiguous or (ABS < kind < LARGEST and kind != SQUARE):
        return None
    rows = x.reshape(-1, n)
    out, parts = np.empty(len(rows), x.dtype), np.empty((len(rows), -(-n // BLOCK)))
    sound = kernel("norm_rows", x.dtype)(rows, kind, n * TINY, parts, out, threads_for(x.size, GRAIN))
    return out.reshape(x.shape[:-1]) if sound else None


def norms_along(x: np.ndarray, axes: tuple[int, ...], p: float) -> np.ndarray:
    """The norm of order p over some axes, in double, in the shape of those that are kept."""
    kind = kind_of(p)
    value = reduced(x, axes, kind, p)
    if kind <= 1 or kind >= LARGEST:
        return value
    n = math.prod(x.shape[a] for a in axes)
    with np.errstate(all="ignore"):
        result = np.asarray(np.sqrt(value) if p == 2 else value ** (1 / p))
        fast = (value >= n * TINY) & (value < np.inf)
        if n == 0 or fast.all():
            return result
        # The rescue of _reduction, row by row; entries that one infinity, NaN or zero settles need no sum.
        decides = reduced(x, axes, LARGEST if p > 0 else SMALLEST, p)
        settled = ~((decides > 0) & (decides < np.inf))
        if not (fast | settled).all():
            divisor, scaled = rescaled(x, np.expand_dims(np.where(settled, 1.0, decides), axes), p)
            value = reduced(scaled, axes, POWER if kind == QUICK else kind, p)
            result = np.where(fast, result, value ** (1 / p) * np.reshape(divisor, np.shape(divisor) and value.shape))
        return np.where(settled & ~fast, decides, result)


def as_rows(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """x with the given axes last and flattened: (rows, n), C-contiguous; a view where it can be."""
    kept = [a for a in range(x.ndim) if a not in axes]
    n = math.prod(x.shape[a] for a in axes)
    rows = math.prod(x.shape[a] for a in kept)
    return np.ascontiguousarray(np.transpose(x, [*kept, *axes])).reshape(rows, n)


def from_rows(rows: np.ndarray, like: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The inverse of :func:`as_rows`."""
    kept = [a for a in range(like.ndim) if a not in axes]
    order = [*kept, *axes]
    return np.transpose(rows.reshape([like.shape[a] for a in order]), np.argsort(order))


def map_rows(rows: np.ndarray, kind: int, level: Any, p: float = 0.0, out: np.ndarray | None = None) -> np.ndarray:
    """A map of every row at its own level (a number serves all); into `out`, which may be `rows`."""
    out = np.empty_like(rows) if out is None else out
    if rows.size:
        levels = np.ascontiguousarray(np.broadcast_to(np.asarray(level, np.float64), rows.shape[:1]))
        kernel("map_rows", rows.dtype)(rows, kind, levels, p, out, threads_for(rows.size, GRAIN))
    return out
