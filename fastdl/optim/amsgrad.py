"""AMSGrad (3.9)."""

import numpy as np

from .._dispatch import mirrored
from ._optimizer import Optimizer
from ._rule import Rule, Settings, adam_eps, apply_rule
from .adam import ADAM_RULE


def _plan(step: int, settings: Settings) -> tuple[str, tuple[float, ...]]:
    beta1, beta2 = settings["betas"]
    if settings["variant"] == "paper":
        return "amsgrad", (settings["lr"], beta1, beta2, 1.0, 1.0, adam_eps(settings))
    if settings["variant"] == "optax":
        top = 1 / (1 - beta2**step)
        return "amsgrad", (settings["lr"] / (1 - beta1**step), beta1, beta2, top, 1.0, adam_eps(settings))
    rate, _, _, stretch, eps = ADAM_RULE.plan(step, settings)[1]
    return "amsgrad", (rate, beta1, beta2, 1.0, stretch, eps)


AMSGRAD_RULE = Rule("optim", lambda settings: ("m", "v", "v_max"), ADAM_RULE.check, _plan)


@mirrored
def amsgrad_update(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    v_max: np.ndarray,
    *,
    step: int,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float | None = None,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of AMSGrad, in place: Adam with a denominator that does not shrink.

    Parameters
    ----------
    param : ndarray, any shape, float32 or float64
        Overwritten.
    grad : ndarray, the shape and dtype of `param`
    m, v, v_max : ndarray, the shape and dtype of `param`
        Running means as in :func:`adam_update` and the largest v so far; zeros before the first step;
        overwritten.
    step : int
        Number of this step, from 1.
    lr : float, default 0.001
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
    variant : {"torch", "course", "keras", "optax", "paper"}, default "torch"

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

    Notes
    -----
    With m, v as in :func:`adam_update` (3.9; Reddi, Kale and Kumar 2018)::

        v_max  = max(v_max, v)
        param -= lr * m / (1 - beta1 ** step) / (sqrt(v_max / (1 - beta2 ** step)) + eps)

    "keras" adds eps to the uncorrected root, as in Adam; "optax" takes the maximum of the corrected v::

        v_max  = max(v_max, v / (1 - beta2 ** step))
        param -= lr * m / (1 - beta1 ** step) / (sqrt(v_max) + eps)

    and "paper" corrects nothing (the paper's algorithm has no eps either)::

        param -= lr * m / (sqrt(v_max) + eps)

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, (m, v, v_max) = np.array([1.0, 2.0]), np.zeros((3, 2))
    >>> fd.optim.amsgrad_update(param, np.array([0.5, -0.1]), m, v, v_max, step=1, lr=0.1)
    >>> param.round(6)
    array([0.9, 2.1])
    """
    apply_rule(
        AMSGRAD_RULE,
        param,
        grad,
        {"m": m, "v": v, "v_max": v_max},
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


class AMSGrad(Optimizer):
    """AMSGrad (3.9); the formulas of :func:`amsgrad_update`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        See :class:`Optimizer`.
    lr, betas, eps, weight_decay, decoupled_weight_decay, l1, maximize, variant
        By keyword (`lr` also by position), with the defaults of :func:`amsgrad_update`.
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
    >>> optimizer = fd.optim.AMSGrad([(param, grad)], lr=0.1)
    >>> for _ in range(400):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 3e-2)
    True
    """

    rule = AMSGRAD_RULE
    update = staticmethod(amsgrad_update)
