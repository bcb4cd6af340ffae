"""Batches that are changed at random before a model sees them."""

from collections.abc import Callable, Iterator
from typing import Any

from .. import random
from .._validate import integer
from ._batches import Batch, iterate
from ._data import Targets
from ._examples import is_pair

Change = Callable[[Any, Any, random.Generator], Batch]


class Augmented:
    """Batches that are changed at random, anew in every epoch: noise, shifts, hidden words.

    Parameters
    ----------
    batches : Examples, ArrayBatches, other batches with ``iterate(epoch, start)``, or list of (inputs, targets)
        What is changed.
    change : callable
        ``change(inputs, targets, rng) -> (inputs, targets)`` of a batch; `rng` is a
        :class:`fastdl.random.Generator`, which depends on `seed`, the epoch and the batch's number alone. It gives
        new arrays and leaves those it gets as they are. Lengths and weights of targets are not given to it and stay.
    seed : int, default 0
        Seed of the changes.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Notes
    -----
    A resumed run sees the changes that it would have seen, since nothing goes on from batch to batch. Held-out data are
    given to :func:`fit` as they are.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> def noisy(x, y, rng):
    ...     return x + rng.normal(0, 0.1, x.shape), y
    >>> data = fd.training.Examples(np.zeros((4, 2), np.float32), np.arange(4), batch_size=2)
    >>> batches = fd.training.Augmented(data, noisy, seed=1)
    >>> [x.any(1).tolist() for x, y in batches], len(batches)
    ([[True, True], [True, True]], 2)
    """

    def __init__(self, batches: Any, change: Change, seed: int = 0) -> None:
        if is_pair(batches):
            raise TypeError("batches: got a pair (x, y), expected batches: fastdl.training.Examples makes them of it")
        if not hasattr(batches, "iterate") and not isinstance(batches, (list, tuple)):
            raise TypeError(
                f"batches: got {type(batches).__name__}, expected batches with iterate(epoch, start), as Examples, or "
                "a list of (inputs, targets)"
            )
        if not callable(change):
            raise TypeError(
                f"change: got {type(change).__name__}, expected a function of (inputs, targets, rng) that gives a pair"
            )
        self.batches, self.change, self.seed = batches, change, integer("seed", seed, 0)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[Batch]:
        """The changed batches of an epoch, from a number on.

        Parameters
        ----------
        epoch : int
            Which epoch's order and changes, from 0.
        start : int
            Number of the first batch, from 0.

        Yields
        ------
        (inputs, targets) : tuple
            What `change` gave.

        Raises
        ------
        TypeError, ValueError
            If a number is no integer, or below 0, or `change` gives no pair.
        """
        epoch, start = integer("epoch", epoch, 0), integer("start", start, 0)
        source = random.Generator(self.seed).stream(f"epoch {epoch}")
        for number, (x, y) in enumerate(iterate(self.batches, epoch, start), start):
            weighed = y.__class__ is Targets  # with lengths or weights for the loss, which stay
            changed = self.change(x, y.values if weighed else y, source.stream(f"batch {number}"))
            if not isinstance(changed, (tuple, list)) or len(changed) != 2:
                raise TypeError(f"change: gave {type(changed).__name__}, expected a pair (inputs, targets)")
            yield changed[0], Targets(changed[1], y.options) if weighed else changed[1]

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint compares, so that a resumed run has the same data.

        Returns
        -------
        dict
            That of the batches, and the seed of the changes.
        """
        return {**(self.batches.fingerprint() if hasattr(self.batches, "fingerprint") else {}), "changes": self.seed}

    def __repr__(self) -> str:
        name = getattr(self.change, "__name__", type(self.change).__name__)
        return f"Augmented({self.batches!r}, {name}, seed={self.seed})"
