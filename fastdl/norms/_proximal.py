"""Proximal maps of the norms and projections on their balls (docs/norms.md)."""

import math

import numpy as np

from .._dispatch import mirrored
from .._threads import threads_for
from .._validate import integer, number
from ._axes import Axis, as_rows, axes_of, from_rows, map_rows, norms_along, real_array
from ._extremes import limited, onto_simplex, shortened
from ._reduction import BLOCK, CLIP, DIVIDE, GRAIN, HARD, SOFT, TIMES, kernel, order
from ._shrinkage import projected
from ._values import conjugate

_SMALL = 2.0**-960  # below it a threshold may have lost bits


@mirrored
def prox_norm(x: np.ndarray, step: float, ord: float = 2, axis: Axis = None) -> np.ndarray:
    """The proximal map of a norm: argmin over u of norm(u, ord) + norm(u - x, 2)^2 / (2 step) (1.9).

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any shape and layout.
    step : float
        At least 0: the learning rate times the penalty's weight, in a proximal gradient step.
    ord : float, default 2
        0, or at least 1.
    axis : int, tuple of int or None, default None
        The axes over which a vector runs (``axis=1``: each row is a group with a norm of its own); None: all
        entries are one vector.

    Returns
    -------
    ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type, `step` is negative, or 0 < ord < 1.

    Notes
    -----
    ======  ==================================================================
    0       hard threshold at sqrt(2 step) (0 at the threshold itself)
    1       soft threshold at `step`
    2       x max(0, 1 - step / norm(x)), the block shrinkage of group lasso
    inf     x less its projection on the L1 ball of radius `step` (Moreau)
    p > 1   u_i + t u_i^(p-1) = abs(x_i) by Newton's method, t by bracketing
    ======  ==================================================================

    For order 1 and all p > 1 Moreau's identity x = prox_norm(x, s) + projection on the dual ball of radius s
    holds. Order 0 is not convex.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.prox_norm(np.array([3.0, -0.5, -4.0]), 1.0, ord=1)
    array([ 2., -0., -3.])
    >>> fd.prox_norm(np.array([3.0, -4.0]), 1.0)
    array([ 2.4, -3.2])
    """
    x, s, p = real_array("x", x), number("step", step, 0), order(ord, 0)
    if 0 < p < 1:
        raise ValueError(f"ord: got {ord}, expected 0 or at least 1")
    axes = axes_of(x, axis)
    rows = as_rows(x, axes)
    if p == 0:
        result = map_rows(rows, HARD, 2 * math.sqrt(s / 2) if s > 1 else math.sqrt(2 * s))
    elif p == 1:
        result = map_rows(rows, SOFT, s)
    elif p == 2:
        result = shortened(rows, s)
    elif p == math.inf:
        result = map_rows(rows, CLIP, _thresholds(rows, s))
    else:
        dual = conjugate(p)
        _, result = projected(rows, s, dual, 1 / (p - 1), norms_along(rows, (1,), dual) <= s)
    return from_rows(result, x, axes)


@mirrored
def prox_half_squared_l2(x: np.ndarray, step: float) -> np.ndarray:
    """The proximal map of half the squared 2-norm: x / (1 + step) (docs/norms.md 1.9).

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any shape and layout.
    step : float
        At least 0.

    Returns
    -------
    ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type, or the step is no number or below 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.prox_half_squared_l2(np.array([3.0, -4.0]), 1.0)
    array([ 1.5, -2. ])
    """
    x, s = real_array("x", x), number("step", step, 0)
    axes = axes_of(x, None)
    # A product is cheaper than a quotient, as long as the factor is a normal number of either type.
    kind, level = (TIMES, 1 / (1 + s)) if s < 2.0**100 else (DIVIDE, 1 + s)
    return from_rows(map_rows(as_rows(x, axes), kind, level), x, axes)


@mirrored
def project_ball(x: np.ndarray, radius: float = 1.0, ord: float = 2, axis: Axis = None) -> np.ndarray:
    """The nearest point of the ball {u: norm(u, ord) <= radius}.

    Parameters
    ----------
    x : ndarray
        float32, float64, integers or booleans (as float64), of any shape and layout.
    radius : float, default 1.0
        At least 0. For order 0 an int: the number of entries that may differ from 0.
    ord : float, default 2
        0, or at least 1.
    axis : int, tuple of int or None, default None
        The axes over which a vector runs; None: all entries are one vector.

    Returns
    -------
    ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` is of another type, `radius` is negative (or not an int for order 0), or 0 < ord < 1.

    Notes
    -----
    docs/norms.md. L1: the soft threshold at which the moduli sum to the radius (Duchi et al. 2008), found by
    Newton's method. L2: x min(1, radius / norm). Linf: every entry limited. L0: the largest moduli stay; of
    equal ones the first. Other p > 1: as in :func:`prox_norm`, by Newton's method and bracketing.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.project_ball(np.array([3.0, -1.0]), 2.0, ord=1)
    array([ 2., -0.])
    """
    x, p = real_array("x", x), order(ord, 0)
    r = integer("radius, of ord 0", radius, 0) if p == 0 else number("radius", radius, 0)
    if 0 < p < 1:
        raise ValueError(f"ord: got {ord}, expected 0 or at least 1")
    axes = axes_of(x, axis)
    rows = as_rows(x, axes)
    if p == 0:
        result = _largest(rows, int(r))
    elif p == 1:
        result = _onto_simplex(rows, r)
    elif p == 2:
        result = limited(rows, 2.0, r, norms_along(rows, (1,), 2.0))
    elif p == math.inf:
        result = map_rows(rows, CLIP, r)
    else:
        result, _ = projected(rows, r, p, p - 1, norms_along(rows, (1,), p) <= r)
    return from_rows(result, x, axes)


def _raw_thresholds(rows: np.ndarray, radius: float) -> np.ndarray:
    out = np.zeros(rows.shape[0])
    if rows.size:
        parts = np.empty((len(rows), -(-rows.shape[1] // BLOCK), 2))
        kernel("thresholds", rows.dtype)(rows, radius, parts, out, threads_for(rows.size, GRAIN))
    return out


def _thresholds(rows: np.ndarray, radius: float) -> np.ndarray:
    """The soft thresholds at which the moduli sum to the radius."""
    out = _raw_thresholds(rows, radius)
    care = ~((out == 0) | ((out > _SMALL) & (out < np.inf)))
    if care.any():
        care[care] = np.isfinite(rows[care]).all(axis=1)
        out[care] = onto_simplex(rows[care], radius)[1]
    return out


def _onto_simplex(rows: np.ndarray, radius: float) -> np.ndarray:
    """Soft-thresholded rows; by differences where a threshold far above the radius would cancel them."""
    out = _raw_thresholds(rows, radius)
    cancels = radius * (2.0**8 if rows.dtype.char == "d" else 2.0**24)
    care = ~((out == 0) | ((out > _SMALL) & (out <= cancels) & (out < np.inf)))
    result = map_rows(rows, SOFT, out)
    if care.any():
        care[care] = np.isfinite(rows[care]).all(axis=1)
        result[care] = onto_simplex(rows[care], radius)[0]
    return result


def _largest(rows: np.ndarray, k: int) -> np.ndarray:
    if k >= rows.shape[1]:
        return rows.copy()
    order_of = np.argsort(-np.abs(rows), axis=1, kind="stable")[:, :k]
    result = np.zeros_like(rows)
    np.put_along_axis(result, order_of, np.take_along_axis(rows, order_of, 1), 1)
    return result
