"""What a model is, as data: the classes of its modules and the arguments of their constructors.

A module is a number, its entry in a list: {"class": name, "arguments": {...}}. So one that is used twice is one entry.
An argument is what JSON has, or an object with one key that says what it is: {"tuple": [...]}, {"module": 3}, ...
"""

import importlib
import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import random
from .._validate import shown
from ..nn import Module, ModuleDict, ModuleList, Parameter, Sequential

ROOMS = ("nn", "models", "estimators")  # whose classes a file may name
_LAYERS = (Sequential, ModuleList, ModuleDict)  # whose constructor takes what they hold, which may have changed since


class Description:
    """A model's modules, described as they are met, and the arrays among their constructors' arguments.

    Attributes
    ----------
    modules : list of dict
        The entries; the model's is the first.
    arrays : dict of str to ndarray
        By the names that the entries use.
    """

    def __init__(self, model: Module) -> None:
        self.modules: list[dict[str, Any]] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._places: dict[int, int] = {}
        self._held = [model]  # so that ids stay theirs
        self._module(model, "model")

    def _module(self, module: Module, where: str) -> int:
        place = self._places.get(id(module))
        if place is None:
            place = self._places[id(module)] = len(self.modules)
            self._held.append(module)
            entry: dict[str, Any] = {"class": name_of(type(module))}
            self.modules.append(entry)
            entry["arguments"] = {
                name: self._value(one, f"{where}.{name}") for name, one in arguments_of(module).items()
            }
        return place

    def _value(self, value: Any, where: str) -> Any:
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, np.integer)):
            return int(value)
        if isinstance(value, (float, np.floating)):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, (random.Generator, np.random.Generator)):
            return {"generator": None}  # the state is the model's random state
        if isinstance(value, Module):
            return {"module": self._module(value, where)}
        if isinstance(value, Parameter):
            return {"parameter": self._owner(value, where)}
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
            return {"dtype": np.dtype(value).name}
        if isinstance(value, np.ndarray):
            self.arrays[where] = value
            return {"array": where}
        return self._container(value, where)

    def _container(self, value: Any, where: str) -> Any:
        if value.__class__ is list or isinstance(value, tuple):
            parts = [self._value(one, f"{where}[{place}]") for place, one in enumerate(value)]
            return parts if isinstance(value, list) else {"tuple": parts}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self._value(one, f"{where}[{key!r}]") for key, one in value.items()}}
        if hasattr(value, "characters"):  # a vocabulary
            return {"vocabulary": value.characters}
        raise TypeError(
            f"{where}: got {shown(value)}, which a file cannot hold: expected numbers, texts, arrays, layers or lists, "
            "tuples and dicts of them as arguments of a module's constructor"
        )

    def _owner(self, parameter: Parameter, where: str) -> list[Any]:
        for module in self._held:
            for one in module.modules():
                for name, own in one._parameters.items():
                    if own is parameter:
                        return [self._module(one, where), name]
        raise TypeError(f"{where}: got a parameter of a module that is no part of the model")


def arguments_of(module: Module) -> dict[str, Any]:
    """What the constructor was called with, by name; settings of fastdl's own layers as they are now.

    Arguments after ``*`` are under the name that the constructor has for them.
    """
    kind = type(module)
    own = next((one for one in _LAYERS if isinstance(module, one) and kind.__init__ is one.__init__), None)
    if own is not None:
        children = module._children
        return {"modules": dict(children)} if own is ModuleDict else {"layers": list(children.values())}
    args, kwargs = module.__dict__.get("_given", ((), {}))
    signature = inspect.signature(kind.__init__)
    found: dict[str, Any] = {}
    for name, value in signature.bind(module, *args, **kwargs).arguments.items():
        found[name] = value
    found.pop(next(iter(signature.parameters)))  # self
    if name_of(kind).startswith("fastdl."):
        for name, parameter in signature.parameters.items():
            now = module.__dict__.get(name)
            if _is_setting(now, found.get(name, parameter.default)):
                found[name] = now
    return found


def _is_setting(now: Any, given: Any) -> bool:
    """Whether an attribute is what the argument of its name was, and may have been changed since."""
    if given is None:
        return isinstance(now, (int, float, str)) and not isinstance(now, bool)
    return isinstance(now, (bool, int, float, str)) and isinstance(given, (bool, int, float, str)) and now != given


def call_with(kind: type, arguments: Mapping[str, Any]) -> Any:
    """Call a constructor with what :func:`arguments_of` gave."""
    own = next((one for one in _LAYERS if issubclass(kind, one) and kind.__init__ is one.__init__), None)
    if own is not None:
        return kind(*arguments["layers"]) if own is Sequential else kind(next(iter(arguments.values())))
    given, keywords = [], dict(arguments)
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:  # type: ignore[misc]
        if parameter.kind is parameter.VAR_POSITIONAL and name in keywords:
            given += keywords.pop(name)
        elif parameter.kind is parameter.VAR_KEYWORD and name in keywords:
            keywords |= keywords.pop(name)
        elif name in keywords and (
            parameter.kind is parameter.POSITIONAL_ONLY
            or (parameter.kind is parameter.POSITIONAL_OR_KEYWORD and _rest_follows(kind, keywords))
        ):
            given.append(keywords.pop(name))
    return kind(*given, **keywords)


def _rest_follows(kind: type, keywords: Mapping[str, Any]) -> bool:
    """Whether arguments after ``*`` are given, before which the others have to stand in their places."""
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    return any(one.kind is one.VAR_POSITIONAL and one.name in keywords for one in parameters)


def name_of(kind: type) -> str:
    """How a file names a class: fastdl's public ones by room, others by their own name."""
    for room in ROOMS:
        if kind.__module__.startswith(f"fastdl.{room}.") and is_public(room, kind.__name__, kind):
            return f"fastdl.{room}.{kind.__name__}"
    return kind.__name__


def is_public(room: str, name: str, kind: type | None = None) -> bool:
    """Whether a room has a class of that name in public, and this one where it is given."""
    module = importlib.import_module(f"fastdl.{room}")
    found = getattr(module, name, None) if name in module.__all__ else None
    return isinstance(found, type) and issubclass(found, Module) and kind in (None, found)
