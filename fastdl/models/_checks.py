"""What the models ask of their data, each question in one place: names are those the caller wrote."""

from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np

from .._validate import data_array, index_array, integer, iterated, lengths_array, whole_array


# ---- settings -------------------------------------------------------------------------------------------------
def halves(name: str, value: Any) -> int:
    """An even size, half for each of two directions."""
    size = integer(name, value, 2)
    if size % 2:
        raise ValueError(f"{name}: got {size}, expected an even number")
    return size


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
