"""Arrays that are like a valid one, and are not it."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

# Kinds that concern an argument for itself, so that a refusal must name it; of RELATED ones, another may be named that
# no longer fits.
RELATED = (
    "extent", "flat", "axis more", "axis fewer", "swapped", "other float", "empty", "0-d", "scalar", "values",
    "aliased",
)  # fmt: skip


class Sub(np.ndarray):
    """A plain subclass."""


def _cast(dtype: Any) -> Callable[[np.ndarray], Any]:
    return lambda a: a.astype(dtype)


def _other_float(a: np.ndarray) -> np.ndarray:
    return a.astype(np.float64 if a.dtype == np.float32 else np.float32)


def misaligned(a: np.ndarray) -> np.ndarray:
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def strided(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def reversed_(a: np.ndarray) -> np.ndarray:
    flipped = np.ascontiguousarray(a[(slice(None, None, -1),) * a.ndim])
    return flipped[(slice(None, None, -1),) * a.ndim]


def locked(a: np.ndarray) -> np.ndarray:
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def _fill(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: np.full_like(a, value)


def _finfo(a: np.ndarray) -> np.finfo:
    return np.finfo(a.dtype if a.dtype.kind == "f" else np.float64)


def _one(value: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], np.ndarray]:
    def make(a: np.ndarray) -> np.ndarray:
        copy = a.copy()
        if copy.size:
            copy.reshape(-1)[copy.size // 2] = value(a)
        return copy

    return make


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "misaligned": misaligned,
    "strided": strided,
    "reversed": reversed_,
    "fortran": np.asfortranarray,
    "read-only": locked,
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,
}
OTHERS: dict[str, Callable[[np.ndarray], Any]] = {
    "float16": _cast(np.float16),
    "longdouble": _cast(np.longdouble),
    "complex": _cast(np.complex64),
    "int32": _cast(np.int32),
    "int64": _cast(np.int64),
    "uint8": _cast(np.uint8),
    "uint64": _cast(np.uint64),
    "bool": _cast(bool),
    "object": _cast(object),
    "str": lambda a: a.astype(str),
    "datetime": lambda a: a.astype(np.int64).astype("M8[s]"),
    "structured": lambda a: np.zeros(a.shape, [("a", a.dtype)]),
    "other float": _other_float,
    "subclass": lambda a: a.view(Sub),
    "matrix": lambda a: np.matrix(a.reshape(a.shape[0], -1) if a.ndim > 1 else np.atleast_2d(a)),
    "masked": lambda a: np.ma.masked_array(a, mask=np.zeros(a.shape, bool)),
    "list": lambda a: a.tolist(),
    "0-d": lambda a: np.array(a.reshape(-1)[0] if a.size else 0, a.dtype),
    "scalar": lambda a: a.dtype.type(0),
    "empty": lambda a: np.zeros((0, *a.shape[1:]), a.dtype),
    "empty last": lambda a: np.zeros((*a.shape[:-1], 0), a.dtype),
    "axis more": lambda a: a[None],
    "axis fewer": lambda a: a[0] if a.ndim and a.shape[0] else a.reshape(-1),
    "swapped": lambda a: np.ascontiguousarray(a.T),
    "flat": lambda a: a.reshape(-1),
}
VALUES: dict[str, Callable[[np.ndarray], Any]] = {
    "values: one nan": _one(lambda a: np.nan),
    "values: one inf": _one(lambda a: np.inf),
    "values: all nan": _fill(np.nan),
    "values: all -inf": _fill(-np.inf),
    "values: zeros": _fill(0.0),
    "values: huge": lambda a: np.full_like(a, _finfo(a).max / 2),
    "values: subnormal": lambda a: np.full_like(a, _finfo(a).smallest_subnormal),
    "values: -1": _fill(-1.0),
}
INTEGERS: dict[str, Callable[[np.ndarray], Any]] = {
    "values: -1": _one(lambda a: -1),
    "values: large": _one(lambda a: 10_000),
    "values: most": _one(lambda a: np.iinfo(a.dtype).max),
    "values: least": _one(lambda a: np.iinfo(a.dtype).min),
    "values: zeros": lambda a: np.zeros_like(a),
}


def extents(rng: random.Random, a: np.ndarray) -> tuple[str, np.ndarray]:
    """One axis longer or shorter by one."""
    if a.ndim == 0:
        return "axis more", a[None]
    axis, less = rng.randrange(a.ndim), rng.random() < 0.5
    shape = list(a.shape)
    shape[axis] = max(0, shape[axis] - 1) if less else shape[axis] + 1
    return f"extent {axis} {'less' if less else 'more'}", np.resize(a, shape).astype(a.dtype)


def mutate(rng: random.Random, a: np.ndarray) -> tuple[str, Any]:
    """(what was done, the other array)."""
    kind = rng.choice(("layout", "other", "other", "value", "extent", "extent"))
    if kind == "extent":
        return extents(rng, a)
    table = {"layout": LAYOUTS, "other": OTHERS, "value": INTEGERS if a.dtype.kind in "iu" else VALUES}[kind]
    name = rng.choice(list(table))
    with np.errstate(all="ignore"):
        try:
            return name, table[name](a)
        except (TypeError, ValueError, OverflowError):  # NumPy has no such array
            return extents(rng, a)
