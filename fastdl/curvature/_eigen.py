"""Eigenvalues of symmetric matrices with the same bits for any number of threads and cores.

LAPACK and ARPACK multiply through a BLAS that splits its sums by the threads it finds. Here sums are NumPy's own, which
know of no threads, or the matrix tile's.
"""

from collections.abc import Callable

import numpy as np

from ..random import as_generator
from ._affine import sum_of_products

_SWEEPS = 40  # Jacobi's method needs six to ten
_RESTARTS = 300


def norm(v: np.ndarray) -> float:
    largest = float(np.abs(v).max(initial=0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    scaled = v / largest
    return largest * float(np.sqrt((scaled * scaled).sum()))


def symmetric_eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending, and eigenvectors as columns, by Jacobi's rotations.

    A round turns disjoint pairs of rows and columns at once; every pair meets in the rounds of a sweep, as at a
    tournament.
    """
    n = len(matrix)
    size = n + n % 2  # an odd player would have to sit out
    A, rows = np.zeros((size, size)), np.eye(size)  # the eigenvectors lie as rows
    scale = float(np.abs(matrix).max(initial=0)) or 1.0
    A[:n, :n] = 0.5 * (matrix + matrix.T) / scale
    players = np.arange(size)
    for _ in range(_SWEEPS):
        if np.abs(A - np.diag(np.diag(A))).max(initial=0) <= 1e-15:
            break
        for _ in range(size - 1):
            A = _turn(A, rows, players[: size // 2], players[size // 2 :][::-1])
            players[1:] = np.roll(players[1:], 1)
    values, vectors = np.diag(A)[:n] * scale, rows[:n, :n].T  # the sitting one has turned with none
    order = np.argsort(values, kind="stable")
    return values[order], vectors[:, order]


def _turn(A: np.ndarray, rows: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """A after rotations that make A[p, q] zero, pair by pair; the rows turn along."""
    on = A[p, q] != 0
    if not on.any():
        return A
    p, q = p[on], q[on]
    with np.errstate(all="ignore"):
        ratio = (A[q, q] - A[p, p]) / (2 * A[p, q])
        t = np.where(ratio >= 0, 1.0, -1.0) / (np.abs(ratio) + np.hypot(ratio, 1.0))
    c = (1 / np.hypot(t, 1.0))[:, None]
    s = t[:, None] * c

    def turned(M: np.ndarray) -> np.ndarray:
        left, right = M[p], M[q]
        M[p], M[q] = c * left - s * right, s * left + c * right
        return M

    turned(rows)
    A = turned(np.ascontiguousarray(turned(A).T))
    A[p, q] = A[q, p] = 0.0
    return A


def without(basis: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w without its part in the orthonormal rows, and that part's coefficients; twice, as once leaves rounding."""
    total = np.zeros(len(basis))
    for _ in range(2):
        part = sum_of_products([(w[None], basis)], transposed=True)
        w = w - sum_of_products([(part, basis)])[0]
        total += part[0]
    return w, total


def ends(
    multiply: Callable[[np.ndarray], np.ndarray], n: int, low: int, high: int, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """The `low` smallest and the `high` largest eigenpairs, by Lanczos' method with thick restarts.

    K. Wu, H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", 2000. Every residual is at
    most `tol` times the largest eigenvalue in size.
    """
    wanted = low + high
    rows = min(n, max(3 * wanted, wanted + 40))
    source = as_generator(0)  # the same result at every call
    basis, H = np.zeros((rows + 1, n)), np.zeros((rows, rows))
    start = source.normal(0.0, 1.0, n, np.float64)
    basis[0], kept, radius = start / norm(start), 0, 0.0
    for _ in range(_RESTARTS):
        for j in range(kept, rows):
            w, H[: j + 1, j] = without(basis[: j + 1], multiply(basis[j]))
            H[j, : j + 1] = H[: j + 1, j]
            across, largest = norm(w), np.abs(H[: j + 1, : j + 1]).max()
            if j + 1 == n:
                across = 0.0
                break
            if across <= 1e-14 * largest:  # an invariant subspace: go on outside of it
                across = 0.0
                w, _ = without(basis[: j + 1], source.normal(0.0, 1.0, n, np.float64))
            basis[j + 1] = w / norm(w)
        values, S = symmetric_eigen(H)
        chosen = np.r_[:low, rows - high : rows]
        radius = max(radius, float(np.abs(values).max()))  # what is kept may lack the largest
        if (across * np.abs(S[-1, chosen]) <= tol * radius).all():
            return values[chosen], sum_of_products([(np.ascontiguousarray(S[:, chosen].T), basis[:rows])]).T
        spare = (rows - wanted) // 2
        more = [int(np.ceil(spare * one / wanted)) for one in (low, high)]
        keep = np.r_[: low + more[0] * (low > 0), rows - high - more[1] * (high > 0) : rows]
        kept = len(keep)
        basis[:kept] = sum_of_products([(np.ascontiguousarray(S[:, keep].T), basis[:rows])])
        basis[kept] = basis[rows]
        H[...] = 0
        H[np.arange(kept), np.arange(kept)] = values[keep]
    raise ValueError(f"tol: got {tol:g}, which {_RESTARTS} restarts did not reach, expected a larger one")
