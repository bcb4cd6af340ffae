"""AdaDelta (3.11)."""

import numpy as np

from .._dispatch import mirrored
from .._validate import number
from ._optimizer import Optimizer
from ._rule import Rule, Settings, apply_rule


def _check(settings: Settings) -> None:
    if settings["rho"] is not None:
        number("rho", settings["rho"], 0, 1, open_high=True)


def _plan(step: int, settings: Settings) -> tuple[str, tuple[float, ...]]:
    keras = settings["variant"] == "keras"
    rho = settings["rho"] if settings["rho"] is not None else 0.95 if keras else 0.9
    eps = settings["eps"] if settings["eps"] is not None else 1e-7 if keras else 1e-6
    return "adadelta", (settings["lr"], rho, eps)


ADADELTA_RULE = Rule("optim_adaptive", lambda settings: ("square_avg", "delta_avg"), _check, _plan)


@mirrored
def adadelta_update(
    param: np.ndarray,
    grad: np.ndarray,
    square_avg: np.ndarray,
    delta_avg: np.ndarray,
    *,
    step: int = 1,
    lr: float = 1.0,
    rho: float | None = None,
    eps: float | None = None,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of AdaDelta, in place.

    Parameters
    ----------
    param : ndarray, any shape, float32 or float64
        Overwritten.
    grad : ndarray, the shape and dtype of `param`
    square_avg, delta_avg : ndarray, the shape and dtype of `param`
        Running means of the squares of gradient and change, zeros before the first step; overwritten.
    step : int, default 1
        Number of this step; the formula does not use it.
    lr : float, default 1.0
    rho : float in [0, 1), optional
        Default 0.9, in the variant "keras" 0.95.
    eps : float, optional
        Positive. Default 1e-6, in the variant "keras" 1e-7.
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
    variant : {"torch", "paper", "course", "keras", "optax"}, default "torch"
        One formula; "keras" has its own defaults.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.11; Zeiler 2012)::

        square_avg = rho * square_avg + (1 - rho) * g ** 2
        delta      = sqrt(delta_avg + eps) / sqrt(square_avg + eps) * g
        delta_avg  = rho * delta_avg + (1 - rho) * delta ** 2
        param     -= lr * delta

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, square_avg, delta_avg = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> fd.optim.adadelta_update(param, np.array([0.5]), square_avg, delta_avg)
    >>> param.round(4)
    array([0.9968])
    """
    apply_rule(
        ADADELTA_RULE,
        param,
        grad,
        {"square_avg": square_avg, "delta_avg": delta_avg},
        step,
        grad_scale,
        lr=lr,
        rho=rho,
        eps=eps,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        l1=l1,
        maximize=maximize,
        variant=variant,
    )


class AdaDelta(Optimizer):
    """AdaDelta (3.11); the formulas of :func:`adadelta_update`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        See :class:`Optimizer`.
    lr, rho, eps, weight_decay, decoupled_weight_decay, l1, maximize, variant
        By keyword (`lr` also by position), with the defaults of :func:`adadelta_update`.
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
    >>> optimizer = fd.optim.AdaDelta([(param, grad)], lr=1.0)
    >>> for _ in range(4000):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 3e-2)
    True
    """

    rule = ADADELTA_RULE
    update = staticmethod(adadelta_update)
