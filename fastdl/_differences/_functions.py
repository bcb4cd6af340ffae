"""A user's function of an array: called with copies, answered in float64, refused by name where it gives nonsense."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._validate import plain_array
from ._finite import NotFinite

Function = Callable[[np.ndarray], Any]


def real_array(name: str, value: Any) -> np.ndarray:
    """What a function gave, as an array of real numbers in float64."""
    try:
        array = plain_array(name, value) if isinstance(value, np.ndarray) else np.asarray(value)
    except ValueError:
        raise TypeError(f"{name}: got a {type(value).__name__} that is no array, expected real numbers") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: got a value of dtype {array.dtype}, expected real numbers")
    return array.astype(np.float64)


def checked_function(f: Function, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """(x in float64, f there): a function of real numbers with a finite value."""
    if not callable(f):
        raise TypeError(f"f: got {type(f).__name__}, expected a function of an array")
    x = plain_array("x", x, "an array of real numbers")
    if x.dtype.kind not in "fiu":
        raise TypeError(f"x: got {x.dtype}, expected an array of real numbers")
    x = np.array(x, np.float64, order="C")
    if not np.isfinite(x).all():
        raise NotFinite("x: got values that are not finite, expected finite numbers")
    value = real_array("f", f(x.copy()))
    if not np.isfinite(value).all():
        raise NotFinite("f: its value at x is not finite, expected finite numbers")
    return x, value


def one_number(value: np.ndarray) -> None:
    if value.size != 1:
        raise ValueError(f"f: got a value of shape {value.shape}, expected one number; see jacobian")


class Sampled:
    """A function near a point: NaN wherever it raises what functions raise outside of their domain.

    Attributes
    ----------
    x, value : ndarray
        The point, and the function there.
    unit : float
        Relative spacing of the numbers it answers in: float32's where it gives float32.
    """

    def __init__(self, f: Function, x: np.ndarray, value: np.ndarray) -> None:
        self.f, self.x, self.value = f, x, value
        given = np.asarray(f(x.copy())).dtype
        self.unit = float(np.finfo(given).eps) if given.kind == "f" and given.itemsize < 8 else 2.0**-52

    def __call__(self, at: np.ndarray) -> np.ndarray:
        try:
            with np.errstate(all="ignore"):
                found = real_array("f", self.f(at.copy()))
        except (ArithmeticError, ValueError):
            return np.full(self.value.shape, np.nan)
        if found.shape != self.value.shape:
            raise ValueError(f"f: got shape {found.shape} near x, expected {self.value.shape} as at x")
        return found

    def complex(self, at: np.ndarray) -> np.ndarray:
        """f at a complex argument; what it raises is the caller's to judge."""
        found = np.asarray(self.f(at.copy()))
        if found.dtype.kind != "c":
            raise TypeError("f: got a real value for a complex argument, expected a complex one; try 'central'")
        if found.shape != self.value.shape:
            raise ValueError(f"f: got shape {found.shape} for a complex argument, expected {self.value.shape}")
        return found.astype(np.complex128)
