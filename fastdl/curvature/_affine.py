"""Sums of products with matrices: what the passes of all layers are made of."""

import math
from collections.abc import Sequence

import numpy as np

from .. import dense
from .._dispatch import kernels
from .._memory import aligned_empty, scratch
from .._threads import threads_for

Term = tuple[np.ndarray, np.ndarray]

_GRAIN = 500_000  # multiply-adds a thread should have, as in the dense topic
_NONE = {kind: np.empty((0, 0), kind) for kind in "fd"}


def sum_of_products(
    terms: Sequence[Term],
    start: np.ndarray | None = None,
    *,
    transposed: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """start + the sum of a @ W (or a @ W^T) over one to three terms, over the last axis of each a.

    start: a bias for all rows, or an array like the result. All terms are added while a block of the result is
    in the cache.
    """
    a, W = terms[0]
    outputs = W.shape[0] if transposed else W.shape[1]
    y = aligned_empty((*a.shape[:-1], outputs), a.dtype) if out is None else out
    if y.size == 0:
        return y
    none = _NONE[a.dtype.char]
    pairs = [(a.reshape(-1, a.shape[-1]), W) for a, W in terms] + [(none, none)] * (3 - len(terms))
    inner = sum(a.shape[1] for a, _ in pairs)
    rows = math.prod(y.shape[:-1])
    kernels.curvature.affine(
        *(array for pair in pairs for array in pair), transposed,
        none if start is None else start.reshape(-1, outputs), y.reshape(-1, outputs),
        scratch(kernels.curvature.packed_size(inner, outputs, a.itemsize), a.dtype),
        threads_for(rows * inner * outputs, _GRAIN),
    )  # fmt: skip
    return y


def add_outer(x: np.ndarray, dy: np.ndarray, W: np.ndarray, dW: np.ndarray) -> None:
    """dW += x^T dy, summed over all axes but the last; of W, only the shape matters."""
    dense.linear_backward(dy, x, W, (dW, None), accumulate=True, input_gradient=False)


def add_sum(dy: np.ndarray, db: np.ndarray) -> None:
    """db += dy, summed over all axes but the last."""
    db += dy.reshape(-1, dy.shape[-1]).sum(0)
