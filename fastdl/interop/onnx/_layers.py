"""What each layer is in ONNX: a table from its class to a function that writes its nodes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from ...nn._handing import takes_lengths
from ...nn._stack import Stack
from ._graph import Graph, Value
from ._stacks import NAMES, stack
from ._windows import conv, pooled

Lengths = Value | None


class Writer:
    """Writes layers, and collects the states that go in and out.

    Attributes
    ----------
    graph : Graph
    carries : bool
        Whether the states of recurrent layers are inputs and outputs.
    finals : list of (str, Value, tuple)
        Name, value and shape of every last state.
    """

    def __init__(self, graph: Graph, carries: bool) -> None:
        self.graph, self.carries = graph, carries
        self.finals: list[tuple[str, Value, tuple[Any, ...]]] = []

    def write(self, layer: nn.Module, x: Value, lengths: Lengths, path: str = "") -> tuple[Value, Lengths]:
        """The output and the lengths behind a layer."""
        if isinstance(layer, Stack):
            return self._stack(layer, x, lengths, path)
        for kind in type(layer).__mro__:
            if kind in WRITERS and type(layer).forward is kind.forward:  # type: ignore[attr-defined]
                return WRITERS[kind](self, layer, x, lengths, path)
        raise refused(layer, path)

    def _stack(self, layer: Stack, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
        if type(layer).forward is not Stack.forward:
            raise refused(layer, path)
        given = self._states(layer, x, path) if self.carries else None
        y, finals = stack(self.graph, layer, x, given, lengths)
        if self.carries:
            self.finals += [
                (name.replace("state", "last", 1), one, shape)
                for (name, shape), one in zip(state_shapes(layer, path), finals, strict=True)
            ]
        return y, lengths if layer.output == "sequence" else None

    def _states(self, layer: Stack, x: Value, path: str) -> list[Value]:
        return [self.graph.input(name, shape, x.dtype) for name, shape in state_shapes(layer, path)]


def state_shapes(layer: Stack, path: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Names and shapes of the states that a layer begins with."""
    rows, end = layer.num_layers * len(layer.directions), f"{path}." if path else ""
    widths = [layer.proj_size or layer.hidden_size, *[layer.hidden_size] * (layer._cell.states - 1)]
    return [(f"state.{end}{name}", (rows, "B", width)) for name, width in zip(NAMES, widths, strict=False)]


def refused(layer: nn.Module, path: str) -> TypeError:
    where = f"model.{path}" if path else "model"
    return TypeError(
        f"{where}: got {type(layer).__name__}, which is not written to ONNX: expected the layers of fastdl.nn that "
        "have one input, and the models of fastdl.models"
    )


# ---- layers that leave the lengths --------------------------------------------------------------------------------


