"""Clipping gradients."""

import math
from typing import Any

import numpy as np

from .._validate import number


def _gradients(parameters: Any) -> list[np.ndarray]:
    if hasattr(parameters, "settle_gradients"):
        parameters.settle_gradients()
        return [parameters.grad]
    return [grad for _, grad in parameters]


def clip_grad_norm_(parameters: Any, max_norm: float, ord: float = 2) -> float:
    """Scale the gradients in place so that their global norm is at most `max_norm`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
    max_norm : float
    ord : float, default 2
        Order of the norm; inf for the largest modulus.

    Returns
    -------
    norm : float
        The norm before scaling.

    Notes
    -----
    All gradients are multiplied by min(1, max_norm / (norm + 1e-6)) (1.12).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> pairs = [(np.zeros(2), np.array([3.0, 4.0]))]
    >>> fd.optim.clip_grad_norm_(pairs, 1.0)
    5.0
    >>> pairs[0][1].round(3)
    array([0.6, 0.8])
    """
    number("max_norm", max_norm, 0)
    number("ord", ord, 0, open_low=True)
    gradients = _gradients(parameters)
    norms = [float(np.linalg.norm(grad.reshape(-1), ord)) for grad in gradients if grad.size]
    norm = float(np.linalg.norm(np.array(norms), ord)) if norms else 0.0
    factor = max_norm / (norm + 1e-6)
    if factor < 1 or math.isnan(factor):
        for grad in gradients:
            grad *= factor
    return norm
