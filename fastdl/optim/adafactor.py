"""Adafactor (3.14): second moments of matrices from those of their rows and columns."""

import math
from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np

from .._dispatch import kernels
from .._threads import threads_for
from .._validate import number
from ._define import rule
from ._optimizer import Optimizer
from ._rule import GRAIN, Options, Plan, Settings, Shape, Shared, Whole


def _check(settings: Settings) -> None:
    number("beta2_decay", settings["beta2_decay"], -math.inf, 0, open_low=True)
    if settings["eps1"] is not None:  # its square must not be 0 in float32
        number("eps1", settings["eps1"], 1e-22, 1e18)
    number("eps2", settings["eps2"], 0, math.inf, open_low=True, open_high=True)
    number("d", settings["d"], 0, math.inf, open_low=True, open_high=True)


def _plan(step: int, settings: Settings) -> Plan:
    return "factored", (min(settings["lr"], 1 / math.sqrt(step)), step ** settings["beta2_decay"], settings["eps2"])


def _shapes(shape: Shape) -> dict[str, Shape]:
    if len(shape) < 2:
        return {"variance": shape}
    return {"row_var": shape[:-1], "col_var": (*shape[:-2], shape[-1])}


def _run(
    param: np.ndarray,
    grad: np.ndarray,
    states: Mapping[str, np.ndarray],
    step: int,
    settings: Settings,
    options: Options,
) -> None:
    """Three passes over the gradient: sums of its squares, the size of the change, the change."""
    if not param.size:
        return
    kernel, threads = kernels.optim_factored, threads_for(param.size, GRAIN)
    rate, fresh, least_size = _plan(step, settings)[1]
    eps = float(np.finfo(param.dtype).eps) if settings["eps1"] is None else settings["eps1"]
    shape = param.shape[-2:] if param.ndim > 1 else (1, param.size)
    params, grads = param.reshape(-1, *shape), grad.reshape(-1, *shape)
    held = [array.reshape(len(params), -1) for array in states.values()]
    blocks = -(-shape[0] // kernel.BLOCK_ROWS)
    size, factors = 0.0, []
    for i, (one, of) in enumerate(zip(params, grads, strict=True)):
        sums = np.empty(shape[0]), np.empty((blocks, shape[1])), np.empty(blocks)
        kernel.factored_sums(one, of, sums, options, threads)
        size += float(np.add.reduce(sums[2]))
        factors.append(_factors([state[i] for state in held], sums[0], np.add.reduce(sums[1]), fresh, eps))
    change, sums_of_change = 0.0, np.empty(blocks)
    for one, of, (rows, columns) in zip(params, grads, factors, strict=True):
        kernel.factored_change(one, of, rows, columns, sums_of_change, eps * eps, options, threads)
        change += float(np.add.reduce(sums_of_change))
    rate *= max(least_size, math.sqrt(size / param.size))
    rate /= max(1.0, math.sqrt(change / param.size) / settings["d"])
    for one, of, (rows, columns) in zip(params, grads, factors, strict=True):
        kernel.factored(one, of, rows, columns, (rate, eps * eps), options, threads)


def _factors(
    states: Sequence[np.ndarray], rows: np.ndarray, columns: np.ndarray, fresh: float, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Take the sums of squares into the states; what their products of rows and columns are the variance of."""
    kind = states[0].dtype
    with np.errstate(all="ignore"):  # as the kernels, which warn of no number
        if len(states) == 1:  # of a vector the columns are its elements
            states[0][...] = states[0] + fresh * (columns - states[0])
            return np.ones(1, kind), states[0]
        for state, mean in zip(states, (rows / columns.size, columns / rows.size), strict=True):
            state[...] = state + fresh * (mean - state)
        row_var, col_var = states
        return (row_var / max(float(np.add.reduce(row_var, dtype=np.float64)) / rows.size, eps)).astype(kind), col_var


@rule(_plan, module="optim_factored", check=_check, variants=("torch",), whole=Whole(_shapes, _run))
def adafactor_update(
    param: np.ndarray,
    grad: np.ndarray,
    row_var: np.ndarray | None = None,
    col_var: np.ndarray | None = None,
    variance: np.ndarray | None = None,
    *,
    step: int,
    lr: float = 0.01,
    beta2_decay: float = -0.8,
    eps1: float | None = None,
    eps2: float = 0.001,
    d: float = 1.0,
    **shared: Unpack[Shared],
) -> None:
    """One step of Adafactor, in place: the state of a matrix is one number for each row and each column.

    Parameters
    ----------
    row_var : ndarray, shape (..., R), optional
        Of a parameter of shape (..., R, C): running mean of g ** 2 along its rows, zeros before the first step;
        overwritten.
    col_var : ndarray, shape (..., C), optional
        The same along its columns.
    variance : ndarray, the shape and dtype of `param`, optional
        The same of each element, of a parameter with fewer than two axes.
    beta2_decay : float, default -0.8
        The weight of the newest square is ``step ** beta2_decay``; below 0 or 0.
    eps1 : float, optional
        The least root of a variance. Default the spacing of the type's numbers at 1.
    eps2 : float, default 0.001
        The least size of a parameter that the rate goes by.
    d : float, default 1.0
        What the change's root mean square is clipped to, before the rate.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param, rms(x) = sqrt(mean(x ** 2)) and the means over one axis (3.14;
    Shazeer and Stern 2018, in PyTorch's form)::

        fresh    = step ** beta2_decay
        row_var += fresh * (mean(g ** 2, -1) - row_var)
        col_var += fresh * (mean(g ** 2, -2) - col_var)
        v        = row_var[..., None] * col_var[..., None, :] / max(mean(row_var), eps1)
        u        = g / sqrt(max(v, eps1 ** 2))
        param   -= min(lr, 1 / sqrt(step)) * max(eps2, rms(param)) * u / max(1, rms(u) / d)

    It is no single pass: each of the last two lines needs a sum over what the line before gives, so g is read three
    times.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, row_var, col_var = np.ones((2, 3)), np.zeros(2), np.zeros(3)
    >>> fd.optim.adafactor_update(param, np.full((2, 3), 0.5), row_var, col_var, step=1)
    >>> param[0].round(6), row_var
    (array([0.99, 0.99, 0.99]), array([0.25, 0.25]))
    """


class Adafactor(Optimizer, update=adafactor_update):
    """Adafactor (3.14): Adam's steps without a mean of the gradient, from a state of R + C numbers for R times C.

    PyTorch's decay is the decoupled one: ``decoupled_weight_decay=True``.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, grad = np.full((2, 2), 3.0), np.empty((2, 2))
    >>> optimizer = fd.optim.Adafactor([(param, grad)], lr=0.05)
    >>> for _ in range(400):
    ...     grad[:] = 2 * param  # of param ** 2
    ...     optimizer.step()
    >>> bool(abs(param).max() < 1e-2)
    True
    """
