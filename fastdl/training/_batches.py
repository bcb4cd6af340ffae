"""Where batches come from: minibatches of arrays, and how any iterable is read from a position on."""

import zlib
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any

import numpy as np

from .. import random
from .._validate import flag, integer, plain_array

Batch = tuple[Any, Any]


class ArrayBatches:
    """Minibatches of two arrays, in a new random order each epoch.

    Parameters
    ----------
    x, y : ndarray
        Inputs and targets; the first axis runs over the examples and has the same length in both.
    batch_size : int
        Examples a batch. The last batch of an epoch may be smaller.
    shuffle : bool, default True
        Whether each epoch has an order of its own, drawn from `seed` and the epoch's number.
    seed : int, default 0
        Seed of the orders.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not fit each other, or are empty.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    >>> batches = fd.training.ArrayBatches(x, y, batch_size=2, seed=1)
    >>> [targets.size for inputs, targets in batches]
    [2, 2, 1]
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int, *, shuffle: bool = True, seed: int = 0) -> None:
        for name, array in (("x", x), ("y", y)):
            plain_array(name, array)  # which refuses; the arrays themselves are kept, as a memmap may be large
            if array.ndim == 0 or array.shape[0] == 0:
                raise ValueError(f"{name}: got shape {array.shape}, expected at least one example")
        if x.shape[0] != y.shape[0]:
            raise ValueError(f"y: got {y.shape[0]} examples, expected {x.shape[0]}, as many as x has")
        self.x, self.y = x, y
        self.batch_size = integer("batch_size", batch_size, 1)
        self.shuffle = flag("shuffle", shuffle)
        self.seed = integer("seed", seed, 0)

    def __len__(self) -> int:
        return -(-self.x.shape[0] // self.batch_size)

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
        (x, y) : tuple of ndarray
            Inputs and targets of `batch_size` examples; the last may have fewer.

        Raises
        ------
        TypeError, ValueError
            If a number is no integer, or below 0.
        """
        count, epoch, start = self.x.shape[0], integer("epoch", epoch, 0), integer("start", start, 0)
        order = random.Generator(self.seed).stream(f"epoch {epoch}").permutation(count) if self.shuffle else None
        for first in range(start * self.batch_size, count, self.batch_size):
            chosen: Any = slice(first, first + self.batch_size)
            if order is not None:
                chosen = order[chosen]
            yield self.x[chosen], self.y[chosen]

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint compares, so that a resumed run has the same data.

        Returns
        -------
        dict
            The kind, shapes, a checksum of the values, and the settings.
        """
        return {
            "kind": "ArrayBatches",
            "shapes": f"{self.x.shape} {self.y.shape}",
            "crc32": zlib.crc32(_bytes(self.y), zlib.crc32(_bytes(self.x))),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
        }


def iterate(batches: Iterable[Batch], epoch: int, start: int) -> Iterator[Batch]:
    """Batches of `epoch` from number `start` on, for any iterable."""
    if hasattr(batches, "iterate"):
        return iter(batches.iterate(epoch, start))
    return islice(iter(batches), start, None)


def in_groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches; the last may be shorter."""
    if size == 1:
        for batch in batches:
            yield [batch]
        return
    while group := list(islice(batches, size)):
        yield group


def count(batches: Iterable[Batch]) -> int | None:
    """Batches in an epoch, where that is known."""
    return len(batches) if isinstance(batches, Sized) else None


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
