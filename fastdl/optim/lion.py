"""Lion (3.11): the sign of a running mean."""

from typing import Unpack

import numpy as np

from ._define import rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared, check_betas


def _plan(step: int, settings: Settings) -> Plan:
    return "lion", (settings["lr"], *settings["betas"])


@rule(_plan, check=check_betas, squares=False)
def lion_update(
    param: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.0001,
    betas: tuple[float, float] = (0.9, 0.99),
    **shared: Unpack[Shared],
) -> None:
    """One step of Lion, in place.

    Parameters
    ----------
    m : ndarray, the shape and dtype of `param`
        Running mean of the gradient, zeros before the first step; overwritten.
    betas : pair of float in [0, 1), default (0.9, 0.99)

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.11; Chen et al. 2023, who decay decoupled)::

        param -= lr * sign(beta1 * m + (1 - beta1) * g)
        m      = beta2 * m + (1 - beta2) * g

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, m = np.array([1.0, 2.0]), np.zeros(2)
    >>> fd.optim.lion_update(param, np.array([0.5, -0.1]), m, lr=0.1)
    >>> param
    array([0.9, 2.1])
    """


class Lion(Optimizer, update=lion_update):
    """Lion (3.11).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.Lion([(param, grad)], lr=0.002)
    >>> for _ in range(2000):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 0.05)
    True
    """
