"""The spectrum of a Hessian that is never built: ends, trace, diagonal, density."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol

import numpy as np

from .._differences import check_finite
from .._validate import choice, integer, number
from ..random import Generator, as_generator
from ._eigen import ends, extreme, norm, symmetric_eigen, without

_DENSE = 100  # up to so many parameters the matrix itself is built and decomposed


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
    """Some eigenvalues and their eigenvectors.

    Attributes
    ----------
    values : ndarray of float64 (k,)
        Ascending.
    vectors : ndarray of float64 (N, k)
        A column for each value, of norm 1.
    """

    values: np.ndarray
    vectors: np.ndarray


class Estimate(NamedTuple):
    """A mean over random vectors.

    Attributes
    ----------
    value : float or ndarray of float64 (N,)
        The mean.
    error : float or ndarray of float64 (N,)
        Its standard error; zero where the value is exact.
    """

    value: Any
    error: Any


class _Operator:
    """Multiplication with the matrix, or its block of some parameters, on float64 vectors."""

    def __init__(self, point: Point, matrix: str, parameters: Collection[str] | None) -> None:
        for name in ("product", "places", "size", "dtype"):
            if not hasattr(point, name):
                raise TypeError(f"point: got {type(point).__name__}, expected a LossPoint or a FunctionPoint")
        self._product, self._places, self._point = point.product(matrix), point.places(parameters), point
        self.size = point.size if self._places is None else len(self._places)
        if not self.size:
            raise ValueError("point: got one without parameters, expected one or more")

    def __call__(self, v: np.ndarray) -> np.ndarray:
        if self._places is None:
            found = self._product(v.astype(self._point.dtype))
        else:
            whole = np.zeros(self._point.size, self._point.dtype)
            whole[self._places] = v
            found = self._product(whole)[self._places]
        check_finite("point", found, "a product with its matrix")
        return found.astype(np.float64)


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

    By Lanczos' method, which only multiplies with the matrix; up to 100 parameters the matrix is built, and up to 1,500
    where as many products did not do. The bits are the same for any number of threads and cores.

    Parameters
    ----------
    point : LossPoint or FunctionPoint
        Where the matrix is taken.
    k : int, default 1
        How many; with which="both", from each end.
    which : {"largest", "smallest", "both"}, default "largest"
        By sign, not by size.
    matrix : {"hessian", "gauss_newton"}, default "hessian"
        Which of a point's matrices; a FunctionPoint has the first alone.
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
    TypeError
        If `point` is no point.
    ValueError
        If there are not so many, or a product is not finite.

    References
    ----------
    K. Wu, H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", 2000; docs/curvature.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 - x[1] ** 2, np.zeros(2))
    >>> fd.curvature.eigenpairs(point, which="both").values.round(6)
    array([-2.,  2.])
    """
    choice("which", which, ("largest", "smallest", "both"))
    operator = _Operator(point, matrix, parameters)
    number("tol", tol, 0, 1)
    n, k = operator.size, integer("k", k, 1)
    if k > n:
        raise ValueError(f"k: got {k}, but there are {n} eigenvalues")
    low, high = (k if which != "largest" else 0), (k if which != "smallest" else 0)
    if low + high > n:
        raise ValueError(f"k: got {k}, but there are {n} eigenvalues, and which='both' takes {k} from each end")
    if n <= _DENSE or 3 * (low + high) >= n:
        return Eigenpairs(*extreme(operator, n, low, high))
    return Eigenpairs(*ends(operator, n, low, high, tol or (1e-9 if point.dtype == np.float64 else 1e-5)))


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
        Where the matrix is taken.
    samples : int, optional
        Random sign vectors s, at least 2; the estimate is the mean of s * (H s) (Bekas, Kokiopoulou, Saad 2007). None:
        exact.
    matrix, parameters
        As for :func:`eigenpairs`.
    rng : None, int or fastdl.random.Generator, default None
        Source of the signs.

    Returns
    -------
    Estimate
        ``value`` and its standard ``error``, both (N,).

    Raises
    ------
    TypeError, ValueError
        If `point` is none, a name is not known, there are fewer than 2 samples, or a product is not finite.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 + 3 * x[1] ** 2, np.zeros(2))
    >>> fd.curvature.diagonal(point).value.round(6)
    array([2., 6.])
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
    """The sum of all eigenvalues: exactly, or Hutchinson's estimate, the mean of s . H s over random signs s.

    Parameters
    ----------
    point : LossPoint or FunctionPoint
        Where the matrix is taken.
    samples : int, optional
        Random sign vectors, at least 2. None: exact.
    matrix, parameters
        As for :func:`eigenpairs`.
    rng : None, int or fastdl.random.Generator, default None
        Source of the signs.

    Returns
    -------
    Estimate
        ``value`` and its standard ``error``, floats.

    Raises
    ------
    TypeError, ValueError
        As :func:`diagonal`.

    References
    ----------
    M. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines", 1990.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 + 3 * x[1] ** 2, np.zeros(2))
    >>> round(fd.curvature.trace(point).value, 6)
    8.0
    """
    if samples is None:
        return Estimate(float(diagonal(point, matrix=matrix, parameters=parameters).value.sum()), 0.0)
    operator = _Operator(point, matrix, parameters)
    return Estimate(
        *map(float, _mean([(signs * operator(signs)).sum() for signs in _signs(operator.size, samples, rng)]))
    )


