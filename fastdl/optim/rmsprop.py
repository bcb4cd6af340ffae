"""RMSProp (3.5), centered (3.6) and with momentum (3.7)."""

import math
from typing import Unpack

import numpy as np

from .._validate import choice, number
from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared


def _states(settings: Settings) -> tuple[str, ...]:
    centered, momentum = ("grad_avg",) * settings["centered"], ("velocity",) * bool(settings["momentum"])
    return ("square_avg", *centered, *momentum)


def _check(settings: Settings) -> None:
    number("momentum", settings["momentum"], 0, math.inf, open_high=True)
    choice("centered", settings["centered"], (True, False))
    if settings["rho"] is not None:
        number("rho", settings["rho"], 0, 1, open_high=True)


def _plan(step: int, settings: Settings) -> Plan:
    lr, momentum, variant = settings["lr"], settings["momentum"], settings["variant"]
    inside = variant in ("keras", "optax", "paper")
    rho = settings["rho"] if settings["rho"] is not None else 0.9 if variant in ("keras", "optax") else 0.99
    eps = settings["eps"] if settings["eps"] is not None else 1e-7 if variant == "keras" else 1e-8
    scalars = (rho, eps, 0.0) if inside else (rho, 0.0, eps)
    kernel = "rmsprop" + "_centered" * settings["centered"]
    if not momentum:
        return kernel, (lr, *scalars)
    if variant == "torch":
        return kernel + "_momentum", (lr, *scalars, momentum, 1.0)
    return kernel + "_momentum", (1.0, *scalars, momentum, lr)  # the velocity carries lr


@rule(_plan, check=_check, states=_states)
def rmsprop_update(
    param: np.ndarray,
    grad: np.ndarray,
    square_avg: np.ndarray,
    grad_avg: np.ndarray | None = None,
    velocity: np.ndarray | None = None,
    *,
    step: int = 1,
    lr: float = 0.01,
    rho: float | None = None,
    eps: float | None = None,
    momentum: float = 0.0,
    centered: bool = False,
    **shared: Unpack[Shared],
) -> None:
    """One step of RMSProp, in place.

    Parameters
    ----------
    square_avg : ndarray, the shape and dtype of `param`
        Running mean of the squared gradient, or its variance if centered; zeros before the first step;
        overwritten.
    grad_avg : ndarray, the shape and dtype of `param`, optional
        Running mean of the gradient, as `square_avg`. Only with, and then needed for, `centered`.
    velocity : ndarray, the shape and dtype of `param`, optional
        Running sum, as `square_avg`. Only with, and then needed for, a momentum.
    rho : float in [0, 1), optional
        Default 0.99, in the variants "keras" and "optax" 0.9. PyTorch calls it alpha.
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    momentum : float, default 0.0
    centered : bool, default False
    variant : {"torch", "course", "keras", "optax", "paper"}, default "torch"
        The last three put eps inside the root; all but "torch" put `lr` into the velocity.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.5; Tieleman and Hinton 2012)::

        square_avg = rho * square_avg + (1 - rho) * g ** 2
        d          = sqrt(square_avg) + eps
        d          = sqrt(square_avg + eps)                  ("keras", "optax", "paper")
        param     -= lr * g / d

    Centered (3.6; Graves 2013, in a form that cannot go negative)::

        square_avg = rho * (square_avg + (1 - rho) * (g - grad_avg) ** 2)
        grad_avg   = rho * grad_avg + (1 - rho) * g

    With momentum (3.7) the last line becomes::

        velocity = momentum * velocity + g / d;        param -= lr * velocity    ("torch")
        velocity = momentum * velocity + lr * g / d;   param -= velocity         (all others)

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, square_avg = np.array([1.0, 2.0]), np.zeros(2)
    >>> fd.optim.rmsprop_update(param, np.array([0.5, -0.1]), square_avg, lr=0.01)
    >>> param.round(6)
    array([0.9, 2.1])
    """


class RMSProp(Optimizer, update=rmsprop_update):
    """RMSProp (3.5 to 3.7).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.RMSProp([(param, grad)], lr=0.01)
    >>> for _ in range(600):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 3e-2)
    True
    """
