"""Stochastic gradient descent (3.1), with momentum (3.2) and Nesterov's momentum (3.3)."""

import math
from typing import Unpack

import numpy as np

from .._validate import choice, number
from ._define import rows_of, rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared


def _states(settings: Settings) -> tuple[str, ...]:
    return ("velocity",) if settings["momentum"] else ()


def _check(settings: Settings) -> None:
    number("momentum", settings["momentum"], 0, math.inf, open_high=True)
    number("dampening", settings["dampening"], 0, 1)
    choice("nesterov", settings["nesterov"], (True, False))
    if settings["dampening"] and settings["variant"] != "torch":
        raise ValueError(f"dampening: got {settings['dampening']}, expected 0 in the {settings['variant']} variant")
    if settings["nesterov"] and (not settings["momentum"] or settings["dampening"]):
        raise ValueError(
            f"nesterov: got momentum {settings['momentum']} and dampening {settings['dampening']}, "
            "expected a momentum and no dampening"
        )


def _plan(step: int, settings: Settings) -> Plan:
    lr, momentum = settings["lr"], settings["momentum"]
    if not momentum:
        return "sgd", (lr,)
    kernel = "nesterov" if settings["nesterov"] else "momentum"
    if settings["variant"] in ("torch", "optax"):
        gain = 1.0 if step == 1 else 1 - settings["dampening"]
        return kernel, (lr, momentum, gain)
    return kernel, (1.0, momentum, lr)  # the velocity carries lr


@rule(_plan, module="optim", check=_check, states=_states, squares=False)
def sgd_update(
    param: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray | None = None,
    *,
    step: int = 1,
    lr: float = 0.01,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    **shared: Unpack[Shared],
) -> None:
    """One step of SGD, in place.

    Parameters
    ----------
    velocity : ndarray, the shape and dtype of `param`
        The running sum, zeros before the first step, overwritten. Default None, without momentum.
    step : int, default 1
        Number of this step, from 1. Dampening starts with the second.
    momentum : float, default 0.0
    dampening : float, default 0.0
    nesterov : bool, default False
        Needs a momentum, and no dampening.
    variant : {"torch", "optax", "keras", "paper", "course"}, default "torch"
        The last three put `lr` into the velocity; only a changing `lr` shows the difference.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.1 to 3.3)::

        velocity = momentum * velocity + (1 - dampening) * g
        param   -= lr * velocity
        param   -= lr * (g + momentum * velocity)      (nesterov, instead)

    and in the variants "keras", "paper" (Sutskever et al. 2013) and "course"::

        velocity = momentum * velocity + lr * g
        param   -= velocity
        param   -= lr * g + momentum * velocity        (nesterov, instead)

    Keras and the paper store the velocity with the other sign.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, velocity = np.array([1.0, 2.0]), np.zeros(2)
    >>> fd.optim.sgd_update(param, np.array([0.5, -0.5]), velocity, lr=0.1, momentum=0.9)
    >>> param
    array([0.95, 2.05])
    """


@rows_of(sgd_update)
def sgd_update_rows(
    param: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.01,
    **shared: Unpack[Shared],
) -> None:
    """One step of plain SGD (3.1) on some rows of a table, in place.

    Parameters
    ----------
    step : int, default 1

    Notes
    -----
    The rows named become what :func:`sgd_update` would make of them; no other row changes.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> table = np.zeros((3, 2))
    >>> fd.optim.sgd_update_rows(table, np.array([1, 1]), np.ones((2, 2)), lr=0.5)
    >>> table
    array([[ 0.,  0.],
           [-1., -1.],
           [ 0.,  0.]])
    """


class SGD(Optimizer, update=sgd_update, update_rows=sgd_update_rows):
    """Stochastic gradient descent, with momentum or Nesterov's (3.1 to 3.3).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.SGD([(param, grad)], lr=0.1, momentum=0.5)
    >>> for _ in range(100):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 1e-6)
    True
    """
