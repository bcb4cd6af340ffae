"""Models to ONNX files."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ..._files import replacing, try_replacing
from ..._validate import flag, integer, iterated, shown
from ...nn._handing import accepts, carries_state, takes_lengths
from ...nn._stack import Stack
from .._extras import needed


def export(
    model: nn.Module, path: str | os.PathLike[str], *, lengths: bool = False, state: bool = False,
    shape: Sequence[int | str] | None = None, part: str | None = None,
) -> None:  # fmt: skip
    """Write a model, as it is in evaluation mode, to an ONNX file (docs/interop-onnx.md).

    Parameters
    ----------
    model : Module
        A layer of fastdl.nn, a chain of such, or a model of fastdl.models.
    path : str or path-like
        The file; what was there is replaced in one step.
    lengths : bool, default False
        Whether the true lengths (B,) are an input, `lengths` of int64. Models whose forward takes them always have it.
    state : bool, default False
        Whether the states of recurrent layers are inputs, ``state.<layer>.h`` and so on, and the last ones outputs,
        ``last.<layer>.h``. Otherwise sequences begin with zeros, or the learned states.
    shape : sequence of int and str, optional
        Shape of the input `x`, names for axes of any extent. By default it is that of the first layer that says: of a
        chain with recurrent layers, convolutions or pools ``("T", "B", size)``, else ``("B", size)``.
    part : {"encode", "decode"}, optional
        Of a Seq2Seq its half of that name instead of the whole, so that a program can write token by token.

    Raises
    ------
    TypeError, ValueError
        If the model holds a module that cannot be written, with its name, no layer takes lengths or carries states, or
        the shape is not known; no file is written then.
    ImportError
        If the extra ``onnx`` is not installed.
    OSError
        If the file cannot be written; what was there is as it was.

    Notes
    -----
    Operator set 18. The input is `x` and the output `y`, with dynamic axes T and B. RNN, LSTM and GRU become the
    operators of their names; options that these have not, other cells, and layers of float64, which runtimes lack
    there, become a Scan over the cell's equations.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.LSTM(3, 8, output="last", rng=0), fd.nn.Linear(8, 2, rng=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fd.interop.onnx.export(model, os.path.join(folder, "model.onnx"), lengths=True)
    ...     fd.interop.onnx.load(os.path.join(folder, "model.onnx"))
    Sequential()
      (0) LSTM(3, 8, output='last')           416
      (1) Linear(8, 2)                         18
    total                                     434
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a layer or model")
    lengths, state = flag("lengths", lengths), flag("state", state)
    given = None if shape is None else _checked_shape(shape)
    needed("onnx", "onnx")
    from ._graph import model_of
    from ._models import graph_of, whole_of

    whole = whole_of(model, part)
    if part is not None and whole is None:
        raise ValueError(f"part: got {shown(part)}, expected None, or 'encode' or 'decode' of a Seq2Seq")
    if lengths and not (takes_lengths(model) if whole is None else whole.lengths):
        raise ValueError(f"lengths: got True, expected False, since no layer of {type(model).__name__} takes lengths")
    if state and (part is not None or not _carries(model, whole)):
        raise ValueError(f"state: got True, expected False, since {type(model).__name__} hands out no states")
    if whole is None:
        graph, writer = _chain(model, lengths, state, given)
    elif given is not None:
        raise ValueError(f"shape: got {given}, expected None, since {type(model).__name__} says its inputs' shapes")
    else:
        graph, writer = graph_of(model, whole, state, _dtype(model))
    for name, value, extents in writer.finals:
        graph.output(name, value, extents)
    try_replacing(path)
    made = model_of(graph, {"producer_name": "fastdl"})
    with replacing(path) as file:
        file.write(made.SerializeToString())


def _carries(model: nn.Module, whole: Any) -> bool:
    return carries_state(model) if whole is None else accepts(model.forward, "return_state")


def _checked_shape(shape: Any) -> tuple[int | str, ...]:
    return tuple(
        one if isinstance(one, str) and one else integer(f"shape[{place}]", one, 1)
        for place, one in enumerate(iterated("shape", shape, "sizes and names"))
    )


def _dtype(model: nn.Module) -> np.dtype:
    dtypes = {one.dtype for _, one in model.named_parameters()}
    return dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float32)


def _chain(model: nn.Module, lengths: bool, state: bool, shape: tuple[int | str, ...] | None) -> Any:
    """The graph of a layer with one input, and its writer."""
    from ._graph import Graph
    from ._layers import Writer

    graph, first = Graph(), _first(model)
    if shape is None:
        shape = _shape(model, first)
    x = graph.input("x", shape, np.int64 if isinstance(first, nn.Embedding) else _dtype(model))
    ends = graph.input("lengths", ["B"], np.int64) if lengths else None
    writer = Writer(graph, state)
    y, _ = writer.write(model, x, ends)
    graph.output("y", y, [f"y{axis}" for axis in range(y.rank)])
    return graph, writer


_PLAIN = (nn.Identity, nn.Dropout, nn.AlphaDropout, nn.GaussianDropout, nn.GaussianNoise)


def _first(model: nn.Module) -> Any:
    """The first layer that says what it takes."""
    for layer in model.modules():
        if _size(layer) is not None:
            return layer
        if not (layer._children or isinstance(layer, _PLAIN)):
            return None
    return None


def _size(layer: nn.Module) -> int | None:
    """How many features a layer takes; 0 for integers."""
    if isinstance(layer, nn.Embedding):
        return 0
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape[-1]
    names = ("input_size", "in_features", "in_channels", "num_features")
    return next((getattr(layer, name) for name in names if isinstance(getattr(layer, name, None), int)), None)


def _shape(model: nn.Module, first: Any) -> tuple[int | str, ...]:
    if first is None:
        raise ValueError("shape: got None, expected the input's, as ('T', 'B', 3), since the first layer takes any")
    over_time = (Stack, nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d)
    timed = [layer for layer in model.modules() if isinstance(layer, over_time)]
    lead = ("B",) if not timed else ("B", "T") if getattr(timed[0], "batch_first", False) else ("T", "B")
    if isinstance(first, nn.Embedding):
        return lead if timed else ("T", "B")
    if isinstance(first, nn.LayerNorm) and len(first.normalized_shape) > 1:
        return ("B", *first.normalized_shape)
    return (*lead, int(_size(first) or 0))
