"""What each layer is in C: a table from its class to a function that adds its parts and the lines of its step."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import models, nn
from ...nn._stack import Stack
from .._weights import cells_of
from ._cells import cell_function
from ._source import Source, loop, number, refused

Value = tuple[str, int]  # the name of an array in the function `step`, and its size; 0 for a word's number


def written(source: Source, layer: nn.Module, x: Value, where: str) -> Value:
    """The layer's output."""
    if isinstance(layer, Stack) and type(layer).forward is Stack.forward:
        return _stack(source, layer, x, where)
    for kind in type(layer).__mro__:
        if kind in WRITERS and type(layer).forward is kind.forward:  # type: ignore[attr-defined]
            return WRITERS[kind](source, layer, x, where)
    raise TypeError(
        f"{where}: got {type(layer).__name__}, which is not written to C: expected layers that take each time step "
        f"alone, recurrent ones, causal Conv1d, chains of these, CharLM, Classifier, Forecaster, SequenceClassifier or "
        "Tagger"
    )


def _sized(x: Value, size: int, where: str, layer: Any) -> str:
    """The name of an input of that size."""
    if x[1] != size:
        raise refused(where, layer, f"a layer that takes {x[1]} numbers" if x[1] else "an embedding in the first place")
    return x[0]


def _numbers(x: Value, where: str, layer: Any) -> Value:
    """An input of any size."""
    return _sized(x, x[1] or 1, where, layer), x[1]


# ---- recurrent layers ---------------------------------------------------------------------------------------------


def _stack(source: Source, layer: Stack, x: Value, where: str) -> Value:
    if layer.bidirectional or layer.directions[0][1]:
        raise refused(where, layer, "reverse=False and bidirectional=False, since a stream has no end to begin from")
    given = _sized(x, layer.input_size, where, layer)
    for cell in cells_of(layer):
        name = source.fresh()
        places = []
        for i, state in enumerate(("h", "c", "n", "m")[: cell.states]):
            first = source.array(f"{name}_{state}0", cell.first[i], where) if cell.first else None
            places.append(source.state(f"{name}_{state}", cell.hidden if i else cell.outputs, first))
        cell_function(source, name, cell, where)
        source.lines.append(f"P_{name}({given}, {', '.join(places)});")
        given = places[0]
    return given, layer.proj_size or layer.hidden_size


# ---- layers of one step -------------------------------------------------------------------------------------------


def _linear(source: Source, layer: nn.Linear, x: Value, where: str) -> Value:
    given, size = _sized(x, layer.in_features, where, layer), layer.out_features
    W = layer.weight.data.T if layer.tied else layer.weight.data
    name, y = source.fresh(), source.local(size)
    source.helper("add_product")
    w = source.array(f"{name}_w", W, where)
    first = f"{source.array(f'{name}_b', layer.bias.data, where)}[j]" if layer.has_bias else "0.0f"
    source.lines += [loop(size, f"{y}[j] = {first};"), f"P_add_product({given}, {w}, {y}, {x[1]}, {size});"]
    return y, size


def _embedding(source: Source, layer: nn.Embedding, x: Value, where: str) -> Value:
    if x[1]:
        raise refused(where, layer, f"a layer that takes {x[1]} numbers")
    size, y = layer.embedding_dim, source.local(layer.embedding_dim)
    table = source.array(f"{source.fresh()}_table", layer.weight.data, where)
    value = f"*x >= 0 && *x < {layer.num_embeddings} ? {table}[*x * {size} + j] : NAN"
    source.lines.append(loop(size, f"{y}[j] = {value};"))
    return y, size


def _layer_norm(source: Source, layer: nn.LayerNorm, x: Value, where: str) -> Value:
    if len(layer.normalized_shape) > 1:
        raise refused(where, layer, "a normalized_shape of one axis")
    size, (weight, bias) = layer.normalized_shape[0], layer._values()
    given, name, y = _sized(x, size, where, layer), source.fresh(), source.local(size)
    source.helper("copy", "normalize")
    gain = source.array(f"{name}_gain", np.ones(size) if weight is None else weight, where)
    source.lines += [f"P_copy({given}, {y}, {size});", f"P_normalize({y}, {gain}, {number(layer.eps)}, {size});"]
    if bias is not None:
        source.lines.append(loop(size, f"{y}[j] += {source.array(f'{name}_b', bias, where)}[j];"))
    return y, size


