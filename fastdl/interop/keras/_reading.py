"""Keras' layers as fastdl's: a table from the class's name to a function that makes them, and what fills them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from ..._files import shown
from ...nn._tape import warn
from ._writing import NAMES

Layers = list[nn.Module]


def chain_of(keras: Any, model: Any) -> Layers:
    """The layers of a model, in their order."""
    if not isinstance(model, keras.Model):
        return _layer(model)
    if not isinstance(model, keras.Sequential):
        _check_chain(model)
    return [layer for one in model.layers for layer in chain_of(keras, one)]


def _check_chain(model: Any) -> None:
    """Refuse graphs in which a layer takes, or is taken by, more than one."""
    for one in model.layers:
        nodes = getattr(one, "_inbound_nodes", [])
        sources = [len(node.parent_nodes) for node in nodes]
        if len(nodes) > 1 or any(count > 1 for count in sources) or len(getattr(one, "_outbound_nodes", [])) > 1:
            raise ValueError(f"model: got a graph that branches at layer {shown(one.name)!r}, expected one chain")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"model: got {len(model.inputs)} inputs and {len(model.outputs)} outputs, expected one of each"
        )


def _layer(one: Any) -> Layers:
    kind = type(one).__name__
    if kind not in READERS:
        raise TypeError(
            f"layer {shown(one.name)!r}: got {shown(kind)}, which is not known here; known are {', '.join(READERS)}"
        )
    if not one.built and kind not in ("InputLayer",):
        raise ValueError(f"layer {shown(one.name)!r}: got one that is not built yet, expected a model with its shapes")
    if str(one.compute_dtype) not in ("float32", "float64"):
        raise ValueError(f"layer {shown(one.name)!r}: got {one.compute_dtype}, expected float32 or float64")
    return READERS[kind](one, one.get_config())


def refused(one: Any, what: str, wanted: str) -> ValueError:
    return ValueError(f"layer {shown(one.name)!r}, {type(one).__name__}: got {shown(what)}, expected {wanted}")


def _filled(layer: nn.Module, one: Any) -> nn.Module:
    fill(layer, [one])
    return layer


def fill(layer: nn.Module, theirs: list[Any]) -> None:
    """Copy the weights of the layers that one of fastdl became into it."""
    if isinstance(layer, (nn.RNN, nn.LSTM, nn.GRU)):
        weighed = [one for one in theirs if one.get_weights()]
        for k, one in enumerate(weighed):
            layer.import_weights("keras", _named(layer, one.get_weights()), k)
        return
    values = theirs[0].get_weights() if theirs else []
    if isinstance(layer, nn.BatchNorm1d):
        layer.running_mean, layer.running_var = values[-2:]
        values = values[:-2]
    if isinstance(layer, nn.Linear) and layer.tied:
        values = [values[0].T, *values[1:]]
    for parameter, value in zip(layer._parameters.values(), values, strict=True):
        parameter.data = value


def _named(layer: Any, values: list[np.ndarray]) -> dict[str, np.ndarray]:
    return dict(zip(layer.export_weights("keras"), values, strict=True))


# ---- activations --------------------------------------------------------------------------------------------------


def activation(one: Any, name: Any) -> Layers:
    """The layer of an activation by its name; none for the linear one."""
    if name in (None, "linear"):
        return []
    if name == "leaky_relu":
        return [nn.LeakyReLU(0.2)]  # type: ignore[call-arg]
    if not isinstance(name, str) or name not in NAMES:
        raise refused(one, f"activation {name!r}", f"one of linear, leaky_relu, {', '.join(NAMES)}")
    return [NAMES[name]()]


def _relu(one: Any, given: dict[str, Any]) -> Layers:
    if given["max_value"] is not None or given["threshold"]:
        raise refused(one, f"max_value={given['max_value']}, threshold={given['threshold']}", "neither")
    slope = given["negative_slope"]
    return [nn.LeakyReLU(float(slope)) if slope else nn.ReLU()]  # type: ignore[call-arg]


# ---- layers -------------------------------------------------------------------------------------------------------


def _dense(one: Any, given: dict[str, Any]) -> Layers:
    W = one.get_weights()[0]
    layer = nn.Linear(W.shape[0], W.shape[1], bias=given["use_bias"], rng=0, dtype=one.compute_dtype)
    return [_filled(layer, one), *activation(one, given["activation"])]


def _embedding(one: Any, given: dict[str, Any]) -> Layers:
    if given["mask_zero"]:
        warn(f"layer {shown(one.name)!r}: mask_zero=True is not carried over: give lengths= to forward")
    layer = nn.Embedding(given["input_dim"], given["output_dim"], rng=0, dtype=one.compute_dtype)
    return [_filled(layer, one)]


def _layer_norm(one: Any, given: dict[str, Any]) -> Layers:
    axes = [given["axis"]] if isinstance(given["axis"], int) else list(given["axis"])
    shape = one.get_weights()[0].shape if one.get_weights() else None
    rank = len(one.input.shape)
    if sorted(axis % rank for axis in axes) != list(range(rank - len(axes), rank)):
        raise refused(one, f"axis={axes}", "the last ones")
    if given["center"] and not given["scale"]:
        raise refused(one, "center=True with scale=False", "both, or a scale alone")
    size = tuple(one.input.shape[-len(axes) :]) if shape is None else shape
    layer = nn.LayerNorm(size, given["epsilon"], given["scale"], given["center"], dtype=one.compute_dtype)
    return [_filled(layer, one)]


def _batch_norm(one: Any, given: dict[str, Any]) -> Layers:
    if given["axis"] not in (-1, len(one.input.shape) - 1) or given["center"] != given["scale"]:
        raise refused(
            one, f"axis={given['axis']}, center={given['center']}, scale={given['scale']}", "the last axis, both"
        )
    size = one.get_weights()[0].size
    layer = nn.BatchNorm1d(size, given["epsilon"], 1 - given["momentum"], given["scale"], dtype=one.compute_dtype)
    return [_filled(layer, one)]


def _conv(one: Any, given: dict[str, Any]) -> Layers:
    (taps,), (stride,), (dilation,) = given["kernel_size"], given["strides"], given["dilation_rate"]
    padding = {"valid": 0}.get(given["padding"], given["padding"])
    if given["data_format"] != "channels_last" or (padding == "same" and stride > 1):
        raise refused(one, f"{given['data_format']}, padding={padding!r}, strides={stride}", "channels_last, stride 1")
    inputs = one.get_weights()[0].shape[1] * given["groups"]
    layer = nn.Conv1d(
        inputs, given["filters"], taps, stride, padding, dilation, given["groups"], given["use_bias"],
        batch_first=True, rng=0, dtype=one.compute_dtype,
    )  # fmt: skip
    return [_filled(layer, one), *activation(one, given["activation"])]


def _pool(kind: type) -> Callable[[Any, dict[str, Any]], Layers]:
    def make(one: Any, given: dict[str, Any]) -> Layers:
        if given["padding"] != "valid" or given["data_format"] != "channels_last":
            raise refused(one, f"padding={given['padding']!r}, {given['data_format']}", "'valid', channels_last")
        (size,), (stride,) = (np.ravel(given[name]).tolist() for name in ("pool_size", "strides"))
        return [kind(size, stride, batch_first=True)]

    return make


def _recurrent(one: Any, given: dict[str, Any], **more: Any) -> Layers:
    kind = type(one).__name__
    functions = {"recurrent_activation": "sigmoid", "activation": "tanh"}
    known = ["tanh", "relu"] if kind == "SimpleRNN" else ["tanh"]
    if given["activation"] not in known or given.get("recurrent_activation", "sigmoid") != "sigmoid":
        raise refused(one, str({name: given.get(name) for name in functions}), f"{functions}")
    if given["stateful"] or given["return_state"]:
        raise refused(one, "stateful or return_state", "neither, since forward takes and gives states")
    last = not given["return_sequences"]
    if given["go_backwards"] and not last and not more:
        raise refused(one, "go_backwards=True with return_sequences=True", "one of them, since its outputs are turned")
    own: dict[str, Any] = {"nonlinearity": given["activation"]} if kind == "SimpleRNN" else {}
    own |= {"reset_after": given["reset_after"]} if kind == "GRU" else {}
    makes: Any = {"SimpleRNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}[kind]
    layer = makes(
        one.get_weights()[0].shape[0], given["units"], batch_first=True, bias=_bias(kind, given), **own, init="keras",
        output="last" if last else "sequence", input_dropout=given["dropout"], reverse=given["go_backwards"],
        state_dropout=given["recurrent_dropout"], rng=0, dtype=one.compute_dtype, **more,
    )  # fmt: skip
    return [layer if more else _filled(layer, one)]


def _bias(kind: str, given: dict[str, Any]) -> bool | str:
    """Keras' one bias; two of a GRU with the reset after the product."""
    return given["use_bias"] and (True if kind == "GRU" and given["reset_after"] else "single")


