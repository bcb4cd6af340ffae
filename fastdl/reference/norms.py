"""Norms in plain NumPy (docs/norms.md)."""

import math

import numpy as np

# Sums, norms and quotients are long doubles where the machine has them: no power and no norm leaves their range.
WIDE = np.longdouble


# ---- Values -------------------------------------------------------------------------------------------
def lp(x, p, axis=None, keepdims=False, dtype=None):
    x, dtype = _real(x, dtype)
    with np.errstate(all="ignore"):
        return np.asarray(_norm(x, p, axis, keepdims)).astype(dtype)[()]


def _norm(x, p, axis=None, keepdims=False):
    axis = tuple(range(x.ndim)) if axis is None else axis
    a, p = np.abs(x.astype(WIDE)), p if p in (math.inf, -math.inf) else WIDE(p)
    with np.errstate(all="ignore"):
        if p == 0:
            return (a != 0).sum(axis, keepdims=keepdims).astype(WIDE)
        if p == math.inf:
            return a.max(axis, keepdims=keepdims, initial=0)
        if p == -math.inf:
            return a.min(axis, keepdims=keepdims)
        # Scaled by the modulus that dominates the sum, so that no power leaves the range.
        scale = a.max(axis, keepdims=True, initial=0) if p > 0 else a.min(axis, keepdims=True, initial=np.inf)
        scale = np.where((scale > 0) & (scale < np.inf), scale, 1)
        result = scale * ((a / scale) ** p).sum(axis, keepdims=True) ** (1 / p)
        return result if keepdims else result.squeeze(axis)


def l0(x, axis=None, keepdims=False, dtype=None):
    return lp(x, 0, axis, keepdims, dtype)


def l1(x, axis=None, keepdims=False, dtype=None):
    return lp(x, 1, axis, keepdims, dtype)


def l2(x, axis=None, keepdims=False, dtype=None):
    return lp(x, 2, axis, keepdims, dtype)


def linf(x, axis=None, keepdims=False, dtype=None):
    return lp(x, math.inf, axis, keepdims, dtype)


def norm(x, ord=None, axis=None, keepdims=False, dtype=None):
    x, dtype = _real(x, dtype)
    axes = x.ndim if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if ord is None or (axes == 1 and not isinstance(ord, str)):
        return lp(x, 2 if ord is None else ord, axis, keepdims, dtype)
    if ord in ("nuc", 2, -2):  # of singular values, which LAPACK has no NaN among
        axis = (0, 1) if axis is None else axis
        finite = np.isfinite(x).all(axis, keepdims=True)
        values = np.linalg.norm(np.where(finite, x, 0).astype(np.float64), ord, axis, keepdims)
        return np.where(finite if keepdims else finite.squeeze(axis), values, np.nan).astype(dtype)[()]
    with np.errstate(all="ignore"):
        return np.linalg.norm(x.astype(np.float64), ord, axis, keepdims).astype(dtype)


def dual_norm(x, ord=2, axis=None, keepdims=False, dtype=None):
    return lp(x, _conjugate(ord), axis, keepdims, dtype)


