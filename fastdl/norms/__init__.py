"""Norms as a calculus (MATH 1): values, gradients, proximal maps, projections, constraints, penalties."""

from ._clipping import clip_by_global_norm_, global_norm
from ._gradients import norm_gradient
from ._proximal import project_ball, prox_half_squared_l2, prox_norm
from ._values import dual_norm, l0, l1, l2, linf, lp, norm

__all__ = [
    "clip_by_global_norm_",
    "dual_norm",
    "global_norm",
    "l0",
    "l1",
    "l2",
    "linf",
    "lp",
    "norm",
    "norm_gradient",
    "project_ball",
    "prox_half_squared_l2",
    "prox_norm",
]