def _bidirectional(one: Any, given: dict[str, Any]) -> Layers:
    merges = {"concat": "concat", "sum": "sum", "ave": "mean"}
    inner = one.forward_layer
    if given["merge_mode"] not in merges:
        raise refused(one, f"merge_mode={given['merge_mode']!r}", f"one of {', '.join(merges)}")
    if type(inner).__name__ not in ("SimpleRNN", "LSTM", "GRU") or inner.go_backwards:
        raise refused(one, type(inner).__name__, "SimpleRNN, LSTM or GRU that goes forward first")
    settings = [layer.get_config() for layer in (inner, one.backward_layer)]
    same = [{k: v for k, v in each.items() if k not in ("name", "go_backwards")} for each in settings]
    if str(same[0]) != str(same[1]):
        raise refused(one, "two layers of different settings", "the same for both directions")
    (layer,) = _recurrent(inner, inner.get_config(), bidirectional=True, merge=merges[given["merge_mode"]])
    return [_filled(layer, one)]


def _time_distributed(one: Any, given: dict[str, Any]) -> Layers:
    if type(one.layer).__name__ not in ("Dense", "Activation", "Dropout", "LayerNormalization"):
        raise refused(one, type(one.layer).__name__, "a layer that takes the last axis alone")
    return _layer(one.layer)


