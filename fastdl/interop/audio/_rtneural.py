"""RTNeural's JSON: layers in Keras' layout, or the state dict of a module of torch's."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from ..._validate import choice, integer
from ...nn._stack import Stack
from ._json import floats, layers_of, listed, read, write
from ._state_dict import chain_of

_ACTIVATIONS: dict[str, type] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "softmax": nn.Softmax, "elu": nn.ELU,
}  # fmt: skip
_TAKES_ACTIVATION = ("dense", "conv1d")


def export_rtneural(model: nn.Module, path: str | os.PathLike[str], *, layout: str = "keras") -> None:
    """Write a chain of layers as RTNeural reads it (docs/interop-audio.md).

    Parameters
    ----------
    model : Module
        A layer, or a chain of Linear, LSTM, GRU, causal Conv1d, BatchNorm1d, LeakyReLU, Tanh, ReLU, Sigmoid, Softmax
        and ELU; dropout and noise between them are left out. Weights are rounded to float32.
    path : str or path-like
        The file; what was there is replaced in one step. AIDA-X reads it under the suffix ``.aidax``.
    layout : {"keras", "torch"}, default "keras"
        The form that says the architecture, or the state dict alone, for programs that know it.

    Raises
    ------
    TypeError, ValueError
        If the format has no place for a layer or one of its options; no file is written then.
    OSError
        If the file cannot be written; what was there is as it was.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.GRU(1, 8, rng=0), fd.nn.Linear(8, 1, rng=1), fd.nn.Tanh())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fd.interop.audio.export_rtneural(model, os.path.join(folder, "model.json"))
    ...     fd.interop.audio.load_rtneural(os.path.join(folder, "model.json"))
    Sequential()
      (0) GRU(1, 8)              264
      (1) Linear(8, 1)             9
      (2) Tanh()
    total                        273
    """
    choice("layout", layout, ("keras", "torch"))
    found: list[dict[str, Any]] = []
    sizes: list[int] = []
    for where, layer in layers_of(model):
        entry, size = _entry(where, layer, sizes[-1] if sizes else None)
        before = found[-1] if found else {}
        if entry["type"] == "activation" and before.get("type") in _TAKES_ACTIVATION and not before["activation"]:
            before["activation"] = entry["activation"]
        else:
            found.append(entry)
        sizes.append(size)
    if not found:
        raise ValueError("model: got no layer that does something, expected at least one")
    first = layers_of(model)[0][1]
    if layout == "torch":
        write(path, {name: listed(values) for name, values in model.state_dict().items()})
    else:
        write(path, {"in_shape": [None, None, _inputs(first, sizes[0])], "layers": found})


def load_rtneural(path: str | os.PathLike[str]) -> nn.Sequential:
    """Read a model of RTNeural's JSON, in either of its layouts (docs/interop-audio.md).

    Parameters
    ----------
    path : str or path-like
        The file. One of AIDA-X has ``in_skip``, and one of Automated-GuitarAmpModelling ``model_data``; both may say
        that the input is added to the output.

    Returns
    -------
    Sequential
        In evaluation mode.

    Raises
    ------
    ValueError
        If the file is damaged, or holds layers that are not known here, with their names.
    OSError
        If it cannot be read.

    Examples
    --------
    See :func:`export_rtneural`.

    >>> import fastdl as fd
    >>> fd.interop.audio.load_rtneural("none.json")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'none.json'
    """
    with read(path) as found:
        if "layers" not in found:
            return chain_of(found).eval()  # type: ignore[return-value]
        for name in ("in_gain", "out_gain"):
            if found.get(name):
                raise ValueError(f"{name}: got {found[name]!r}, expected 0, since no layer is a gain")
        unknown = sorted({str(one["type"]) for one in found["layers"]} - _READERS.keys())
        if unknown:
            raise ValueError(
                f"got layers that are not known here: {', '.join(unknown)}; known are {', '.join(_READERS)}"
            )
        size, layers = integer("in_shape", found["in_shape"][-1], 1, 2**20), []
        for place, one in enumerate(found["layers"]):
            layer, size = _READERS[one["type"]](one, size, f"layers[{place}]")
            layers += [] if layer is None else [layer]
            if one.get("activation") and one["type"] not in ("lstm", "gru"):
                layers.append(_activation(one["activation"], f"layers[{place}]"))
        model = nn.Sequential(*layers)
        if found.get("in_skip"):
            model = nn.Sequential(nn.Residual(model))
    return model.eval()  # type: ignore[return-value]


def _inputs(layer: nn.Module, size: int) -> int:
    names = ("input_size", "in_features", "in_channels")
    return next((getattr(layer, name) for name in names if hasattr(layer, name)), size)


# ---- layers as entries --------------------------------------------------------------------------------------------


def _entry(where: str, layer: Any, size: int | None) -> tuple[dict[str, Any], int]:
    """What the file says of a layer, and the size of its output."""
    for kind, write_one in _WRITERS.items():
        if type(layer) is kind:
            kind_name, more, weights, size = write_one(where, layer, size)
            entry = {"type": kind_name, "activation": "", "shape": [None, None, size], **more}
            return entry | {"weights": [listed(one) for one in weights]}, size
    known = ", ".join(kind.__name__ for kind in _WRITERS)
    raise TypeError(f"{where}: got {type(layer).__name__}, expected one of {known}")


Written = tuple[str, dict[str, Any], list[np.ndarray], int]


def _dense_entry(where: str, layer: nn.Linear, size: int | None) -> Written:
    W = layer.weight.data.T if layer.tied else layer.weight.data
    return "dense", {}, [W, *([layer.bias.data] if layer.has_bias else [])], layer.out_features


def _recurrent_entry(where: str, layer: Any, size: int | None) -> Written:
    kind = type(layer).__name__.lower()
    options = {"num_layers": 1, "bidirectional": False, "output": "sequence", "reset_after": True}
    changed = [name for name, value in options.items() if getattr(layer, name, value) != value]
    changed += ["reverse"] * layer.directions[0][1] + ["zoneout"] * bool(layer.rates["zone_h"] or layer.rates["zone_c"])
    if changed:
        raise ValueError(f"{where}: got {layer._describe()}, expected a layer without {', '.join(changed)}")
    try:
        arrays = layer.export_weights("keras")
    except ValueError as error:
        raise ValueError(f"{where}: got {layer._describe()}: {error}") from None
    H, rows = layer.hidden_size, 3 if kind == "gru" else 4
    bias = arrays.get("bias", np.zeros((2, rows * H) if kind == "gru" else rows * H))
    return kind, {"activation": "tanh"}, [arrays["kernel"], arrays["recurrent_kernel"], bias], H


def _conv_entry(where: str, layer: nn.Conv1d, size: int | None) -> Written:
    if layer.padding != "causal" or layer.stride != 1:
        raise ValueError(f"{where}: got {layer._describe()}, expected padding='causal' and stride=1")
    more = {"kernel_size": [layer.kernel_size], "dilation": [layer.dilation], "groups": layer.groups}
    bias = layer.bias.data if layer.has_bias else np.zeros(layer.out_channels)
    return "conv1d", more, [layer.weight.data, bias], layer.out_channels


def _batch_norm_entry(where: str, layer: nn.BatchNorm1d, size: int | None) -> Written:
    if not layer.track_running_stats:
        raise ValueError(f"{where}: got {layer._describe()}, expected track_running_stats=True")
    affine = [one for one in layer._values() if one is not None]
    weights = [*affine, layer.running_mean, layer.running_var]
    return "batchnorm", {"epsilon": layer.eps}, weights, layer.num_features


def _sized(where: str, layer: Any, size: int | None) -> int:
    if size is None:
        raise ValueError(f"{where}: got {layer._describe()} in the first place, expected a layer that says its size")
    return size


def _leaky_entry(where: str, layer: nn.LeakyReLU, size: int | None) -> Written:
    size, slope = _sized(where, layer, size), vars(layer)["negative_slope"]
    return "prelu", {}, [np.repeat([[float(slope)]], size, 1)], size


def _activation_entry(where: str, layer: nn.Module, size: int | None) -> Written:
    changed = (isinstance(layer, nn.ELU) and layer.alpha != 1) or getattr(layer, "axis", -1) not in (-1, 2)  # type: ignore[attr-defined]
    if changed:
        raise ValueError(f"{where}: got {layer._describe()}, expected its default settings")
    name = next(name for name, kind in _ACTIVATIONS.items() if kind is type(layer))
    return "activation", {"activation": name}, [], _sized(where, layer, size)


_WRITERS: dict[type, Callable[[str, Any, int | None], Written]] = {
    nn.Linear: _dense_entry, nn.LSTM: _recurrent_entry, nn.GRU: _recurrent_entry, nn.Conv1d: _conv_entry,
    nn.BatchNorm1d: _batch_norm_entry, nn.LeakyReLU: _leaky_entry,
    **dict.fromkeys(_ACTIVATIONS.values(), _activation_entry),
}  # fmt: skip

# ---- entries as layers --------------------------------------------------------------------------------------------


def _activation(name: str, where: str) -> nn.Module:
    if name not in _ACTIVATIONS:
        raise ValueError(f"{where}: got activation {name!r}, expected one of {', '.join(_ACTIVATIONS)}")
    made: nn.Module = _ACTIVATIONS[name]()
    return made


Read = tuple[nn.Module | None, int]


def _dense(one: dict[str, Any], size: int, where: str) -> Read:
    out, weights = _width(one, where), one["weights"]
    layer = nn.Linear(size, out, bias=len(weights) > 1, rng=0)
    layer.weight.data = floats(f"{where}.weights[0]", weights[0], (size, out))
    if layer.has_bias:
        layer.bias.data = floats(f"{where}.weights[1]", weights[1], (out,))
    return layer, out


def _recurrent(one: dict[str, Any], size: int, where: str) -> Read:
    if one.get("activation", "tanh") not in ("", "tanh"):
        raise ValueError(f"{where}: got activation {one['activation']!r}, expected 'tanh'")
    hidden, kind = _width(one, where), one["type"]
    layer: Stack = nn.LSTM(size, hidden, rng=0) if kind == "lstm" else nn.GRU(size, hidden, rng=0)
    names = ("kernel", "recurrent_kernel", "bias")
    arrays = {
        name: floats(f"{where}.weights[{place}]", values)
        for place, (name, values) in enumerate(zip(names, one["weights"], strict=True))
    }
    layer.import_weights("keras", arrays)  # type: ignore[attr-defined]
    return layer, hidden


def _conv(one: dict[str, Any], size: int, where: str) -> Read:
    out, groups = _width(one, where), one.get("groups", 1)
    taps, dilation = one["kernel_size"][-1], one["dilation"][-1]
    layer = nn.Conv1d(size, out, taps, padding="causal", dilation=dilation, groups=groups, rng=0)
    layer.weight.data = floats(f"{where}.weights[0]", one["weights"][0], layer.weight.shape)
    layer.bias.data = floats(f"{where}.weights[1]", one["weights"][1], (out,))
    return layer, out


def _batch_norm(one: dict[str, Any], size: int, where: str) -> Read:
    arrays = [floats(f"{where}.weights[{i}]", values, (size,)) for i, values in enumerate(one["weights"])]
    layer = nn.BatchNorm1d(size, one["epsilon"], affine=len(arrays) == 4)
    if len(arrays) == 4:
        layer.weight.data, layer.bias.data = arrays[:2]
    layer.running_mean, layer.running_var = arrays[-2:]
    return layer, size


def _prelu(one: dict[str, Any], size: int, where: str) -> Read:
    slopes = floats(f"{where}.weights[0]", one["weights"][0]).ravel()
    if not slopes.size or (slopes != slopes[0]).any():
        raise ValueError(f"{where}: got a PReLU of several slopes, expected one for all, which LeakyReLU has")
    return nn.LeakyReLU(float(slopes[0])), size  # type: ignore[call-arg]


def _width(one: dict[str, Any], where: str) -> int:
    return integer(f"{where}.shape", one["shape"][-1], 1, 2**20)


_READERS: dict[str, Callable[[dict[str, Any], int, str], Read]] = {
    "dense": _dense, "time-distributed-dense": _dense, "lstm": _recurrent, "gru": _recurrent, "conv1d": _conv,
    "batchnorm": _batch_norm, "prelu": _prelu, "activation": lambda one, size, where: (None, size),
}  # fmt: skip
