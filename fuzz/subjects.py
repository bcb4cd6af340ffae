"""The public callables, found by inspection, and a tap on each, which sees every call that is not fastdl's own."""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import fastdl as fd

MODULES = (
    "fastdl.optim", "fastdl.optim.schedules", "fastdl.random", "fastdl.nn", "fastdl.nn.init", "fastdl.training",
    "fastdl.models", "fastdl.curvature", "fastdl.metrics", "fastdl.plots", "fastdl.saving", "fastdl.text", "fastdl",
)  # fmt: skip
DUNDERS = ("__init__", "__call__", "__getitem__", "__len__", "__iter__")


class Tap:
    """Calls from outside go to `handler` (name, function, args, kwargs); calls of fastdl's own do not."""

    def __init__(self) -> None:
        self.depth = 0
        self.handler: Callable[..., Any] | None = None


tap = Tap()
_OWN = fd.__path__[0]
_public_classes: dict[type, str] = {}


def _tapped(function: Callable[..., Any], name: str, method: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        handler = tap.handler
        if tap.depth or handler is None or _of_fastdl(sys._getframe(1)):
            return function(*args, **kwargs)
        tap.depth += 1
        try:
            args = tuple(map(untapped, args))
            kwargs = {key: untapped(value) for key, value in kwargs.items()}
            full = f"{_owner(args[0], name)}.{name}" if method else name
            return handler(full, function, args, kwargs)
        finally:
            tap.depth -= 1

    call.__fuzz_tapped__ = function  # type: ignore[attr-defined]
    return call


def _of_fastdl(frame: Any) -> bool:
    """Whether the call comes from a generator of fastdl's, which runs while no call of the recipe does."""
    while frame is not None and frame.f_code.co_filename.startswith((_OWN, __file__)):  # past the taps between
        if frame.f_code.co_flags & inspect.CO_GENERATOR:
            return True
        frame = frame.f_back
    return False


def _owner(value: Any, name: str) -> str:
    """The public class that a call is made of: what people write of their own counts as its base."""
    for one in type(value).__mro__:
        if one in _public_classes:
            return _public_classes[one]
    return type(value).__name__


def _topic(value: Any) -> str:
    """The public module that has it: `optim` of ``fastdl.optim.adam``."""
    parts = value.__module__.split(".")[1:]
    return ".".join(parts[: 2 if parts[-1] == "schedules" else 1]) or "fastdl"


def untapped(value: Any) -> Any:
    """The function itself, since tables of fastdl know their functions by identity."""
    return getattr(value, "__fuzz_tapped__", value) if inspect.isfunction(value) else value


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    own = [name for name in vars(module) if not name.startswith("_")]
    for name in getattr(module, "__all__", own):
        value = getattr(module, name)
        if callable(value) and getattr(value, "__module__", "").startswith("fastdl") and hasattr(value, "__qualname__"):
            listed = hasattr(module, "__all__") or value.__module__ == module.__name__
            yield from [(name, value)] * listed


def methods(cls: type) -> list[str]:
    """The public methods of a class that a call can reach, those of its bases in fastdl too; none of a tuple, which is
    a result that people read."""
    found = {}
    for base in cls.__mro__:
        if base.__module__.startswith("fastdl"):
            for name, value in vars(base).items():
                plain = (inspect.isfunction(value) and name != "__setattr__") or isinstance(value, classmethod)
                setter = isinstance(value, property) and value.fset is not None
                if (not name.startswith("_") or name in DUNDERS) and (plain or setter) and not issubclass(cls, tuple):
                    found.setdefault(name, value)
    return sorted(found)


def open_taps() -> list[str]:
    """Tap every public callable in place; their names."""
    names, classes = [], _public_classes
    for path in MODULES:
        module = importlib.import_module(path)
        for name, value in _public(module):
            if inspect.isclass(value):
                classes[value] = f"{_topic(value)}.{value.__name__}"
                continue
            if not hasattr(value, "__fuzz_tapped__"):
                names.append(f"{_topic(value)}.{name}")
                _replace(value, _tapped(value, names[-1], method=False))
    for cls in classes:
        for one in {*cls.__mro__, *_below(cls)}:
            if one.__module__.startswith("fastdl"):
                _tap_methods(one)
        names += [f"{classes[cls]}.{name}" for name in methods(cls)]
    return sorted(set(names))


def _below(cls: type) -> set[type]:
    """What a public function may give out under the class's name."""
    found = set() if cls is type else set(cls.__subclasses__())
    return found.union(*map(_below, found))


def _replace(value: Any, tapped: Any) -> None:
    """In every public module that names it; others keep the function itself."""
    for path in (*MODULES, *(f"fastdl.{one}" for one in ("dense", "dropout", "norms", "recurrent", "sequence"))):
        module = importlib.import_module(path)
        for name, held in list(vars(module).items()):
            if held is value and not name.startswith("_"):
                setattr(module, name, tapped)


def _tap_methods(cls: type) -> None:
    if issubclass(cls, tuple):
        return
    for name, value in list(vars(cls).items()):
        if (name.startswith("_") and name not in DUNDERS) or hasattr(value, "__fuzz_tapped__"):
            continue
        if inspect.isfunction(value):
            setattr(cls, name, _tapped(value, name, method=True))
        elif isinstance(value, classmethod) and not hasattr(value.__func__, "__fuzz_tapped__"):
            setattr(
                cls, name, classmethod(_tapped(value.__func__, f"{_topic(cls)}.{cls.__name__}.{name}", method=False))
            )
        elif isinstance(value, property) and value.fset and not hasattr(value.fset, "__fuzz_tapped__"):
            setattr(cls, name, value.setter(_tapped(value.fset, name, method=True)))


def bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments | None:
    try:
        found = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return None
    found.apply_defaults()
    return found


__all__ = ["bound", "fd", "methods", "open_taps", "tap", "untapped"]
