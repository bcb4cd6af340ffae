"""Least squares as residuals and their Jacobian."""

from typing import Any, NamedTuple

import numpy as np


class Residuals(NamedTuple):
    """What Levenberg-Marquardt minimises half the squared norm of.

    Attributes
    ----------
    values : ndarray (m,)
        The residuals.
    jacobian : ndarray (m, N), or a function without arguments that returns it
        Their derivatives with respect to the parameters. A function is called only where it is needed.
    """

    values: np.ndarray
    jacobian: Any