def _made(kind: Any, *settings: str) -> Callable[[Any, dict[str, Any]], Layers]:
    return lambda one, given: [kind(*[given[name] for name in settings])]


READERS: dict[str, Callable[[Any, dict[str, Any]], Layers]] = {
    "InputLayer": lambda one, given: [], "Dense": _dense, "Embedding": _embedding, "SimpleRNN": _recurrent,
    "LSTM": _recurrent, "GRU": _recurrent, "Bidirectional": _bidirectional, "TimeDistributed": _time_distributed,
    "LayerNormalization": _layer_norm, "BatchNormalization": _batch_norm, "Conv1D": _conv,
    "MaxPooling1D": _pool(nn.MaxPool1d), "AveragePooling1D": _pool(nn.AvgPool1d), "Flatten": _made(nn.Flatten),
    "Identity": _made(nn.Identity), "Dropout": _made(nn.Dropout, "rate"),
    "AlphaDropout": _made(nn.AlphaDropout, "rate"), "GaussianDropout": _made(nn.GaussianDropout, "rate"),
    "GaussianNoise": _made(nn.GaussianNoise, "stddev"),
    "SpatialDropout1D": lambda one, given: [nn.Dropout(given["rate"], broadcast_axes=1)],
    "Activation": lambda one, given: activation(one, given["activation"]), "ReLU": _relu,
    "LeakyReLU": _made(nn.LeakyReLU, "negative_slope"), "ELU": _made(nn.ELU, "alpha"),
    "Softmax": _made(nn.Softmax, "axis"),
}  # fmt: skip
