"""Adamax (3.11): Adam in the infinity norm."""

from typing import Unpack

import numpy as np

from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared, adam_eps, check_betas


def _plan(step: int, settings: Settings) -> Plan:
    beta1, beta2 = settings["betas"]
    rate, eps = settings["lr"] / (1 - beta1**step), adam_eps(settings)
    inside = settings["variant"] in ("torch", "optax")
    return "adamax", (rate, beta1, beta2, eps, 0.0) if inside else (rate, beta1, beta2, 0.0, eps)


@rule(_plan, check=check_betas, squares=False)
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
    **shared: Unpack[Shared],
) -> None:
    """One step of Adamax, Adam in the infinity norm, in place.

    Parameters
    ----------
    m, u : ndarray, the shape and dtype of `param`
        Running mean of the gradient and its decaying maximum, zeros before the first step; overwritten.
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    variant : {"torch", "optax", "keras", "paper", "course"}, default "torch"

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


class Adamax(Optimizer, update=adamax_update):
    """Adamax (3.11).

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
