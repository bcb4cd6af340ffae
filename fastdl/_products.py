"""Products of matrices on the matrix tile: the same bits for any number of threads and cores.

NumPy's ``@`` splits its sums by the threads and cores that its BLAS finds. What promises equal bits multiplies here.
"""

import numpy as np

from ._dispatch import kernels
from ._memory import aligned_empty, scratch
from ._threads import threads_for

_GRAIN = 500_000  # multiply-adds that pay for one more thread, as in dense.py


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b for matrices (m, k) and (k, n), contiguous and of one float type."""
    out = aligned_empty((a.shape[0], b.shape[1]), a.dtype)
    if not (a.size and b.size):
        out[...] = 0
        return out
    kernels.dense.linear_forward(a, b, None, out, *_plan(a, b))
    return out


def product_with_transpose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b.T for matrices (m, k) and (n, k). With one row in `a` it is a matrix times a vector: (b @ a[0])."""
    out = aligned_empty((a.shape[0], b.shape[0]), a.dtype)
    if not (a.size and b.size):
        out[...] = 0
        return out
    kernels.dense.linear_backward(a, out, b, (out, None, None), False, *_plan(out, b))
    return out


def product_of_transpose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a.T @ b for matrices (k, m) and (k, n)."""
    out = aligned_empty((a.shape[1], b.shape[1]), a.dtype)
    if not (a.size and b.size):
        out[...] = 0
        return out
    kernels.dense.linear_backward(b, a, out, (None, out, None), False, *_plan(a, out))
    return out


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The scalar product of two vectors: NumPy's sum in pairs, which knows of no threads."""
    return float(np.add.reduce(a * b))


def _plan(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, int]:
    """Work space and threads, as for a linear layer of weights W."""
    rows, (inputs, outputs) = x.shape[0], W.shape
    size = kernels.dense.work_size(rows, inputs, outputs, x.itemsize)
    return scratch(size, x.dtype), threads_for(rows * inputs * outputs, _GRAIN)
