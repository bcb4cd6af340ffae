"""AdaGrad (3.4)."""

import math
from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._validate import number
from ._optimizer import Optimizer
from ._rows import apply_rows
from ._rule import Rule, Settings, apply_rule


def _check(settings: Settings) -> None:
    number("lr_decay", settings["lr_decay"], 0, math.inf, open_high=True)


def _plan(step: int, settings: Settings) -> tuple[str, tuple[float, ...]]:
    rate = settings["lr"] / (1 + (step - 1) * settings["lr_decay"])
    inside = settings["variant"] in ("keras", "optax")
    eps = settings["eps"] if settings["eps"] is not None else 1e-7 if inside else 1e-10
    return "adagrad", (rate, eps, 0.0) if inside else (rate, 0.0, eps)


ADAGRAD_RULE = Rule("optim_adaptive", lambda settings: ("square_sum",), _check, _plan)


@mirrored
def adagrad_update(
    param: np.ndarray,
    grad: np.ndarray,
    square_sum: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    eps: float | None = None,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of AdaGrad, in place.

    Parameters
    ----------
    param : ndarray, any shape, float32 or float64
        Overwritten.
    grad : ndarray, the shape and dtype of `param`
    square_sum : ndarray, the shape and dtype of `param`
        Sum of the squared gradients so far, zeros (or an initial value) before the first step; overwritten.
    step : int, default 1
        Number of this step, from 1; only `lr_decay` uses it.
    lr : float, default 0.01
    lr_decay : float, default 0.0
    eps : float, optional
        Positive. Default 1e-10, in the variants "keras" and "optax" 1e-7.
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
    variant : {"torch", "paper", "course", "keras", "optax"}, default "torch"
        The last two put eps inside the root.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

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
    apply_rule(
        ADAGRAD_RULE,
        param,
        grad,
        {"square_sum": square_sum},
        step,
        grad_scale,
        lr=lr,
        lr_decay=lr_decay,
        eps=eps,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        l1=l1,
        maximize=maximize,
        variant=variant,
    )


@mirrored
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
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of AdaGrad (3.4) on some rows of a table, in place.

    Parameters
    ----------
    param : ndarray, shape (N, D), float32 or float64
        The table; only the rows named are read and overwritten.
    rows : ndarray of int, shape (K,)
        Row numbers from 0 to N - 1; the values of a row named twice are added up first (:func:`sum_rows`).
    values : ndarray, shape (K, D)
        The gradients of these rows.
    square_sum : ndarray, shape (N, D)
        As in :func:`adagrad_update`; overwritten in the rows named.
    step : int, default 1
    lr : float, default 0.01
    lr_decay : float, default 0.0
    eps : float, optional
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
        They act on the rows named.
    variant
        See :func:`adagrad_update`.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

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
    apply_rows(
        ADAGRAD_RULE,
        param,
        rows,
        values,
        {"square_sum": square_sum},
        step,
        grad_scale,
        lr=lr,
        lr_decay=lr_decay,
        eps=eps,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        l1=l1,
        maximize=maximize,
        variant=variant,
    )


class AdaGrad(Optimizer):
    """AdaGrad (3.4); the formulas of :func:`adagrad_update`.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        See :class:`Optimizer`.
    initial_accumulator : float, optional
        Initial value of the sum of squares. Default 0, in the variants "keras" and "optax" 0.1.
    lr, lr_decay, eps, weight_decay, decoupled_weight_decay, l1, maximize, variant
        By keyword (`lr` also by position), with the defaults of :func:`adagrad_update`.
    groups, clip_norm, clip_order, nonfinite, accumulate, lazy
        As of :class:`Optimizer`, by keyword.

    Raises
    ------
    TypeError, ValueError
        As :class:`Optimizer`.

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

    rule = ADAGRAD_RULE
    update = staticmethod(adagrad_update)
    update_rows = staticmethod(adagrad_update_rows)

    def __init__(
        self,
        parameters: Any,
        lr: float | None = None,
        *,
        initial_accumulator: float | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(parameters, lr, **settings)
        if initial_accumulator is not None:
            number("initial_accumulator", initial_accumulator, 0, self._largest)
        for group in self.groups:
            inside = group.settings["variant"] in ("keras", "optax")
            initial = initial_accumulator if initial_accumulator is not None else 0.1 if inside else 0.0
            for run in group.runs:
                run.states["square_sum"].fill(initial)
