"""From a description back to a model: only constructors of known classes are called."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import random
from ..nn import Module
from ._describe import ROOMS, call_with, is_public, name_of


def classes(custom: Iterable[Any]) -> dict[str, type[Module]]:
    """The caller's own classes by name."""
    found: dict[str, type[Module]] = {}
    for place, one in enumerate(custom):
        if not (isinstance(one, type) and issubclass(one, Module)):
            raise TypeError(f"custom[{place}]: got {one!r}, expected a subclass of fastdl.nn.Module")
        found[name_of(one)] = one
    return found


class Builder:
    """Makes modules of their entries, each once."""

    def __init__(
        self, modules: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray], custom: Mapping[str, type[Module]]
    ) -> None:
        self._entries, self._arrays, self._custom = modules, arrays, custom
        self._made: dict[int, Module] = {}
        self._open: set[int] = set()

    def module(self, place: Any = 0) -> Module:
        """The module of an entry."""
        if not isinstance(place, int) or not 0 <= place < len(self._entries) or place in self._open:
            raise ValueError("damaged: a module that is not there, or holds itself")
        if place not in self._made:
            self._open.add(place)
            entry = self._entries[place]
            kind = self._class(entry["class"])
            arguments = {name: self._value(one) for name, one in entry["arguments"].items()}
            try:
                self._made[place] = call_with(kind, arguments)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{kind.__name__} refuses what it was made with: {error}") from error
            self._open.remove(place)
        return self._made[place]

    def _class(self, name: Any) -> type[Module]:
        if name in self._custom:
            return self._custom[name]
        if isinstance(name, str) and name.startswith("fastdl."):
            _, _, rest = name.partition(".")
            room, _, short = rest.partition(".")
            if room in ROOMS and is_public(room, short):
                return getattr(importlib.import_module(f"fastdl.{room}"), short)
        raise ValueError(
            f"holds a {name}, which is no class of fastdl's: give the class itself, fd.load(path, custom=[{name}])"
        )

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            raise ValueError("damaged: an argument that says nothing of itself")
        (kind, held), *_ = value.items()
        if kind == "module":
            return self.module(held)
        if kind == "parameter":
            return self.module(held[0])._parameters[held[1]]
        if kind == "tuple":
            return tuple(self._value(one) for one in held)
        if kind == "dict":
            return {name: self._value(one) for name, one in held.items()}
        if kind == "vocabulary":
            return importlib.import_module("fastdl.text").Vocabulary(held)
        plain = {
            "float": lambda: float(held), "generator": lambda: random.Generator(0), "dtype": lambda: np.dtype(held),
            "array": lambda: self._arrays[held],
        }  # fmt: skip
        if kind not in plain:
            raise ValueError(f"damaged: an argument of the unknown kind {kind!r}")
        return plain[kind]()
