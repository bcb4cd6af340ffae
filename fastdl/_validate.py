"""The only place where input is refused: every message names the argument, what came and what was expected.

A check runs before anything is written, so a refused call leaves every array as it was.
"""

import contextlib
import math
import operator
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .kernels.baseline.system import is_index, is_plain

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
REDUCTIONS = ("mean", "sum", "none")
_INT64 = (-(2**63), 2**63 - 1)  # what kernels and NumPy take
_LARGEST = float(np.finfo(np.float64).max)
_SHOWN = 80  # characters of a value that a message repeats

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = _SHOWN
_short.maxtuple = _short.maxlist = _short.maxset = _short.maxdict = 12


def shown(value: Any) -> str:
    """A value as messages repeat it: on one line, of at most 80 characters, with nothing that moves a cursor."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    try:
        text = str(value) if isinstance(value, np.number) else _short.repr(value)
    except Exception:  # a repr of somebody's own, or an int of more digits than Python prints
        return f"a value of type {type(value).__name__}"
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(text.split()))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _kind(value: Any) -> str:
    """What a value is, and what the class says of how an array is made of it."""
    return f"{type(value).__name__}{getattr(type(value), 'as_array', '')}"


def plain_array(name: str, value: Any, expected: str = "a numpy array") -> np.ndarray:
    """`value` as an ndarray itself: a view of the memory of a subclass (a memmap, one of the caller's own).

    np.matrix and masked arrays are refused: they mean something else by their entries than kernels would.
    """
    if value.__class__ is np.ndarray:
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: got {_kind(value)}, expected {expected}")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: got a masked array, expected {expected} without a mask")
    if isinstance(value, np.matrix):
        raise TypeError(f"{name}: got np.matrix, expected {expected} (np.asarray makes one of it)")
    return value.view(np.ndarray)


def float_type(name: str, value: Any, error: type[Exception] = TypeError) -> np.dtype:
    """float32 or float64, from whatever NumPy takes for either; `error` is raised for another type."""
    try:
        kind = np.dtype(value)
    except Exception:
        raise TypeError(f"{name}: got {shown(value)}, expected float32 or float64") from None
    if value is None or kind not in FLOATS:
        raise error(f"{name}: got {shown(value) if value is None else kind}, expected float32 or float64")
    return kind


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
    value = plain_array(name, value)
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


def out_array(name: str, value: Any, shape: tuple[int | None, ...] | None, dtype: np.dtype | None = None) -> np.ndarray:
    """An array that is written in place, so it cannot be replaced by a copy: contiguous, writable, native.

    `dtype` is the expected type; default: either float type.
    """
    if is_plain(value, dtype, shape, True):
        return value
    value = plain_array(name, value, "a numpy array to write into")
    if value.dtype not in (FLOATS if dtype is None else (dtype,)) or not value.dtype.isnative:
        raise TypeError(f"{name}: got dtype {value.dtype}, expected native {dtype or 'float32 or float64'}")
    if shape is not None:
        check_shape(name, value, shape)
    if not value.flags.writeable:
        raise ValueError(f"{name}: got a read-only array, expected one that can be written")
    if not (value.flags.c_contiguous and value.flags.aligned):
        raise ValueError(f"{name}: got strides {value.strides}, expected a C-contiguous, aligned array")
    return value


def index_array(
    name: str, value: Any, upper: int, shape: tuple[int | None, ...] | None = None, why: str = ""
) -> np.ndarray:
    """Integers in [0, upper) as a C-contiguous int64 array; `why` ends the message, as of :func:`lengths_array`."""
    if is_index(value, upper) and (shape is None or _fits(value.shape, shape)):
        return value
    value = plain_array(name, value, "a numpy array of integers")
    if value.dtype.kind not in "iu":
        raise TypeError(f"{name}: got dtype {value.dtype}, expected integers")
    if shape is not None:
        check_shape(name, value, shape)
    if value.size:
        low, high = int(value.min()), int(value.max())
        if low < 0 or high >= upper:
            wanted = f"0 to {upper - 1}" if upper > 0 else "none, since there is nothing to choose from"
            raise ValueError(f"{name}: got values from {low} to {high}, expected {wanted}{why}")
    return np.require(value, np.int64, ["C", "ALIGNED"])


def _fits(shape: tuple[int, ...], wanted: Sequence[int | None]) -> bool:
    if shape == wanted:
        return True
    if len(shape) != len(wanted):
        return False
    for got, want in zip(shape, wanted, strict=True):  # noqa: SIM110  (a generator takes longer)
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


def check_places(places: Mapping[str, np.ndarray], read: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays to write into that share memory with each other or with what is read meanwhile."""
    check_apart(**places)
    for label, place in places.items():
        for name, array in read.items():
            check_apart(**{label: place, name: array})


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
    plain = value.__class__ is float or (value.__class__ is int and -_LARGEST <= value <= _LARGEST)
    if plain and (low < value < high or (value == low and not open_low) or (value == high and not open_high)):
        return float(value)  # the rule: the rest is for other types, and refuses
    result = _as_float(name, value)
    above = result > low if open_low else result >= low
    below = result < high if open_high else result <= high
    if not (above and below):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise ValueError(f"{name}: got {shown(value)}, expected a number in {left}{low:g}, {high:g}{right}")
    return result


_NO_NUMBERS = (bool, np.bool_, str, bytes, bytearray, complex, np.complexfloating, np.datetime64, np.timedelta64)


def _as_float(name: str, value: Any) -> float:
    if not (
        isinstance(value, _NO_NUMBERS)
        or (isinstance(value, np.ndarray) and (value.ndim or value.dtype.kind not in "iuf"))
    ):
        try:
            whole = hasattr(value, "__index__") and not isinstance(value, np.ndarray)  # arrays of floats have it, too
            return float(operator.index(value)) if whole else float(value)
        except OverflowError:
            raise ValueError(f"{name}: got {shown(value)}, expected a number that a float can hold") from None
        except Exception:  # whatever somebody's own __float__ raises
            pass
    raise TypeError(f"{name}: got {shown(value)}, expected a number")


def plain_number(value: Any) -> Any:
    """A 0-d array as the number that it holds now, which may change later; anything else as it is."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def integer(name: str, value: Any, low: int = _INT64[0], high: int = _INT64[1]) -> int:
    """An integer in [low, high]; by default, one that int64 holds."""
    if value.__class__ is int and low <= value <= high:
        return value
    result = None
    if not isinstance(value, (bool, np.bool_)) and hasattr(value, "__index__"):
        try:
            result = operator.index(value)
        except Exception:  # an array of several, or whatever somebody's own __index__ raises
            result = None
    if result is None:
        raise TypeError(f"{name}: got {shown(value)}, expected an int")
    if not low <= result <= high:
        wanted = f"at least {low}" if high == _INT64[1] and result < low else f"from {low} to {high}"
        raise ValueError(f"{name}: got {shown(result)}, expected {wanted}")
    return result


def is_one_of(value: Any, allowed: Sequence[Any]) -> bool:
    """Whether it equals one of them; an array equals none, nor what does not compare to one answer."""
    try:
        return bool(value in allowed) and not isinstance(value, np.ndarray)
    except Exception:
        return False


def choice(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """One of the allowed values."""
    if not is_one_of(value, allowed):
        raise ValueError(f"{name}: got {shown(value)}, expected one of {', '.join(map(repr, allowed))}")
    return value


def members(name: str, value: Any, expected: str = "parameters or arrays") -> list[Any]:
    """What an iterable holds; a text or a single array is none."""
    if not isinstance(value, (str, bytes, np.ndarray)):
        try:
            return list(value)
        except TypeError:
            pass
    raise TypeError(f"{name}: got {shown(value)}, expected several {expected}")


def attribute(name: str, value: Any, which: str) -> Any:
    """What a parameter has under that name; anything that has it is a parameter."""
    if not hasattr(value, which):
        raise TypeError(f"{name}: got {shown(value)}, expected a parameter or arrays")
    return getattr(value, which)


def sampling(temperature: Any, top_k: Any, top_p: Any) -> tuple[float, int | None, float | None]:
    """How to draw from logits: a temperature, and what the choice is confined to."""
    return (
        number("temperature", temperature, 0.0),
        None if top_k is None else integer("top_k", top_k, 1),
        None if top_p is None else number("top_p", top_p, 0.0, 1.0, open_low=True),
    )


def real_values(name: str, value: Any, kinds: str = "fiu") -> np.ndarray:
    """`value`, an array or nested lists of real numbers, as an array; `kinds` lists the kinds of dtype allowed."""
    whole = value.__class__ not in (list, tuple)
    for k, one in enumerate((value,) if whole else value):
        if isinstance(one, (np.ma.MaskedArray, np.matrix)):  # np.asarray would drop the mask, or keep the two axes
            kind = "a masked array" if isinstance(one, np.ma.MaskedArray) else "a matrix"
            raise TypeError(f"{name if whole else f'{name}[{k}]'}: got {kind}, expected a plain array")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; a tensor that is not in this memory
        raise TypeError(f"{name}: got {_kind(value)}, expected an array of real numbers") from None
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


def data_array(
    name: str,
    value: Any,
    shape: tuple[int | None, ...] | None = None,
    dtype: Any = np.float32,
    *,
    missing: bool = False,
) -> np.ndarray:
    """Numbers to learn from, of anything NumPy makes an array of, and finite in `dtype`.

    A refusal gives the first place that is not. `missing` lets NaN pass, which stands for no number.
    """
    array = real_values(name, value, "fiub")
    if shape is not None:
        check_shape(name, array, shape)
    with np.errstate(over="ignore"):
        result = np.asarray(array, dtype, order="C")
    fits = np.isfinite(result)
    if missing:
        fits |= np.isnan(result)
    if not fits.all():
        place = tuple(int(i) for i in np.argwhere(~fits)[0])
        got = array[place].item()
        wanted = "finite numbers" + (", or NaN where one is missing" if missing else "")
        if np.isfinite(array[place]):
            wanted = f"at most {np.finfo(dtype).max:g}, the largest {np.dtype(dtype).name}"
        at = f"[{', '.join(map(str, place))}]" if place else ""
        raise ValueError(f"{name}{at}: got {got}, expected {wanted}")
    return result


def whole_array(name: str, value: Any, upper: int, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Integers in [0, upper), of anything NumPy makes an array of, as a C-contiguous int64 array."""
    if value.__class__ is not np.ndarray:
        value = real_values(name, value, "fiubO")
        if value.size == 0 and value.dtype.kind == "f":
            value = value.astype(np.int64)  # an empty list is of no type
    return index_array(name, value, upper, shape)


def parts(name: str, value: Any, *wanted: str) -> Sequence[Any]:
    """A tuple or list of as many parts as are wanted; each says what it is."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name}: got {type(value).__name__}, expected ({', '.join(wanted)})")
    if len(value) != len(wanted):
        raise ValueError(f"{name}: got {len(value)} parts, expected ({', '.join(wanted)})")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False; anything else would be taken for one of them in silence."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{name}: got {shown(value)}, expected True or False")


def text(name: str, value: Any) -> str:
    """A text that a file or a picture can hold: a lone surrogate stands for no character."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: got {shown(value)}, expected a str")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: got {shown(value)}, expected a text without lone surrogates") from None
    return value