def _linear(writer: Writer, layer: nn.Linear, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    W = layer.weight.data.T if layer.tied else layer.weight.data
    if x.rank == 2:
        values = [writer.graph.value(one, x.dtype) for one in [W, *([layer.bias.data] if layer.has_bias else [])]]
        return writer.graph.op("Gemm", x, *values), lengths
    y = x @ W
    return y + layer.bias.data if layer.has_bias else y, lengths


def _embedding(writer: Writer, layer: nn.Embedding, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    table = writer.graph.value(layer.weight.data, layer.weight.dtype)
    return writer.graph.op("Gather", table, x, rank=x.rank + 1), lengths


def _layer_norm(writer: Writer, layer: nn.LayerNorm, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    weight, bias = layer._values()
    weight = np.ones(layer.normalized_shape) if weight is None else weight
    given = [writer.graph.value(one, x.dtype) for one in (weight, bias) if one is not None]
    axis = -len(layer.normalized_shape)
    return writer.graph.op("LayerNormalization", x, *given, axis=axis, epsilon=layer.eps), lengths


def _batch_norm(writer: Writer, layer: nn.BatchNorm1d, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    graph, (weight, bias) = writer.graph, layer._values()
    within = None if lengths is None else graph.within(x, lengths, 3)
    if layer.track_running_stats:
        y = (x - layer.running_mean) * (1 / np.sqrt(layer.running_var + layer.eps))
    else:
        gone = x - _mean(graph, x, within)
        y = gone / (_mean(graph, gone * gone, within) + layer.eps).apply("Sqrt")
    y = y if weight is None else y * weight + bias
    return y if within is None else graph.where(within, y, 0.0), lengths


def _mean(graph: Graph, x: Value, within: Value | None) -> Value:
    """The mean of each feature, over the steps that count."""
    axes = list(range(x.rank - 1))
    if within is None:
        return x.reduced("ReduceMean", *axes, keep=True)
    count = within.cast(x.dtype).reduced("ReduceSum", *axes, keep=True)
    return graph.where(within, x, 0.0).reduced("ReduceSum", *axes, keep=True) / count


def _dropout(writer: Writer, layer: nn.Dropout, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    return x * (1 - layer.p) if layer.scaling == "classic" else x, lengths


def _same(writer: Writer, layer: nn.Module, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    return x, lengths


def _flatten(writer: Writer, layer: nn.Flatten, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    batch, axes = layer.batch_dim % x.rank, list(range(x.rank))
    if batch:
        x = x.transposed(batch, *[axis for axis in axes if axis != batch])
    first, last = layer.start_dim % x.rank, layer.end_dim % x.rank
    joined = x.sizes(first, last + 1).reduced("ReduceProd", 0, keep=True)
    parts = [x.sizes(0, first)] if first else []
    parts += [joined, *([x.sizes(last + 1)] if last + 1 < x.rank else [])]
    after = lengths if layer.batch_dim == 0 and layer.start_dim not in (0, 1) else None
    return x.reshaped(*parts, rank=x.rank - (last - first)), after


# ---- activations --------------------------------------------------------------------------------------------------


def _softplus(graph: Graph, layer: Any, x: Value) -> Value:
    scaled = x * layer.beta
    return graph.where(scaled > layer.threshold, x, scaled.apply("Softplus") / layer.beta)


def _gelu(graph: Graph, layer: Any, x: Value) -> Value:
    if layer.approximate == "tanh":
        return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))).apply("Tanh"))
    return 0.5 * x * (1 + (x * math.sqrt(0.5)).apply("Erf"))


def _hardtanh(graph: Graph, layer: Any, x: Value) -> Value:
    return graph.op("Clip", x, graph.value(layer.min_val, x.dtype), graph.value(layer.max_val, x.dtype))


_ACTIVATIONS: dict[type, Callable[[Graph, Any, Value], Value]] = {
    nn.Tanh: lambda graph, layer, x: x.apply("Tanh"),
    nn.Sigmoid: lambda graph, layer, x: x.apply("Sigmoid"),
    nn.ReLU: lambda graph, layer, x: x.apply("Relu"),
    nn.LeakyReLU: lambda graph, layer, x: x.apply("LeakyRelu", alpha=float(layer.negative_slope)),
    nn.ELU: lambda graph, layer, x: x.apply("Elu", alpha=float(layer.alpha)),
    nn.Hardtanh: _hardtanh,
    nn.Softplus: _softplus,
    nn.SiLU: lambda graph, layer, x: x * x.apply("Sigmoid"),
    nn.GELU: _gelu,
    nn.Softmax: lambda graph, layer, x: x.apply("Softmax", axis=int(layer.axis)),
    nn.LogSoftmax: lambda graph, layer, x: x.apply("LogSoftmax", axis=int(layer.axis)),
}


def _activation(writer: Writer, layer: nn.Module, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    function = next(_ACTIVATIONS[kind] for kind in type(layer).__mro__ if kind in _ACTIVATIONS)
    return function(writer.graph, layer, x), lengths


# ---- windows, and layers of layers --------------------------------------------------------------------------------


def _conv(writer: Writer, layer: nn.Conv1d, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    return conv(writer.graph, layer, x, lengths)


def _pool(writer: Writer, layer: Any, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    return pooled(writer.graph, layer, x, lengths)


def _sequential(writer: Writer, layer: nn.Sequential, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    for name, one in layer._children.items():
        x, lengths = _child(writer, one, x, lengths, f"{path}.{name}" if path else name)
    return x, lengths


def _residual(writer: Writer, layer: nn.Residual, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    y, after = _child(writer, layer.layer, x, lengths, f"{path}.layer" if path else "layer")
    return x + y, after


def _drop_connect(writer: Writer, layer: nn.DropConnect, x: Value, lengths: Lengths, path: str) -> Any:
    return _child(writer, layer.layer, x, lengths, f"{path}.layer" if path else "layer")


def _embedding_dropout(writer: Writer, layer: Any, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    return writer.write(layer.embedding, x, lengths, f"{path}.embedding" if path else "embedding")


def _child(writer: Writer, layer: nn.Module, x: Value, lengths: Lengths, path: str) -> tuple[Value, Lengths]:
    """A layer in a chain, which hands lengths to those that take them."""
    if lengths is None or takes_lengths(layer) or isinstance(layer, nn.Flatten):
        return writer.write(layer, x, lengths, path)
    return writer.write(layer, x, None, path)[0], lengths


WRITERS: dict[type, Callable[..., tuple[Value, Lengths]]] = {
    nn.Linear: _linear, nn.Embedding: _embedding, nn.LayerNorm: _layer_norm, nn.BatchNorm1d: _batch_norm,
    nn.Identity: _same, nn.Flatten: _flatten, nn.Conv1d: _conv, nn.MaxPool1d: _pool, nn.AvgPool1d: _pool,
    nn.Sequential: _sequential, nn.Residual: _residual, nn.DropConnect: _drop_connect,
    nn.EmbeddingDropout: _embedding_dropout, nn.Dropout: _dropout, nn.AlphaDropout: _same,
    nn.GaussianDropout: _same, nn.GaussianNoise: _same, **dict.fromkeys(_ACTIVATIONS, _activation),
}  # fmt: skip
