"""Models, data and deployments that live elsewhere, each loaded when it is first asked for (docs/interop.md)."""

import importlib
from types import ModuleType

# By name the extra that a module needs, None for those that need nothing beyond NumPy.
_MODULES = {"audio": None, "c": None, "keras": "keras", "onnx": "onnx", "torch": "torch"}


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        extra = _MODULES[name]
        if extra is None or (error.name or "").startswith("fastdl"):
            raise
        raise ImportError(
            f'fastdl.interop.{name} needs {error.name}: pip install "fastdl[{extra}]"', name=error.name
        ) from error


def __dir__() -> list[str]:
    return list(_MODULES)
