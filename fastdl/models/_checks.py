"""What the models ask of their data, each question in one place: names are those the caller wrote."""

from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np

from .._validate import data_array, flag, index_array, integer, iterated, lengths_array, whole_array


# ---- settings -------------------------------------------------------------------------------------------------
def lstm_settings(hidden: Any, layers: Any, bidirectional: Any, dropout: float) -> tuple[int, dict[str, Any]]:
    """The width of an LSTM whose output has `hidden` elements, half for each of two directions; and its other settings.

    The dropout acts between layers too.
    """
    layers, both = integer("layers", layers, 1), flag("bidirectional", bidirectional)
    size = integer("hidden", hidden, 2 if both else 1)
    if both and size % 2:
        raise ValueError(f"hidden: got {size}, expected an even number")
    between = dropout if layers > 1 else 0.0
    return size // 2 if both else size, {"num_layers": layers, "bidirectional": both, "dropout": between}


# ---- what is trained on ---------------------------------------------------------------------------------------
def vectors(name: str, values: Any, features: int) -> np.ndarray:
    """Vectors as a float32 array (N, features), all finite; there may be none."""
    return data_array(name, values, (None, features))


def vector_sequences(name: str, values: Any, features: int) -> list[np.ndarray]:
    """Sequences of vectors as float32 arrays (T, features), all finite, with at least one step each."""
    return _sequences(name, values, lambda place, one: vectors(place, one, features))


def token_sequences(name: str, values: Any, tokens: int) -> list[np.ndarray]:
    """Sequences of integers from 0 to tokens - 1 as int64 arrays (T,), with at least one step each."""
    return _sequences(name, values, lambda place, one: whole_array(place, one, tokens, (None,)))


def _sequences(name: str, values: Any, check: Callable[[str, Any], np.ndarray]) -> list[np.ndarray]:
    arrays = []
    for i, one in enumerate(iterated(name, values, "a sequence of arrays", (str, bytes, Mapping))):
        arrays.append(at_least_one(f"{name}[{i}]", check(f"{name}[{i}]", one), "step"))
    if not arrays:
        raise ValueError(f"{name}: got 0 sequences, expected one or more")
    return arrays


def at_least_one(name: str, array: np.ndarray, what: str) -> np.ndarray:
    """Refuse an array whose first axis is empty; `what` says of what there shall be one."""
    if len(array) == 0:
        raise ValueError(f"{name}: got shape {array.shape}, expected at least one {what}")
    return array


def as_many(name: str, values: Sized, count: int, others: str) -> None:
    """Refuse another number of values than of `others`."""
    if len(values) != count:
        raise ValueError(f"{name}: got {len(values)}, expected {count}, as many as {others}")


# ---- what a forward reads -------------------------------------------------------------------------------------
def tokens_and_lengths(names: tuple[str, str], tokens: Any, lengths: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Padded sequences (T, B) of integers from 0 to size - 1, and their lengths (B,)."""
    tokens = index_array(names[0], tokens, size, (None, None))
    return tokens, lengths_array(names[1], lengths, *tokens.shape)
