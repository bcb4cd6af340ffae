"""The proximal map and the projection of a general p-norm, 1 < p < inf, row by row.

Both have the form u_i + t u_i^(p-1) = a_i with a = abs(x) and a multiplier t >= 0 (for the projection the
stationarity condition of the Lagrangian, for the proximal map that of the norm itself): so both are one
search for t, with the elements solved at each trial.

The equation of an element is convex in w = u for p >= 2, and in w = u^(p-1) for p < 2, where it reads
w^(q-1) + t w = a with the conjugate q: Newton's method from the right goes down to the root monotonically.
"""

from collections.abc import Callable

import numpy as np

from ._values import conjugate

_TRIALS = 200


def shrunk(rows: np.ndarray, step: float, p: float, dual: np.ndarray) -> np.ndarray:
    """argmin norm(u, p) + |u - x|^2 / (2 step): t = step / norm(u, p)^(p-1); 0 if the dual norm <= step."""

    def excess(u: np.ndarray, log_t: np.ndarray) -> np.ndarray:
        return log_t + (p - 1) * _log_norm(u, p) - np.log(step)

    return _solved(rows, p, excess, inside=dual <= step, kept=np.zeros_like(rows)) if step else rows.copy()


def projected(rows: np.ndarray, radius: float, p: float, norms: np.ndarray) -> np.ndarray:
    """The point of norm `radius` nearest to each row; rows within the ball stay."""
    if radius == 0:
        return np.where(np.isnan(rows), rows, rows.dtype.type(0))

    def excess(u: np.ndarray, log_t: np.ndarray) -> np.ndarray:
        return np.log(radius) - _log_norm(u, p)

    return _solved(rows, p, excess, inside=norms <= radius, kept=rows)


def _log_norm(u: np.ndarray, p: float) -> np.ndarray:
    largest = u.max(axis=1, keepdims=True)
    return np.log(largest[:, 0]) + np.log(((u / largest) ** p).sum(axis=1)) / p


def _solved(
    rows: np.ndarray,
    p: float,
    excess: Callable[[np.ndarray, np.ndarray], np.ndarray],
    inside: np.ndarray,
    kept: np.ndarray,
) -> np.ndarray:
    """Rows that are not inside, with log t bisected until `excess`, which grows with it, is 0."""
    result = kept.astype(rows.dtype, copy=True)
    result[~np.isfinite(rows).all(axis=1)] = np.nan
    active = ~inside & np.isfinite(rows).all(axis=1)
    a = np.abs(rows[active].astype(np.float64))
    if not a.size:
        return result
    # Around the multiplier at which t a^(p-1) and a balance, in logarithms; wide enough for every double.
    middle = (2 - p) * np.log(a.max(axis=1))
    low, high = middle - 800.0 - 40 * p, middle + 800.0 + 40 * p
    with np.errstate(all="ignore"):
        for _ in range(_TRIALS):
            log_t = 0.5 * (low + high)
            # NaN comes from elements that vanished: t is too large.
            above = ~(excess(_elements(a, log_t, p), log_t) <= 0)
            high, low = np.where(above, log_t, high), np.where(above, low, log_t)
            if (high - low <= 1e-15 * np.maximum(1.0, np.abs(high))).all():
                break
        u = _elements(a, 0.5 * (low + high), p)
    result[active] = np.copysign(u, rows[active])
    return result


def _elements(a: np.ndarray, log_t: np.ndarray, p: float) -> np.ndarray:
    """u >= 0 with u + t u^(p-1) = a."""
    m = max(p, conjugate(p)) - 1
    # alpha w^m + beta w = a; w = u (p >= 2) or w = u^(p-1), so that m >= 1 and the left side is convex.
    alpha, beta = (np.exp(log_t)[:, None], 1.0) if p >= 2 else (1.0, np.exp(log_t)[:, None])
    w = np.minimum(a / beta, (a / alpha) ** (1 / m))
    for _ in range(60):
        power = alpha * w ** (m - 1)
        new = w - (power * w + beta * w - a) / (m * power + beta)
        new = np.where(w > 0, np.minimum(new, w), 0.0)
        if np.array_equal(new, w):
            break
        w = new
    return w if p >= 2 else w ** (1 / (p - 1))