def _batch_norm(source: Source, layer: nn.BatchNorm1d, x: Value, where: str) -> Value:
    if not layer.track_running_stats:
        raise refused(where, layer, "track_running_stats=True, since a stream has no batch")
    size, (weight, bias) = layer.num_features, layer._values()
    given, name, y = _sized(x, size, where, layer), source.fresh(), source.local(size)
    scale = (1 if weight is None else weight) / np.sqrt(layer.running_var.astype(np.float64) + layer.eps)
    shift = (0 if bias is None else bias) - layer.running_mean * scale
    w, b = source.array(f"{name}_w", scale, where), source.array(f"{name}_b", shift, where)
    source.lines.append(loop(size, f"{y}[j] = {given}[j] * {w}[j] + {b}[j];"))
    return y, size


def _conv(source: Source, layer: nn.Conv1d, x: Value, where: str) -> Value:
    """The last inputs stand in a ring; tap k reads the one k dilations after the oldest."""
    if layer.padding != "causal" or layer.stride != 1:
        raise refused(where, layer, "padding='causal' and stride=1, since a stream has no future")
    groups, inputs, outputs = layer.groups, layer.in_channels // layer.groups, layer.out_channels // layer.groups
    given, name, y = _sized(x, layer.in_channels, where, layer), source.fresh(), source.local(layer.out_channels)
    kept = layer.dilation * (layer.kernel_size - 1) + 1
    source.helper("add_product", "copy")
    w = source.array(
        f"{name}_w", layer.weight.data.reshape(layer.kernel_size, inputs, groups, outputs).swapaxes(1, 2), where
    )
    first = f"{source.array(f'{name}_b', layer.bias.data, where)}[j]" if layer.has_bias else "0.0f"
    source.state(f"{name}_ring", kept * x[1])
    source.fields.append(f"int {name}_at;")
    source.resets.append(f"s->{name}_at = 0;")
    step, part = inputs * outputs, f"ring + place * {x[1]} + g * {inputs}"
    source.function(
        f"P_{name}(const float *x, float *ring, int at, float *y)", "int g, j, k, place;",
        f"P_copy(x, ring + at * {x[1]}, {x[1]});", loop(layer.out_channels, f"y[j] = {first};"),
        f"for (k = 0; k < {layer.kernel_size}; k++) {{", f"    place = at + 1 + k * {layer.dilation};",
        f"    place = place < {kept} ? place : place - {kept};", f"    for (g = 0; g < {groups}; g++)",
        f"        P_add_product({part}, {w} + (k * {groups} + g) * {step}, y + g * {outputs}, "
        f"{inputs}, {outputs});", "}",
    )  # fmt: skip
    source.lines += [
        f"P_{name}({given}, s->{name}_ring, s->{name}_at, {y});",
        f"s->{name}_at = s->{name}_at + 1 < {kept} ? s->{name}_at + 1 : 0;",
    ]
    return y, layer.out_channels


# ---- activations --------------------------------------------------------------------------------------------------


def _sigmoid(source: Source, layer: Any) -> str:
    source.helper("sigmoid")
    return "P_sigmoid(v)"


def _softplus(source: Source, layer: Any) -> str:
    source.helper("softplus")
    beta = number(layer.beta)
    return f"{beta} * v > {number(layer.threshold)} ? v : P_softplus({beta} * v) / {beta}"


def _silu(source: Source, layer: Any) -> str:
    source.helper("sigmoid")
    return "v * P_sigmoid(v)"


def _gelu(source: Source, layer: Any) -> str:
    if layer.approximate == "tanh":
        return f"0.5f * v * (1.0f + tanhf({number(math.sqrt(2 / math.pi))} * (v + 0.044715f * v * v * v)))"
    return f"0.5f * v * (1.0f + erff(v * {number(math.sqrt(0.5))}))"


_ACTIVATIONS: dict[type, Callable[[Source, Any], str]] = {
    nn.Tanh: lambda source, layer: "tanhf(v)",
    nn.Sigmoid: _sigmoid,
    nn.ReLU: lambda source, layer: "v > 0.0f ? v : 0.0f",
    nn.LeakyReLU: lambda source, layer: f"v > 0.0f ? v : {number(layer.negative_slope)} * v",
    nn.ELU: lambda source, layer: f"v > 0.0f ? v : {number(layer.alpha)} * expm1f(v)",
    nn.Hardtanh: lambda source, layer: (
        f"v < {number(layer.min_val)} ? {number(layer.min_val)} : v > {number(layer.max_val)} ? "
        f"{number(layer.max_val)} : v"
    ),
    nn.Softplus: _softplus,
    nn.SiLU: _silu,
    nn.GELU: _gelu,
}


