"""The spectrum of a Hessian that is never built: ends, trace, diagonal, density."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol

import numpy as np

from .._validate import choice, integer
from ..random import Generator, as_generator

_DENSE = 200  # up to so many parameters the matrix itself is built and decomposed


class Point(Protocol):
    """What is asked of a point; :class:`LossPoint` and :class:`FunctionPoint` are such."""

    value: float

    @property
    def size(self) -> int: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def gradient(self) -> np.ndarray: ...
    def hvp(self, v: np.ndarray) -> np.ndarray: ...
    def hessian(self) -> np.ndarray: ...
    def product(self, matrix: str) -> Callable[[np.ndarray], np.ndarray]: ...
    def places(self, parameters: Any) -> np.ndarray | None: ...
    def value_at(self, offset: np.ndarray) -> float: ...


class Eigenpairs(NamedTuple):
    """Eigenvalues, ascending, and the eigenvectors as columns."""

    values: np.ndarray
    vectors: np.ndarray


class Estimate(NamedTuple):
    """A mean over random vectors, and its standard error (zero where it is exact)."""

    value: Any
    error: Any


class _Operator:
    """Multiplication with the matrix, or its block of some parameters, on float64 vectors."""

    def __init__(self, point: Point, matrix: str, parameters: Collection[str] | None) -> None:
        self._product, self._places, self._point = point.product(matrix), point.places(parameters), point
        self.size = point.size if self._places is None else len(self._places)

    def __call__(self, v: np.ndarray) -> np.ndarray:
        if self._places is None:
            return self._product(v.reshape(-1).astype(self._point.dtype)).astype(np.float64)
        whole = np.zeros(self._point.size, self._point.dtype)
        whole[self._places] = v.reshape(-1)
        return self._product(whole)[self._places].astype(np.float64)


def eigenpairs(
    point: Point,
    k: int = 1,
    which: str = "largest",
    *,
    matrix: str = "hessian",
    parameters: Collection[str] | None = None,
    tol: float = 0.0,
) -> Eigenpairs:
    """Eigenvalues at one or both ends of the spectrum, with eigenvectors.

    By Lanczos' method, which only multiplies with the matrix (scipy's ``eigsh``: the extra ``fastdl[curvature]``);
    up to 200 parameters the matrix is built.

    Parameters
    ----------
    point : LossPoint or FunctionPoint
    k : int, default 1
        How many; with which="both", from each end.
    which : {"largest", "smallest", "both"}, default "largest"
        By sign, not by size.
    matrix : {"hessian", "gauss_newton"}
    parameters : collection of str, optional
        Names of parameters, or of layers: the block of those alone.
    tol : float, default 0
        Largest residual norm(H v - lambda v), relative to the largest eigenvalue in size; the eigenvalue itself is
        more accurate than that. 0 stands for 1e-9, or 1e-5 in float32.

    Returns
    -------
    Eigenpairs
        ``values`` (k,) or (2 k,), ascending; ``vectors`` with a column each.

    Raises
    ------
    ImportError
        If scipy is needed and missing.
    ValueError
        If there are not so many.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 - x[1] ** 2, np.zeros(2))
    >>> fd.curvature.eigenpairs(point, which="both").values.round(6)
    array([-2.,  2.])
    """
    choice("which", which, ("largest", "smallest", "both"))
    operator = _Operator(point, matrix, parameters)
    wanted = integer("k", k, 1) * (2 if which == "both" else 1)
    if wanted > operator.size:
        raise ValueError(f"k: got {k}, but there are {operator.size} eigenvalues")
    if operator.size <= _DENSE or wanted >= operator.size - 1:
        dense = _dense(operator)
        values, vectors = np.linalg.eigh(0.5 * (dense + dense.T))
        chosen = {
            "largest": np.arange(operator.size)[-k:],
            "smallest": np.arange(operator.size)[:k],
            "both": np.r_[:k, operator.size - k : operator.size],
        }[which]
        return Eigenpairs(values[chosen], vectors[:, chosen])
    try:
        from scipy.sparse.linalg import LinearOperator, eigsh
    except ImportError:
        raise ImportError("eigenpairs needs scipy: pip install 'fastdl[curvature]'") from None
    n = operator.size
    start = as_generator(0).normal(0.0, 1.0, n, np.float64)  # the same result at every call
    linear = LinearOperator((n, n), operator, dtype=np.float64)
    radius = float(np.abs(eigsh(linear, 1, which="LM", v0=start, tol=0.01, return_eigenvectors=False)).max())
    if radius == 0:
        return Eigenpairs(np.zeros(wanted), np.eye(n)[:, :wanted])
    tol = tol or (1e-9 if point.dtype == np.float64 else 1e-5)
    found = []
    for sign in {"largest": (1,), "smallest": (-1,), "both": (-1, 1)}[which]:
        # eigsh measures an eigenvalue's accuracy by its own size. Those near zero, of which networks have many, would
        # take for ever: shifted away from zero, all are measured by the spectrum's size.
        shift = 2 * sign * radius
        shifted = LinearOperator((n, n), lambda v, shift=shift: operator(v) + shift * v.reshape(-1), dtype=np.float64)
        values, vectors = eigsh(shifted, k, which="LA" if sign > 0 else "SA", v0=start, tol=tol / 3)
        found.append((values - shift, vectors))
    values, vectors = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
    order = np.argsort(values)
    return Eigenpairs(values[order], vectors[:, order])


def _dense(operator: _Operator) -> np.ndarray:
    return np.stack([operator(unit) for unit in np.eye(operator.size)], axis=1)


def diagonal(
    point: Point,
    samples: int | None = None,
    *,
    matrix: str = "hessian",
    parameters: Collection[str] | None = None,
    rng: int | Generator | None = None,
) -> Estimate:
    """The diagonal: exactly, by one product a parameter; or Hutchinson's estimate, by one product a sample.

    Parameters
    ----------
    point : LossPoint or FunctionPoint
    samples : int, optional
        Random sign vectors s; the estimate is the mean of s * (H s) (Bekas, Kokiopoulou, Saad 2007). None: exact.
    matrix, parameters
        As for :func:`eigenpairs`.
    rng : None, int or fastdl.random.Generator
        Source of the signs.

    Returns
    -------
    Estimate
        ``value`` and its standard ``error``, both (N,).
    """
    operator = _Operator(point, matrix, parameters)
    if samples is None:
        exact = np.empty(operator.size)
        unit = np.zeros(operator.size)
        for k in range(operator.size):
            unit[k] = 1
            exact[k] = operator(unit)[k]
            unit[k] = 0
        return Estimate(exact, np.zeros(operator.size))
    return _mean([signs * operator(signs) for signs in _signs(operator.size, samples, rng)])


def trace(
    point: Point,
    samples: int | None = None,
    *,
    matrix: str = "hessian",
    parameters: Collection[str] | None = None,
    rng: int | Generator | None = None,
) -> Estimate:
    """The sum of all eigenvalues: exactly, or Hutchinson's estimate s . H s; arguments as for :func:`diagonal`."""
    if samples is None:
        return Estimate(float(diagonal(point, matrix=matrix, parameters=parameters).value.sum()), 0.0)
    operator = _Operator(point, matrix, parameters)
    return Estimate(*map(float, _mean([signs @ operator(signs) for signs in _signs(operator.size, samples, rng)])))


