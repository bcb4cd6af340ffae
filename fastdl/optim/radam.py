"""RAdam (3.11): Adam with a rectified warm-up."""

import math
from typing import Unpack

import numpy as np

from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared, adam_eps, check_betas


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


def _plan(step: int, settings: Settings) -> Plan:
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


@rule(_plan, module="optim", check=check_betas, variants=("torch", "optax", "paper", "course"))
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
    **shared: Unpack[Shared],
) -> None:
    """One step of RAdam, Adam with a rectified warm-up, in place.

    Parameters
    ----------
    m, v : ndarray, the shape and dtype of `param`
        Running means of the gradient and of its square, zeros before the first step; overwritten.
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8.
    variant : {"torch", "course", "optax", "paper"}, default "torch"
        Keras has no RAdam.

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


class RAdam(Optimizer, update=radam_update):
    """RAdam (3.11).

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
