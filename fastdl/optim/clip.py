"""Clipping gradients in place. An optimizer's `clip_norm` does the first of these in its own pass."""

import math
from typing import Any

import numpy as np

from .._validate import number
from ..norms import clip_by_global_norm_
from ..norms._reduction import order
from ._parameters import parameters_of


def _gradients(parameters: Any) -> np.ndarray | list[np.ndarray]:
    arena, pairs = parameters_of(parameters)
    if arena is None:
        return [grad for _, grad in pairs]
    arena.settle_gradients()
    return arena._grad


def _check_limit(max_norm: Any, ord: Any) -> None:
    """Refuse them before an arena's gradients are made readable, which a refused call would leave so."""
    number("max_norm", max_norm, 0)
    order(ord, 0)


def clip_grad_norm_(parameters: Any, max_norm: float, ord: float = 2) -> float:
    """Scale all gradients, in place, so that their global norm is at most `max_norm`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for an :class:`Optimizer`.
    max_norm : float
        At least 0.
    ord : float, default 2
        Order of the norm: any p > 0, or inf.

    Returns
    -------
    float
        The norm before scaling; NaN or inf if a gradient is.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit; nothing was written then.

    Notes
    -----
    All gradients are multiplied by min(1, max_norm / (norm + 1e-6)) (1.12). Where the factor is 1 nothing is
    written.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> pairs = [(np.zeros(2), np.array([3.0, 4.0]))]
    >>> fd.optim.clip_grad_norm_(pairs, 1.0)
    5.0
    >>> pairs[0][1].round(3)
    array([0.6, 0.8])
    """
    _check_limit(max_norm, ord)
    gradients = _gradients(parameters)
    norm = clip_by_global_norm_(gradients, max_norm, ord)
    if isinstance(gradients, np.ndarray) and math.isnan(norm):
        # The factor was NaN and reached the zeros between an arena's parameters, which nobody would overwrite.
        ends = [*parameters.starts[1:], gradients.size]
        for start, one, end in zip(parameters.starts, parameters, ends, strict=True):
            gradients[start + one.size : end] = 0
    return norm


def clip_each_grad_norm_(parameters: Any, max_norm: float, ord: float = 2) -> list[float]:
    """Scale each parameter's gradient, in place, so that its own norm is at most `max_norm` (docs/norms.md 1.12).

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for an :class:`Optimizer`.
    max_norm : float
        At least 0.
    ord : float, default 2
        Order of the norm: any p > 0, or inf.

    Returns
    -------
    list of float
        The norms before scaling, in the parameters' order.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit; nothing was written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> pairs = [(np.zeros(2), np.array([3.0, 4.0])), (np.zeros(1), np.array([0.5]))]
    >>> fd.optim.clip_each_grad_norm_(pairs, 1.0)
    [5.0, 0.5]
    """
    _check_limit(max_norm, ord)
    arena, pairs = parameters_of(parameters)
    gradients = [grad for _, grad in pairs]
    if arena is not None:
        arena.settle_gradients()
        gradients = [one._grad for one in arena]
    return [clip_by_global_norm_(gradient, max_norm, ord) for gradient in gradients]


def clip_grad_value_(parameters: Any, max_value: float) -> None:
    """Limit every entry of the gradients, in place, to [-max_value, max_value]; NaN stays (docs/optim.md).

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for an :class:`Optimizer`.
    max_value : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit; nothing was written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> pairs = [(np.zeros(2), np.array([3.0, -0.4]))]
    >>> fd.optim.clip_grad_value_(pairs, 1.0)
    >>> pairs[0][1]
    array([ 1. , -0.4])
    """
    limit = number("max_value", max_value, 0)
    gradients = _gradients(parameters)
    for gradient in [gradients] if isinstance(gradients, np.ndarray) else gradients:
        np.clip(gradient, -limit, limit, out=gradient)
