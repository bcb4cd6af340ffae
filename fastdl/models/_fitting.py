"""What the models share: ragged sequences as padded batches, and their training."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import optim, random, training
from .._validate import float_array, index_array, integer, number

IGNORED = -1  # the target of padding: it counts nothing in the loss


class Shuffled:
    """Batches of examples in a new random order each epoch, put together by `collate(indices)`."""

    def __init__(
        self, count: int, batch_size: int, collate: Callable[[np.ndarray], Any], rng: random.Generator
    ) -> None:
        self.count, self.batch_size = count, integer("batch_size", batch_size, 1)
        self.collate, self.rng = collate, rng

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of `epoch` from number `start` on."""
        order = self.rng.stream(f"epoch {epoch}").permutation(self.count)
        for first in range(start * self.batch_size, self.count, self.batch_size):
            yield self.collate(order[first : first + self.batch_size])


class _EveryStep(training.Callback):
    """Moves a schedule on after every step."""

    def __init__(self, scheduler: optim.Scheduler) -> None:
        self.scheduler = scheduler

    def on_step_end(self, run: training.Run) -> None:
        self.scheduler.step()


def train(
    model: Any,
    loss: Callable[[Any, Any], tuple[Any, np.ndarray]],
    count: int,
    collate: Callable[[np.ndarray], Any],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    progress: bool,
) -> training.History:
    """Fit a model to `count` examples by AdamW under a one-cycle schedule; it is left in evaluation mode."""
    epochs, learning_rate = integer("epochs", epochs, 1), number("learning_rate", learning_rate, 0.0, open_low=True)
    batches = Shuffled(count, batch_size, collate, model.rng)
    optimizer = optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    scheduler = optim.Scheduler(optimizer, optim.schedules.one_cycle(max(2, epochs * len(batches))))
    history = training.fit(
        model,
        optimizer,
        batches,
        loss=loss,
        epochs=epochs,
        max_norm=1.0,
        callbacks=[_EveryStep(scheduler)],
        progress=progress,
    )
    model.eval()
    return history


def class_array(name: str, value: Any, classes: int, count: int) -> np.ndarray:
    """Labels (N,), from anything NumPy makes an array of."""
    return index_array(name, np.asarray(value), classes, (count,))


def vector_sequences(name: str, values: Any, features: int) -> list[np.ndarray]:
    """Sequences of vectors as float32 arrays (T, features), with at least one step each."""
    arrays = [
        float_array(f"{name}[{i}]", np.asarray(one, np.float32), (None, features)) for i, one in enumerate(values)
    ]
    return _not_empty(name, arrays)


def token_sequences(name: str, values: Any, tokens: int) -> list[np.ndarray]:
    """Sequences of integers from 0 to tokens - 1 as int64 arrays (T,), with at least one step each."""
    return _not_empty(
        name, [index_array(f"{name}[{i}]", np.asarray(one), tokens, (None,)) for i, one in enumerate(values)]
    )


def _not_empty(name: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if not arrays or min(map(len, arrays)) == 0:
        raise ValueError(f"{name}: got {len(arrays)} sequences, expected one or more, of at least one step each")
    return arrays


def padded(arrays: Sequence[np.ndarray], fill: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """The sequences side by side, (T, B, ...), with `fill` past their ends; and their lengths."""
    lengths = np.array([len(array) for array in arrays], np.int64)
    batch = np.full((int(lengths.max()), len(arrays), *arrays[0].shape[1:]), fill, arrays[0].dtype)
    for b, array in enumerate(arrays):
        batch[: len(array), b] = array
    return batch, lengths


def in_batches(arrays: Any, size: int = 256) -> Iterator[Any]:
    """Pieces of at most `size`, so that prediction needs little memory."""
    for first in range(0, len(arrays), size):
        yield arrays[first : first + size]
