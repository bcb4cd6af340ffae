"""Least squares as residuals and their Jacobian."""

from typing import Any, NamedTuple

import numpy as np


class Residuals(NamedTuple):
    """What Levenberg-Marquardt minimises half the squared norm of: residuals (m,), and their Jacobian (m, N).

    The Jacobian may be a function without arguments, called only where it is needed.
    """

    values: np.ndarray
    jacobian: Any
