"""fastdl: train small and middle-sized recurrent and dense models on CPUs, fast.

Plain NumPy arrays in and out. The functions live in topics (``norms``, ``dropout``, ``optim``, ``dense``,
``recurrent``), each mirrored in :mod:`fastdl.reference` as obvious NumPy; above them stand ``nn`` (layers),
``training`` (fit, checkpoints) and the command line.
"""

from . import norms, random
from ._dispatch import backend, get_backend
from ._threads import get_num_threads, set_num_threads
from .norms import (
    add_elastic_net_,
    add_group_lasso_,
    add_orthogonal_,
    clip_by_global_norm_,
    dual_norm,
    global_norm,
    l0,
    l1,
    l2,
    linf,
    lp,
    max_norm_,
    non_negative_,
    norm,
    norm_gradient,
    normalize,
    project_ball,
    prox_half_squared_l2,
    prox_norm,
    unit_norm_,
)

__version__ = "0.1.0"

__all__ = [
    "add_elastic_net_",
    "add_group_lasso_",
    "add_orthogonal_",
    "backend",
    "clip_by_global_norm_",
    "dual_norm",
    "get_backend",
    "get_num_threads",
    "global_norm",
    "l0",
    "l1",
    "l2",
    "linf",
    "lp",
    "max_norm_",
    "non_negative_",
    "norm",
    "norm_gradient",
    "normalize",
    "norms",
    "project_ball",
    "prox_half_squared_l2",
    "prox_norm",
    "random",
    "set_num_threads",
    "unit_norm_",
]
