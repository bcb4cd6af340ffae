"""Numbers that are not finite, refused by name; a line search takes the refusal for "too long"."""

from typing import Any

import numpy as np


class NotFinite(ValueError):
    """A loss, derivative or product that is not finite, where a closure or function gave it."""


def check_finite(name: str, value: Any, what: str = "a value") -> None:
    """Refuse NaN and infinities in a number or an array."""
    array = np.asarray(value)
    finite = np.isfinite(array)
    if finite.all():
        return
    if array.ndim == 0:
        raise NotFinite(f"{name}: got {what} of {array}, expected a finite number")
    first = array[~finite][0]
    raise NotFinite(f"{name}: got {what} with {first} in it, expected finite numbers")
