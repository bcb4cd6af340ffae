"""Other values for one argument, by what the valid one is."""

import os
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import arrays, files


class Raised(Exception):
    """What the callables given here raise: it must come back as it is."""


def _raises(*args: Any, **kwargs: Any) -> Any:
    raise Raised


class _Unmade:
    """A class where none is expected. Called, it is a function of the caller's own that raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise Raised


class Odd:
    """An object of a type that nobody expects."""

    def __repr__(self) -> str:
        return "Odd()"


FOREIGN: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "str": lambda: "x",
    "bytes": lambda: b"x",
    "object": Odd,
    "list": list,
    "set": lambda: {1},
    "dict": lambda: {"x": 1},
    "class": lambda: _Unmade,
    "generator": lambda: (i for i in (1, 2)),
    "nested": lambda: [[1], [2, [3]]],
    "array": lambda: np.zeros((2, 3), np.float32),
    "object array": lambda: np.array([None, "x"], object),
    "complex": lambda: 1j,
    "nan": lambda: float("nan"),
}
NUMBERS: dict[str, Callable[[], Any]] = {
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "2": lambda: 2,
    "-0.5": lambda: -0.5,
    "0.5": lambda: 0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "1e-300": lambda: 1e-300,
    "1e308": lambda: 1e308,
    "10**400": lambda: 10**400,
    "-(10**400)": lambda: -(10**400),
    "2**64": lambda: 2**64,
    "2**63": lambda: 2**63,
    "-(2**63)-1": lambda: -(2**63) - 1,
    "2**31": lambda: 2**31,
    "True": lambda: True,
    "str": lambda: "1",
    "np.int64": lambda: np.int64(1),
    "np.float32": lambda: np.float32(0.5),
    "0-d": lambda: np.array(1),
    "array": lambda: np.ones(2),
    "list": lambda: [1],
    "None": lambda: None,
}
STRINGS = {"empty": "", "unknown": "nope", "long": "ab" * 500, "control": "\x1b[2J\x00\u202e", "surrogate": "\ud800"}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "raises": _raises,
    "gives None": lambda *_, **__: None,
    "gives str": lambda *_, **__: "x",
    "gives nan": lambda *_, **__: float("nan"),
    "gives arrays": lambda *_, **__: np.zeros(3),
}


def mutate(rng: random.Random, value: Any, siblings: list[np.ndarray], depth: int = 0) -> tuple[str, Any]:
    """(what was done, the other value)."""
    if rng.random() < 0.15:
        done, other = _pick(rng, FOREIGN)  # of an array, another one may be right for itself
        return "extent, of another array" if done == "array" and isinstance(value, np.ndarray) else done, other
    if isinstance(value, np.ndarray):
        if siblings and rng.random() < 0.08:
            return "aliased", _alias(rng, value, siblings)
        return arrays.mutate(rng, value)
    if isinstance(value, (bool, int, float, np.number)):
        return _pick(rng, NUMBERS)
    if isinstance(value, (str, os.PathLike)) and os.path.isfile(value):
        return files.mutate(rng, os.fspath(value))
    if isinstance(value, str):
        return rng.choice(list(STRINGS.items()))
    if isinstance(value, Mapping) and depth < 3:
        return _mapping(rng, value, siblings, depth)
    if isinstance(value, (list, tuple)) and depth < 3:
        return _sequence(rng, value, siblings, depth)
    if callable(value) and not hasattr(value, "parameters"):
        return rng.choice(list(FUNCTIONS.items()))
    if value is None:
        return _pick(rng, {**FOREIGN, **NUMBERS})
    return _pick(rng, FOREIGN)


def _pick(rng: random.Random, table: dict[str, Callable[[], Any]]) -> tuple[str, Any]:
    name = rng.choice(list(table))
    return name, table[name]()


def _alias(rng: random.Random, value: np.ndarray, siblings: list[np.ndarray]) -> np.ndarray:
    """Another argument's memory, in this one's shape where it has enough."""
    other = rng.choice(siblings)
    if other.dtype == value.dtype and other.size >= value.size and other.flags.c_contiguous:
        return other.reshape(-1)[: value.size].reshape(value.shape)
    return other


def _mapping(rng: random.Random, value: Mapping[Any, Any], siblings: list[np.ndarray], depth: int) -> tuple[str, Any]:
    changed = dict(value)
    kind = rng.choice(("less", "more", "number", "empty", "value", "value", "value"))
    if kind == "empty" or not changed:
        return "no items", {}
    key = rng.choice(list(changed))
    if kind == "less":
        del changed[key]
    elif kind == "more":
        changed["unknown"] = 1
    elif kind == "number":
        changed[3] = changed.pop(key)
    else:
        kind, changed[key] = mutate(rng, changed[key], siblings, depth + 1)
    return f"[{key!r}] {kind}", changed


def _sequence(rng: random.Random, value: Any, siblings: list[np.ndarray], depth: int) -> tuple[str, Any]:
    kind = rng.choice(("less", "more", "empty", "generator", "value", "value", "value"))
    items = list(value)
    if hasattr(value, "_replace"):
        kind = "value"  # of a tuple with names, which has its length
    if kind == "generator":
        return kind, (one for one in items)
    if kind == "empty" or not items:
        items = []
    elif kind == "less":
        items.pop()
    elif kind == "more":
        items.append(items[0])
    else:
        at = rng.randrange(len(items))
        done, items[at] = mutate(rng, items[at], siblings, depth + 1)
        kind = f"[{at}] {done}"
    if hasattr(value, "_replace"):
        return kind, type(value)._make(items)
    return kind, items if isinstance(value, list) else tuple(items)
