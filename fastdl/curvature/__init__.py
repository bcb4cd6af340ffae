from . import _recurrent
from ._products import LossPoint, ModelPoint
