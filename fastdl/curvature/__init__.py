"""Jacobian, Hessian and curvature: of any NumPy function, and of models without building a matrix (docs/curvature.md).

Functions: :func:`gradient`, :func:`jacobian`, :func:`hessian`, :func:`check_gradient`. Models: :class:`ModelPoint` and
:class:`LossPoint` multiply with the Jacobian, the Hessian and the Gauss-Newton matrix; :func:`eigenpairs`,
:func:`trace`, :func:`diagonal`, :func:`spectral_density` and :func:`landscape` build on that, as do the optimizers.
"""

from .._differences import GradientCheck, check_gradient, gradient, hessian, jacobian
from . import _layers as _layers
from ._adahessian import AdaHessian
from ._function_point import FunctionPoint
from ._gradient_flow import GradientFlow, gradient_flow
from ._guard import Linearization
from ._landscape import Landscape, landscape
from ._lbfgs import LBFGS
from ._linearization import linearize, register
from ._losses import LossAt, register_loss
from ._products import LossPoint, ModelPoint
from ._residuals import Residuals
from ._second_order import LevenbergMarquardt, Newton, NewtonCG
from ._spectrum import (
    Eigenpairs,
    Estimate,
    SpectralDensity,
    diagonal,
    eigenpairs,
    spectral_density,
    trace,
)

__all__ = [
    "LBFGS",
    "AdaHessian",
    "Eigenpairs",
    "Estimate",
    "FunctionPoint",
    "GradientCheck",
    "GradientFlow",
    "Landscape",
    "LevenbergMarquardt",
    "Linearization",
    "LossAt",
    "LossPoint",
    "ModelPoint",
    "Newton",
    "NewtonCG",
    "Residuals",
    "SpectralDensity",
    "check_gradient",
    "diagonal",
    "eigenpairs",
    "gradient",
    "gradient_flow",
    "hessian",
    "jacobian",
    "landscape",
    "linearize",
    "register",
    "register_loss",
    "spectral_density",
    "trace",
]


def __dir__() -> list[str]:
    return __all__
