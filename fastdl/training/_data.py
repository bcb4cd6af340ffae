"""What comes out of batches: pairs, as arrays, how many targets they hold, and where they are not finite."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .._validate import number
from ..nn._pull import Pull

PARTS = "what goes into forward beside x, as lengths do, belongs to the inputs: ((x, lengths), y)"


def pair(batch: Any, name: str, number: int) -> tuple[Any, Any]:
    """(inputs, targets) of a batch, which is the `number`-th of `name`; tensors of other libraries become arrays.

    Raises
    ------
    TypeError, ValueError
        If it is no pair.
    """
    if batch.__class__ is tuple and len(batch) == 2:
        x, y = batch
        if x.__class__ is np.ndarray and y.__class__ in (np.ndarray, Targets):
            return batch  # the rule
    where = f"{name}: got {{}} as batch {number}, expected (inputs, targets)"
    if isinstance(batch, (np.ndarray, Mapping, str, bytes, set)) or not isinstance(batch, Iterable):
        what = f"an array of shape {batch.shape}" if isinstance(batch, np.ndarray) else type(batch).__name__
        raise TypeError(where.format(what))
    parts = list(batch)
    if len(parts) != 2:
        more = f"; {PARTS}" if len(parts) > 2 else ""
        raise ValueError(where.format(f"{len(parts)} parts") + more)
    return as_arrays(parts[0], name), as_arrays(parts[1], name)


def as_arrays(tree: Any, name: str) -> Any:
    """`tree` with the tensors of other libraries (torch, jax) as arrays; all else as it is."""
    if isinstance(tree, (np.ndarray, np.generic, Targets)):
        return tree
    if hasattr(tree, "__dlpack__") and hasattr(tree, "__array__"):
        try:
            return np.asarray(tree)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{name}: got a {type(tree).__name__} that is no array: {error}") from None
    if tree.__class__ in (list, tuple) and tree and not isinstance(tree[0], (int, float, str)):
        return tree.__class__(as_arrays(one, name) for one in tree)
    if tree.__class__ is dict:
        return {key: as_arrays(one, name) for key, one in tree.items()}
    return tree


class Targets(NamedTuple):
    """Targets and what a loss takes beside them: where sequences (T, B, ...) end, and how much each target counts."""

    values: np.ndarray
    options: dict[str, np.ndarray]  # "lengths" (B,), "weights"


def of_type(tree: Any, dtype: np.dtype) -> Any:
    """A tree with its arrays of floats in the model's type; the rest, and what is in it already, as it is."""
    if tree.__class__ is np.ndarray:
        return tree if tree.dtype is dtype or tree.dtype.kind != "f" else tree.astype(dtype, copy=False)
    if isinstance(tree, np.ndarray):
        return tree
    if tree.__class__ in (tuple, list):
        return tree.__class__(of_type(one, dtype) for one in tree)
    if tree.__class__ is dict:
        return {key: of_type(one, dtype) for key, one in tree.items()}
    if isinstance(tree, Targets):
        return Targets(of_type(tree.values, dtype), of_type(tree.options, dtype))
    return tree


def size(targets: Any) -> int:
    """Numbers in an array, or in all arrays of a tuple, list or dict of them; of ragged ones what is no padding."""
    if targets.__class__ is Targets:
        lengths = targets.options.get("lengths")
        return targets.values.size if lengths is None else int(lengths.sum()) * int(np.prod(targets.values.shape[2:]))
    if targets.__class__ is np.ndarray:
        return targets.size
    if isinstance(targets, Mapping):
        return sum(size(one) for one in targets.values())
    if isinstance(targets, (tuple, list)):
        return sum(size(one) for one in targets)
    return int(np.size(targets))


def counted(name: str, value: Any) -> float:
    """A count of targets: at least 0, an int where it is whole."""
    if value.__class__ is int and value >= 0:
        return value
    result = number(name, value.item() if isinstance(value, np.generic) else value, 0.0, float(2**53))
    return int(result) if result == int(result) else result


def scaled(gradient: Any, factor: float) -> Any:
    """An array times `factor` in its own type, or each of a tuple, list or dict of arrays; of a derived loss, too."""
    if isinstance(gradient, Pull):
        return gradient(factor)
    if isinstance(gradient, np.ndarray):
        return gradient * gradient.dtype.type(factor)
    if isinstance(gradient, (tuple, list)):
        parts = [scaled(one, factor) for one in gradient]
        return type(gradient)(parts) if type(gradient) in (tuple, list) else type(gradient)(*parts)
    if isinstance(gradient, Mapping):
        return {key: scaled(one, factor) for key, one in gradient.items()}
    return None if gradient is None else gradient * factor


def not_finite(name: str, tree: Any) -> str | None:
    """The first place that is NaN or infinite, as ``inputs[1][0, 3] is nan``; None where all is finite."""
    for path, array in _leaves(name, tree):
        if array.dtype.kind not in "fc":
            continue
        bad = ~np.isfinite(array)
        if bad.any():
            place = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), array.shape))
            return f"{path}{list(place) if place else ''} is {array[place]}"
    return None


def _leaves(path: str, tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, (np.ndarray, float, np.floating)):
        yield path, np.asarray(tree)
    elif isinstance(tree, Mapping):
        for key, one in tree.items():
            yield from _leaves(f"{path}[{key!r}]", one)
    elif isinstance(tree, (tuple, list)):
        for index, one in enumerate(tree):
            yield from _leaves(f"{path}[{index}]", one)
