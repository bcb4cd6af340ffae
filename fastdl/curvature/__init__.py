from . import _recurrent
from ._products import LossPoint, ModelPoint
from ._differences import *
from ._differences import gradient, jacobian, hessian, check_gradient
