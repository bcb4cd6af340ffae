"""What all losses share: reductions, weights, lengths, counts, and the words of their docstrings."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .._dispatch import kernels
from .._memory import aligned_empty
from .._threads import threads_for
from .._validate import REDUCTIONS, choice, float_array, lengths_array, real_values
from ..reference._loss_value import counted
from . import _grains
from ._pointwise import Row

_F = TypeVar("_F", bound=Callable[..., Any])

_WORDS = {
    "{reduction}": """reduction : {"mean", "sum", "none"}, default "mean"
    The mean is over the terms that count; with `weights` the sum is divided by their total weight.""",
    "{weights}": """weights : array or list of real numbers, optional
    What each term counts, at least 0, of a shape that broadcasts to the terms'. What has weight 0 is not read.""",
    "{lengths}": """lengths : ndarray or list of int (B,), optional
    For outputs (T, B, ...): of sequence b the steps before lengths[b] count, and what stands past them is not
    read.""",
    "{loss}": """loss : fastdl.dense.LossValue, or ndarray for "none"
    Its `count` says how many terms count, or their total weight. NaN for a mean over nothing, as in torch.""",
    "{raises}": """TypeError, ValueError
    If an argument is no float array, shapes or dtypes differ, a weight is negative or not finite, or a setting is
    out of range.""",
}


def told(function: _F) -> _F:
    """Put the words that losses share into a docstring, where it names them in braces."""
    text = inspect.cleandoc(function.__doc__ or "")
    for name, words in _WORDS.items():
        text = text.replace(name, words)
    function.__doc__ = text
    return function


def pair(name: str, prediction: Any, other: str, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of one shape and type."""
    prediction = float_array(name, prediction)
    return prediction, float_array(other, target, prediction.shape, prediction.dtype)


def factors(
    reduction: Any, weights: Any, lengths: Any, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[np.ndarray | None, float]:
    """The weight of each of the terms of a shape, 0 where it does not count (None: all count alike), and their total.

    `name` is the argument that has the shape.
    """
    choice("reduction", reduction, REDUCTIONS)
    if weights is None and lengths is None:
        return None, math.prod(shape)
    found, whole = np.ones((), dtype), True
    if weights is not None:
        found, whole = weight_array("weights", weights, shape, dtype)
    found = np.broadcast_to(found, shape)
    if lengths is not None:
        found = np.where(real_steps(name, lengths, shape), found, np.zeros((), dtype))
    total = float(found.sum(dtype=np.float64))
    return np.ascontiguousarray(found), int(total) if whole else total


def weight_array(name: str, values: Any, shape: Sequence[int], dtype: np.dtype) -> tuple[np.ndarray, bool]:
    """Numbers of at least 0, of a shape that broadcasts to another; and whether they are a mask."""
    array = real_values(name, values, "fiub")
    try:
        fits = np.broadcast_shapes(array.shape, tuple(shape)) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name}: got shape {array.shape}, expected one that broadcasts to {tuple(shape)}")
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    good = (result >= 0) & (result < np.inf)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        at = f"[{', '.join(map(str, place))}]" if place else ""
        raise ValueError(f"{name}{at}: got {array[place]}, expected a finite number of at least 0")
    return result, array.dtype.kind == "b"


def real_steps(name: str, lengths: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Of terms (T, B, ...) those before the end of their sequence, with an axis for each of theirs."""
    if len(shape) < 2:
        raise ValueError(f"{name}: got terms of shape {shape}, expected (T, B, ...), since lengths is given")
    ends = lengths_array("lengths", lengths, shape[0], shape[1])
    real: np.ndarray = np.arange(shape[0])[:, None] < ends
    return real.reshape(real.shape + (1,) * (len(shape) - 2))


def by_elements(
    row: Row, prediction: np.ndarray, target: np.ndarray, weighing: tuple[np.ndarray | None, float], reduction: str,
    each: np.ndarray | None = None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """A loss of the kernels' table, in one pass. each: a setting for every element, in the place of the row's."""
    weights, count = weighing
    gradient = aligned_empty(prediction.shape, prediction.dtype)
    losses = aligned_empty(prediction.shape, prediction.dtype) if reduction == "none" else None
    scale = 1.0 / count if reduction == "mean" and count else 1.0
    total = 0.0
    if prediction.size:
        topic = kernels.losses
        sums = np.empty(-(-prediction.size // topic.CHUNK_SIZE))
        threads = threads_for(prediction.size, _grains.ELEMENTS)
        arrays = (prediction, target, each, weights)
        topic.elementwise(topic.ROWS[row.name], arrays, row.a, scale, sums, gradient, losses, threads)
        total = float(np.add.reduce(sums))
    if losses is not None:
        return losses, gradient
    if reduction == "mean":
        total = total * scale if count else float("nan")
    return counted(total, count, reduction), gradient


def by_twin(twin: Callable[..., tuple[Any, Any]], *arguments: Any, **options: Any) -> tuple[Any, Any]:
    """A loss without a kernel: NumPy's functions of an array are as fast, so the reference is the implementation."""
    with np.errstate(all="ignore"):
        return twin(*arguments, **options)
