"""Norms of all orders, their gradients, proximal maps and projections, penalties and constraints.

What needs a norm before it can begin reads its array twice, and that is counted.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import VECTORS, Work, call, case, drawn, normals, of_arrays, sizes
from fastdl.cli._bench._works import MATRICES

SQUARES = sizes("rows columns", (19, 17), (131, 128), (1024, 1024))
ORDERS = (0, 2.5, 1, 2, 3, math.inf)  # of users; each has a kernel. Those of vectors are in _works, with other orders


def _enter(function: Callable[..., Any], variant: str = "", **how: Any) -> None:
    of_arrays("norms", function, variant, **{"sizes": MATRICES if "axis" in how else VECTORS, **how})


def _values(axis: int, order: float) -> None:
    """The norms along an axis of a matrix."""

    @case("norms", "norm", f"ord={order},axis={axis}", **MATRICES)
    def build(dtype: np.dtype, rows: int, columns: int) -> Work:
        return call(fd.norm, normals(dtype, rows, columns), order, axis=axis)


_enter(fd.norm, "ord=100.5", ord=100.5)  # which no other library has without overflow
for _axis, _order in [(1, 0), (1, 2.5), *((0, order) for order in ORDERS)]:  # other rows are in _works
    _values(_axis, _order)
for _function in (fd.l0, fd.l1, fd.l2, fd.linf, fd.dual_norm, fd.global_norm):
    _enter(_function)
_enter(fd.lp, "p=3", p=3)

_enter(fd.norm_gradient, "ord=1", ord=1)
_enter(fd.norm_gradient, "ord=2", read=2)
_enter(fd.norm_gradient, "ord=2.5", read=2, ord=2.5)
_enter(fd.norm_gradient, "ord=inf", read=2, ord=math.inf)
_enter(fd.norm_gradient, "ord=2,axis=1", read=2, axis=1)
_enter(fd.normalize, read=2)
_enter(fd.normalize, "axis=0", read=2, axis=0)
_enter(fd.normalize, "axis=1", read=2, axis=1)
_enter(fd.prox_norm, "ord=0", step=0.3, ord=0)
_enter(fd.prox_norm, "ord=1", step=0.3, ord=1)
_enter(fd.prox_norm, "ord=2", read=2, step=0.3)
_enter(fd.prox_norm, "ord=inf", read=2, step=0.3, ord=math.inf)
_enter(fd.prox_norm, "ord=2,axis=1", read=2, step=0.3, axis=1)
_enter(fd.prox_half_squared_l2, step=0.3)
_enter(fd.project_ball, "ord=1", read=2, ord=1)
_enter(fd.project_ball, "ord=2", read=2)
_enter(fd.project_ball, "ord=inf", ord=math.inf)
_enter(fd.project_ball, "ord=1,axis=1", read=2, ord=1, axis=1)


# ---- In place. Bounds shrink from call to call, by a millionth: else there would be nothing to do after the first.


def _shrinking(bound: float) -> Iterator[float]:
    while True:
        bound *= 1 - 1e-6
        yield bound


@case("norms", "clip_by_global_norm_", **VECTORS)
def clip_by_global_norm_(dtype: np.dtype, n: int) -> Work:
    gradient = normals(dtype, n)
    bounds = _shrinking(float(np.linalg.norm(gradient)))
    return _in_place(lambda: (fd.clip_by_global_norm_(gradient, next(bounds)), gradient), gradient)


def _in_place(run: Callable[[], Any], changed: np.ndarray) -> Work:
    """What reads an array twice and writes it."""
    return Work(run, read=2 * changed.nbytes, written=changed.nbytes)


def _max_norm(axis: int | None) -> None:
    @case("norms", "max_norm_", "" if axis is None else f"axis={axis}", **MATRICES)
    def build(dtype: np.dtype, rows: int, columns: int) -> Work:
        w = normals(dtype, rows, columns)
        bounds = _shrinking(float(np.linalg.norm(w, axis=axis).min()))
        return _in_place(lambda: (fd.max_norm_(w, next(bounds), axis=axis), w), w)


for _axis in (None, 0, 1):
    _max_norm(_axis)
_CHANGED: dict[str, Any] = {"in_place": True, "sizes": MATRICES}
_enter(fd.unit_norm_, read=2, **_CHANGED)
_enter(fd.unit_norm_, "axis=1", read=2, axis=1, **_CHANGED)
_enter(fd.non_negative_, **_CHANGED)
_enter(fd.add_elastic_net_, arrays=2, l1=1e-4, l2=1e-4, **_CHANGED)
_enter(fd.add_group_lasso_, read=3, arrays=2, weight=1e-4, **_CHANGED)
_enter(fd.add_group_lasso_, "axis=1", read=3, arrays=2, weight=1e-4, axis=1, **_CHANGED)


@case("norms", "add_orthogonal_", **SQUARES)
def add_orthogonal_(dtype: np.dtype, rows: int, columns: int) -> Work:
    w, gradient = drawn(dtype, (rows, columns), (rows, columns))
    work = _in_place(lambda: (fd.add_orthogonal_(w, gradient, 1e-4), gradient), gradient)
    return work._replace(multiply_adds=2 * rows * columns**2)
