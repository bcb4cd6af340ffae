"""Norms in plain NumPy (MATH 1)."""

import numpy as np


def global_norm(arrays, ord=2):
    arrays = [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
    everything = np.concatenate([np.zeros(0), *(np.asarray(one, np.float64).ravel() for one in arrays)])
    if everything.size == 0:
        return 0.0
    return float(np.linalg.norm(everything, ord))


def clip_by_global_norm_(arrays, max_norm, ord=2):
    norm = global_norm(arrays, ord)
    factor = np.minimum(1.0, max_norm / (norm + 1e-6))
    for one in [arrays] if isinstance(arrays, np.ndarray) else arrays:
        one *= factor
    return norm
