"""Lion (3.11): the sign of a running mean."""

import numpy as np

from .._dispatch import mirrored
from ._optimizer import Optimizer
from ._rule import Rule, Settings, apply_rule, check_betas


def _plan(step: int, settings: Settings) -> tuple[str, tuple[float, ...]]:
    return "lion", (settings["lr"], *settings["betas"])


LION_RULE = Rule("optim_adaptive", lambda settings: ("m",), check_betas, _plan, squares=False)


@mirrored
def lion_update(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.0001,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of Lion, in place.

    Parameters
    ----------
    param : ndarray, any shape, float32 or float64
        Overwritten.
    grad : ndarray, the shape and dtype of `param`
    m : ndarray, the shape and dtype of `param`
        Running mean of the gradient, zeros before the first step; overwritten.
    step : int, default 1
        Number of this step; the formula does not use it.
    lr : float, default 0.0001
    betas : pair of float in [0, 1), default (0.9, 0.99)
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
    variant : {"torch", "keras", "optax", "paper", "course"}, default "torch"
        One formula everywhere.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.11; Chen et al. 2023, who decay decoupled)::

        param -= lr * sign(beta1 * m + (1 - beta1) * g)
        m      = beta2 * m + (1 - beta2) * g

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, m = np.array([1.0, 2.0]), np.zeros(2)
    >>> fd.optim.lion_update(param, np.array([0.5, -0.1]), m, lr=0.1)
    >>> param
    array([0.9, 2.1])
    """
    apply_rule(
        LION_RULE,
        param,
        grad,
        {"m": m},
        step,
        grad_scale,
        lr=lr,
        betas=betas,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        l1=l1,
        maximize=maximize,
        variant=variant,
    )


class Lion(Optimizer):
    """Lion (3.11); the formulas of :func:`lion_update`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        See :class:`Optimizer`.
    lr, betas, weight_decay, decoupled_weight_decay, l1, maximize, variant
        By keyword (`lr` also by position), with the defaults of :func:`lion_update`.
    groups, clip_norm, clip_order, nonfinite, accumulate, lazy
        As of :class:`Optimizer`, by keyword.

    Raises
    ------
    TypeError, ValueError
        As :class:`Optimizer`; and for ``lazy=True``, since there is no rule for rows.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.Lion([(param, grad)], lr=0.002)
    >>> for _ in range(2000):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 0.05)
    True
    """

    rule = LION_RULE
    update = staticmethod(lion_update)
