"""AdaDelta (3.11)."""

from typing import Unpack

import numpy as np

from .._validate import number
from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared


def _check(settings: Settings) -> None:
    if settings["rho"] is not None:
        number("rho", settings["rho"], 0, 1, open_high=True)


def _plan(step: int, settings: Settings) -> Plan:
    keras = settings["variant"] == "keras"
    rho = settings["rho"] if settings["rho"] is not None else 0.95 if keras else 0.9
    eps = settings["eps"] if settings["eps"] is not None else 1e-7 if keras else 1e-6
    return "adadelta", (settings["lr"], rho, eps)


@rule(_plan, check=_check)
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
    **shared: Unpack[Shared],
) -> None:
    """One step of AdaDelta, in place.

    Parameters
    ----------
    square_avg, delta_avg : ndarray, the shape and dtype of `param`
        Running means of the squares of gradient and change, zeros before the first step; overwritten.
    rho : float in [0, 1), optional
        Default 0.9, in the variant "keras" 0.95.
    eps : float, optional
        Positive. Default 1e-6, in the variant "keras" 1e-7.
    variant : {"torch", "paper", "course", "keras", "optax"}, default "torch"
        One formula; "keras" has its own defaults.

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


class AdaDelta(Optimizer, update=adadelta_update):
    """AdaDelta (3.11).

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
