"""fastdl: train small and middle-sized recurrent and dense models on CPUs, fast.

Plain NumPy arrays in and out. The functions live in topics (``norms``, ``dropout``, ``optim``, ``dense``,
``recurrent``), each mirrored in :mod:`fastdl.reference` as obvious NumPy; above them stand ``nn`` (layers),
``training`` (fit, checkpoints) and the command line.
"""

from . import optim, random
from ._dispatch import backend, get_backend
from ._threads import get_num_threads, set_num_threads
from .norms import clip_by_global_norm_, global_norm

__version__ = "0.1.0"

__all__ = [
    "backend",
    "clip_by_global_norm_",
    "get_backend",
    "get_num_threads",
    "global_norm",
    "optim",
    "random",
    "set_num_threads",
]
