"""Arrays and lists of examples as batches: what :func:`fit` makes of a pair (x, y)."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import random
from .._validate import choice, flag, integer, mapping, number, plain_array, real_values, shown, written_as
from ._batches import Batch
from ._data import Targets, as_arrays


class Examples:
    """Batches of examples, in a new random order each epoch.

    Parameters
    ----------
    x : array_like (N, ...), list of N sequences, or tuple or dict of arrays (N, ...)
        Inputs, the examples first. A list of arrays (T, ...) of different lengths goes to the model as
        (padded, lengths), padded to (B, T, ...), or to (T, B, ...) with `time_first`.
    y : array_like (N, ...), list of N sequences, or tuple or dict of arrays (N, ...)
        Targets, the examples first. Of sequences as long as those of `x`, what is past their ends does not count.
    batch_size : int, default 32
        Examples a batch. The last batch of an epoch may be smaller.
    shuffle : bool, default True
        Whether each epoch has an order of its own, drawn from `seed` and the epoch's number.
    seed : int, default 0
        Seed of the orders.
    sample_weight : array_like (N,), optional
        How much each example counts; at least 0. The loss gets it as ``weights=``.
    class_weight : mapping of int to float, or "balanced", optional
        How much each class counts, for targets of integers; "balanced" is N / (classes * examples of the class),
        counted over all targets. Classes that are not in the mapping count 1.
    time_first : bool, default False
        Whether inputs (N, T, ...) are turned to (T, B, ...), as recurrent layers read them: arrays of floats with three
        axes or more, and of integers with two. Targets (N, T, ...) of as many steps are turned with them.

    Raises
    ------
    TypeError, ValueError
        If something is no array or list of them, there are no examples, or `x` and `y` have different numbers of them.

    Notes
    -----
    :func:`fit` takes the pair itself and turns it for models that read time first. An iterable of batches is taken as
    it is, :class:`ArrayBatches` too.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> data = fd.training.Examples(np.zeros((5, 7, 3)), np.zeros((5, 7), int), batch_size=2, time_first=True)
    >>> data
    Examples(5, batch_size=2, x (5, 7, 3) turned to (7, B, 3), y (5, 7) turned to (7, B))
    >>> [(x.shape, y.shape) for x, y in data]
    [((7, 2, 3), (7, 2)), ((7, 2, 3), (7, 2)), ((7, 1, 3), (7, 1))]
    """

    def __init__(
        self, x: Any, y: Any, batch_size: int = 32, *, shuffle: bool = True, seed: int = 0, time_first: bool = False,
        sample_weight: Any = None, class_weight: Any = None,
    ) -> None:  # fmt: skip
        self.x, self.y = examples_of("x", x), examples_of("y", y)
        counts = {len(one) for one in _leaves(self.x)} | {len(one) for one in _leaves(self.y)}
        if len(counts) != 1:
            got = len(next(_leaves(self.y)))
            raise ValueError(f"y: got {got} examples, expected {len(next(_leaves(self.x)))}, as many as of x")
        self.count = counts.pop()
        self.batch_size, self.shuffle = integer("batch_size", batch_size, 1), flag("shuffle", shuffle)
        self.seed, self.time_first = integer("seed", seed, 0), flag("time_first", time_first)
        self._ragged_y = isinstance(self.x, list) and isinstance(self.y, list)
        if self._ragged_y:
            wrong = next((k for k, (a, b) in enumerate(zip(self.x, self.y, strict=True)) if len(a) != len(b)), None)
            if wrong is not None:
                raise ValueError(
                    f"y[{wrong}]: got {len(self.y[wrong])} steps, expected {len(self.x[wrong])}, as x[{wrong}]"
                )
        elif isinstance(self.y, list):
            raise TypeError(
                "y: got sequences of different lengths, expected one target for each example, or x as lists too"
            )

        self._weights = _sample_weights(sample_weight, self.count)
        self._classes = _class_weights(class_weight, self.y)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch, from a number on: so a resumed run goes on in the middle.

        Parameters
        ----------
        epoch : int
            Which epoch's order, from 0.
        start : int
            Number of the first batch, from 0.

        Yields
        ------
        (x, y) : tuple
            Inputs and targets of `batch_size` examples; the last may have fewer.

        Raises
        ------
        TypeError, ValueError
            If a number is no integer, or below 0.
        """
        epoch, start = integer("epoch", epoch, 0), integer("start", start, 0)
        order = np.arange(self.count)
        if self.shuffle:
            order = random.Generator(self.seed).stream(f"epoch {epoch}").permutation(self.count)
        for first in range(start * self.batch_size, self.count, self.batch_size):
            chosen = order[first : first + self.batch_size]
            yield self._inputs(chosen), self._targets(chosen)

    def _inputs(self, chosen: np.ndarray) -> Any:
        """Inputs of some examples, laid out for the model: an array, or a tuple or dict of them."""
        return self._of(self.x, chosen, self.steps)

    @property
    def steps(self) -> int | None:
        """T of inputs that are turned; None where none is."""
        if not self.time_first or isinstance(self.x, list):
            return None
        found = {one.shape[1] for one in _leaves(self.x) if _in_time(one)}
        return found.pop() if len(found) == 1 else None

    def _targets(self, chosen: np.ndarray) -> Any:
        options = {}
        if self._ragged_y:
            values, lengths = self._padded(self.y, chosen)
            if self.time_first:
                options["lengths"] = lengths
            else:  # losses take lengths of (T, B, ...)
                options["weights"] = (np.arange(values.shape[1]) < lengths[:, None]).astype(np.float64)
        else:
            values = self._of(self.y, chosen, self.steps, targets=True)
        if self._weights is not None or self._classes is not None:
            options["weights"] = self._counting(values, chosen, options.get("weights"))
        return Targets(values, options) if options else values

    def _counting(self, values: Any, chosen: np.ndarray, real: np.ndarray | None) -> np.ndarray:
        """How much each target counts, of the targets' shape; what is past the end of a sequence has 0 in `real`."""
        if not isinstance(values, np.ndarray):
            raise TypeError("sample_weight: got weights for targets of several arrays, expected those of one array")
        own = np.ones(values.shape) if self._classes is None else _looked_up(self._classes, values)
        if self._weights is not None:  # the examples are on the second axis of what was turned
            turned = self.time_first if self._ragged_y else self._is_turned(self.y, self.steps, True)
            axes = own.ndim - 1 - turned
            own = own * self._weights[chosen].reshape((1,) * turned + (-1,) + (1,) * axes)
        return own if real is None else own * real.reshape(real.shape + (1,) * (own.ndim - 2))

    def _of(self, tree: Any, chosen: np.ndarray, steps: int | None, targets: bool = False) -> Any:
        if isinstance(tree, list):
            return self._padded(tree, chosen)
        return _mapped(tree, lambda one: self._turned(one, one[chosen], steps, targets))

    def _padded(self, sequences: list[np.ndarray], chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, lengths = padded([sequences[k] for k in chosen])
        return values if self.time_first else np.ascontiguousarray(values.swapaxes(0, 1)), lengths

    @staticmethod
    def _is_turned(whole: np.ndarray, steps: int | None, targets: bool) -> bool:
        return steps is not None and whole.ndim > 1 and whole.shape[1] == steps and (targets or _in_time(whole))

    def _turned(self, whole: np.ndarray, part: np.ndarray, steps: int | None, targets: bool) -> np.ndarray:
        turn = self._is_turned(whole, steps, targets)
        return np.ascontiguousarray(part.swapaxes(0, 1)) if turn else part

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint compares, so that a resumed run has the same data.

        Returns
        -------
        dict
            The kind, shapes, a checksum of the values, and the settings.
        """
        checksum = 0
        for tree in (self.x, self.y):
            for one in tree if isinstance(tree, list) else _leaves(tree):
                checksum = zlib.crc32(np.ascontiguousarray(one).reshape(-1).view(np.uint8).data, checksum)
        return {
            "kind": "Examples", "shapes": f"{_shapes(self.x)} {_shapes(self.y)}", "crc32": checksum,
            "batch_size": self.batch_size, "shuffle": self.shuffle, "seed": self.seed, "time_first": self.time_first,
            "weights": 0 if self._weights is None else zlib.crc32(self._weights.tobytes()),
            "classes": str(self._classes),
        }  # fmt: skip

    def __repr__(self) -> str:
        shown = [f"{name} {self._described(tree, name == 'y')}" for name, tree in (("x", self.x), ("y", self.y))]
        return f"Examples({self.count}, batch_size={self.batch_size}, {', '.join(shown)})"

    def _described(self, tree: Any, targets: bool) -> str:
        if isinstance(tree, list):
            lengths = sorted(len(one) for one in tree)
            axes = "T, B" if self.time_first else "B, T"
            return f"sequences of {lengths[0]} to {lengths[-1]} steps, padded to ({axes}{_rest(tree[0], 1)})"

        def one(array: np.ndarray) -> str:
            if self._turned(array, array[:0], self.steps, targets).shape == array[:0].shape:
                return f"{array.shape}"
            return f"{array.shape} turned to ({array.shape[1]}, B{_rest(array, 2)})"

        return str(_mapped(tree, one)) if not isinstance(tree, np.ndarray) else one(tree)


def padded(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences side by side, (T, B, ...), zeros past their ends; and their lengths."""
    lengths = np.array([len(one) for one in arrays], np.int64)
    batch = np.zeros((int(lengths.max(initial=0)), len(arrays), *arrays[0].shape[1:]), arrays[0].dtype)
    for place, one in enumerate(arrays):
        batch[: len(one), place] = one
    return batch, lengths


def examples_of(name: str, data: Any) -> Any:
    """Arrays of examples, or a list of sequences, checked; one array of nested lists of numbers."""
    data = as_arrays(data, name)
    if isinstance(data, tuple) and not hasattr(data, "_fields"):
        return tuple(examples_of(f"{name}[{place}]", one) for place, one in enumerate(data))
    if isinstance(data, Mapping):
        return {key: examples_of(f"{name}[{key!r}]", one) for key, one in data.items()}
    if isinstance(data, list) and data and _array(f"{name}[0]", data[0]).ndim > 0:
        return _sequences(name, data)
    array = plain_array(name, _array(name, data))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: got dtype {array.dtype}, expected numbers")
    if array.ndim == 0 or array.shape[0] == 0:
        raise ValueError(f"{name}: got shape {array.shape}, expected at least one example")
    return array


def _array(name: str, data: Any) -> np.ndarray:
    if isinstance(data, np.ndarray):
        return data
    try:
        return np.asarray(data)
    except (TypeError, ValueError, RuntimeError):  # ragged within
        raise TypeError(f"{name}: got {type(data).__name__} that is no array, expected real numbers") from None


def _sequences(name: str, data: list[Any]) -> Any:
    """A list of arrays: one array where all have one shape, otherwise sequences of different lengths."""
    arrays: list[np.ndarray] = []
    for place, one in enumerate(data):
        where = f"{name}[{place}]"
        array = plain_array(where, _array(where, one) if isinstance(one, (list, tuple)) else one)
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            raise TypeError(f"{where}: got {array.dtype} of shape {array.shape}, expected a sequence of numbers")
        if array.shape[1:] != arrays[0].shape[1:] if arrays else False:
            raise ValueError(f"{where}: got shape {array.shape}, expected (T{_rest(arrays[0], 1)})")
        arrays.append(array)
    if len({one.dtype for one in arrays}) > 1:
        kind = np.result_type(*arrays)
        arrays = [one.astype(kind) for one in arrays]
    return np.stack(arrays) if len({len(one) for one in arrays}) == 1 else arrays


def _in_time(array: np.ndarray) -> bool:
    """Whether examples of such an array are sequences: vectors or more of floats by step, or integers."""
    return array.ndim > 2 if array.dtype.kind == "f" else array.ndim > 1


def _rest(array: np.ndarray, axes: int) -> str:
    return "".join(f", {size}" for size in array.shape[axes:])


def _mapped(tree: Any, function: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(tree, tuple):
        return tuple(_mapped(one, function) for one in tree)
    if isinstance(tree, dict):
        return {key: _mapped(one, function) for key, one in tree.items()}
    return function(tree)


def _leaves(tree: Any) -> Iterator[Any]:
    """The arrays; a list of sequences is one."""
    if isinstance(tree, tuple):
        for one in tree:
            yield from _leaves(one)
    elif isinstance(tree, dict):
        for one in tree.values():
            yield from _leaves(one)
    else:
        yield tree


def _shapes(tree: Any) -> str:
    return str([one.shape for one in tree] if isinstance(tree, list) else _mapped(tree, lambda one: one.shape))


def _sample_weights(given: Any, count: int) -> np.ndarray | None:
    if given is None:
        return None
    weights = real_values("sample_weight", given).astype(np.float64)
    if weights.shape != (count,):
        raise ValueError(f"sample_weight: got shape {weights.shape}, expected ({count},), one for each example")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight: got a weight that is negative or not finite, expected at least 0")
    return weights


def _class_weights(given: Any, targets: Any) -> dict[int, float] | None:
    if given is None:
        return None
    whole = np.concatenate(targets) if isinstance(targets, list) else targets
    if not isinstance(whole, np.ndarray) or whole.dtype.kind not in "iub":
        raise TypeError("class_weight: got weights of classes, expected None, since the targets are no integers")
    if given is not None and isinstance(given, str):
        choice("class_weight", given, ("balanced",))
        classes, counts = np.unique(whole, return_counts=True)
        return {int(one): whole.size / (classes.size * int(n)) for one, n in zip(classes, counts, strict=True)}
    pairs = mapping("class_weight", given, "classes to weights").items()
    weights = {integer("class_weight", key): number(f"class_weight[{key!r}]", value, 0.0) for key, value in pairs}
    for one in weights:
        if not (whole == one).any():
            raise ValueError(f"class_weight: got class {one}, expected some of {shown(np.unique(whole).tolist())}")
    return weights


def _looked_up(weights: dict[int, float], classes: np.ndarray) -> np.ndarray:
    """The weight of each target."""
    found = np.ones(classes.shape)
    for one, weight in weights.items():
        found[classes == one] = weight
    return found


def reads_time_first(model: Any, x: Any) -> bool:
    """Whether a model has layers that read (T, B, ...), and none that is set to read (B, T, ...).

    A model without either gets arrays as they are, and sequences of different lengths as (T, B, ...), of which lengths
    are told.
    """
    found = [one.batch_first for one in model.modules() if isinstance(getattr(one, "batch_first", None), bool)]
    if found:
        return not any(found)
    return isinstance(x, list) and len({len(one) if hasattr(one, "__len__") else 0 for one in x}) > 1


def from_pair(name: str, batches: Any, model: Any, **given: Any) -> Any:
    """A pair (x, y) as batches for a model, by options of :class:`Examples`; what gives batches by itself as it is."""
    if not is_pair(batches):
        for option, one in given.items():
            if one is not None:
                kind = type(batches).__name__
                raise ValueError(
                    f"{option}: got {shown(one)}, expected None, since {name} ({kind}) makes its own batches"
                )
        return batches
    with written_as(x=f"{name}[0]", y=f"{name}[1]"):
        chosen = {option: one for option, one in given.items() if one is not None}
        return Examples(*batches, time_first=reads_time_first(model, batches[0]), **chosen)


def is_pair(batches: Any) -> bool:
    """Whether something is (x, y), arrays or lists of examples, and not a tuple of two batches."""
    if batches.__class__ is not tuple or len(batches) != 2:
        return False
    x, y = batches
    if isinstance(y, (tuple, dict)):
        return isinstance(x, dict) or (isinstance(x, (list, np.ndarray)) and isinstance(y, dict))
    return isinstance(y, list) or hasattr(y, "__array__")


def held_out(name: str, batches: Any, model: Any, batch_size: int | None) -> Any:
    """A pair (x, y) as batches in the order of the examples."""
    return from_pair(name, batches, model, batch_size=batch_size, shuffle=False) if is_pair(batches) else batches
