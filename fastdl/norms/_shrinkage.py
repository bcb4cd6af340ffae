"""The projection on the ball of a general p-norm, 1 < p < inf, row by row, and what it takes away.

An entry of the projection solves u + t u^(p-1) = a with a = abs(x) and a multiplier t > 0 that a row's entries share.
By Moreau's identity the second term, what the projection takes away, is the proximal map of the dual norm.

Nothing here is a power of the data, so every scale serves: with r the radius, u = r e^z, and the search is for
theta = z of the largest entry, which lies in [-log(n) / p, 0] since the norm of u is r. It gives the multiplier,

    T = log(t r^(p-1)) = log(largest a) + log(1 - u / a) - (p - 1) theta,

and T gives the z of all other entries. Neither of an entry's two terms exceeds a: so its search begins at the smaller
bound, z0 = min(log(a / r), (log(a) - T) / (p - 1)). From there it solves alpha k + beta k^(p-1) = 1 for k = e^(z - z0),
where one of alpha, beta is 1 and the other at most 1: k is about 1.
"""

import numpy as np


def projected(
    rows: np.ndarray, radius: float, p: float, less: float, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The point of norm `radius` nearest to each row, and the row less that point; rows inside stay.

    `less` is p - 1, which near p = 1 has more bits than p tells.
    """
    first, second = rows.astype(np.float64), np.zeros(rows.shape)
    finite = np.isfinite(rows).all(axis=1)
    first[~finite] = second[~finite] = np.nan
    active = ~inside & finite
    if radius == 0:
        first[active], second[active] = 0.0, rows[active]
    elif active.any():
        first[active], second[active] = _terms(np.abs(first[active]), radius, p, less)
    return np.copysign(first, rows).astype(rows.dtype), np.copysign(second, rows).astype(rows.dtype)


def _terms(a: np.ndarray, radius: float, p: float, less: float) -> tuple[np.ndarray, np.ndarray]:
    largest = a.max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        # The logarithm of a ratio near 1 comes from the difference, which is exact.
        log_a = np.where(a >= largest / 2, np.log1p((a - largest) / largest), np.log(a) - np.log(largest))
        gap = (radius - largest) / largest
        log_r = np.where(np.abs(gap) < 0.5, np.log1p(gap), np.log(radius) - np.log(largest))
        zero = a == 0
        log_a = np.where(zero, 0.0, log_a)
        low, high = np.full_like(largest, -np.log(a.shape[1]) / p), np.minimum(0.0, -log_r)
        theta = 0.5 * (low + high)
        for count in range(200):
            h1, h2, z = _entries(log_a, log_r, _multiplier(theta, log_r, less), less)
            powers = np.where(zero, 0.0, np.exp(p * z))
            total = powers.sum(axis=1, keepdims=True)
            # dz = -dT / (s1 / s2 + less), s1 and s2 the terms' shares; dT = -(u / (a - u) + less) dtheta.
            share = np.exp(np.minimum(h1 - h2, 700.0)) + less
            log_u = log_r + theta
            pull = np.exp(log_u) / -np.expm1(log_u) + less
            slope = (powers * (p / share)).sum(axis=1, keepdims=True) * pull / total
            excess = np.log(total)
            above = ~(excess <= 0)
            high, low = np.where(above, theta, high), np.where(above, low, theta)
            new = theta - excess / slope
            if count % 4 == 3:
                new = 0.5 * (low + high)
            new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
            settled = (np.abs(new - theta) <= 1e-16 * np.abs(theta)) | (excess == 0)
            theta = np.where(settled, theta, new)
            if settled.all():
                break
        h1, h2, _ = _entries(log_a, log_r, _multiplier(theta, log_r, less), less)
        one, other = (np.where(zero, 0.0, a * np.exp(0.5 * h) * np.exp(0.5 * h)) for h in (h1, h2))
        return one, other


def _multiplier(theta: np.ndarray, log_r: np.ndarray, less: float) -> np.ndarray:
    return np.log(-np.expm1(np.minimum(log_r + theta, 0.0))) - less * theta


def _entries(
    log_a: np.ndarray, log_r: np.ndarray, multiplier: np.ndarray, less: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithms of both terms in units of a, and z."""
    by_first, by_second = log_a - log_r, (log_a - multiplier) / less
    start = np.minimum(by_first, by_second)
    log_alpha, log_beta = start - by_first, np.where(by_second <= by_first, 0.0, multiplier + less * start - log_a)
    # With the power at least 1 the left side is convex: Newton's method from the right never overshoots.
    if less >= 1:
        moved = _solved(log_alpha, log_beta, less)
        return log_alpha + moved, log_beta + less * moved, start + moved
    moved = _solved(log_beta, log_alpha, 1 / less)
    return log_alpha + moved / less, log_beta + moved, start + moved / less


def _solved(log_one: np.ndarray, log_power: np.ndarray, m: float) -> np.ndarray:
    """The s <= 0 with e^(log_one + s) + e^(log_power + m s) = 1, where the larger of the two logarithms is 0."""
    s = np.zeros(np.broadcast(log_one, log_power).shape)
    for _ in range(100):
        one, power = np.exp(log_one + s), np.exp(log_power + m * s)
        # Less 1 without cancelling, from the term that was 1 at s = 0.
        rest = np.where(log_one == 0, np.expm1(s) + power, one + np.expm1(m * s))
        change = np.log1p(rest) * (one + power) / (one + m * power)
        new = np.minimum(s - change, 0.0)
        if (np.abs(new - s) <= 2e-16 * np.abs(new)).all():
            return new
        s = new
    return s
