"""The only place where input is refused: every message names the argument, what came and what was expected.

A check runs before anything is written, so a refused call leaves every array as it was.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .kernels.baseline.system import is_index, is_plain

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
REDUCTIONS = ("mean", "sum", "none")


def float_array(
    name: str,
    value: Any,
    shape: tuple[int | None, ...] | None = None,
    dtype: np.dtype | None = None,
) -> np.ndarray:
    """`value` as a C-contiguous, aligned, native float32 or float64 array: itself where it is one already.

    Other layouts are copied. `shape` gives the expected extents, None for any; `dtype` the expected type
    (default: either float type).
    """
    if is_plain(value, dtype, shape):  # the rule; everything below is for what is not
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a numpy array")
    kind = value.dtype if value.dtype.isnative else value.dtype.newbyteorder("=")
    if kind not in FLOATS:
        raise TypeError(f"{name}: got dtype {value.dtype}, expected float32 or float64")
    if dtype is not None and kind != dtype:
        raise TypeError(f"{name}: got dtype {value.dtype}, expected {dtype} like the other arrays")
    if shape is not None:
        check_shape(name, value, shape)
    if value.flags.c_contiguous and value.flags.aligned and value.dtype is kind:
        return value
    return np.require(value, dtype=kind, requirements=["C", "ALIGNED"])


def out_array(name: str, value: Any, shape: tuple[int | None, ...] | None, dtype: np.dtype) -> np.ndarray:
    """An array that is written in place, so it cannot be replaced by a copy: contiguous, writable, native."""
    if is_plain(value, dtype, shape, True):
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a numpy array to write into")
    if value.dtype != dtype or not value.dtype.isnative:
        raise TypeError(f"{name}: got dtype {value.dtype}, expected native {dtype}")
    if shape is not None:
        check_shape(name, value, shape)
    if not value.flags.writeable:
        raise ValueError(f"{name}: got a read-only array, expected one that can be written")
    if not (value.flags.c_contiguous and value.flags.aligned):
        raise ValueError(f"{name}: got strides {value.strides}, expected a C-contiguous, aligned array")
    return value


def index_array(name: str, value: Any, upper: int, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Integers in [0, upper) as a C-contiguous int64 array."""
    if is_index(value, upper) and (shape is None or _fits(value.shape, shape)):
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a numpy array of integers")
    if value.dtype.kind not in "iu":
        raise TypeError(f"{name}: got dtype {value.dtype}, expected integers")
    if shape is not None:
        check_shape(name, value, shape)
    if value.size:
        low, high = int(value.min()), int(value.max())
        if low < 0 or high >= upper:
            raise ValueError(f"{name}: got values from {low} to {high}, expected 0 to {upper - 1}")
    return np.ascontiguousarray(value, dtype=np.int64)


def _fits(shape: tuple[int, ...], wanted: Sequence[int | None]) -> bool:
    if shape == wanted:
        return True
    if len(shape) != len(wanted):
        return False
    for got, want in zip(shape, wanted, strict=True):  # noqa: SIM110  (a generator costs three times as much)
        if want is not None and want != got:
            return False
    return True


def check_shape(name: str, value: np.ndarray, shape: Sequence[int | None]) -> None:
    """Refuse another shape; None stands for any extent."""
    if not _fits(value.shape, shape):
        expected = ", ".join("any" if extent is None else str(extent) for extent in shape)
        raise ValueError(f"{name}: got shape {value.shape}, expected ({expected}{',' if len(shape) == 1 else ''})")


def check_apart(**arrays: np.ndarray) -> None:
    """Refuse arrays that share memory (bounds of their memory are compared: no false negatives)."""
    items = list(arrays.items())
    for i, (name, one) in enumerate(items):
        for other_name, other in items[i + 1 :]:
            if np.may_share_memory(one, other) and one.size and other.size:
                raise ValueError(f"{name}: overlaps {other_name}, expected separate memory")


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A real number in [low, high] (or the open side asked for); NaN is refused."""
    plain = value.__class__ is float or value.__class__ is int
    if plain and (low < value < high or (value == low and not open_low) or (value == high and not open_high)):
        return float(value)  # the rule: the rest is for other types, and refuses
    try:
        result = float(operator.index(value)) if hasattr(value, "__index__") else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: got {value!r}, expected a number") from None
    if isinstance(value, (bool, str)):
        raise TypeError(f"{name}: got {value!r}, expected a number")
    above = result > low if open_low else result >= low
    below = result < high if open_high else result <= high
    if not (above and below):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise ValueError(f"{name}: got {value}, expected a number in {left}{low:g}, {high:g}{right}")
    return result


def integer(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """An integer in [low, high]."""
    if value.__class__ is int and (low is None or value >= low) and (high is None or value <= high):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: got {value!r}, expected an int")
    result = operator.index(value)
    if (low is not None and result < low) or (high is not None and result > high):
        wanted = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: got {result}, expected {wanted}")
    return result


def choice(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """One of the allowed values."""
    if value not in allowed:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value


def sampling(temperature: Any, top_k: Any, top_p: Any) -> tuple[float, int | None, float | None]:
    """How to draw from logits: a temperature, and what the choice is confined to."""
    return (
        number("temperature", temperature, 0.0),
        None if top_k is None else integer("top_k", top_k, 1),
        None if top_p is None else number("top_p", top_p, 0.0, 1.0, open_low=True),
    )


def real_values(name: str, value: Any, kinds: str = "fiu") -> np.ndarray:
    """`value`, an array or nested lists of real numbers, as an array; `kinds` lists the kinds of dtype allowed."""
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):
        kind = "a masked array" if isinstance(value, np.ma.MaskedArray) else "a matrix"
        raise TypeError(f"{name}: got {kind}, expected a plain array")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; a tensor that is not in this memory
        raise TypeError(f"{name}: got {type(value).__name__}, expected an array of real numbers") from None
    if array.dtype.kind not in kinds:
        what = f"dtype {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name}: got {what}, expected real numbers")
    return array


def mapping(name: str, value: Any, what: str) -> Mapping[Any, Any]:
    """A mapping; `what` says of what."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a mapping of {what}")
    return value


def same_names(name: str, got: Iterable[Any], expected: Iterable[str]) -> None:
    """Refuse names that are not the expected ones."""
    given, wanted = set(got), set(expected)
    missing, unknown = sorted(wanted - given), sorted(map(str, given - wanted))
    if missing or unknown:
        raise ValueError(f"{name}: names do not fit: missing {missing or 'none'}, unknown {unknown or 'none'}")


def written_kind(name: str, value: Any) -> np.dtype:
    """float32 or float64: the type of an array that is written in place, and sets that of the others."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a numpy array to write into")
    if value.dtype not in FLOATS or not value.dtype.isnative:
        raise TypeError(f"{name}: got dtype {value.dtype}, expected native float32 or float64")
    return value.dtype


def function(name: str, value: Any, what: str) -> Any:
    """Something that can be called; `what` says of what it is a function."""
    if not callable(value):
        raise TypeError(f"{name}: got {type(value).__name__}, expected {what}")
    return value
