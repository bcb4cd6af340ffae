"""Neural Amp Modeler's files, of which the architecture LSTM is fastdl's."""

import json
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ... import nn
from ..._validate import integer, mapping, number
from ...nn._modes import evaluating
from ._json import floats, layers_of, listed, read, write

VERSION = "0.7.0"


def export_nam(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    sample_rate: float = 48000.0,
    metadata: Mapping[str, Any] | None = None,
    silence: int = 48000,
) -> None:
    """Write a model to a file of Neural Amp Modeler (docs/interop-audio.md).

    Parameters
    ----------
    model : Sequential
        An LSTM and a Linear to one number; dropout and noise beside them are left out. Weights are rounded to float32.
    path : str or path-like
        The file; what was there is replaced in one step. Players want it to end with ``.nam``.
    sample_rate : float, default 48000.0
        Samples a second of the sound that it was trained on.
    metadata : mapping, optional
        What JSON holds, for players: ``name``, ``modeled_by``, ``gear_type``, ``tone_type``, ``loudness``, ...
    silence : int, default 48000
        Samples of silence after which the states are those that a player begins with, as the project's own export does.
        0 for the model's own initial states, zeros or learned ones.

    Raises
    ------
    TypeError, ValueError
        If the model is none such, or an argument does not fit; no file is written then.
    OSError
        If the file cannot be written; what was there is as it was.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.LSTM(1, 16, learned_state=True, rng=0), fd.nn.Linear(16, 1, rng=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "amplifier.nam")
    ...     fd.interop.audio.export_nam(model, path, metadata={"name": "diode clipper"})
    ...     again, details = fd.interop.audio.load_nam(path, return_details=True)
    >>> again[0], details["metadata"]["name"]
    (LSTM(1, 16, learned_state=True)  # 1,248 parameters, 'diode clipper')
    """
    lstm, head = _checked(model)
    words = {} if metadata is None else dict(mapping("metadata", metadata, "names to what JSON holds"))
    try:
        json.dumps(words, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"metadata: got what JSON does not hold: {error}") from None
    content = {
        "version": VERSION,
        "metadata": words,
        "architecture": "LSTM",
        "config": {
            "input_size": lstm.input_size, "hidden_size": lstm.hidden_size, "num_layers": lstm.num_layers,
        },
        "weights": listed(_flat(lstm, head, integer("silence", silence, 0))),
        "sample_rate": number("sample_rate", sample_rate, 0, 1e9, open_low=True),
    }  # fmt: skip
    write(path, content)


def load_nam(path: str | os.PathLike[str], *, return_details: bool = False) -> Any:
    """Read a file of Neural Amp Modeler whose architecture is LSTM (docs/interop-audio.md).

    Parameters
    ----------
    path : str or path-like
        The file.
    return_details : bool, default False
        Whether to return (model, details), too: the file's ``version``, ``metadata`` and ``sample_rate``.

    Returns
    -------
    model : Sequential
        An LSTM with learned initial states and a Linear, in evaluation mode.

    Raises
    ------
    ValueError
        If the file is damaged, or of another architecture.
    OSError
        If it cannot be read.

    Examples
    --------
    See :func:`export_nam`.

    >>> import fastdl as fd
    >>> fd.interop.audio.load_nam("none.nam")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'none.nam'
    """
    with read(path) as found:
        if found["architecture"] != "LSTM":
            raise ValueError(f"architecture {found['architecture']!r} is not known here, expected 'LSTM'")
        config = found["config"]
        inputs, hidden, layers = (
            integer(name, config[name], 1, 2**20) for name in ("input_size", "hidden_size", "num_layers")
        )
        model = _filled(inputs, hidden, layers, floats("weights", found["weights"]))
    details = {name: found[name] for name in ("version", "metadata", "sample_rate") if name in found}
    return (model, details) if return_details else model


def _checked(model: Any) -> tuple[nn.LSTM, nn.Linear]:
    layers = [layer for _, layer in layers_of(model)]
    wanted = "expected Sequential(LSTM(I, H), Linear(H, 1)), without options beside num_layers, bias and learned_state"
    if [type(one) for one in layers] != [nn.LSTM, nn.Linear]:
        raise TypeError(f"model: got {', '.join(type(one).__name__ for one in layers) or 'no layers'}, {wanted}")
    lstm, head = cast(tuple[nn.LSTM, nn.Linear], layers)
    plain = nn.LSTM(1, 1)
    other = ("peepholes", "coupled", "proj_size", "layer_norm", "clip", "cell_clip", "bidirectional", "output")
    changed = [name for name in other if getattr(lstm, name) != getattr(plain, name)]
    changed += [name for name in ("zone_h", "zone_c") if lstm.rates[name]] + ["reverse"] * lstm.directions[0][1]
    if changed or head.out_features != 1 or head.in_features != lstm.hidden_size:
        raise ValueError(f"model: got {lstm._describe()} and {head._describe()}, {wanted}")
    return lstm, head


def _flat(lstm: nn.LSTM, head: nn.Linear, silence: int) -> np.ndarray:
    """All numbers, in the file's order."""
    state = lstm.initial_state(1)
    with evaluating(lstm):
        for at in range(0, silence, 4096):
            count = min(4096, silence - at)
            shape = (1, count, lstm.input_size) if lstm.batch_first else (count, 1, lstm.input_size)
            state = lstm.forward(np.zeros(shape, lstm.dtype), state, return_state=True)[1]
    h, c = state
    found = []
    for k, layer in enumerate(lstm._layers):
        W_x, W_h, b = layer.weights()[:3]
        found += [np.concatenate([W_x, W_h]).T, b, h[k, 0], c[k, 0]]
    W = head.weight.data.T if head.tied else head.weight.data
    return np.concatenate([one.ravel() for one in (*found, W, head.bias.data if head.has_bias else np.zeros(1))])


def _filled(inputs: int, hidden: int, layers: int, weights: np.ndarray) -> nn.Sequential:
    count = layers * (hidden * (4 * hidden + 6)) + 4 * hidden * (inputs + (layers - 1) * hidden) + hidden + 1
    if weights.shape != (count,):
        raise ValueError(f"weights: got shape {weights.shape}, expected ({count},) for that config")
    lstm = nn.LSTM(inputs, hidden, layers, learned_state=True, rng=0)
    head = nn.Linear(hidden, 1, rng=0)
    at = 0

    def taken(*shape: int) -> np.ndarray:
        nonlocal at
        at += int(np.prod(shape))
        return weights[at - int(np.prod(shape)) : at].reshape(shape)

    for k in range(layers):
        wide = hidden if k else inputs
        W_x, W_h = np.split(taken(4 * hidden, wide + hidden).T, [wide])
        values = {"weight_ih": W_x, "weight_hh": W_h, "bias_ih": taken(4 * hidden), "bias_hh": np.zeros(4 * hidden)}
        for name, value in {**values, "h0": taken(hidden), "c0": taken(hidden)}.items():
            setattr(lstm, f"{name}_l{k}", value)
    head.weight, head.bias = taken(hidden, 1), taken(1)  # type: ignore[assignment]
    return nn.Sequential(lstm, head).eval()  # type: ignore[return-value]
