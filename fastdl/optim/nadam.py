"""NAdam (3.11): Adam with Nesterov's momentum."""

import functools
import math
from typing import Unpack

import numpy as np

from .._validate import number
from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared, adam_eps, check_betas

_products: dict[tuple[int, float, float], float] = {}


def _mu(step: int, beta1: float, decay: float) -> float:
    return beta1 * (1 - 0.5 * 0.96 ** (step * decay))


def _mu_product(step: int, beta1: float, decay: float) -> float:
    """mu(1) * ... * mu(step), from the product one step before where that is still known."""
    if _mu(step, beta1, decay) == beta1:  # the momentum has arrived: the rest is a power
        arrived, product = _whole(beta1, decay)
        return product * beta1 ** (step - arrived)
    known = _products.get((step, beta1, decay))
    if known is not None:
        return known
    before = _products.get((step - 1, beta1, decay))
    product = _from_one(step, beta1, decay) if before is None else before * _mu(step, beta1, decay)
    if len(_products) >= 64:
        _products.pop(next(iter(_products)))
    _products[step, beta1, decay] = product
    return product


def _from_one(step: int, beta1: float, decay: float) -> float:
    product = 1.0
    for t in range(1, step + 1):
        product *= _mu(t, beta1, decay)
        if product == 0:
            break
    return product


@functools.lru_cache(maxsize=64)
def _whole(beta1: float, decay: float) -> tuple[int, float]:
    """The last step whose momentum is below beta1 (or before the product is 0), and the product up to it."""
    step, product = 0, 1.0
    while product > 0 and _mu(step + 1, beta1, decay) != beta1:
        step += 1
        product *= _mu(step, beta1, decay)
    return step, product


def _check(settings: Settings) -> None:
    check_betas(settings)
    if settings["momentum_decay"] is not None:
        if settings["variant"] == "optax":
            raise ValueError(f"momentum_decay: got {settings['momentum_decay']}, expected None for optax")
        number("momentum_decay", settings["momentum_decay"], 0, math.inf, open_high=True)


def _plan(step: int, settings: Settings) -> Plan:
    lr, (beta1, beta2), variant = settings["lr"], settings["betas"], settings["variant"]
    stretch = 1 / math.sqrt(1 - beta2**step)
    if variant == "optax":
        rate = lr * beta1 / (1 - beta1 ** (step + 1))
        fresh = lr * (1 - beta1) / (1 - beta1**step)
    else:
        decay = settings["momentum_decay"]
        decay = decay if decay is not None else 1.0 if variant == "keras" else 0.004
        product, following = _mu_product(step, beta1, decay), _mu(step + 1, beta1, decay)
        rate = lr * following / (1 - product * following)
        fresh = lr * (1 - _mu(step, beta1, decay)) / (1 - product)
    return "nadam", (rate, fresh, beta1, beta2, stretch, adam_eps(settings))


@rule(_plan, module="optim", check=_check)
def nadam_update(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    *,
    step: int,
    lr: float = 0.002,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float | None = None,
    momentum_decay: float | None = None,
    **shared: Unpack[Shared],
) -> None:
    """One step of NAdam, Adam with Nesterov's momentum, in place.

    Parameters
    ----------
    m, v : ndarray, the shape and dtype of `param`
        Running means of the gradient and of its square, zeros before the first step; overwritten.
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    momentum_decay : float, optional
        Speed of the momentum's warm-up. Default 0.004, in the variant "keras" 1.
    variant : {"torch", "paper", "course", "keras", "optax"}, default "torch"
        "keras" has its own defaults; "optax" has no warm-up of the momentum: no `momentum_decay` there.

    Notes
    -----
    With m, v as in :func:`adam_update`, g the gradient used (3.11; Dozat 2016)::

        mu(t)  = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        M(t)   = mu(1) * ... * mu(t)
        n      = mu(step + 1) * m / (1 - M(step + 1)) + (1 - mu(step)) * g / (1 - M(step))
        param -= lr * n / (sqrt(v / (1 - beta2 ** step)) + eps)

    and in the variant "optax"::

        n      = beta1 * m / (1 - beta1 ** (step + 1)) + (1 - beta1) * g / (1 - beta1 ** step)

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> fd.optim.nadam_update(param, np.array([0.5, -0.1]), m, v, step=1, variant="optax", lr=0.1)
    >>> param.round(4)
    array([0.8526, 2.1474])
    """


class NAdam(Optimizer, update=nadam_update):
    """NAdam (3.11).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.NAdam([(param, grad)], lr=0.1)
    >>> for _ in range(400):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 3e-2)
    True
    """
