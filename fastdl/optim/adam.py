"""Adam (3.8) and AdamW (3.10)."""

import math
from typing import Unpack

import numpy as np

from ._define import rows_of, rule
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared, adam_eps, check_betas


def _plan(step: int, settings: Settings) -> Plan:
    beta1, beta2 = settings["betas"]
    root = math.sqrt(1 - beta2**step)
    rate = settings["lr"] / (1 - beta1**step)
    if settings["variant"] == "keras":
        return "adam", (rate * root, beta1, beta2, 1.0, adam_eps(settings))
    return "adam", (rate, beta1, beta2, 1 / root, adam_eps(settings))


@rule(_plan, module="optim", check=check_betas)
def adam_update(
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
    """One step of Adam, in place.

    Parameters
    ----------
    m, v : ndarray, the shape and dtype of `param`
        Running means of the gradient and of its square, zeros before the first step; overwritten.
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
        Positive. Default 1e-8, in the variant "keras" 1e-7.
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`. `decoupled_weight_decay=True` makes it AdamW (3.10).
    variant : {"torch", "optax", "paper", "course", "keras"}, default "torch"
        Only "keras" differs.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param, beta1, beta2 = betas (3.8; Kingma and Ba 2015)::

        m      = beta1 * m + (1 - beta1) * g
        v      = beta2 * v + (1 - beta2) * g ** 2
        m_hat  = m / (1 - beta1 ** step)
        v_hat  = v / (1 - beta2 ** step)
        param -= lr * m_hat / (sqrt(v_hat) + eps)

    The variant "keras" adds eps to the uncorrected root (the paper's "epsilon hat" form)::

        param -= lr * sqrt(1 - beta2 ** step) / (1 - beta1 ** step) * m / (sqrt(v) + eps)

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> fd.optim.adam_update(param, np.array([0.5, -0.1]), m, v, step=1, lr=0.1)
    >>> param.round(6)
    array([0.9, 2.1])
    """


@rows_of(adam_update)
def adam_update_rows(
    param: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    *,
    step: int,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float | None = None,
    **shared: Unpack[Shared],
) -> None:
    """One step of lazy Adam (3.8) on some rows of a table, in place.

    Parameters
    ----------
    m, v : ndarray, shape (N, D)
        As in :func:`adam_update`; overwritten in the rows named.
    step : int
        Number of this step, from 1, whichever rows it touches.
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional

    Notes
    -----
    The rows named become what :func:`adam_update` would make of them; no other row changes. The dense rule
    differs: it lets the m and v of the other rows decay, and moves those rows by what is left of m.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> table, m, v = np.zeros((3, 4, 2))
    >>> fd.optim.adam_update_rows(table, np.array([2]), np.ones((1, 2)), m, v, step=1, lr=0.5)
    >>> table[2].round(6)
    array([-0.5, -0.5])
    """


class Adam(Optimizer, update=adam_update, update_rows=adam_update_rows):
    """Adam (3.8).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.Adam([(param, grad)], lr=0.1)
    >>> for _ in range(200):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 1e-2)
    True
    """


class AdamW(Adam, weight_decay=0.01, decoupled_weight_decay=True):
    """Adam with decoupled weight decay (3.10).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([2.0]), np.zeros(1)
    >>> fd.optim.AdamW([(param, grad)], lr=0.1, weight_decay=0.5).step()
    >>> param
    array([1.9])
    """
