"""Muon (3.15): the momentum of a matrix, made orthogonal."""

import math
from collections.abc import Mapping
from typing import Unpack

import numpy as np

from .._memory import aligned_empty
from .._products import product, product_with_transpose
from .._validate import choice, integer, number
from ._define import rule
from ._optimizer import Optimizer
from ._pieces import pieces_of_one
from ._rule import Options, Plan, Settings, Shape, Shared, Whole, run_kernel


def _check(settings: Settings) -> None:
    number("momentum", settings["momentum"], 0, 1, open_high=True)
    choice("nesterov", settings["nesterov"], (True, False))
    integer("ns_steps", settings["ns_steps"], 1, 99)
    given = settings["ns_coefficients"]
    if not isinstance(given, (tuple, list)) or len(given) != 3:
        raise TypeError(f"ns_coefficients: got {given!r}, expected three numbers")
    for i, one in enumerate(given):
        number(f"ns_coefficients[{i}]", one, -1e6, 1e6)
    choice("adjust_lr_fn", settings["adjust_lr_fn"], ("original", "match_rms_adamw"))


def _plan(step: int, settings: Settings) -> Plan:
    return "lerp", (settings["momentum"], float(settings["nesterov"]))


def _shapes(shape: Shape) -> dict[str, Shape]:
    if len(shape) != 2:
        raise ValueError(
            f"param: got shape {shape}, expected a matrix; give what is none another rule, by groups such as "
            '[{"params": lambda name, one: one.ndim != 2, "optimizer": fd.optim.AdamW}]'
        )
    return {"momentum_buffer": shape}


def _run(
    param: np.ndarray,
    grad: np.ndarray,
    states: Mapping[str, np.ndarray],
    step: int,
    settings: Settings,
    options: Options,
) -> None:
    """The momentum in one pass, the products, and the change in one pass."""
    if not param.size:
        return
    (kernel, scalars), size, direction = _plan(step, settings), param.size, aligned_empty(param.shape, param.dtype)
    arrays = tuple(array.reshape(-1) for array in (param, grad, states["momentum_buffer"], direction))
    run_kernel("optim", kernel, arrays, pieces_of_one(size, 4), size, scalars, options)
    change = _orthogonal(direction, settings["ns_coefficients"], settings["ns_steps"], settings["eps"])
    rows, columns = param.shape
    if settings["adjust_lr_fn"] == "original":
        rate = settings["lr"] * math.sqrt(max(1.0, rows / columns))
    else:
        rate = settings["lr"] * 0.2 * math.sqrt(max(rows, columns))
    keep, shrink = options[2:]
    arrays = (arrays[0], change.reshape(-1))
    run_kernel("optim", "sgd", arrays, pieces_of_one(size, 2), size, (rate,), (1.0, 0.0, keep, shrink))


def _orthogonal(matrix: np.ndarray, coefficients: tuple[float, float, float], steps: int, eps: float) -> np.ndarray:
    """About U V^T of the matrix U S V^T, by Newton and Schulz' iteration on the shorter of its two sides."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    with np.errstate(all="ignore"):  # as the kernels, which warn of no number
        norm = math.sqrt(float(np.add.reduce(np.square(matrix, dtype=np.float64), axis=None)))
        x = np.ascontiguousarray((matrix.T if tall else matrix) / max(norm, eps))
        for _ in range(steps):
            gram = product_with_transpose(x, x)
            x = a * x + product(b * gram + c * product(gram, gram), x)
    return np.ascontiguousarray(x.T if tall else x)


@rule(_plan, module="optim", check=_check, squares=False, variants=("torch",), whole=Whole(_shapes, _run))
def muon_update(
    param: np.ndarray,
    grad: np.ndarray,
    momentum_buffer: np.ndarray,
    *,
    step: int = 1,
    lr: float = 0.001,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str = "original",
    **shared: Unpack[Shared],
) -> None:
    """One step of Muon on a matrix, in place: the momentum with all singular values near 1.

    Parameters
    ----------
    param : ndarray, shape (R, C), float32 or float64
        Overwritten.
    momentum_buffer : ndarray, shape (R, C)
        Running mean of the gradient, zeros before the first step; overwritten.
    momentum : float in [0, 1), default 0.95
    nesterov : bool, default True
        Take the mean as it would be after the same gradient again.
    ns_coefficients : three floats, default (3.4445, -4.775, 2.0315)
        a, b and c.
    eps : float, default 1e-07
        The least norm that the direction is divided by.
    ns_steps : int, default 5
        Iterations, from 1 to 99.
    adjust_lr_fn : {"original", "match_rms_adamw"}, default "original"
        How the rate goes by the shape: times sqrt(max(1, R / C)), or times 0.2 * sqrt(max(R, C)), whose steps are as
        long as AdamW's.

    Notes
    -----
    With g = grad_scale * grad + weight_decay * param (3.15; Jordan et al. 2024; Liu et al. 2025 for the rates)::

        momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
        x      = momentum * momentum_buffer + (1 - momentum) * g if nesterov else momentum_buffer
        x      = x / max(norm(x), eps)
        x      = a * x + (b * x @ x.T + c * (x @ x.T) @ (x @ x.T)) @ x         (ns_steps times)
        param -= lr * sqrt(max(1, R / C)) * x

    x is transposed before and after the iteration if it has more rows than columns. There is one pass for the momentum
    and one for the change; between them are three products of matrices an iteration, in the parameters' type, where
    PyTorch multiplies in bfloat16.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param, momentum_buffer = np.zeros((2, 2)), np.zeros((2, 2))
    >>> fd.optim.muon_update(param, np.diag([1.0, 0.1]), momentum_buffer, lr=1.0, ns_steps=20)
    >>> np.abs(np.linalg.svd(param)[1] - 1).max() < 0.4
    np.True_
    """


class Muon(Optimizer, update=muon_update, weight_decay=0.1, decoupled_weight_decay=True):
    """Muon (3.15), for the matrices of hidden layers.

    Every other parameter needs a group with another rule. Embeddings and the last layer usually do better in it, too.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.Embedding(5, 3, rng=0), fd.nn.LSTM(3, 4, rng=1), fd.nn.Linear(4, 5, rng=2))
    >>> others = {"params": lambda name, one: one.ndim != 2 or name[0] in "02", "optimizer": fd.optim.AdamW}
    >>> optimizer = fd.optim.Muon(model.parameters(), lr=0.02, groups=[others])
    >>> optimizer
    Muon(lr=0.02, steps=0), in groups:
      0: 2 (112 elements): 1.weight_ih_l0, 1.weight_hh_l0
      1: AdamW, 5 (72 elements), lr=0.001: 0.weight, 1.bias_ih_l0, 1.bias_hh_l0, ...
    """
