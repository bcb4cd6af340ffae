"""Adamax (3.11): Adam in the infinity norm."""

import numpy as np

from .._dispatch import mirrored
from ._optimizer import Optimizer
from ._rule import Rule, Settings, adam_eps, apply_rule, check_betas


def _plan(step: int, settings: Settings) -> tuple[str, tuple[float, ...]]:
    beta1, beta2 = settings["betas"]
    rate, eps = settings["lr"] / (1 - beta1**step), adam_eps(settings)
    inside = settings["variant"] in ("torch", "optax")
    return "adamax", (rate, beta1, beta2, eps, 0.0) if inside else (rate, beta1, beta2, 0.0, eps)


ADAMAX_RULE = Rule("optim_adaptive", lambda settings: ("m", "u"), check_betas, _plan, squares=False)


@mirrored
def adamax_update(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    u: np.ndarray,
    *,
    step: int,
    lr: float = 0.002,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float | None = None,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of Adamax, Adam in the infinity norm, in place.

    Parameters
    ----------
    param : ndarray, any shape, float32 or float64
        Overwritten.
    grad : ndarray, the shape and dtype of `param`
    m, u : ndarray, the shape and dtype of `param`
        Running mean of the gradient and its decaying maximum, zeros before the first step; overwritten.
    step : int
        Number of this step, from 1.
    lr : float, default 0.002
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
    variant : {"torch", "optax", "keras", "paper", "course"}, default "torch"

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.11; Kingma and Ba 2015)::

        m      = beta1 * m + (1 - beta1) * g
        u      = max(beta2 * u, abs(g) + eps)
        param -= lr / (1 - beta1 ** step) * m / u

    and in the variants "keras", "paper" and "course" (the paper has no eps at all)::

        u      = max(beta2 * u, abs(g))
        param -= lr / (1 - beta1 ** step) * m / (u + eps)

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, m, u = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> fd.optim.adamax_update(param, np.array([0.5, -0.1]), m, u, step=1, lr=0.1)
    >>> param.round(6)
    array([0.9, 2.1])
    """
    apply_rule(
        ADAMAX_RULE,
        param,
        grad,
        {"m": m, "u": u},
        step,
        grad_scale,
        lr=lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        l1=l1,
        maximize=maximize,
        variant=variant,
    )


class Adamax(Optimizer):
    """Adamax (3.11); the formulas of :func:`adamax_update`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        See :class:`Optimizer`.
    lr, betas, eps, weight_decay, decoupled_weight_decay, l1, maximize, variant
        By keyword (`lr` also by position), with the defaults of :func:`adamax_update`.
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
    >>> optimizer = fd.optim.Adamax([(param, grad)], lr=0.1)
    >>> for _ in range(400):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 3e-2)
    True
    """

    rule = ADAMAX_RULE
    update = staticmethod(adamax_update)
