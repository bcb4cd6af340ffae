"""State dicts of torch's modules as JSON: recurrent layers and dense ones in the order of the file."""

from typing import Any

import numpy as np

from ... import nn
from ...nn._stack import Stack
from ._json import floats


def chain_of(found: dict[str, Any]) -> nn.Sequential:
    """The layers of a state dict, alone or beside ``model_data``, which says whether the input is added."""
    given = found.get("state_dict", found)
    arrays = {name: floats(name, values) for name, values in given.items()}
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        path, _, last = name.rpartition(".")
        parts.setdefault(path, {})[last] = array
    layers = [_layer(path, one) for path, one in parts.items()]
    if not layers:
        raise ValueError("got an empty state dict, expected layers")
    skip = found.get("model_data", {}).get("skip", 0) if "state_dict" in found else 0
    model = nn.Sequential(*layers)
    return nn.Sequential(nn.Residual(model)) if skip else model


def _layer(path: str, arrays: dict[str, np.ndarray]) -> nn.Module:
    if "weight_ih_l0" in arrays:
        return _recurrent(path, arrays)
    weight = arrays.get("weight")
    if weight is None or weight.ndim != 2 or arrays.keys() - {"weight", "bias"}:
        raise ValueError(
            f"{path or 'the file'}: got arrays {', '.join(arrays)}, expected those of LSTM, GRU, RNN or Linear"
        )
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in arrays, rng=0)
    layer.load_state_dict(arrays)
    return layer


def _recurrent(path: str, arrays: dict[str, np.ndarray]) -> Stack:
    hidden, inputs = arrays["weight_hh_l0"].shape[1], arrays["weight_ih_l0"].shape[1]
    gates = arrays["weight_ih_l0"].shape[0] // hidden
    if gates not in (1, 3, 4):
        raise ValueError(f"{path}: got {gates} gates, expected 1 of RNN, 3 of GRU or 4 of LSTM")
    kind: Any = {1: nn.RNN, 3: nn.GRU, 4: nn.LSTM}[gates]
    layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in arrays)
    both = any(name.endswith("_reverse") for name in arrays)
    layer: Stack = kind(inputs, hidden, layers, bias="bias_ih_l0" in arrays, bidirectional=both, rng=0)
    layer.load_state_dict(arrays)
    return layer
