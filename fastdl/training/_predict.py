"""What a model gives for many examples, in batches."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._validate import integer
from ..nn._modes import evaluating
from . import _checks
from ._data import of_type
from ._examples import Examples, examples_of, reads_time_first


def predict(model: Any, x: Any, *, batch_size: int = 256) -> Any:
    """A model's outputs for any number of examples, in evaluation mode, batch by batch.

    Parameters
    ----------
    model : fastdl.nn.Module
        The model; every module has its mode again afterwards, and forwards that wait for a backward keep waiting.
    x : array_like (N, ...), list of N sequences, or tuple or dict of arrays (N, ...)
        Inputs as :func:`fit` takes them in a pair: the examples first, sequences of any lengths in a list.
    batch_size : int, default 256
        Examples at once, which bounds the memory. Threads are bounded by :func:`fastdl.set_num_threads`.

    Returns
    -------
    ndarray (N, ...), or list of N arrays
        The outputs, the examples first. Where `x` is a list of sequences of different lengths and the model gives one
        output a step, a list of arrays as long as the sequences. A tuple or dict of these where the model gives such.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or the model refuses it.

    Notes
    -----
    What an example gives does not depend on the others, but for rounding: products of other sizes may add up in
    another order. Models may be used by several threads at once. Where the time axis comes first or sequences end, the
    model first sees the first example once, twice and with padding, which tells what the axes of its outputs mean.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    >>> fd.training.predict(model, np.zeros((5, 7, 3))).shape
    (5, 7, 2)
    >>> [one.shape for one in fd.training.predict(model, [np.zeros((3, 3)), np.zeros((8, 3))])]
    [(3, 2), (8, 2)]
    """
    _checks.check_model(model)
    batch_size = integer("batch_size", batch_size, 1)
    x = examples_of("x", x)
    data = Examples(x, x, batch_size, shuffle=False, time_first=reads_time_first(model, x))
    dtype = model.parameters().dtype

    def given(chosen: np.ndarray, more: int = 0) -> Any:
        return model.forward(of_type(_inputs(data, chosen, more), dtype))

    parts = []
    with evaluating(model):
        axes = _axes(given, data)
        for chosen in np.split(np.arange(data.count), range(batch_size, data.count, batch_size)):
            lengths = np.array([len(data.x[k]) for k in chosen]) if isinstance(data.x, list) else None
            if lengths is not None and hasattr(model, "lengths_after"):
                lengths = model.lengths_after(lengths)
            parts.append(_by_example(given(chosen), iter(axes), lengths))
    return _joined(parts)


def _inputs(data: Examples, chosen: np.ndarray, more: int) -> Any:
    """Inputs of some examples; of ragged sequences with so many more steps of padding."""
    inputs = data._inputs(chosen)
    if not more:
        return inputs
    values, lengths = inputs
    widths = [(0, 0)] * values.ndim
    widths[0 if data.time_first else 1] = (0, more)
    return np.pad(values, widths), lengths


def _axes(given: Callable[..., Any], data: Examples) -> list[tuple[int, bool]]:
    """Of each output the axis of the examples, and whether it has sequences that end: what changes with their numbers.

    The sizes of one batch would not tell: there may be as many examples as steps or classes.
    """
    ragged = isinstance(data.x, list)
    if not (ragged or data.time_first):
        return []
    one, two = np.zeros(1, int), np.zeros(2, int)  # the first example, once and twice
    sizes = list(_shapes(given(one)))
    longer = list(_shapes(given(one, max(len(data.x[0]), 16)))) if ragged else sizes  # past any stride
    found = []
    for size, doubled, wide in zip(sizes, _shapes(given(two)), longer, strict=True):
        axis = next((k for k, (a, b) in enumerate(zip(size, doubled, strict=True)) if a != b), None)
        if axis is None or doubled[axis] != 2:
            raise ValueError(
                f"model: gives shape {size} for one example and {doubled} for two, expected an axis of them"
            )
        found.append((axis, wide != size))
    return found


def _shapes(output: Any) -> Iterator[tuple[int, ...]]:
    if isinstance(output, (tuple, dict)):
        for one in output.values() if isinstance(output, dict) else output:
            yield from _shapes(one)
    else:
        yield np.shape(output)


def _by_example(output: Any, axes: Iterator[tuple[int, bool]], lengths: np.ndarray | None) -> Any:
    """One batch's output with its examples first; of ragged sequences, a list where there is an output a step."""
    if isinstance(output, tuple):
        return tuple(_by_example(one, axes, lengths) for one in output)
    if isinstance(output, dict):
        return {key: _by_example(one, axes, lengths) for key, one in output.items()}
    axis, ends = next(axes, (0, False))
    rows = np.moveaxis(output, axis, 0)
    return [row[:n].copy() for row, n in zip(rows, lengths, strict=True)] if ends and lengths is not None else rows


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, tuple):
        return tuple(_joined([part[k] for part in parts]) for k in range(len(first)))
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, list):
        return [row for part in parts for row in part]
    return np.concatenate(parts)
