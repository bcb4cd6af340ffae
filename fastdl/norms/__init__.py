"""Norms as a calculus (MATH 1): values, gradients, proximal maps, projections, constraints, penalties."""

from ._clipping import clip_by_global_norm_, global_norm

__all__ = ["clip_by_global_norm_", "global_norm"]
