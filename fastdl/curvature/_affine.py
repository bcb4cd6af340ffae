"""Sums of products with matrices, through the kernels of the dense topic."""

from collections.abc import Sequence

import numpy as np

from .. import dense

Term = tuple[np.ndarray, np.ndarray]


def sum_of_products(terms: Sequence[Term], bias: np.ndarray | None = None) -> np.ndarray:
    """bias + sum of a @ W over the terms, each an a of (..., K) with a W of (K, O): one product.

    Side by side the factors make one long inner dimension, so the result is written once, not read and added to.
    """
    if len(terms) == 1:
        return dense.linear_forward(*terms[0], bias)
    factors, matrices = zip(*terms, strict=True)
    return dense.linear_forward(np.concatenate(factors, axis=-1), np.concatenate(matrices), bias)


def transposed(W: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(W.T)


def add_outer(x: np.ndarray, dy: np.ndarray, W: np.ndarray, dW: np.ndarray) -> None:
    """dW += x^T dy, summed over all axes but the last; of W, only the shape matters."""
    dense.linear_backward(dy, x, W, (dW, None), accumulate=True, input_gradient=False)


def add_sum(dy: np.ndarray, db: np.ndarray) -> None:
    """db += dy, summed over all axes but the last."""
    db += dy.reshape(-1, dy.shape[-1]).sum(0)
