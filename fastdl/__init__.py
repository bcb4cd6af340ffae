"""fastdl: train small and middle-sized recurrent and dense models on CPUs, fast.

Plain NumPy arrays in and out. The functions live in topics (``norms``, ``dropout``, ``optim``, ``dense``,
``recurrent``), each mirrored in :mod:`fastdl.reference` as obvious NumPy; above them stand ``nn`` (layers),
``training`` (fit, checkpoints) and the command line.
"""

import importlib
from types import ModuleType

from . import nn, optim, random
from ._config import show_config
from ._dispatch import backend, get_backend
from ._threads import get_num_threads, set_num_threads
from .dropout import (
    alpha_dropout_backward,
    alpha_dropout_forward,
    dropout_backward,
    dropout_forward,
    dropout_mask,
    embedding_dropout,
    gaussian_dropout_backward,
    gaussian_dropout_forward,
    gaussian_noise,
    monte_carlo,
    zoneout_backward,
    zoneout_forward,
)
from .norms import clip_by_global_norm_, global_norm

__version__ = "0.1.0"

__all__ = [
    "alpha_dropout_backward",
    "alpha_dropout_forward",
    "backend",
    "clip_by_global_norm_",
    "dropout_backward",
    "dropout_forward",
    "dropout_mask",
    "embedding_dropout",
    "gaussian_dropout_backward",
    "gaussian_dropout_forward",
    "gaussian_noise",
    "get_backend",
    "get_num_threads",
    "global_norm",
    "models",
    "monte_carlo",
    "nn",
    "optim",
    "random",
    "set_num_threads",
    "show_config",
    "text",
    "training",
    "zoneout_backward",
    "zoneout_forward",
]

# Imported when first asked for: they are large, and who uses the functions alone need not wait for them.
_LAZY = ("cli", "models", "text", "training")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
