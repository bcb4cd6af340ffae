"""Sums of products with matrices: what the passes of all layers are made of."""

import math
from collections.abc import Sequence

import numpy as np

from .._dispatch import kernels
from .._memory import aligned_empty, scratch
from .._threads import threads_for

Term = tuple[np.ndarray, np.ndarray]

_GRAIN = 1_000_000  # multiply-adds a thread should have, as in the recurrent topic


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
    pairs = [(a.reshape(-1, a.shape[-1]), W) for a, W in terms]
    inner = sum(a.shape[1] for a, _ in pairs)
    rows = math.prod(y.shape[:-1])
    kernels.curvature.affine(
        pairs, transposed, None if start is None else start.reshape(-1, outputs), y.reshape(-1, outputs),
        scratch(kernels.curvature.packed_size(inner, outputs, a.itemsize), a.dtype),
        threads_for(rows * inner * outputs, _GRAIN),
    )  # fmt: skip
    return y


def add_outer(dy: np.ndarray, *targets: tuple[np.ndarray, np.ndarray], db: np.ndarray | None = None) -> None:
    """dW += x^T dy for the one or two (x, dW) given, and db += dy; sums over all axes but the last."""
    if dy.size == 0:
        return
    terms = [(x.reshape(-1, x.shape[-1]), dW) for x, dW in targets]
    rows = dy.reshape(-1, dy.shape[-1])
    inputs = [x.shape[1] for x, _ in terms]
    num_threads = threads_for(rows.size * sum(inputs), _GRAIN)
    work = scratch(kernels.curvature.outer_size(inputs, dy.itemsize, num_threads), dy.dtype)
    kernels.curvature.add_outer(terms, rows, db, work, num_threads)
