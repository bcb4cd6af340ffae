"""What a model gives for many examples, in batches."""

from collections.abc import Iterator
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
    another order. Models may be used by several threads at once.

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
    data = Examples(x, _placeholder(x), batch_size, shuffle=False, time_first=reads_time_first(model, x))
    dtype = model.parameters().dtype
    parts = []
    with evaluating(model):
        for chosen in np.split(np.arange(data.count), range(batch_size, data.count, batch_size)):
            for some, inputs in _batches(data, chosen):
                parts.append(_by_example(model.forward(of_type(inputs, dtype)), data, inputs, len(some)))
    return _joined(parts)


def _placeholder(x: Any) -> np.ndarray:
    """Targets that nobody reads."""
    while isinstance(x, (tuple, dict)):
        x = next(iter(x.values() if isinstance(x, dict) else x))
    return np.zeros(len(x))


def _batches(data: Examples, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
    """Inputs of some examples, never as many as there are steps: the axes of the outputs would not tell them apart."""
    inputs = data._inputs(chosen)
    steps = inputs[0].shape[0 if data.time_first else 1] if isinstance(data.x, list) else data.steps
    if steps == len(chosen) > 1:
        yield from _batches(data, chosen[:1])
        yield from _batches(data, chosen[1:])
    else:
        yield chosen, inputs


def _by_example(output: Any, data: Examples, inputs: Any, batch: int) -> Any:
    """One batch's output with its examples first; of ragged sequences, a list where there is an output a step."""
    if isinstance(output, tuple):
        return tuple(_by_example(one, data, inputs, batch) for one in output)
    if isinstance(output, dict):
        return {key: _by_example(one, data, inputs, batch) for key, one in output.items()}
    if isinstance(data.x, list):
        padded, lengths = inputs
        if output.shape[:2] != padded.shape[:2]:
            return output
        rows = output.swapaxes(0, 1) if data.time_first else output
        return [row[:length].copy() for row, length in zip(rows, lengths, strict=True)]
    return output.swapaxes(0, 1) if data.steps is not None and output.shape[:2] == (data.steps, batch) else output


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, tuple):
        return tuple(_joined([part[k] for part in parts]) for k in range(len(first)))
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, list):
        return [row for part in parts for row in part]
    return np.concatenate(parts)
