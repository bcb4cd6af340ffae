"""The values of the norms (docs/norms.md 1.1 to 1.8)."""

import math
from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._validate import flag, float_type, shown
from ._axes import Axis, axes_of, norms_along, norms_of_rows, real_array
from ._reduction import in_float, norm_of, order, small

_MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


@mirrored
def norm(
    x: np.ndarray,
    ord: float | str | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    dtype: Any = None,
) -> Any:
    """Vector or matrix norm, as :func:`numpy.linalg.norm`.

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any layout.
    ord : float, "fro", "nuc" or None, default None
        The order. None is the 2-norm of all entries, whatever the shape. Vectors: any number, inf and -inf
        included. Matrices: "fro", "nuc", 1, -1, 2, -2, inf, -inf.
    axis : int, tuple of int or None, default None
        An int: norms of the vectors along that axis. A pair: norms of the matrices in those axes. None: `x`
        is one vector or one matrix (of any shape if `ord` is None).
    keepdims : bool, default False
        Keep the reduced axes, with extent 1.
    dtype : float32, float64 or None, default None
        Type of the result; default that of `x`. Sums are kept in double in any case.

    Returns
    -------
    float32 or float64 scalar, or ndarray
        NaN where an entry is NaN (except for order 0, which counts it).

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type, the order does not suit the number of axes, or -inf meets no entry.

    Notes
    -----
    docs/norms.md has the formulas. Nothing overflows or underflows where the result is representable, and sums run in
    double over blocks of fixed size in fixed order: the error does not grow with the size, and the bits do
    not depend on the threads. ("nuc", 2 and -2 of matrices are LAPACK's singular values, by NumPy.) Of orders
    other than 0, 1/2, 1, 2, -1 and the infinities, a float32 array has its terms computed in float32, about 1e-7 of
    relative error, unless `dtype` is float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.array([[3.0, 0.0], [4.0, -5.0]])
    >>> fd.norm(x, 1, axis=0).tolist(), float(fd.norm(x, np.inf))
    ([7.0, 5.0], 9.0)
    """
    if axis is None and dtype is None and keepdims is False:
        value = small(x, 2.0 if ord is None else ord)
        if value is not None:
            return value
    if ord is None:
        return _vector(x, 2.0, axis, keepdims, dtype)
    x = real_array("x", x)
    axes = axes_of(x, axis)
    if len(axes) == 2 and isinstance(ord, str) and ord == "fro":
        return _vector(x, 2.0, axis, keepdims, dtype)
    if len(axes) == 1 and not isinstance(ord, str):
        return _vector(x, order(ord), axis, keepdims, dtype)
    over = f"{len(axes)} axes (axis={shown(axis)})"
    if len(axes) != 2:
        raise ValueError(f"ord: got {shown(ord)} with {over}, expected a number for 1, a matrix order for 2")
    if isinstance(ord, np.ndarray) or ord not in _MATRIX_ORDERS:
        known = ", ".join(map(repr, _MATRIX_ORDERS))
        raise ValueError(f"ord: got {shown(ord)}, expected one of {known} for {over}")
    return _matrix(x, ord, axis if axis is not None else (0, 1), keepdims, dtype)


