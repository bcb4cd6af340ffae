"""ASGD (3.12): SGD with a mean of the parameters beside it."""

import math
from typing import Unpack

import numpy as np

from .._validate import number
from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared


def _check(settings: Settings) -> None:
    for name in ("lambd", "alpha", "t0"):
        number(name, settings[name], 0, math.inf, open_high=True)


def _plan(step: int, settings: Settings) -> Plan:
    lr, lambd = settings["lr"], settings["lambd"]
    shrunk = math.exp(-settings["alpha"] * math.log1p(min(lambd * lr * (step - 1), 1e300)))
    return "asgd", (lr * shrunk, lambd, 1 / max(1, step - 1 - settings["t0"]))


@rule(_plan, module="optim", check=_check, squares=False, variants=("torch",))
def asgd_update(
    param: np.ndarray,
    grad: np.ndarray,
    average: np.ndarray,
    *,
    step: int,
    lr: float = 0.01,
    lambd: float = 0.0001,
    alpha: float = 0.75,
    t0: float = 1e6,
    **shared: Unpack[Shared],
) -> None:
    """One step of averaged SGD, in place.

    Parameters
    ----------
    average : ndarray, the shape and dtype of `param`
        The mean of the parameters after every step from `t0` on, until then the last of them; overwritten, and not read
        in the first step.
    lambd : float, default 0.0001
        Pulls the parameters towards 0, and slows the decay of the rate.
    alpha : float, default 0.75
        Power of the rate's decay.
    t0 : float, default 1000000.0
        Steps before the averaging starts.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.12; Polyak and Juditsky 1992, in the form of Bottou 2010)::

        rate     = lr / (1 + lambd * lr * (step - 1)) ** alpha
        param   -= rate * (g + lambd * param)
        average += (param - average) / max(1, step - 1 - t0)

    PyTorch goes by the `lr` of the step before; where that is constant, the two are the same.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, average = np.array([1.0]), np.zeros(1)
    >>> for step in (1, 2, 3):
    ...     fd.optim.asgd_update(param, np.array([1.0]), average, step=step, lr=0.25, lambd=0.0, t0=0.0)
    >>> param, average
    (array([0.25]), array([0.375]))
    """


class ASGD(Optimizer, update=asgd_update):
    """Averaged stochastic gradient descent (3.12).

    The average is in ``state_dict()``; :class:`StochasticAverage` gives one of any optimizer's parameters, and lends
    it to the model.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.ASGD([(param, grad)], lr=0.1)
    >>> for _ in range(200):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 1e-6)
    True
    """
