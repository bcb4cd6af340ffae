"""Arrays that break kernels: empty, one element, a vector's width +- 1, odd layouts, odd values."""

import math

import numpy as np

# Around the lanes (32, 64) and blocks (8192) of the kernels, and of every vector register.
SIZES = (
    0,
    1,
    2,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    129,
    1000,
    8191,
    8192,
    8193,
    16385,
    70_001,
)


def layouts(dtype):
    """(name, array) of values in every layout NumPy has."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((6, 35)).astype(dtype)
    yield "contiguous", x
    yield "zero-dimensional", np.array(x[0, 0])
    yield "fortran", np.asfortranarray(x)
    yield "strided", x[::2, ::3]
    yield "reversed", x[::-1, ::-1]
    yield "transposed", x.T
    yield "three axes", np.ascontiguousarray(rng.standard_normal((5, 4, 33)).astype(dtype))
    yield "axes swapped", rng.standard_normal((5, 33, 4)).astype(dtype).transpose(2, 0, 1)
    yield "broadcast", np.broadcast_to(x[0], (4, 35))
    yield "byte-swapped", x.astype(x.dtype.newbyteorder())
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(dtype).reshape(x.shape)
    raw[...] = x
    yield "unaligned", raw
    locked = x.copy()
    locked.flags.writeable = False
    yield "read-only", locked
    yield "empty", np.zeros((0, 3), dtype)
    yield "empty rows", np.zeros((3, 0), dtype)


def values(dtype):
    """(name, vector) of every kind of number."""
    info = np.finfo(dtype)
    yield "zeros", np.zeros(40, dtype)
    yield "negative zeros", -np.zeros(40, dtype)
    yield "nan", np.array([1, math.nan, 3] * 30, dtype)
    yield "inf", np.array([1, -math.inf, 3] * 30, dtype)
    yield "inf and nan", np.array([math.inf, math.nan, 0] * 30, dtype)
    yield "huge", np.array([info.max, -info.max / 2, 1] * 30, dtype) / 100
    yield "tiny", np.array([info.tiny, -2 * info.tiny, 0] * 30, dtype)
    yield "subnormal", np.array([info.smallest_subnormal, -3 * info.smallest_subnormal, 0] * 30, dtype)
    yield "all scales", np.geomspace(info.tiny, info.max / 100, 100, dtype=np.float64).astype(dtype)


def awkward_arrays(dtype):
    """All of the above: (name, array) by size, layout and kind of number."""
    rng = np.random.default_rng(20)
    for size in SIZES:
        yield f"size {size}", rng.normal(1.0, 2.0, size).astype(dtype)
    yield from layouts(dtype)
    yield from values(dtype)
