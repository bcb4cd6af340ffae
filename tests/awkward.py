"""Arrays that kernels get wrong, for every kernel's tests: sizes around vectors, layouts, special values."""

import numpy as np


def awkward_arrays(dtype):
    """(label, array) pairs; values are asymmetric, and not zero except where zero is the point."""
    rng = np.random.default_rng(20)
    for size in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 255, 257, 1023, 1024, 1025, 2049):
        yield f"size {size}", rng.normal(1.0, 2.0, size).astype(dtype)
    base = rng.normal(1.0, 2.0, (7, 11)).astype(dtype)
    yield "two dimensions", base
    yield "no dimensions", np.array(base[2, 3])
    yield "empty in the middle", base[:, :0].reshape(7, 0, 1)
    yield "strided", base[::2, ::3]
    yield "reversed", base[::-1, ::-1]
    yield "transposed", base.T
    yield "broadcast", np.broadcast_to(base[:1], (7, 11))
    yield "byte-swapped", base.astype(base.dtype.newbyteorder())
    raw = np.zeros(base.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(base.dtype)
    unaligned[:] = base.ravel()
    yield "unaligned", unaligned
    read_only = base.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    info = np.finfo(dtype)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, info.max, -info.max, info.tiny, info.smallest_subnormal]
    yield "special values", np.array(special * 9, dtype)
