"""The table of derivatives: one row for each function of NumPy, and of fastdl, that a derived forward may call."""

from .._traced import add_operators
from . import _elementwise as _elementwise
from . import _functions as _functions
from . import _linear_algebra as _linear_algebra
from . import _reductions as _reductions
from . import _shapes as _shapes
from ._table import derivative

add_operators()

__all__ = ["derivative"]
