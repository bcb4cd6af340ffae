"""Update rules, dense and of rows.

All are in place: from call to call the gradient's sign changes, so that parameters and averages go to and fro.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import VECTORS, Work, call, case, drawn, integers, normals

TABLES = {
    "small": {"rows": 41, "touched": 13, "width": 37},
    "medium": {"rows": 2000, "touched": 301, "width": 67},
    "large": {"rows": 1 << 18, "touched": 1 << 15, "width": 512},
}


def _rule(function: Callable[..., None], states: str, variant: str = "", **settings: Any) -> None:
    """A rule with these states."""

    @case("optim", function.__name__, variant, **VECTORS)
    def build(dtype: np.dtype, n: int) -> Work:
        param, grad = normals(dtype, n), normals(dtype, n, seed=1)
        held = {name: _state(name, normals(dtype, n, seed=2)) for name in states.split()}
        signs = itertools.cycle((False, True))

        def run() -> tuple[np.ndarray, ...]:
            function(param, grad, **held, maximize=next(signs), **{"step": 10, "lr": 1e-4, **settings})
            return param, *held.values()

        changed = param.nbytes * (1 + len(held))
        return Work(run, read=changed + grad.nbytes, written=changed)


def _state(name: str, values: np.ndarray) -> np.ndarray:
    """Means of gradients, or of their squares: these nowhere less than the squares of those."""
    return values / 2 if name in ("velocity", "m", "grad_avg") else values * values


_rule(fd.optim.sgd_update, "")
_rule(fd.optim.sgd_update, "velocity", "momentum", momentum=0.9)
_rule(fd.optim.sgd_update, "velocity", "nesterov", momentum=0.9, nesterov=True)
_rule(fd.optim.adagrad_update, "square_sum")
_rule(fd.optim.rmsprop_update, "square_avg")
_rule(fd.optim.rmsprop_update, "square_avg velocity", "momentum", momentum=0.9)
_rule(fd.optim.rmsprop_update, "square_avg grad_avg", "centered", centered=True)
_rule(fd.optim.rmsprop_update, "square_avg grad_avg velocity", "centered,momentum", centered=True, momentum=0.9)
_rule(fd.optim.adadelta_update, "square_avg delta_avg")
_rule(fd.optim.adam_update, "m v")
_rule(fd.optim.adam_update, "m v", "decoupled decay", weight_decay=0.01, decoupled_weight_decay=True)
_rule(fd.optim.amsgrad_update, "m v v_max")
_rule(fd.optim.nadam_update, "m v")
_rule(fd.optim.radam_update, "m v")
_rule(fd.optim.radam_update, "m v", "first steps", step=1)
_rule(fd.optim.adamax_update, "m u")
_rule(fd.optim.lion_update, "m")


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
