"""Recurrent layers of ONNX's RNN, LSTM and GRU."""

from typing import Any

import numpy as np
from onnx import numpy_helper

from ... import nn
from ._nodes import attributes, unknown_use

OPERATORS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
_FUNCTIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}


def stack_of(reading: Any, node: Any, merge: str, output: str) -> nn.Module:
    """The layer of a node, whose directions are merged so."""
    given = attributes(node)
    W, R = reading.weights(node, 1), reading.weights(node, 2)
    arrays = {"W": W, "R": R}
    if _has(node, 3):
        arrays["B"] = reading.weights(node, 3)
    direction = given.get("direction", b"forward").decode()
    options = {
        "bidirectional": direction == "bidirectional", "reverse": direction == "reverse", "merge": merge,
        "output": output, "bias": "B" in arrays, "dtype": W.dtype, "rng": 0, **_own(node, given),
    }  # fmt: skip
    if node.op_type == "LSTM" and _has(node, 7):
        arrays["P"], options["peepholes"] = reading.weights(node, 7), True
    if given.get("clip", 0):
        options["clip"] = given["clip"]
    _check_lengths(reading, node)
    kind, sizes = OPERATORS[node.op_type], (W.shape[2], R.shape[2])
    layer = kind(*sizes, **options)
    layer.import_weights("onnx", arrays)
    first = [_first(reading, node, place, R.shape[2], W.dtype) for place in (5, 6)[: layer._cell.states]]
    if all(one is None for one in first):
        return layer
    learned = kind(*sizes, **options, learned_state=True)
    for name, one in layer.named_parameters():
        setattr(learned, name, one.data)
    for state, values in zip("hc", first, strict=False):
        for d, (suffix, _) in enumerate(learned.directions):
            setattr(learned, f"{state}0_l0{suffix}", np.zeros(R.shape[2]) if values is None else values[d])
    return learned


def _has(node: Any, place: int) -> bool:
    return len(node.input) > place and bool(node.input[place])


def _own(node: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What the attributes say of the cell."""
    if given.get("layout", 0):
        raise unknown_use(node, "layout=1")
    named = [one.decode().lower() for one in given.get("activations", [])]
    both = 2 if given.get("direction") == b"bidirectional" else 1
    if node.op_type == "RNN":
        named = named or ["tanh"] * both
        if named not in (["tanh"] * both, ["relu"] * both):
            raise unknown_use(node, f"activations {named}")
        return {"nonlinearity": named[0]}
    if named and named != _FUNCTIONS[node.op_type] * both:
        raise unknown_use(node, f"activations {named}")
    if node.op_type == "GRU":
        return {"reset_after": bool(given.get("linear_before_reset", 0))}
    return {"coupled": bool(given.get("input_forget", 0))}


def _check_lengths(reading: Any, node: Any) -> None:
    """Lengths are an input, which the caller gives to forward."""
    if _has(node, 4):
        name, giver = node.input[4], reading.giver(node.input[4])
        name = giver.input[0] if giver is not None and giver.op_type == "Cast" else name
        if name not in reading.inputs:
            raise unknown_use(node, "sequence_lens that are no input of the graph")


def _first(reading: Any, node: Any, place: int, width: int, dtype: Any) -> np.ndarray | None:
    """Learned initial states (D, H); None for zeros, and for what is an input of the graph."""
    if not _has(node, place):
        return None
    name = node.input[place]
    giver = reading.giver(name)
    while giver is not None and giver.op_type in ("Expand", "Slice", "Squeeze", "Unsqueeze", "Identity"):
        name = giver.input[0]
        giver = reading.giver(name)
    if name in reading.inputs:
        return None
    array = reading.constant(name)
    if giver is not None and giver.op_type == "ConstantOfShape":
        values = [one for one in giver.attribute if one.name == "value"]
        array = numpy_helper.to_array(values[0].t) if values else np.zeros(1, dtype)
    if array is not None and not array.any():
        return None
    if array is None or array.ndim != 3 or array.shape[1] != 1:
        raise unknown_use(node, "initial states that are neither zeros, nor the same for all sequences, nor an input")
    return array[:, 0]