def item(name: str, index: Any, items: list[Any]) -> Any:
    """What a list has at an index or in a slice."""
    if isinstance(index, slice):
        return items[index]
    at = integer(name, index)
    if not -len(items) <= at < len(items):
        raise IndexError(f"{name}: got {shown(at)}, expected from {-len(items)} to {len(items) - 1}")
    return items[at]


def entry(name: str, state: Any, key: str) -> Any:
    """What a state holds under that key."""
    if key not in mapping(name, state, "a state"):
        raise ValueError(f"{name}: got no {key!r}, expected it")
    return state[key]


def lengths_array(name: str, value: Any, longest: int, batch: int, least: int = 0, why: str = "") -> np.ndarray:
    """True lengths (batch,) of sequences, from `least` to `longest`, of an array or a list: a new int64 array.

    `why` ends the message, where `longest` is what another argument says.
    """
    lengths = whole_array(name, value, 2**63 - 1, (batch,))
    if batch and (lengths.min() < least or lengths.max() > longest):
        got = f"values from {lengths.min()} to {lengths.max()}"
        raise ValueError(f"{name}: got {got}, expected {least} to {longest}{why}")
    return lengths.copy()


def check_logits(name: str, logits: np.ndarray) -> np.ndarray:
    """Refuse rows to choose from in which nothing can be chosen: with NaN or infinity, or -inf alone."""
    best = logits.max(-1)
    good = np.isfinite(best)
    if not good.all():
        place = np.argwhere(~good)[0].tolist()
        row = logits[tuple(place)]
        got = "-inf alone" if best[tuple(place)] == -np.inf else f"{row[~np.isfinite(row) & (row != -np.inf)][0]}"
        at = f"[{', '.join(map(str, place))}]" if place else ""
        raise ValueError(f"{name}{at}: got {got}, expected finite numbers, or -inf for what is impossible")
    return logits


def iterated(name: str, value: Any, wanted: str, refused: tuple[type, ...] = (str, bytes)) -> Iterator[Any]:
    """An iterator over `value`; what could be iterated but is not meant is `refused`."""
    try:
        if not isinstance(value, refused):
            return iter(value)
    except TypeError:
        pass
    raise TypeError(f"{name}: got {type(value).__name__}, expected {wanted}")


def function(name: str, value: Any, what: str) -> Any:
    """Something that can be called; `what` says of what it is a function."""
    if not callable(value):
        raise TypeError(f"{name}: got {type(value).__name__}, expected {what}")
    return value


@contextlib.contextmanager
def written_as(**names: str) -> Iterator[None]:
    """Refusals inside that begin with one of these names begin with what the caller wrote in its place."""
    try:
        yield
    except (TypeError, ValueError) as error:
        found = re.match(r"(\w+)((?:\[[^\]]*\])*: .*)", str(error), re.DOTALL)
        if not found or found[1] not in names:
            raise
        raise type(error)(names[found[1]] + found[2]) from None
