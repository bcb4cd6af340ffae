"""fastdl: train small and middle-sized recurrent and dense models on CPUs, fast.

Plain NumPy arrays in and out. The functions live in topics (``norms``, ``dropout``, ``optim``, ``dense``,
``recurrent``, ``sequence``), each mirrored in :mod:`fastdl.reference` as obvious NumPy; above them stand ``nn``
(layers), ``training`` (fit, checkpoints), ``metrics``, ``plots``, ``models``, ``curvature``, ``datasets`` and the
command line.
"""

import importlib
from types import ModuleType

from . import dense, dropout, nn, norms, optim, random, recurrent, saving, sequence
from ._config import show_config
from ._dispatch import backend, get_backend
from ._threads import get_num_threads, set_num_threads
from ._version import __version__ as __version__
from .dense import *
from .dropout import *
from .norms import *
from .recurrent import *
from .saving import load, save
from .sequence import *

__all__ = [
    "backend",
    "dense",
    "dropout",
    "get_backend",
    "get_num_threads",
    "load",
    "nn",
    "norms",
    "optim",
    "random",
    "recurrent",
    "save",
    "saving",
    "sequence",
    "set_num_threads",
    "show_config",
]
# The functions of these topics are public here too; those of optim stay in fd.optim, as in torch.
__all__ += dense.__all__ + dropout.__all__ + norms.__all__ + recurrent.__all__ + sequence.__all__

# Imported when first asked for: they are large, and who uses the functions alone need not wait for them.
_LAZY = (
    "cli",
    "curvature",
    "datasets",
    "estimators",
    "interop",
    "metrics",
    "models",
    "plots",
    "reference",
    "text",
    "training",
)


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_LAZY, "__version__"]
