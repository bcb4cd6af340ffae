"""Update rules, dense and of rows.

All are in place: from call to call the gradient's sign changes, so that parameters and averages go to and fro.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import VECTORS, Work, call, case, drawn, integers, normals, sizes

TABLES = sizes("rows touched width", (41, 13, 37), (2000, 301, 67), (1 << 18, 1 << 15, 512))


MATRICES = sizes("rows columns", (41, 37), (301, 67), (2048, 1024))


def _rule(kind: type, variant: str = "", **settings: Any) -> None:
    """A class of optimizer's rule with these settings."""
    function, rule = kind.update, kind.rule

    @case("optim", function.__name__, variant, **VECTORS)
    def build(dtype: np.dtype, n: int) -> Work:
        param, grad = normals(dtype, n), normals(dtype, n, seed=1)
        held = {name: _state(name, normals(dtype, n, seed=2)) for name in rule.states(rule.settings | settings)}
        signs = itertools.cycle((False, True))

        def run() -> tuple[np.ndarray, ...]:
            function(param, grad, **held, maximize=next(signs), **{"step": 10, "lr": 1e-4, **settings})
            return param, *held.values()

        changed = param.nbytes * (1 + len(held))
        return Work(run, read=changed + grad.nbytes, written=changed)


def _matrix_rule(kind: type) -> None:
    """The rule of a class of optimizer that takes a matrix as a whole."""
    function = kind.update

    @case("optim", function.__name__, **MATRICES)
    def build(dtype: np.dtype, rows: int, columns: int) -> Work:
        param, grad = normals(dtype, rows, columns), normals(dtype, rows, columns, seed=1)
        held = {name: np.ones(shape, dtype) for name, shape in kind.rule.shapes({}, param.shape).items()}
        signs = itertools.cycle((False, True))

        def run() -> tuple[np.ndarray, ...]:
            function(param, grad, **held, maximize=next(signs), step=10, lr=1e-4)
            return param, *held.values()

        return Work(run, read=param.nbytes + grad.nbytes, written=param.nbytes)


def _state(name: str, values: np.ndarray) -> np.ndarray:
    """Means of gradients, or of their squares: these nowhere less than the squares of those."""
    return values / 2 if name in ("velocity", "m", "grad_avg", "average", "prev") else values * values


for _kind in vars(fd.optim).values():
    if isinstance(_kind, type) and issubclass(_kind, fd.optim.Optimizer) and hasattr(_kind, "rule"):
        if _kind.rule.whole is not None:
            _matrix_rule(_kind)
        elif _kind is not fd.optim.AdamW:
            _rule(_kind)
_rule(fd.optim.SGD, "momentum", momentum=0.9)
_rule(fd.optim.SGD, "nesterov", momentum=0.9, nesterov=True)
_rule(fd.optim.RMSProp, "momentum", momentum=0.9)
_rule(fd.optim.RMSProp, "centered", centered=True)
_rule(fd.optim.RMSProp, "centered,momentum", centered=True, momentum=0.9)
_rule(fd.optim.Adam, "decoupled decay", weight_decay=0.01, decoupled_weight_decay=True)
_rule(fd.optim.RAdam, "first steps", step=1)
_rule(fd.optim.Rprop, "first step", step=1)


@case("optim", "average_update", **VECTORS)
def average_update(dtype: np.dtype, n: int) -> Work:
    average, param = drawn(dtype, (n,), (n,))
    return Work(lambda: (fd.optim.average_update(average, param, 0.01), average), 2 * param.nbytes, param.nbytes)


def _row_rule(function: Callable[..., None], states: str) -> None:
    @case("optim", function.__name__, **TABLES)
    def build(dtype: np.dtype, rows: int, touched: int, width: int) -> Work:
        numbers = np.sort(np.random.default_rng(0).permutation(rows)[:touched])
        param, values = normals(dtype, rows, width), normals(dtype, touched, width, seed=1)
        held = {name: _state(name, normals(dtype, rows, width, seed=2)) for name in states.split()}
        signs = itertools.cycle((False, True))

        def run() -> tuple[np.ndarray, ...]:
            function(param, numbers, values, **held, step=10, lr=1e-4, maximize=next(signs))
            return param, *held.values()

        changed = values.nbytes * (1 + len(held))
        return Work(run, read=numbers.nbytes + changed + values.nbytes, written=changed)


_row_rule(fd.optim.sgd_update_rows, "")
_row_rule(fd.optim.adagrad_update_rows, "square_sum")
_row_rule(fd.optim.adam_update_rows, "m v")


@case("optim", "sum_rows", **TABLES)
def sum_rows(dtype: np.dtype, rows: int, touched: int, width: int) -> Work:
    return call(fd.optim.sum_rows, integers(max(touched // 2, 1), touched), normals(dtype, touched, width))