@mirrored
def l0(x: np.ndarray, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Number of entries that are not 0 (docs/norms.md 1.1): a count, not a norm. NaN counts.

    Parameters
    ----------
    x, axis, keepdims, dtype
        As for :func:`lp`. A float32 result is exact up to 2^24: ask for float64 beyond.

    Returns
    -------
    float32 or float64 scalar, or ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`lp`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> float(fd.l0(np.array([0.0, 2.0, -1.0])))
    2.0
    """
    return _vector(x, 0.0, axis, keepdims, dtype)


@mirrored
def l1(x: np.ndarray, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Sum of the moduli (docs/norms.md 1.2).

    Parameters
    ----------
    x, axis, keepdims, dtype
        As for :func:`lp`.

    Returns
    -------
    float32 or float64 scalar, or ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`lp`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> float(fd.l1(np.array([3.0, -4.0])))
    7.0
    """
    return _vector(x, 1.0, axis, keepdims, dtype)


@mirrored
def l2(x: np.ndarray, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Euclidean norm, the root of the sum of squares (docs/norms.md 1.3).

    Parameters
    ----------
    x, axis, keepdims, dtype
        As for :func:`lp`.

    Returns
    -------
    float32 or float64 scalar, or ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`lp`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> float(fd.l2(np.array([3e300, -4e300])))
    5e+300
    """
    return _vector(x, 2.0, axis, keepdims, dtype)


@mirrored
def linf(x: np.ndarray, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The largest modulus (docs/norms.md 1.4); 0 for no entries.

    Parameters
    ----------
    x, axis, keepdims, dtype
        As for :func:`lp`.

    Returns
    -------
    float32 or float64 scalar, or ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`lp`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> float(fd.linf(np.array([3.0, -4.0])))
    4.0
    """
    return _vector(x, math.inf, axis, keepdims, dtype)


@mirrored
def lp(x: np.ndarray, p: float, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The norm of order p (docs/norms.md 1.5), (sum abs(x_i)^p)^(1/p); a quasi-norm for 0 < p < 1.

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any shape and layout.
    p : float
        At least 0; 0 counts the entries that are not 0, inf is the largest modulus.
    axis : int, tuple of int or None, default None
        The axes over which a vector runs; None: all entries are one vector.
    keepdims : bool, default False
        Keep the reduced axes, with extent 1.
    dtype : float32, float64 or None, default None
        Type of the result; default that of `x`.

    Returns
    -------
    float32 or float64 scalar, or ndarray

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type, p is negative or NaN, an axis does not exist or is named twice, or `dtype` is
        no float type.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> round(float(fd.lp(np.array([1.0, -8.0]), 3)), 4)
    8.0052
    """
    return _vector(x, order(p, 0, "p"), axis, keepdims, dtype)


@mirrored
def dual_norm(x: np.ndarray, ord: float = 2, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The dual of the norm of order `ord`: the largest <x, u> over all u with norm(u, ord) <= 1 (docs/norms.md 1.8).

    Parameters
    ----------
    x, axis, keepdims, dtype
        As for :func:`lp`.
    ord : float, default 2
        At least 1.

    Returns
    -------
    float32 or float64 scalar, or ndarray
        The norm of order q with 1/ord + 1/q = 1.

    Raises
    ------
    TypeError, ValueError
        If the order is below 1, a quasi-norm, which has no dual of this form; otherwise as :func:`lp`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> float(fd.dual_norm(np.array([3.0, -4.0]), ord=1))
    4.0
    """
    return _vector(x, conjugate(order(ord, 1)), axis, keepdims, dtype)


def conjugate(p: float) -> float:
    """q with 1/p + 1/q = 1."""
    if p == 1:
        return math.inf
    return 1.0 if p == math.inf else p / (p - 1)


def _vector(x: Any, p: float, axis: Axis, keepdims: bool, dtype: Any) -> Any:
    if axis is None and dtype is None and keepdims is False:
        value = small(x, p)
        if value is not None:
            return value
    x = real_array("x", x)
    keepdims = flag("keepdims", keepdims)
    kind = x.dtype if dtype is None else float_type("dtype", dtype, ValueError)
    if kind.char == "d" and x.dtype.char == "f" and in_float(p):
        x = x.astype(np.float64)
    if axis is not None:
        axes = axes_of(x, axis)
        values = norms_of_rows(x, axes, p) if kind == x.dtype else None
        return _shaped(norms_along(x, axes, p) if values is None else values, axes, keepdims, kind)
    if not x.size and p == -math.inf:
        raise ValueError(f"x: got shape {x.shape}, expected at least one entry to take the smallest of")
    value = _scalar(norm_of((x if x.flags.c_contiguous else x.ravel(order="K"),), p), kind.char)
    return np.full((1,) * x.ndim, value, kind) if keepdims else value


def _matrix(x: np.ndarray, ord: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
    kind = x.dtype if dtype is None else float_type("dtype", dtype, ValueError)
    row, column = (a % x.ndim for a in axis)
    axes = (min(row, column), max(row, column))
    if ord in ("nuc", 2, -2):
        values = _spectral(np.moveaxis(x, (row, column), (-2, -1)), ord)
    else:
        inner, outer = (row, column) if abs(ord) == 1 else (column, row)
        sums = norms_along(x, (inner,), 1.0)
        along = outer - (outer > inner)
        if ord < 0 and sums.shape[along] == 0:
            raise ValueError(f"x: got shape {x.shape}, expected at least one entry to take the smallest of")
        values = sums.max(axis=along, initial=0.0) if ord > 0 else sums.min(axis=along)
    return _shaped(values, axes, keepdims, kind)


def _spectral(x: np.ndarray, ord: Any) -> np.ndarray:
    """Norms of the singular values of matrices in the last axes; NaN for those with an entry that is not finite."""
    if 0 in x.shape:
        if ord == -2 and 0 not in x.shape[:-2]:
            raise ValueError(f"x: got shape {x.shape}, expected at least one entry to take the smallest of")
        return np.zeros(x.shape[:-2])
    if 2.0**-100 < np.abs(x).max() < 2.0**100:
        return np.linalg.norm(x, ord, (-2, -1))
    finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
    shift = np.frexp(np.abs(np.where(finite, x, 0)).max(axis=(-2, -1), keepdims=True))[1]
    with np.errstate(all="ignore"):  # scaled, since the sum of the values may be all that overflows
        scaled = np.ldexp(np.where(finite, x, 0).astype(np.float64), -shift)
        values = np.linalg.norm(scaled, ord, (-2, -1))
        return np.where(finite[..., 0, 0], np.ldexp(values, shift[..., 0, 0]), np.nan)


def _shaped(values: np.ndarray, axes: tuple[int, ...], keepdims: bool, dtype: np.dtype) -> Any:
    values = np.asarray(values)
    if values.dtype != dtype:
        with np.errstate(over="ignore"):
            values = values.astype(dtype)
    return np.expand_dims(values, axes) if flag("keepdims", keepdims) else values[()]


def _scalar(value: float, char: str) -> Any:
    if char == "d":
        return np.float64(value)
    if value < 3.4e38:
        return np.float32(value)
    with np.errstate(over="ignore"):
        return np.float32(value)
