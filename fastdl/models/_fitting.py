"""What the models share: ragged sequences as padded batches, their loss, and their training."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import dense, optim, random, training
from .._validate import check_logits, flag, integer, number, written_as

LARGEST = float(np.finfo(np.float64).max)
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
    buffers: Mapping[str, float] | None = None,
) -> training.History:
    """Fit a model to `count` examples by AdamW under a one-cycle schedule; it is left in evaluation mode.

    `buffers` of the model get their values just before. A run that fails leaves the model as it was.
    """
    epochs, progress = integer("epochs", epochs, 1), flag("progress", progress)
    learning_rate = number("learning_rate", learning_rate, 0.0, LARGEST, open_low=True)
    batches = Shuffled(count, batch_size, collate, model.rng)
    with written_as(lr="learning_rate"):
        optimizer = optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    with written_as(lr="learning_rate"), _unless_it_fails(model):
        for name, value in (buffers or {}).items():
            setattr(model, name, value)
        return training.fit(
            model,
            optimizer,
            batches,
            loss=loss,
            epochs=epochs,
            max_norm=1.0,
            schedule=optim.schedules.one_cycle(max(2, epochs * len(batches))),
            progress=progress,
        )


@contextlib.contextmanager
def _unless_it_fails(model: Any) -> Iterator[None]:
    """Training inside; an error puts the model back to where it was. Ctrl-C is none: what was learnt stays."""
    weights, draws = model.state_dict(), model.random_state()
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    except Exception:
        model.zero_grad()
        model.load_state_dict(weights)
        model.load_random_state(draws)
        model.eval()  # drops what is left of a step
        for module, mode in modes:
            module.training = mode
        raise
    except BaseException:
        model.eval()
        raise
    model.eval()


def smoothed(label_smoothing: Any) -> Callable[[np.ndarray, np.ndarray], tuple[Any, np.ndarray]]:
    """The loss of classifiers: cross-entropy with so much of a target's probability spread over all classes."""
    share = number("label_smoothing", label_smoothing, 0.0, 1.0, open_high=True)
    return functools.partial(dense.softmax_cross_entropy, label_smoothing=share)


def predicted(logits: np.ndarray, name: str) -> np.ndarray:
    """The likeliest class of every row of what the argument of that name led to."""
    try:
        return np.asarray(check_logits("logits", logits).argmax(-1))
    except ValueError as error:
        raise ValueError(f"{name}: the model's {error}") from None


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
