"""Norms in plain NumPy (MATH 1)."""

import math

import numpy as np


# ---- Values -------------------------------------------------------------------------------------------
def lp(x, p, axis=None, keepdims=False, dtype=None):
    x, dtype = _real(x, dtype)
    axis = tuple(range(x.ndim)) if axis is None else axis
    a = np.abs(x.astype(np.float64))
    with np.errstate(all="ignore"):
        if p == 0:
            result = (a != 0).sum(axis, keepdims=keepdims)
        elif p == math.inf:
            result = a.max(axis, keepdims=keepdims, initial=0)
        elif p == -math.inf:
            result = a.min(axis, keepdims=keepdims)
        else:
            # Scaled by the modulus that dominates the sum, so that no power leaves the range.
            scale = a.max(axis, keepdims=True, initial=0) if p > 0 else a.min(axis, keepdims=True, initial=np.inf)
            scale = np.where((scale > 0) & (scale < np.inf), scale, 1)
            sums = ((a / scale) ** p).sum(axis, keepdims=True)
            result = scale * sums ** (1 / p)
            result = result if keepdims else result.squeeze(axis)
        return np.asarray(result).astype(dtype)[()]


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
    return np.linalg.norm(x.astype(np.float64), ord, axis, keepdims).astype(dtype)


def dual_norm(x, ord=2, axis=None, keepdims=False, dtype=None):
    return lp(x, _conjugate(ord), axis, keepdims, dtype)


def global_norm(arrays, ord=2):
    arrays = [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
    return float(lp(np.concatenate([np.zeros(0), *(np.float64(one).ravel() for one in arrays)]), ord))


def clip_by_global_norm_(arrays, max_norm, ord=2):
    norm = global_norm(arrays, ord)
    factor = np.minimum(1.0, max_norm / (norm + 1e-6))
    for one in [arrays] if isinstance(arrays, np.ndarray) else arrays:
        one *= factor
    return norm


# ---- Gradients ----------------------------------------------------------------------------------------
def norm_gradient(x, ord=2, axis=None):
    x, dtype = _real(x)
    n = lp(x, ord, axis, keepdims=True, dtype=np.float64)
    a, sign = np.abs(x.astype(np.float64)), np.sign(x)
    with np.errstate(all="ignore"):
        if ord == 0:
            slope = np.zeros(x.shape)
        elif ord == math.inf:
            slope = sign * (a == n) / np.maximum(((a == n) & (a != 0)).sum(axis, keepdims=True), 1)
        else:
            slope = np.where(x == 0, 0, sign * (a / n) ** (ord - 1))
    return slope.astype(dtype)


# ---- Proximal maps and projections ----------------------------------------------------------------------
def prox_norm(x, step, ord=2, axis=None):
    x, dtype = _real(x)
    if ord == 0:
        return np.where(np.abs(x) <= math.sqrt(2 * step), 0, x).astype(dtype)
    if step == 0:
        return x.copy()
    # Moreau: what the proximal map takes away is the projection on the ball of the dual norm.
    return (x - project_ball(x.astype(np.float64), step, _conjugate(ord), axis)).astype(dtype)


def prox_half_squared_l2(x, step):
    x, dtype = _real(x)
    return (x / (1 + step)).astype(dtype)


def project_ball(x, radius=1.0, ord=2, axis=None):
    x, dtype = _real(x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x.astype(np.float64), axes, last)
    rows = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)
    result = np.apply_along_axis(_project_vector, -1, rows, radius, ord)
    return np.moveaxis(result.reshape(moved.shape), last, axes).astype(dtype)


def _project_vector(x, radius, p):
    a = np.abs(x)
    if p == 0:
        keep = np.argsort(-a, kind="stable")[:radius]
        return np.where(np.isin(np.arange(x.size), keep), x, 0)
    if p == math.inf:
        return np.clip(x, -radius, radius)
    if lp(a, p) <= radius:
        return x
    if p == 2:
        return x * (radius / lp(a, 2))
    if p == 1:  # Duchi 2008: sort, find how many stay, and by how much they shrink
        falling = np.sort(a)[::-1]
        excess = (np.cumsum(falling) - radius) / np.arange(1, x.size + 1)
        return np.sign(x) * np.maximum(a - excess[falling >= excess].max(), 0)
    low, high = -2000.0, 2000.0  # bisection on the logarithm of the multiplier
    for _ in range(80):
        middle = 0.5 * (low + high)
        u = _solve(a, math.exp(min(middle, 700.0)), p)
        low, high = (low, middle) if lp(u, p) < radius else (middle, high)
    return np.sign(x) * u


def _solve(a, t, p):
    """u + t u^(p-1) = a by bisection."""
    low, high = np.zeros_like(a), a.copy()
    for _ in range(100):
        u = 0.5 * (low + high)
        above = u + t * u ** (p - 1) > a
        low, high = np.where(above, low, u), np.where(above, u, high)
    return u


# ---- Constraints --------------------------------------------------------------------------------------
def normalize(x, ord=2, axis=None):
    x, dtype = _real(x)
    n = lp(x, ord, axis, keepdims=True, dtype=np.float64)
    return (x / np.where(n == 0, 1, n)).astype(dtype)


def max_norm_(w, radius, ord=2, axis=None):
    n = lp(w, ord, axis, keepdims=True, dtype=np.float64)
    with np.errstate(all="ignore"):
        w[...] = w * np.where(n <= radius, 1, radius / n)


def unit_norm_(w, ord=2, axis=None):
    w[...] = normalize(w, ord, axis)


def non_negative_(w):
    w[w < 0] = 0


# ---- Penalties ----------------------------------------------------------------------------------------
def add_elastic_net_(w, grad, l1=0.0, l2=0.0):
    grad += (l1 * np.sign(w) + l2 * w).astype(w.dtype)
    w = w.astype(np.float64)
    return float(l1 * np.abs(w).sum() + 0.5 * l2 * (w * w).sum())


def add_group_lasso_(w, grad, weight, axis=None):
    grad += (weight * norm_gradient(w.astype(np.float64), 2, axis)).astype(w.dtype)
    return float(weight * lp(w, 2, axis, dtype=np.float64).sum())


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
