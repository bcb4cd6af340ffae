"""Norms as a calculus (docs/norms.md): values, gradients, proximal maps, projections, constraints, penalties."""

from ._clipping import clip_by_global_norm_, global_norm
from ._constraints import MaxNorm, NonNegative, UnitNorm, max_norm_, non_negative_, normalize, unit_norm_
from ._gradients import norm_gradient
from ._penalties import (
    L1,
    L2,
    ElasticNet,
    GroupLasso,
    Orthogonal,
    add_elastic_net_,
    add_group_lasso_,
    add_orthogonal_,
)
from ._proximal import project_ball, prox_half_squared_l2, prox_norm
from ._sparsity import Sparsity, SparsityReport, sparsity_report
from ._values import dual_norm, l0, l1, l2, linf, lp, norm

__all__ = [
    "L1",
    "L2",
    "ElasticNet",
    "GroupLasso",
    "MaxNorm",
    "NonNegative",
    "Orthogonal",
    "Sparsity",
    "SparsityReport",
    "UnitNorm",
    "add_elastic_net_",
    "add_group_lasso_",
    "add_orthogonal_",
    "clip_by_global_norm_",
    "dual_norm",
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
    "project_ball",
    "prox_half_squared_l2",
    "prox_norm",
    "sparsity_report",
    "unit_norm_",
]


def __dir__() -> list[str]:
    return __all__
