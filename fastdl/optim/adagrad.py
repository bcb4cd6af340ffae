"""AdaGrad (3.4)."""

import math
from typing import Any, Unpack

import numpy as np

from .._validate import number
from ._define import rows_of, rule
from ._groups import Group
from ._optimizer import Optimizer
from ._rule import Plan, Settings, Shared


def _check(settings: Settings) -> None:
    number("lr_decay", settings["lr_decay"], 0, math.inf, open_high=True)


def _initial(settings: Settings) -> dict[str, float]:
    return {"square_sum": 0.1 if settings["variant"] in ("keras", "optax") else 0.0}


def _plan(step: int, settings: Settings) -> Plan:
    rate = settings["lr"] / (1 + (step - 1) * settings["lr_decay"])
    inside = settings["variant"] in ("keras", "optax")
    eps = settings["eps"] if settings["eps"] is not None else 1e-7 if inside else 1e-10
    return "adagrad", (rate, eps, 0.0) if inside else (rate, 0.0, eps)


@rule(_plan, check=_check, initial=_initial)
def adagrad_update(
    param: np.ndarray,
    grad: np.ndarray,
    square_sum: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    eps: float | None = None,
    **shared: Unpack[Shared],
) -> None:
    """One step of AdaGrad, in place.

    Parameters
    ----------
    square_sum : ndarray, the shape and dtype of `param`
        Sum of the squared gradients so far, zeros (or an initial value) before the first step; overwritten.
    step : int, default 1
        Number of this step, from 1; only `lr_decay` uses it.
    lr_decay : float, default 0.0
    eps : float, optional
        Positive. Default 1e-10, in the variants "keras" and "optax" 1e-7.
    variant : {"torch", "paper", "course", "keras", "optax"}, default "torch"
        The last two put eps inside the root.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.4; Duchi, Hazan and Singer 2011)::

        rate        = lr / (1 + (step - 1) * lr_decay)
        square_sum += g ** 2
        param      -= rate * g / (sqrt(square_sum) + eps)
        param      -= rate * g / sqrt(square_sum + eps)      ("keras", "optax")

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, square_sum = np.array([1.0, 2.0]), np.zeros(2)
    >>> fd.optim.adagrad_update(param, np.array([0.5, -0.1]), square_sum, lr=0.1)
    >>> param.round(6)
    array([0.9, 2.1])
    """


@rows_of(adagrad_update)
def adagrad_update_rows(
    param: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    square_sum: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    eps: float | None = None,
    **shared: Unpack[Shared],
) -> None:
    """One step of AdaGrad (3.4) on some rows of a table, in place.

    Parameters
    ----------
    square_sum : ndarray, shape (N, D)
        As in :func:`adagrad_update`; overwritten in the rows named.
    step : int, default 1
    lr_decay : float, default 0.0
    eps : float, optional

    Notes
    -----
    The rows named become what :func:`adagrad_update` would make of them; no other row changes. For the others
    the gradient is 0, so the dense rule would not change them either.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> table, square_sum = np.zeros((2, 3, 2))
    >>> fd.optim.adagrad_update_rows(table, np.array([1]), np.ones((1, 2)), square_sum, lr=0.5)
    >>> table[1]
    array([-0.5, -0.5])
    """


class AdaGrad(Optimizer, update=adagrad_update, update_rows=adagrad_update_rows):
    """AdaGrad (3.4).

    Parameters
    ----------
    initial_accumulator : float, optional
        Initial value of the sum of squares. Default 0, in the variants "keras" and "optax" 0.1.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.array([3.0]), np.empty(1)
    >>> optimizer = fd.optim.AdaGrad([(param, grad)], lr=1.0)
    >>> for _ in range(100):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param[0]) < 1e-3)
    True
    """

    def __init__(
        self,
        parameters: Any,
        lr: float | None = None,
        *,
        initial_accumulator: float | None = None,
        **settings: Any,
    ) -> None:
        self._initial = initial_accumulator
        super().__init__(parameters, lr, **settings)

    def _begin(self, group: Group) -> None:
        if self._initial is not None and group.optimizer is type(self):
            number("initial_accumulator", self._initial, 0, self._largest)
            for run in group.runs:
                run.states["square_sum"].fill(self._initial)