def global_norm(arrays, ord=2):
    arrays = [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
    return float(lp(np.concatenate([np.zeros(0), *(np.float64(one).ravel() for one in arrays)]), ord))


def clip_by_global_norm_(arrays, max_norm, ord=2):
    arrays = [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
    whole = np.concatenate([np.zeros(0), *(np.float64(one).ravel() for one in arrays)])
    with np.errstate(all="ignore"):
        norm = _norm(whole, ord)
        factor = max_norm / (norm + 1e-6)
        for one in arrays if not factor >= 1 else ():
            one[...] = one * factor
        return float(norm)


# ---- Gradients ----------------------------------------------------------------------------------------
def norm_gradient(x, ord=2, axis=None):
    x, dtype = _real(x)
    n = _norm(x, ord, axis, keepdims=True)
    a, sign = np.abs(x.astype(WIDE)), np.sign(x)
    with np.errstate(all="ignore"):
        if ord == 0:
            slope = np.zeros(x.shape)
        elif ord == math.inf:
            slope = sign * (a == n) / np.maximum(((a == n) & (a != 0)).sum(axis, keepdims=True), 1)
        else:
            slope = np.where(x == 0, 0, sign * (a / n) ** (WIDE(ord) - 1))
        return slope.astype(dtype)


# ---- Proximal maps and projections ----------------------------------------------------------------------
def prox_norm(x, step, ord=2, axis=None):
    x, dtype = _real(x)
    if ord == 0:
        return np.where(np.abs(x) <= math.sqrt(2 * step), 0, x).astype(dtype)
    if step == 0:
        return x.copy()
    # Moreau: what the proximal map takes away is the projection on the ball of the dual norm.
    x = x.astype(WIDE)
    with np.errstate(all="ignore"):
        return (x - project_ball(x, step, _conjugate(ord), axis)).astype(dtype)


def prox_half_squared_l2(x, step):
    x, dtype = _real(x)
    return (x / (1 + step)).astype(dtype)


def project_ball(x, radius=1.0, ord=2, axis=None):
    x, dtype = _real(x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x.astype(WIDE), axes, last)
    outer = moved.shape[: x.ndim - len(axes)]
    rows = moved.reshape(*outer, math.prod(moved.shape[len(outer) :]))
    with np.errstate(all="ignore"):
        result = np.apply_along_axis(_project_vector, -1, rows, radius, ord) if rows.size else rows
        return np.moveaxis(result.reshape(moved.shape), last, axes).astype(dtype)


def _project_vector(x, radius, p):
    a = np.abs(x)
    if p == 0:
        keep = np.argsort(-a, kind="stable")[:radius]
        return np.where(np.isin(np.arange(x.size), keep), x, 0)
    if p == math.inf:
        return np.clip(x, -radius, radius)
    norm = _norm(a, p)
    if norm <= radius or radius == 0:
        return x if norm <= radius else 0 * x
    if p == 2:
        return x * (radius / norm)
    if not np.isfinite(a).all():
        return np.full_like(x, np.nan)
    if p == 1:  # Duchi 2008: sort, find how many stay, and how far below the largest they end
        below = np.sort(a.max() - a)
        limit = (radius + np.cumsum(below)) / np.arange(1, x.size + 1)
        return np.sign(x) * np.maximum(limit.min() - (a.max() - a), 0)
    return np.sign(x) * radius * np.exp(_log_entries(a, WIDE(radius), WIDE(p)))


def _log_entries(a, radius, p):
    """log(u / radius) of u + t u^(p-1) = a with norm(u) = radius: bisection for the largest one, which gives t."""
    log_r = np.log(radius) - np.log(a.max())
    low, high = -np.log(WIDE(a.size)) / p, min(-log_r, WIDE(0))
    with np.errstate(all="ignore"):
        for _ in range(90):
            largest = (low + high) / 2
            log_t = np.log(-np.expm1(min(log_r + largest, WIDE(0)))) - (p - 1) * largest
            z = _solve(np.log(a) - np.log(a.max()), log_r, log_t, p - 1)
            if not low < largest < high:  # no number lies between the two
                break
            low, high = (low, largest) if np.exp(p * z).sum() > 1 else (largest, high)
    return z


def _solve(log_a, log_r, log_t, power):
    """z with e^(log_r + z) + e^(log_t + power z) = a, by bisection between bounds that its two terms give."""
    high = np.minimum(log_a - log_r, (log_a - log_t) / power)
    low = high - np.log(WIDE(2)) * max(1, 1 / power)
    for _ in range(90):
        z = (low + high) / 2
        if not ((low < z) & (z < high)).any():
            break
        above = np.logaddexp(log_r + z, log_t + power * z) > log_a
        low, high = np.where(above, low, z), np.where(above, z, high)
    return np.where(log_a == -np.inf, -np.inf, z)


# ---- Constraints --------------------------------------------------------------------------------------
def normalize(x, ord=2, axis=None):
    x, dtype = _real(x)
    n = _norm(x, ord, axis, keepdims=True)
    with np.errstate(all="ignore"):
        return (x / np.where(n == 0, 1, n)).astype(dtype)


def max_norm_(w, radius, ord=2, axis=None):
    n = _norm(w, ord, axis, keepdims=True)
    with np.errstate(all="ignore"):
        w[...] = np.where(n <= radius, w, w * (radius / n))


def unit_norm_(w, ord=2, axis=None):
    w[...] = normalize(w, ord, axis)


def non_negative_(w):
    w[w < 0] = 0


# ---- Penalties ----------------------------------------------------------------------------------------
def add_elastic_net_(w, grad, l1=0.0, l2=0.0):
    grad += (l1 * np.sign(w) + l2 * w).astype(w.dtype)
    w = w.astype(WIDE)
    return float(l1 * np.abs(w).sum() + 0.5 * l2 * (w * w).sum())


def add_group_lasso_(w, grad, weight, axis=None):
    n = _norm(w, 2, axis, keepdims=True)
    grad += (weight * (w / np.where(n == 0, 1, n))).astype(w.dtype)
    return float(weight * n.sum())


def add_orthogonal_(w, grad, weight):
    tall = w.shape[0] >= w.shape[1]
    gram = w.T @ w if tall else w @ w.T
    excess = gram - np.eye(len(gram))
    grad += (2 * weight * (w @ excess if tall else excess @ w)).astype(w.dtype)
    return float(0.5 * weight * (excess**2).sum())


def _real(x, dtype=None):
    x = np.asarray(x)
    kind = np.dtype(np.float64) if x.dtype.kind in "biu" else x.dtype.newbyteorder("=")
    return x.astype(kind), kind if dtype is None else np.dtype(dtype)


def _conjugate(p):
    if p == 1:
        return math.inf
    return 1.0 if p == math.inf else p / (p - 1)
