"""Products of a recurrence by heads that need no walk: each matrix W_h[j] with its own columns of h and the gates."""

import numpy as np

from ._affine import add_outer, sum_of_products


def add_products(h: np.ndarray, W_h: np.ndarray, a: np.ndarray) -> None:
    """a += h @ W_h, head by head. h: (T, B, H); W_h: (heads, D, G D); a: (T, B, G H), gate by gate."""
    by_head = _gates_by_head(a, W_h)
    for j, h_j in enumerate(_by_head(h, W_h)):
        by_head[j] += sum_of_products([(h_j, W_h[j])]).reshape(by_head[j].shape)


def add_transposed_products(da: np.ndarray, W_h: np.ndarray, dh: np.ndarray) -> None:
    """dh += da @ W_h^T, head by head."""
    D = W_h.shape[1]
    for j, da_j in enumerate(_rows(_gates_by_head(da, W_h))):
        dh[..., j * D : (j + 1) * D] += sum_of_products([(da_j, W_h[j])], transposed=True)


def add_gradients(h: np.ndarray, da: np.ndarray, dW_h: np.ndarray) -> None:
    """dW_h += h^T da, head by head."""
    for h_j, da_j, dW_j in zip(*factors(h, da, dW_h), dW_h, strict=True):
        add_outer(da_j, (h_j, dW_j))


def factors(h: np.ndarray, da: np.ndarray, W_h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """h and da of every head, (heads, T, B, D) and (heads, T, B, G D)."""
    return _by_head(h, W_h), _rows(_gates_by_head(da, W_h))


def _by_head(h: np.ndarray, W_h: np.ndarray) -> np.ndarray:
    heads, D, _ = W_h.shape
    return np.ascontiguousarray(np.moveaxis(h.reshape(*h.shape[:2], heads, D), 2, 0))


def _gates_by_head(a: np.ndarray, W_h: np.ndarray) -> np.ndarray:
    """A view (heads, T, B, G, D)."""
    heads, D, wide = W_h.shape
    return np.moveaxis(a.reshape(*a.shape[:2], wide // D, heads, D), 3, 0)


def _rows(by_head: np.ndarray) -> np.ndarray:
    *lead, G, D = by_head.shape
    return np.ascontiguousarray(by_head).reshape(*lead, G * D)
