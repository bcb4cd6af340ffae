"""Layers of fastdl as Keras': a table from the class to a function that makes them, with their weights."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn

Made = list[tuple[Any, list[np.ndarray]]]


def layers_of(model: nn.Module, where: str = "model") -> list[tuple[str, nn.Module]]:
    """The layers of a chain, with their places."""
    if not isinstance(model, nn.Sequential):
        return [(where, model)]
    return [pair for name, one in model._children.items() for pair in layers_of(one, f"{where}.{name}")]


def written(keras: Any, layer: nn.Module, where: str) -> Made:
    """Layers of Keras that do what this one does, and their weights."""
    if type(layer) in WRITERS:
        return WRITERS[type(layer)](keras, layer, where)
    known = ", ".join(kind.__name__ for kind in WRITERS)
    raise TypeError(f"{where}: got {type(layer).__name__}, which Keras has not; expected one of {known}")


def refused(where: str, layer: nn.Module, wanted: str) -> ValueError:
    return ValueError(f"{where}: got {layer._describe()}, expected {wanted}, as Keras has it")


def _linear(keras: Any, layer: nn.Linear, where: str) -> Made:
    W = layer.weight.data.T if layer.tied else layer.weight.data
    made = keras.layers.Dense(layer.out_features, use_bias=layer.has_bias)
    return [(made, [W, *([layer.bias.data] if layer.has_bias else [])])]


def _embedding(keras: Any, layer: nn.Embedding, where: str) -> Made:
    return [(keras.layers.Embedding(layer.num_embeddings, layer.embedding_dim), [layer.weight.data])]


def _layer_norm(keras: Any, layer: nn.LayerNorm, where: str) -> Made:
    given = [one for one in layer._values() if one is not None]
    axes = list(range(-len(layer.normalized_shape), 0))
    axis = axes if len(axes) > 1 else -1
    return [(keras.layers.LayerNormalization(axis, layer.eps, len(given) == 2, bool(given)), given)]


def _batch_norm(keras: Any, layer: nn.BatchNorm1d, where: str) -> Made:
    if not layer.track_running_stats or layer.momentum is None:
        raise refused(where, layer, "track_running_stats=True and a momentum")
    given = [one for one in layer._values() if one is not None]
    made = keras.layers.BatchNormalization(
        momentum=1 - layer.momentum, epsilon=layer.eps, center=bool(given), scale=bool(given)
    )
    return [(made, [*given, layer.running_mean, layer.running_var])]


def _conv(keras: Any, layer: nn.Conv1d, where: str) -> Made:
    if layer.padding not in (0, "same", "causal"):
        raise refused(where, layer, "padding 0, 'same' or 'causal'")
    made = keras.layers.Conv1D(
        layer.out_channels, layer.kernel_size, layer.stride, layer.padding or "valid", dilation_rate=layer.dilation,
        groups=layer.groups, use_bias=layer.has_bias,
    )  # fmt: skip
    return [(made, [layer.weight.data, *([layer.bias.data] if layer.has_bias else [])])]


def _pool(keras: Any, layer: Any, where: str) -> Made:
    if layer.padding or layer.ceil_mode or layer.dilation != 1:
        raise refused(where, layer, "padding=0, dilation=1 and ceil_mode=False")
    kind = keras.layers.MaxPooling1D if isinstance(layer, nn.MaxPool1d) else keras.layers.AveragePooling1D
    return [(kind(layer.kernel_size, layer.stride), [])]


def _flatten(keras: Any, layer: nn.Flatten, where: str) -> Made:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise refused(where, layer, "start_dim=1 and end_dim=-1")
    return [(keras.layers.Flatten(), [])]


def _dropout(keras: Any, layer: nn.Dropout, where: str) -> Made:
    if layer.scaling != "inverted" or layer.p == 1:
        raise refused(where, layer, "scaling='inverted' and p below 1")
    if layer.broadcast_axes in (0, (0,), 1, (1,)):
        return [(keras.layers.SpatialDropout1D(layer.p), [])]
    if layer.broadcast_axes != ():
        raise refused(where, layer, "one mask for all steps, or one for each")
    return [(keras.layers.Dropout(layer.p), [])]


# ---- recurrent layers ---------------------------------------------------------------------------------------------


def _stack(keras: Any, layer: Any, where: str) -> Made:
    _check_stack(layer, where)
    made: Made = []
    for k in range(layer.num_layers):
        last = k == layer.num_layers - 1
        made.append((_one(keras, layer, not last or layer.output == "sequence"), _values(layer, k)))
        if layer.dropout and not last:
            made.append((keras.layers.Dropout(layer.dropout), []))
    return made


def _check_stack(layer: Any, where: str) -> None:
    names = {"input": "input_dropout", "state": "state_dropout"}
    others = [name for name, rate in layer.rates.items() if rate and name not in names]
    if others:
        raise refused(where, layer, f"a layer without {', '.join(others)}")
    if layer.directions[0][1] and (layer.output != "last" or layer.num_layers > 1):
        raise refused(where, layer, "reverse=False, or one layer with output='last'")
    try:
        layer.export_weights("keras")
    except ValueError as error:
        raise ValueError(f"{where}: got {layer._describe()}: {error}") from None


def _one(keras: Any, layer: Any, sequences: bool) -> Any:
    kind: Any = {nn.RNN: keras.layers.SimpleRNN, nn.LSTM: keras.layers.LSTM, nn.GRU: keras.layers.GRU}[type(layer)]
    options = {"return_sequences": sequences, "use_bias": bool(layer.bias), "go_backwards": layer.directions[0][1]}
    options |= {"dropout": layer.rates["input"], "recurrent_dropout": layer.rates["state"]}
    if isinstance(layer, nn.RNN):
        options["activation"] = layer.nonlinearity
    if isinstance(layer, nn.GRU):
        options["reset_after"] = layer.reset_after
    made = kind(layer.hidden_size, **options)
    if not layer.bidirectional:
        return made
    return keras.layers.Bidirectional(made, merge_mode={"mean": "ave"}.get(layer.merge, layer.merge))


def _values(layer: Any, k: int) -> list[np.ndarray]:
    return list(layer.export_weights("keras", k).values())


# ---- activations --------------------------------------------------------------------------------------------------

NAMES: dict[str, type] = {
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "elu": nn.ELU,
    "softplus": nn.Softplus, "softmax": nn.Softmax, "log_softmax": nn.LogSoftmax, "hard_tanh": nn.Hardtanh,
}  # fmt: skip


def _activation(keras: Any, layer: Any, where: str) -> Made:
    if isinstance(layer, nn.LeakyReLU):
        return [(keras.layers.LeakyReLU(negative_slope=vars(layer)["negative_slope"]), [])]
    if isinstance(layer, nn.ELU):
        return [(keras.layers.ELU(alpha=vars(layer)["alpha"]), [])]
    if layer._settings() != type(layer)()._settings():
        raise refused(where, layer, "the default settings")
    name = next(name for name, kind in NAMES.items() if kind is type(layer))
    return [(keras.layers.Activation(name), [])]


def _plain(name: str, *settings: str) -> Callable[[Any, Any, str], Made]:
    def make(keras: Any, layer: Any, where: str) -> Made:
        return [(getattr(keras.layers, name)(*[getattr(layer, one) for one in settings]), [])]

    return make


WRITERS: dict[type, Callable[[Any, Any, str], Made]] = {
    nn.Linear: _linear, nn.Embedding: _embedding, nn.LayerNorm: _layer_norm, nn.BatchNorm1d: _batch_norm,
    nn.Conv1d: _conv, nn.MaxPool1d: _pool, nn.AvgPool1d: _pool, nn.Flatten: _flatten, nn.Dropout: _dropout,
    nn.RNN: _stack, nn.LSTM: _stack, nn.GRU: _stack, nn.Identity: _plain("Identity"),
    nn.AlphaDropout: _plain("AlphaDropout", "p"), nn.GaussianDropout: _plain("GaussianDropout", "p"),
    nn.GaussianNoise: _plain("GaussianNoise", "std"), nn.LeakyReLU: _activation,
    **dict.fromkeys(NAMES.values(), _activation),
}  # fmt: skip
