"""Models of other libraries, and for them: each room is imported when it is first asked for (docs/interop.md).

``torch``, ``onnx`` and ``keras`` need the extra of their name; ``c`` and ``audio`` need nothing.
"""

import importlib
from types import ModuleType

_EXTRAS = {"audio": None, "c": None, "keras": "keras", "onnx": "onnx", "torch": "torch"}


def __getattr__(name: str) -> ModuleType:
    if name not in _EXTRAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if _EXTRAS[name] is None or str(error.name).startswith("fastdl"):
            raise
        raise ImportError(f'fastdl.interop.{name} needs {error.name}: pip install "fastdl[{_EXTRAS[name]}]"') from None


def __dir__() -> list[str]:
    return [*_EXTRAS]
