"""Rprop (3.13): steps whose sizes follow the signs of the gradient alone."""

import math
from typing import Any, Unpack

import numpy as np

from .._validate import number
from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}: got {value!r}, expected a pair of numbers")
    return value[0], value[1]


def _check(settings: Settings) -> None:
    down, up = _pair("etas", settings["etas"])
    number("etas[0]", down, 0, 1, open_low=True, open_high=True)
    number("etas[1]", up, 1, math.inf, open_low=True, open_high=True)
    low, high = _pair("step_sizes", settings["step_sizes"])
    number("step_sizes[1]", high, number("step_sizes[0]", low, 0, math.inf, open_high=True), math.inf, open_high=True)


def _plan(step: int, settings: Settings) -> Plan:
    scalars = (settings["lr"], *settings["etas"], *settings["step_sizes"])
    return "rprop" if step > 1 else "rprop_begin", scalars


@rule(_plan, check=_check, squares=False, variants=("torch",))
def rprop_update(
    param: np.ndarray,
    grad: np.ndarray,
    prev: np.ndarray,
    step_size: np.ndarray,
    *,
    step: int,
    lr: float = 0.01,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
    **shared: Unpack[Shared],
) -> None:
    """One step of Rprop, resilient backpropagation, in place: for gradients over all data, not over batches.

    Parameters
    ----------
    prev : ndarray, the shape and dtype of `param`
        The gradient of the step before, zeros before the first step; overwritten.
    step_size : ndarray, the shape and dtype of `param`
        The sizes of the steps; overwritten, and not read in the first step.
    lr : float, default 0.01
        Size of the first step; later ones do not use it.
    etas : pair of float, default (0.5, 1.2)
        What a size is multiplied by after a change of sign, in (0, 1), and without one, above 1.
    step_sizes : pair of float, default (1e-06, 50.0)
        The least and the largest size.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.13; Riedmiller and Braun 1993, without their backtracking: the
    iRprop- of Igel and Huesken 2000)::

        step_size = clip(step_size * (etas[1] if g * prev > 0 else etas[0] if g * prev < 0 else 1), *step_sizes)
        g         = 0 if g * prev < 0 else g
        param    -= step_size * sign(g)
        prev      = g

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, prev, step_size = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> for step in (1, 2):
    ...     fd.optim.rprop_update(param, np.array([0.3]), prev, step_size, step=step, lr=0.5)
    >>> param, step_size
    (array([-0.1]), array([0.6]))
    """


class Rprop(Optimizer, update=rprop_update):
    """Rprop (3.13).

    A learning rate that is set after the first step has no effect, as in PyTorch.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.Rprop([(param, grad)])
    >>> for _ in range(100):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 1e-5)
    True
    """