def _signs(size: int, samples: int, rng: Any) -> np.ndarray:
    draws = as_generator(rng).uniform(-1.0, 1.0, (integer("samples", samples, 2), size), np.float64)
    return np.where(draws < 0, -1.0, 1.0)


def _mean(values: list[Any]) -> Estimate:
    return Estimate(np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values)))


class SpectralDensity(NamedTuple):
    """A spectrum as weighted points: ``weights`` (sum 1) at ``nodes``; ``size`` eigenvalues in all."""

    nodes: np.ndarray
    weights: np.ndarray
    size: int

    def moment(self, order: int) -> float:
        """The mean of the eigenvalues' powers: 1 gives trace / N."""
        return float((self.weights * self.nodes**order).sum())

    def density(self, grid: np.ndarray, width: float) -> np.ndarray:
        """The density at a grid of values, each point widened to a normal curve of that standard deviation."""
        apart = (np.asarray(grid)[:, None] - self.nodes) / width
        return (self.weights * np.exp(-0.5 * apart * apart)).sum(1) / (width * np.sqrt(2 * np.pi))


def spectral_density(
    point: Point,
    probes: int = 8,
    steps: int = 64,
    *,
    matrix: str = "hessian",
    parameters: Collection[str] | None = None,
    rng: int | Generator | None = None,
) -> SpectralDensity:
    """The distribution of all eigenvalues, by stochastic Lanczos quadrature.

    Parameters
    ----------
    point : LossPoint or FunctionPoint
    probes : int, default 8
        Random starting vectors.
    steps : int, default 64
        Lanczos steps, that is products, for each; as many points represent the spectrum it sees.
    matrix, parameters, rng
        As for :func:`diagonal`.

    References
    ----------
    G. Golub, J. Welsch, "Calculation of Gauss quadrature rules", 1969; B. Ghorbani, S. Krishnan, Y. Xiao, "An
    investigation into neural net optimization via Hessian eigenvalue density", ICML 2019.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 + 3 * x[1] ** 2, np.zeros(2))
    >>> round(fd.curvature.spectral_density(point, probes=1, rng=0).moment(1), 6)
    4.0
    """
    operator = _Operator(point, matrix, parameters)
    integer("probes", probes, 1)
    steps = min(integer("steps", steps, 1), operator.size)
    nodes, weights = [], []
    source = as_generator(rng)
    for _ in range(probes):
        start = np.where(source.uniform(-1.0, 1.0, operator.size, np.float64) < 0, -1.0, 1.0)
        values, vectors = np.linalg.eigh(_lanczos(operator, start, steps))
        nodes.append(values)
        weights.append(vectors[0] ** 2 / probes)
    return SpectralDensity(np.concatenate(nodes), np.concatenate(weights), operator.size)


def _lanczos(operator: _Operator, start: np.ndarray, steps: int) -> np.ndarray:
    """The tridiagonal matrix of Lanczos' method, all vectors kept orthogonal."""
    basis = np.empty((steps, operator.size))
    basis[0] = start / np.linalg.norm(start)
    along, across = np.zeros(steps), np.zeros(max(steps - 1, 0))
    for k in range(steps):
        w = operator(basis[k])
        along[k] = w @ basis[k]
        for _ in range(2):  # once leaves rounding behind where the vectors are nearly dependent
            w -= basis[: k + 1].T @ (basis[: k + 1] @ w)
        if k + 1 == steps:
            break
        across[k] = np.linalg.norm(w)
        if across[k] <= 1e-12 * max(np.abs(along).max(), 1e-300):  # the start's whole subspace is found
            return _tridiagonal(along[: k + 1], across[:k])
        basis[k + 1] = w / across[k]
    return _tridiagonal(along, across)


def _tridiagonal(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return np.diag(along) + np.diag(across, 1) + np.diag(across, -1)
