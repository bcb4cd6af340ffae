"""What the models share: ragged sequences as padded batches, their loss, and their training."""

import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np

from .. import dense, optim, random, training
from .._validate import check_logits, flag, integer, number, parts, written_as
from ..nn._modes import evaluating
from ..training._checks import checked_average
from ..training._data import Targets
from ..training._examples import _class_weights, _looked_up, _sample_weights
from ._options import ExampleOptions, Form, check_names, check_schedule, shown_as, without
from ._ready import Ready, checksum, start_anew, values_of

LARGEST = float(np.finfo(np.float64).max)
IGNORED = -1  # the target of padding: it counts nothing in the loss


class Prepared(NamedTuple):
    """Examples that were checked, as a model is trained on them."""

    total: int
    collate: Callable[[np.ndarray], tuple[Any, np.ndarray]]  # indices to (inputs, targets)
    axis: int = 0  # of the targets, along which the examples are
    classes: Any = None  # all targets, where class_weight can weigh them


Prepare = Callable[..., Prepared]
Loss = Callable[..., tuple[Any, np.ndarray]]


class Batches:
    """Batches of examples: in a new random order each epoch, drawn from `rng`, or in their own where that is None."""

    def __init__(self, examples: Prepared, batch_size: int, rng: random.Generator | None) -> None:
        self.total, self.collate, self.rng = examples.total, examples.collate, rng
        self.batch_size = integer("batch_size", batch_size, 1)

    def __len__(self) -> int:
        return -(-self.total // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of `epoch` from number `start` on."""
        order = np.arange(self.total)
        if self.rng is not None:
            order = self.rng.stream(f"epoch {epoch}").permutation(self.total)
        for first in range(start * self.batch_size, self.total, self.batch_size):
            yield self.collate(order[first : first + self.batch_size])

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint compares, so that a resumed run has the same data."""
        batches = (self.collate(chosen) for chosen in in_batches(np.arange(self.total)))
        crc = checksum(array for batch in batches for array in _arrays(batch))
        return {"examples": self.total, "crc32": crc, "batch_size": self.batch_size}


def _arrays(tree: Any) -> Iterator[np.ndarray]:
    if isinstance(tree, np.ndarray):
        yield tree
    else:
        for one in tree.values() if isinstance(tree, dict) else tree:
            yield from _arrays(one)


def weighed(examples: Prepared, sample_weight: Any, class_weight: Any) -> Prepared:
    """The examples with how much each target counts beside the targets."""
    own = _sample_weights(sample_weight, examples.total)
    by_class = _class_weights(class_weight, examples.classes)
    if own is None and by_class is None:
        return examples

    def collate(chosen: np.ndarray) -> Any:
        x, y = examples.collate(chosen)
        weights = np.ones(y.shape) if by_class is None else _looked_up(by_class, y)
        if own is not None:
            shape = [1] * y.ndim
            shape[examples.axis] = len(chosen)
            weights *= own[chosen].reshape(shape)
        return x, Targets(y, {"weights": weights})

    return examples._replace(collate=collate)


def held_out(validation: Any, prepare: Prepare, batch_size: int) -> Batches | None:
    """Held-out data, given as the training data are and prepared by the same function."""
    if validation is None:
        return None
    names = list(inspect.signature(prepare).parameters)
    if len(names) == 1:
        given, places = [validation], {names[0]: "validation"}
    else:
        given = list(parts("validation", validation, *names))
        places = {name: f"validation[{place}]" for place, name in enumerate(names)}
    with written_as(**places):
        return Batches(prepare(*given), batch_size, None)


def train(
    model: Ready,
    loss: Loss,
    data: Sequence[Any],
    prepare: Prepare,
    *,
    validation: Any,
    batch_size: int,
    options: Mapping[str, Any],
    form: Form | None = None,
    allowed: type = ExampleOptions,
    **settings: Any,
) -> training.History:
    """Fit a model to the examples that `prepare` makes of `data`, by :func:`run`.

    `options` are those of `allowed`, a TypedDict; metrics see a batch in that `form`.
    """
    check_names(options, allowed)
    given = dict(options)
    examples = weighed(prepare(*data), given.pop("sample_weight", None), given.pop("class_weight", None))
    given["metrics"] = shown_as(form, given.get("metrics", ()))
    batches = Batches(examples, batch_size, model.rng)
    return run(model, loss, batches, held_out(validation, prepare, batch_size), options=given, **settings)


def run(
    model: Ready,
    loss: Loss,
    batches: Any,
    held: Any,
    *,
    warm_start: bool,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    progress: bool,
    options: Mapping[str, Any],
    buffers: Mapping[str, float] | None = None,
) -> training.History:
    """Train a model by AdamW, anew unless it is a warm start; it is left in evaluation mode.

    `options` go to training.fit. `buffers` of the model get their values just before. A run that is refused or fails
    leaves the model as it was.
    """
    warm_start, given = flag("warm_start", warm_start), {"max_norm": 1.0, **options}
    epochs, progress = integer("epochs", epochs, 1), flag("progress", progress)
    learning_rate = number("learning_rate", learning_rate, 0.0, LARGEST, open_low=True)
    if "schedule" not in given:
        given["schedule"] = optim.schedules.one_cycle(max(2, epochs * _steps(batches, given.get("accumulate", 1))))
    check_schedule(given["schedule"])
    average = checked_average(given.get("average"), model)
    with written_as(lr="learning_rate"), _unless_it_fails(model, average):
        optimizer = optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
        if not (warm_start or given.get("resume") is True):  # a checkpoint has all values
            start_anew(model, average)
        for name, value in (buffers or {}).items():
            setattr(model, name, value)
        return training.fit(
            model, optimizer, batches, loss=loss, epochs=epochs, validation=held, progress=progress, **given
        )


def _steps(batches: Sized, accumulate: Any) -> int:
    """Optimizer steps in an epoch."""
    return -(-len(batches) // integer("accumulate", accumulate, 1))


@contextlib.contextmanager
def _unless_it_fails(model: Ready, average: Any) -> Iterator[None]:
    """Training inside; an error puts the model back to where it was. Ctrl-C is none: what was learnt stays."""
    weights, draws = model.state_dict(), model.random_state()
    mean = copy.deepcopy(average.state_dict()) if hasattr(average, "state_dict") else None
    modes = [(module, module.training) for module in model.modules()]
    frozen = [(one, one.frozen) for _, one in model.named_parameters()]
    try:
        yield
    except Exception:
        model.zero_grad()
        model.load_state_dict(weights)
        model.load_random_state(draws)
        model.eval()  # drops what is left of a step
        for module, mode in modes:
            module.training = mode
        for one, was in frozen:
            one.frozen = was
        if mean is not None:
            average.load_state_dict(mean)
        raise
    except BaseException:
        model._fitted = values_of(model)
        model.eval()
        raise
    model._fitted = values_of(model)
    model.eval()


# Of sequences side by side: the loss, and what metrics see, of the targets that are no padding.
loss_of_tokens = functools.partial(dense.softmax_cross_entropy, ignore_index=IGNORED)
real_tokens = without(IGNORED)


def smoothed(label_smoothing: Any) -> Loss:
    """The loss of classifiers: cross-entropy with so much of a target's probability spread over all classes."""
    share = number("label_smoothing", label_smoothing, 0.0, 1.0, open_high=True)
    return functools.partial(dense.softmax_cross_entropy, label_smoothing=share)


def checked(logits: np.ndarray, name: str) -> np.ndarray:
    """Logits of what the argument of that name led to, from which something can be chosen."""
    try:
        return check_logits("logits", logits)
    except ValueError as error:
        raise ValueError(f"{name}: the model's {error}") from None


def predicted(logits: np.ndarray, name: str) -> np.ndarray:
    """The likeliest class of every row."""
    return np.asarray(checked(logits, name).argmax(-1))


def probable(logits: np.ndarray, name: str) -> np.ndarray:
    """The probability of every class, in float32."""
    return np.asarray(dense.softmax(checked(logits, name)), np.float32)


def in_turn(
    model: Ready, examples: Any, inputs: Callable[[Any], Any], read: Callable[..., Any], name: str
) -> list[Any]:
    """What `read` makes of the model's outputs, some of the examples at a time, in evaluation mode."""
    with evaluating(model):
        return [read(model.forward(inputs(some)), name) for some in in_batches(examples)]


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
