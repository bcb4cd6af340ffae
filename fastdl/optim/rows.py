"""Updates of only those rows of a table that were touched: for embeddings.

What differs from the dense rules. Plain SGD: nothing, unless there is a weight decay or an L1 term, which act
on touched rows only. AdaGrad: nothing but that. Adam: a row that is not touched keeps its m and v and does
not move, where the dense rule would let m and v decay and go on moving it (the "lazy" Adam of TensorFlow and
torch.optim.SparseAdam); the corrections still count every step.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._memory import aligned_zeros
from .._threads import threads_for
from .._validate import FLOATS, check_apart, check_shape, float_array, index_array, integer, number, out_array
from ._rule import GRAIN, Rule, check_settings, shared_scalars, specialized
from .adagrad import ADAGRAD_RULE
from .adam import ADAM_RULE
from .sgd import SGD_RULE


@mirrored
def sum_rows(rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the values of rows that are named more than once.

    Parameters
    ----------
    rows : ndarray of int, shape (K,)
        Row numbers, at least 0, in any order.
    values : ndarray, shape (K, D), float32 or float64

    Returns
    -------
    rows : ndarray of int64, shape (U,)
        The distinct row numbers, increasing.
    sums : ndarray, shape (U, D)
        The sums, each added in the order given.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> rows, sums = fd.optim.sum_rows(np.array([7, 2, 7]), np.array([[1.0], [2.0], [3.0]]))
    >>> rows, sums.ravel()
    (array([2, 7]), array([2., 4.]))
    """
    values = float_array("values", values)
    numbers = index_array("rows", rows, np.iinfo(np.int64).max, (None,))
    check_shape("values", values, (numbers.size, None))
    distinct, place = np.unique(numbers, return_inverse=True)
    sums = aligned_zeros((distinct.size, values.shape[1]), values.dtype)
    specialized("optim", "add_rows", values.dtype.char)(sums, place, values)
    return distinct, sums


def _apply(
    rule: Rule,
    param: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    states: Mapping[str, np.ndarray],
    step: int,
    grad_scale: float,
    **settings: Any,
) -> None:
    check_settings(rule, settings)
    integer("step", step, 1)
    number("grad_scale", grad_scale)
    kind = param.dtype if isinstance(param, np.ndarray) and param.dtype in FLOATS else FLOATS[0]
    out_array("param", param, (None, None), kind)
    for name, state in states.items():
        out_array(name, state, param.shape, kind)
    numbers = index_array("rows", rows, len(param), (None,))
    read = float_array("values", values, (numbers.size, param.shape[1]), kind)
    check_apart(param=param, **states, values=read)
    if np.any(numbers[1:] <= numbers[:-1]):
        numbers, read = sum_rows(numbers, read)
    kernel, scalars = rule.plan(step, settings)
    threads = threads_for(read.size, GRAIN)
    scalars += shared_scalars(settings, grad_scale)
    specialized(rule.module, f"{kernel}_rows", kind.char)(param, numbers, read, *states.values(), *scalars, threads)


@mirrored
def sgd_update_rows(
    param: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.01,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of plain SGD (3.1) on some rows of a table, in place.

    Parameters
    ----------
    param : ndarray, shape (N, D), float32 or float64
        The table; only the rows named are read and overwritten.
    rows : ndarray of int, shape (K,)
        Row numbers from 0 to N - 1; the values of a row named twice are added up first (:func:`sum_rows`).
    values : ndarray, shape (K, D)
        The gradients of these rows.
    step : int, default 1
    lr : float, default 0.01
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
        They act on the rows named.
    variant
        See :func:`sgd_update`.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

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
    _apply(
        SGD_RULE,
        param,
        rows,
        values,
        {},
        step,
        grad_scale,
        lr=lr,
        momentum=0.0,
        dampening=0.0,
        nesterov=False,
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
    _apply(
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


@mirrored
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
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    maximize: bool = False,
    grad_scale: float = 1.0,
    variant: str = "torch",
) -> None:
    """One step of lazy Adam (3.8) on some rows of a table, in place.

    Parameters
    ----------
    param : ndarray, shape (N, D), float32 or float64
        The table; only the rows named are read and overwritten.
    rows : ndarray of int, shape (K,)
        Row numbers from 0 to N - 1; the values of a row named twice are added up first (:func:`sum_rows`).
    values : ndarray, shape (K, D)
        The gradients of these rows.
    m, v : ndarray, shape (N, D)
        As in :func:`adam_update`; overwritten in the rows named.
    step : int
        Number of this step, from 1, whichever rows it touches.
    lr : float, default 0.001
    betas : pair of float in [0, 1), default (0.9, 0.999)
    eps : float, optional
    weight_decay, decoupled_weight_decay, l1, maximize, grad_scale
        See :class:`fastdl.optim.Optimizer`.
        They act on the rows named.
    variant
        See :func:`adam_update`.

    Raises
    ------
    TypeError, ValueError
        For arrays or numbers that do not fit; nothing was written then.

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
    _apply(
        ADAM_RULE,
        param,
        rows,
        values,
        {"m": m, "v": v},
        step,
        grad_scale,
        lr=lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        l1=l1,
        maximize=maximize,
        variant=variant,
    )
