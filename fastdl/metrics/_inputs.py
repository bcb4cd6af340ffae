"""What a metric takes: labels, numbers, scores, and which of them count how much."""

from typing import Any, NamedTuple

import numpy as np

from .._validate import check_shape, data_array, lengths_array, real_values, shown

_INT64 = 2.0**63


class Counts(NamedTuple):
    """Which values count, and how much, as the caller gave it."""

    sample_weight: Any = None
    mask: Any = None
    lengths: Any = None

    def of(self, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Of targets of that shape, called `name`: which count (None: all), and the weight of each (None: 1)."""
        keep, weight = None, None
        if self.mask is not None:
            given = real_values("mask", self.mask, "biuf")
            if given.dtype.kind != "b":
                raise TypeError(f"mask: got dtype {given.dtype}, expected bool")
            keep = _spread("mask", given, shape, name)
        if self.lengths is not None:
            if len(shape) < 2:
                raise ValueError(f"{name}: got shape {shape}, expected (T, B, ...), since lengths is given")
            real = np.arange(shape[0])[:, None] < lengths_array("lengths", self.lengths, shape[0], shape[1])
            real = _spread("lengths", real, shape, name)
            keep = real if keep is None else keep & real
        if self.sample_weight is not None:
            given = data_array("sample_weight", self.sample_weight, None, np.float64)
            if given.size and given.min() < 0:
                raise ValueError(f"sample_weight: got {given.min():g}, expected numbers of at least 0")
            weight = _spread("sample_weight", given, shape, name)
        return keep, weight


def _spread(name: str, value: np.ndarray, shape: tuple[int, ...], of: str) -> np.ndarray:
    """`value`, of the leading axes of a shape, for each of its elements."""
    if not value.ndim or value.shape != shape[: value.ndim]:
        raise ValueError(f"{name}: got shape {value.shape}, expected {shape} as of {of}, or its leading axes")
    return np.broadcast_to(value.reshape(value.shape + (1,) * (len(shape) - value.ndim)), shape)


def same_shape(name: str, value: np.ndarray, shape: tuple[int, ...], of: str = "y_true") -> None:
    """Refuse another shape than that of another argument."""
    if value.shape != shape:
        raise ValueError(f"{name}: got shape {value.shape}, expected {shape} as of {of}")


def flat(array: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """What counts of an array, on one axis."""
    return array.reshape(-1) if keep is None else array[keep]


def flat_weight(weight: np.ndarray | None, keep: np.ndarray | None) -> np.ndarray | None:
    return None if weight is None else flat(weight, keep)


# ---- labels


def axes(name: str, value: Any, kinds: str) -> np.ndarray:
    """An array of one axis or more."""
    array = real_values(name, value, kinds)
    if not array.ndim:
        raise ValueError(f"{name}: got {shown(value)}, expected one axis or more")
    return array


def labels(name: str, value: Any) -> np.ndarray:
    """Classes, as integers or texts; whole floats become integers only in :func:`checked_labels`."""
    array = axes(name, value, "biufUO")
    if array.dtype.kind == "O":
        if not all(isinstance(one, str) for one in array.flat):
            raise TypeError(f"{name}: got dtype object, expected integers or texts")
        return array.astype(str)
    if not array.size and array.dtype.kind == "f":
        return array.astype(np.int64)  # an empty list is of no type
    return array


def checked_labels(name: str, array: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """The labels that count, on one axis."""
    found = flat(array, keep)
    if array.dtype.kind == "U":
        return found
    good = np.ones(array.shape, bool)
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            good = (np.abs(array) < _INT64) & (array == np.trunc(array))
    elif array.dtype.kind == "u":
        good = array < np.uint64(2**63)
    if keep is not None:
        good |= ~keep
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{name}{list(place)}: got {array[place]}, expected a class, an integer or a text")
    return found.astype(np.int64)


def pair_of_labels(y_true: Any, y_pred: Any, counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """True and predicted classes that count, and their weights, on one axis each."""
    true, predicted = labels("y_true", y_true), labels("y_pred", y_pred)
    same_shape("y_pred", predicted, true.shape)
    keep, weight = counts.of("y_true", true.shape)
    true, predicted = checked_labels("y_true", true, keep), checked_labels("y_pred", predicted, keep)
    same_kind("y_pred", predicted, true)
    return true, predicted, flat_weight(weight, keep)


def same_kind(name: str, values: np.ndarray, like: np.ndarray) -> None:
    """Refuse texts beside integers."""
    if values.size and like.size and (values.dtype.kind == "U") != (like.dtype.kind == "U"):
        got, wanted = ("integers", "texts") if like.dtype.kind == "U" else ("texts", "integers")
        raise TypeError(f"{name}: got {got}, expected {wanted} like y_true")


def list_of_labels(name: str, value: Any) -> np.ndarray | None:
    """Classes, each once, in the order given; None for those that come."""
    if value is None:
        return None
    found = labels(name, value)
    check_shape(name, found, (None,))
    found = checked_labels(name, found, None)
    if not found.size or len(np.unique(found)) < len(found):
        raise ValueError(f"{name}: got {shown(value)}, expected one class or more, each once")
    return found


def predicted_classes(outputs: Any, targets: Any) -> Any:
    """The classes that a model's outputs are for: of logits (..., C) the largest, of logits alone 1 where above 0."""
    array = real_values("outputs", outputs, "biufUO")
    if array.dtype.kind != "f":
        return array
    shape = labels("targets", targets).shape
    if array.shape == (*shape, 1):
        array = array[..., 0]
    if array.shape == shape:
        return np.where(np.isnan(array), np.nan, array > 0)
    if array.ndim != len(shape) + 1 or array.shape[:-1] != shape or not array.shape[-1]:
        wanted = f"{(*shape, 'C')} as of the targets, or {shape} of two classes"
        raise ValueError(f"outputs: got shape {array.shape}, expected {wanted}")
    bad = np.isnan(array).any(-1)
    return np.where(bad, np.nan, array.argmax(-1))


# ---- numbers


def numbers(
    y_true: Any, y_pred: Any, counts: Counts, pooled: bool, name: str = "y_pred"
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Two arrays (n, outputs) in float64 and the weight of each element, 0 where it does not count.

    `name` is the argument that has what is predicted.
    """
    true = axes("y_true", y_true, "fiub")
    predicted = real_values(name, y_pred, "fiub")
    same_shape(name, predicted, true.shape)
    keep, weight = counts.of("y_true", true.shape)
    true, predicted = finite("y_true", true, keep), finite(name, predicted, keep)
    if keep is not None:
        weight = keep.astype(np.float64) if weight is None else np.where(keep, weight, 0.0)
    shape = (-1, 1) if pooled or true.ndim == 1 else (true.size // max(true.shape[-1], 1), true.shape[-1])
    return true.reshape(shape), predicted.reshape(shape), None if weight is None else weight.reshape(shape)


def finite(name: str, array: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """Numbers in float64, finite where they count and 0 elsewhere."""
    return data_array(name, array if keep is None else np.where(keep, array, 0), None, np.float64)