def _activation(source: Source, layer: nn.Module, x: Value, where: str) -> Value:
    given, size = _numbers(x, where, layer)
    y = source.local(size)
    function = next(_ACTIVATIONS[kind] for kind in type(layer).__mro__ if kind in _ACTIVATIONS)
    source.lines.append(loop(size, f"const float v = {given}[j];", f"{y}[j] = {function(source, layer)};"))
    return y, size


def _softmax(source: Source, layer: Any, x: Value, where: str) -> Value:
    given, size = _numbers(x, where, layer)
    if layer.axis not in (-1, 2):
        raise refused(where, layer, "the last axis, axis=-1")
    y, name = source.local(size), source.fresh()
    logarithm = isinstance(layer, nn.LogSoftmax)
    result = "y[j] = x[j] - largest - logf(sum);" if logarithm else "y[j] = expf(x[j] - largest) / sum;"
    source.function(
        f"P_{name}(const float *x, float *y)", "float largest = x[0], sum = 0.0f;", "int j;",
        loop(size, "largest = x[j] > largest ? x[j] : largest;"), loop(size, "sum += expf(x[j] - largest);"),
        loop(size, result),
    )  # fmt: skip
    source.lines.append(f"P_{name}({given}, {y});")
    return y, size


# ---- layers of layers ---------------------------------------------------------------------------------------------


def chained(source: Source, layers: dict[str, nn.Module], x: Value, where: str) -> Value:
    """Layers one after the other, by name."""
    for name, layer in layers.items():
        x = written(source, layer, x, f"{where}.{name}")
    return x


def _sequential(source: Source, layer: nn.Sequential, x: Value, where: str) -> Value:
    return chained(source, layer._children, x, where)


def _residual(source: Source, layer: nn.Residual, x: Value, where: str) -> Value:
    given, size = _numbers(x, where, layer)
    other, found = written(source, layer.layer, x, f"{where}.layer")
    if found != size:
        raise refused(where, layer, f"a layer that gives {size} numbers")
    y = source.local(size)
    source.lines.append(loop(size, f"{y}[j] = {given}[j] + {other}[j];"))
    return y, size


def _inner(source: Source, layer: Any, x: Value, where: str) -> Value:
    return written(source, layer.layer, x, f"{where}.layer")


def _inner_embedding(source: Source, layer: nn.EmbeddingDropout, x: Value, where: str) -> Value:
    return written(source, layer.embedding, x, f"{where}.embedding")


def _same(source: Source, layer: nn.Module, x: Value, where: str) -> Value:
    return x


def _dropout(source: Source, layer: nn.Dropout, x: Value, where: str) -> Value:
    given, size = _numbers(x, where, layer)
    if layer.scaling == "inverted":
        return given, size
    y = source.local(size)
    source.lines.append(loop(size, f"{y}[j] = {number(1 - layer.p)} * {given}[j];"))
    return y, size


def _model(*names: str) -> Callable[[Source, Any, Value, str], Value]:
    def write(source: Source, model: nn.Module, x: Value, where: str) -> Value:
        return chained(source, {name: getattr(model, name) for name in names}, x, where)

    return write


_PLAIN = (nn.Identity, nn.AlphaDropout, nn.GaussianDropout, nn.GaussianNoise)
WRITERS: dict[type, Callable[[Source, Any, Value, str], Value]] = {
    nn.Linear: _linear, nn.Embedding: _embedding, nn.LayerNorm: _layer_norm, nn.BatchNorm1d: _batch_norm,
    nn.Conv1d: _conv, nn.Softmax: _softmax, nn.LogSoftmax: _softmax, nn.Sequential: _sequential,
    nn.Residual: _residual, nn.DropConnect: _inner, nn.EmbeddingDropout: _inner_embedding, nn.Dropout: _dropout,
    **dict.fromkeys(_PLAIN, _same), **dict.fromkeys(_ACTIVATIONS, _activation),
    models.CharLM: _model("embedding", "lstm", "linear"), models.Classifier: _model("layers"),
    models.Forecaster: _model("lstm", "linear"), models.SequenceClassifier: _model("lstm", "linear"),
    models.Tagger: _model("embedding", "lstm", "linear"),
}  # fmt: skip
