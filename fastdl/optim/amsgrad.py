"""AMSGrad (3.9)."""

from typing import Unpack

import numpy as np

from ._define import rule, rule_of
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared, adam_eps, check_betas
from .adam import adam_update


def _plan(step: int, settings: Settings) -> Plan:
    beta1, beta2 = settings["betas"]
    if settings["variant"] == "paper":
        return "amsgrad", (settings["lr"], beta1, beta2, 1.0, 1.0, adam_eps(settings))
    if settings["variant"] == "optax":
        top = 1 / (1 - beta2**step)
        return "amsgrad", (settings["lr"] / (1 - beta1**step), beta1, beta2, top, 1.0, adam_eps(settings))
    rate, _, _, stretch, eps = rule_of(adam_update).plan(step, settings)[1]
    return "amsgrad", (rate, beta1, beta2, 1.0, stretch, eps)


@rule(_plan, module="optim", check=check_betas)
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
    **shared: Unpack[Shared],
) -> None:
    """One step of AMSGrad, in place: Adam with a denominator that does not shrink.

    Parameters
    ----------
    m, v, v_max : ndarray, the shape and dtype of `param`
        Running means as in :func:`adam_update` and the largest v so far; zeros before the first step;
        overwritten.
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    variant : {"torch", "course", "keras", "optax", "paper"}, default "torch"

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


class AMSGrad(Optimizer, update=amsgrad_update):
    """AMSGrad (3.9).

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
