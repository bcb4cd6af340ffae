"""Derivatives by differences, of any function of arrays: what gradients are checked with (docs/curvature.md)."""

from ._finite import NotFinite, check_finite
from ._functions import Function, checked_function, one_number, real_array
from ._quotients import GradientCheck, check_gradient, gradient, hessian, jacobian

__all__ = [
    "Function",
    "GradientCheck",
    "NotFinite",
    "check_finite",
    "check_gradient",
    "checked_function",
    "gradient",
    "hessian",
    "jacobian",
    "one_number",
    "real_array",
]
