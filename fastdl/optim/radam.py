"""RAdam (3.11): Adam with a rectified warm-up."""

import math

import numpy as np

from .._dispatch import mirrored
from .._validate import choice
from ._optimizer import Optimizer
from ._rule import Rule, Settings, adam_eps, apply_rule, check_betas


def _bent(y: float) -> float:
    """(1 - y / (exp(y) - 1)) / y, which is 1/2 at 0."""
    if abs(y) < 0.25:  # the series, as the formula cancels there
        z = y * y
        return 0.5 - y * (1 / 12 - z * (1 / 720 - z * (1 / 30240 - z * (1 / 1209600 - z / 47900160))))
    return (1 - y / math.expm1(min(y, 700.0))) / y


def _length(beta2: float, step: int) -> float:
    """2 / (1 - beta2) - 1 - 2 step beta2^step / (1 - beta2^step), without the difference of the two large terms."""
    if beta2 == 0:
        return 1.0
    x = -math.log(beta2)
    return 2 * _bent(-x) + 2 * step * _bent(step * x) - 1


def _plan(step: int, settings: Settings) -> tuple[str, tuple[float, ...]]:
    beta1, beta2 = settings["betas"]
    rate = settings["lr"] / (1 - beta1**step)
    power = beta2**step
    longest = 2 / (1 - beta2) - 1
    length = _length(beta2, step)
    if length <= (4 if settings["variant"] == "paper" else 5):
        return "unadapted", (rate, beta1, beta2)
    top = (length - 4) * (length - 2) * longest
    rectified = rate * math.sqrt(top / ((longest - 4) * (longest - 2) * length))
    if settings["variant"] == "optax":
        return "adam", (rectified, beta1, beta2, 1 / math.sqrt(1 - power), adam_eps(settings))
    return "adam", (rectified * math.sqrt(1 - power), beta1, beta2, 1.0, adam_eps(settings))


def _check(settings: Settings) -> None:
    check_betas(settings)
    choice("variant", settings["variant"], ("torch", "optax", "paper", "course"))


RADAM_RULE = Rule("optim", lambda settings: ("m", "v"), _check, _plan)


@mirrored
def radam_update(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
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
    """One step of RAdam, Adam with a rectified warm-up, in place.

    Parameters
    ----------
    param : ndarray, any shape, float32 or float64
        Overwritten.
    grad : ndarray, the shape and dtype of `param`
    m, v : ndarray, the shape and dtype of `param`
        Running means of the gradient and of its square, zeros before the first step; overwritten.
    step : int
        Number of this step, from 1.
    lr : float, default 0.001
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8.
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
    variant : {"torch", "course", "optax", "paper"}, default "torch"
        Keras has no RAdam.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

    Notes
    -----
    With m, v as in :func:`adam_update` (3.11; Liu et al. 2020)::

        longest = 2 / (1 - beta2) - 1
        length  = longest - 2 * step * beta2 ** step / (1 - beta2 ** step)
        r       = sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
        m_hat   = m / (1 - beta1 ** step)
        param  -= lr * r * m_hat * sqrt(1 - beta2 ** step) / (sqrt(v) + eps)   where length > 5
        param  -= lr * m_hat                                                   before that

    "optax" adds eps to the corrected root, sqrt(v / (1 - beta2 ** step)) + eps, as Adam does; "paper" takes
    the first line from length > 4 on.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> fd.optim.radam_update(param, np.array([0.5, -0.1]), m, v, step=1, lr=0.1)
    >>> param.round(6)
    array([0.95, 2.01])
    """
    apply_rule(
        RADAM_RULE,
        param,
        grad,
        {"m": m, "v": v},
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


class RAdam(Optimizer):
    """RAdam (3.11); the formulas of :func:`radam_update`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        See :class:`Optimizer`.
    lr, betas, eps, weight_decay, decoupled_weight_decay, l1, maximize, variant
        By keyword (`lr` also by position), with the defaults of :func:`radam_update`.
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
    >>> optimizer = fd.optim.RAdam([(param, grad)], lr=0.1)
    >>> for _ in range(400):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 3e-2)
    True
    """

    rule = RADAM_RULE
    update = staticmethod(radam_update)