def _signs(size: int, samples: int, rng: Any) -> np.ndarray:
    draws = as_generator(rng).uniform(-1.0, 1.0, (integer("samples", samples, 2), size), np.float64)
    return np.where(draws < 0, -1.0, 1.0)


def _mean(values: list[Any]) -> Estimate:
    return Estimate(np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values)))


class SpectralDensity(NamedTuple):
    """A spectrum as weighted points.

    Attributes
    ----------
    nodes : ndarray of float64 (n,)
        Where the points are.
    weights : ndarray of float64 (n,)
        How much of the spectrum each stands for; their sum is 1.
    size : int
        Eigenvalues in all.
    """

    nodes: np.ndarray
    weights: np.ndarray
    size: int

    def moment(self, order: int) -> float:
        """The mean of the eigenvalues' powers.

        Parameters
        ----------
        order : int
            The power: 1 gives trace / N.

        Returns
        -------
        float
        """
        return float((self.weights * self.nodes**order).sum())

    def density(self, grid: np.ndarray, width: float) -> np.ndarray:
        """The density, each point widened to a normal curve.

        Parameters
        ----------
        grid : array_like (g,)
            Values at which it is wanted.
        width : float
            Standard deviation of the curve, in the unit of the eigenvalues.

        Returns
        -------
        ndarray of float64 (g,)
            Its integral is 1.
        """
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

    Returns
    -------
    SpectralDensity
        Of ``probes * steps`` points, or of fewer where a start's whole subspace was found.

    Raises
    ------
    TypeError, ValueError
        If `point` is none, a name is not known, a number is below 1, or a product is not finite.

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
        values, vectors = symmetric_eigen(_lanczos(operator, start, steps))
        nodes.append(values)
        weights.append(vectors[0] ** 2 / probes)
    return SpectralDensity(np.concatenate(nodes), np.concatenate(weights), operator.size)


def _lanczos(operator: _Operator, start: np.ndarray, steps: int) -> np.ndarray:
    """The tridiagonal matrix of Lanczos' method, all vectors kept orthogonal."""
    basis = np.empty((steps, operator.size))
    basis[0] = start / norm(start)
    along, across = np.zeros(steps), np.zeros(max(steps - 1, 0))
    for k in range(steps):
        w, inside = without(basis[: k + 1], operator(basis[k]))
        along[k] = inside[k]
        if k + 1 == steps:
            break
        across[k] = norm(w)
        if across[k] <= 1e-12 * max(np.abs(along).max(), 1e-300):  # the start's whole subspace is found
            return _tridiagonal(along[: k + 1], across[:k])
        basis[k + 1] = w / across[k]
    return _tridiagonal(along, across)


def _tridiagonal(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return np.diag(along) + np.diag(across, 1) + np.diag(across, -1)
