from . import _recurrent
from ._products import LossPoint, ModelPoint
from ._differences import gradient, jacobian, hessian, check_gradient
from ._function_point import FunctionPoint
from ._spectrum import *
from ._landscape import *
from ._lbfgs import LBFGS
from ._second_order import *
