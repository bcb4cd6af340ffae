"""Eigenvalues of symmetric matrices with the same bits for any number of threads and cores.

LAPACK and ARPACK multiply through a BLAS that splits its sums by the threads it finds. Here sums are NumPy's own, which
know of no threads, or the matrix tile's.
"""

import math
from collections.abc import Callable

import numpy as np

from ..random import Generator, as_generator
from ._affine import sum_of_products

_SWEEPS = 40  # an eigenvalue takes two or so
_NOTHING = 2.0**-53
_RESTARTS, _PATIENCE = 300, 10
_ROWS = 300  # of the basis, doubled while that is fewer
_BUILT = 1500  # parameters up to which the matrix is built when products did not do


def norm(v: np.ndarray) -> float:
    largest = float(np.abs(v).max(initial=0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    scaled = v / largest
    return largest * float(np.sqrt((scaled * scaled).sum()))


def symmetric_eigen(matrix: np.ndarray, chosen: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending, and the eigenvectors of those that `chosen` gives (default: of all) as columns.

    By reflections to a tridiagonal matrix and implicit QL steps. J. Wilkinson, C. Reinsch, "Linear Algebra", 1971.
    """
    scale = float(np.abs(matrix).max(initial=0)) or 1.0
    A = matrix / scale
    A = 0.5 * (A + A.T)
    reflections = _tridiagonalise(A)
    values, rotations = _implicit_ql(np.diag(A).tolist(), np.diag(A, 1).tolist())
    order = np.argsort(values, kind="stable")
    wanted = order if chosen is None else order[chosen]
    vectors = np.zeros((len(A), len(wanted)))
    vectors[wanted, np.arange(len(wanted))] = 1
    _rotate_back(vectors, *rotations)
    for k, v in reversed(reflections):
        part = vectors[k:]
        part -= v[:, None] * np.einsum("i,ij->j", v, part)
    return values[order] * scale, vectors


def _tridiagonalise(A: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Make A tridiagonal, in place; the reflections 1 - v v^T as (first row, v)."""
    reflections = []
    for k in range(1, len(A) - 1):
        column = A[k:, k - 1]
        if not column[1:].any():
            continue
        v = column.copy()
        v[0] += math.copysign(norm(v), v[0])
        v *= math.sqrt(2) / norm(v)
        rest = A[k:, k:]
        p = np.einsum("ij,j->i", rest, v)
        w = p - 0.5 * (p * v).sum() * v
        change = v[:, None] * w
        rest -= change
        rest -= change.T
        column -= v * (v * column).sum()
        A[k - 1, k:] = column
        reflections.append((k, v))
    return reflections


def _implicit_ql(d: list[float], e: list[float]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Eigenvalues of a tridiagonal matrix about 1 in size, and the rotations that were made.

    Those are (when, row, cosine, sine): rotations of one time touch different rows, so that they can be made at once.
    """
    n = len(d)
    e.append(0.0)
    made: list[tuple[int, int, float, float]] = []
    sweeps = low = 0
    while low < n:
        high = low
        while high < n - 1 and abs(e[high]) > _NOTHING * max(abs(d[high]) + abs(d[high + 1]), 0.05):
            high += 1
        if high == low:
            low += 1
            continue
        if sweeps >= _SWEEPS * n:
            raise ValueError("point: got a matrix whose eigenvalues did not converge, expected another one")
        g = (d[low + 1] - d[low]) / (2 * e[low])
        g = d[high] - d[low] + e[low] / (g + math.copysign(math.hypot(g, 1.0), g))
        s, c, p = 1.0, 1.0, 0.0
        for i in range(high - 1, low - 1, -1):
            f, b = s * e[i], c * e[i]
            r = e[i + 1] = math.hypot(f, g)
            if r == 0:  # the matrix falls apart here
                d[i + 1] -= p
                break
            s, c = f / r, g / r
            g = d[i + 1] - p
            r = (d[i] - g) * s + 2 * c * b
            p = s * r
            d[i + 1] = g + p
            g = c * r - b
            made.append((2 * sweeps - i, i, c, s))
        else:
            d[low] -= p
            e[low] = g
        e[high] = 0.0
        sweeps += 1
    when, row = (np.array([one[k] for one in made], np.int64) for k in (0, 1))
    cosine, sine = (np.array([one[k] for one in made]) for k in (2, 3))
    return np.array(d), (when, row, cosine, sine)


def _rotate_back(vectors: np.ndarray, when: np.ndarray, row: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> None:
    """Undo the rotations, the last first."""
    order = np.argsort(when, kind="stable")
    bounds = np.flatnonzero(np.diff(when[order], prepend=-1 - len(when), append=1 << 62))
    for begin, end in zip(bounds[-2::-1], bounds[:0:-1], strict=True):
        now = order[begin:end]
        p, c, s = row[now], cosine[now, None], sine[now, None]
        above, below = vectors[p], vectors[p + 1]
        vectors[p], vectors[p + 1] = c * above + s * below, c * below - s * above


def without(basis: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w without its part in the orthonormal rows, and that part's coefficients; twice, as once leaves rounding."""
    total = np.zeros(len(basis))
    for _ in range(2):
        part = sum_of_products([(w[None], basis)], transposed=True)
        w = w - sum_of_products([(part, basis)])[0]
        total += part[0]
    return w, total


def extreme(multiply: Callable[[np.ndarray], np.ndarray], n: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """The `low` smallest and the `high` largest eigenpairs, by n products."""
    matrix = np.stack([multiply(unit) for unit in np.eye(n)], axis=1)
    chosen = np.r_[:low, n - high : n]
    values, vectors = symmetric_eigen(matrix, chosen)
    return values[chosen], vectors


def ends(
    multiply: Callable[[np.ndarray], np.ndarray], n: int, low: int, high: int, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """The `low` smallest and the `high` largest eigenpairs, by Lanczos' method with thick restarts.

    K. Wu, H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", 2000. Every residual is at
    most `tol` times the largest eigenvalue in size. Of an eigenvalue that repeats, one start shows one vector: what
    was found has to stand beside another start. Where n products do not do, a matrix that is not too large is built.
    """
    wanted = low + high
    rows = min(n, max(3 * wanted, wanted + 40))
    source = as_generator(0)  # the same result at every call
    basis, H = np.zeros((rows + 1, n)), np.zeros((rows, rows))
    start = source.normal(0.0, 1.0, n, np.float64)
    basis[0], kept, radius, products = start / norm(start), 0, 0.0, 0
    stood = np.full(wanted, -np.inf) if wanted > (low > 0) + (high > 0) else None
    for restart in range(_RESTARTS):
        across = _extend(multiply, basis, H, kept, source)
        products += rows - kept
        values, S = symmetric_eigen(H)
        chosen = np.r_[:low, rows - high : rows]
        radius = max(radius, float(np.abs(values).max()))  # what is kept may lack the largest
        met = bool((across * np.abs(S[-1, chosen]) <= 0.5 * tol * radius).all())
        if met and (stood is None or rows == n or (np.abs(values[chosen] - stood) <= tol * radius).all()):
            return values[chosen], sum_of_products([(np.ascontiguousarray(S[:, chosen].T), basis[:rows])]).T
        if products >= n and n <= _BUILT:
            return extreme(multiply, n, low, high)
        spare = (rows - wanted) // 2
        more = [int(np.ceil(spare * one / wanted)) for one in (low, high)]
        keep = np.r_[: low + more[0] * (low > 0), rows - high - more[1] * (high > 0) : rows]
        if met:
            stood, keep = values[chosen], chosen
        kept, following = len(keep), basis[rows]
        basis[:kept] = sum_of_products([(np.ascontiguousarray(S[:, keep].T), basis[:rows])])
        if met:
            following, _ = without(basis[:kept], source.normal(0.0, 1.0, n, np.float64))
            following /= norm(following)
        if restart % _PATIENCE == _PATIENCE - 1 and rows < _ROWS:  # a longer polynomial tells more apart
            rows = min(n, 2 * rows)
            basis, H = np.concatenate([basis[:kept], np.zeros((rows + 1 - kept, n))]), np.zeros((rows, rows))
        basis[kept] = following
        H[...] = 0
        H[np.arange(kept), np.arange(kept)] = values[keep]
    raise ValueError(f"tol: got {tol:g}, which {_RESTARTS} restarts did not reach, expected a larger one")


def _extend(
    multiply: Callable[[np.ndarray], np.ndarray], basis: np.ndarray, H: np.ndarray, kept: int, source: Generator
) -> float:
    """Fill the basis from row `kept` on, and the matrix in it; how far products reach out of it."""
    rows, n = len(H), basis.shape[1]
    across = 0.0
    for j in range(kept, rows):
        w, H[: j + 1, j] = without(basis[: j + 1], multiply(basis[j]))
        H[j, : j + 1] = H[: j + 1, j]
        across, largest = norm(w), np.abs(H[: j + 1, : j + 1]).max()
        if j + 1 == n:
            return 0.0
        if across <= 1e-14 * largest:  # an invariant subspace: go on outside of it
            across = 0.0
            w, _ = without(basis[: j + 1], source.normal(0.0, 1.0, n, np.float64))
        basis[j + 1] = w / norm(w)
    return across
