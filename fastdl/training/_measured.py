"""What a batch gives: its loss, gradient and count; and the mean over batches."""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np

from .._validate import written_as
from ..dense import LossValue
from ..metrics import get
from ..nn._modes import evaluating
from ..nn._value_and_grad import differentiated
from ._batches import Batch
from ._data import Targets, counted, not_finite, of_type, pair, size
from ._interruption import Interruption

Loss = Callable[[Any, Any], tuple[float, Any]]
Count = Callable[[Any], float]


class Measuring(Protocol):
    """The run for which something is measured."""

    epoch: int
    warned: bool  # that a batch had no targets


def of_batch(name: str, number: int, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a model or a loss makes of a batch; where it refuses, the message says which of `name` it was."""
    try:
        return function(*arguments, **options)
    except (TypeError, ValueError) as error:
        reraise(name, number, error)


def reraise(name: str, number: int, error: Exception) -> NoReturn:
    """Raise what a model or a loss refused, with the batch that it refused."""
    if type(error) not in (TypeError, ValueError):  # somebody's own, made of other arguments
        raise error
    raise type(error)(f"{name}: in batch {number}, {error}") from error


def measured(result: Any, count: Count | None, y: Any) -> tuple[float, Any, float, bool]:
    """Loss, its gradient, the targets that count, and whether the loss is a sum over them, of what a loss gave.

    Raises
    ------
    TypeError, ValueError
        If it or the count is not what it has to be.
    """
    if count is None and result.__class__ is tuple and len(result) == 2:
        value, gradient = result  # the rule, and what most losses of one's own return
        if value.__class__ is LossValue:
            return float(value), gradient, counted("loss.count", value.count), value.reduction == "sum"
        if value.__class__ is float:
            return value, gradient, size(y), False
    if not isinstance(result, (tuple, list)):
        raise TypeError(
            f"loss: got {type(result).__name__}, expected a number, or (value, gradient with respect to the outputs)"
        )
    if len(result) != 2:
        raise ValueError(f"loss: got {len(result)} values, expected two, (value, gradient with respect to the outputs)")
    value, gradient = result
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"loss: got a value of type {type(value).__name__}, expected a number")
    if np.ndim(value) != 0:
        raise ValueError(f"loss: got values of shape {np.shape(value)}, expected one number, a mean over the targets")
    if count is not None:
        number = counted("count(targets)", count(y))
    else:
        own = getattr(value, "count", None)
        number = size(y) if own is None else counted("loss.count", own)
    summed = getattr(value, "reduction", "mean") == "sum"
    try:
        return float(value), gradient, number, summed
    except (TypeError, ValueError):
        raise TypeError(f"loss: got a value of type {type(value).__name__}, expected a number") from None


class Differentiated:
    """A loss as a run calls it: of one that gives a number alone the gradient is derived (fd.nn.value_and_grad)."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self._derived: Callable[..., tuple[Any, Any]] | None = None
        self._counts = False  # whether the number says how many targets it stands for, which a derived one does not

    def __call__(self, outputs: Any, targets: Any) -> Any:
        plain: Any = None
        if self._derived is None or self._counts:
            plain = called(self.loss, outputs, targets)
            if plain.__class__ is tuple or not is_number(plain):
                return plain
            self._counts = isinstance(plain, LossValue)
            self._derived = self._derived or differentiated("loss", self.loss)
        value, gradient = called(self._derived, outputs, targets)
        return (plain if self._counts else float(value)), gradient


def called(loss: Callable[..., Any], outputs: Any, targets: Any) -> Any:
    """What a loss gives; lengths and weights go to it by name."""
    return loss(outputs, targets.values, **targets.options) if targets.__class__ is Targets else loss(outputs, targets)


def is_number(result: Any) -> bool:
    """Whether a loss gave a value without a gradient."""
    return isinstance(result, (float, np.floating)) or (isinstance(result, np.ndarray) and result.shape == ())


SUMS = ("loss", "penalty", "targets", "norm", "steps")  # over an epoch so far


def checked_metrics(metrics: Any) -> list[Any]:
    """Metrics of a run, each of its own: names, functions or metrics."""
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        got = repr(metrics) if isinstance(metrics, str) else type(metrics).__name__
        raise TypeError(f"metrics: got {got}, expected a list of names or functions")
    found = []
    for place, one in enumerate(metrics):
        with written_as(metric=f"metrics[{place}]"):
            found.append(copy.deepcopy(get(one)))
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise ValueError(f"metrics: got {max(names, key=names.count)!r} twice, expected each once")
    return found


def is_better_greater(monitor: str | None, metrics: Sequence[Any]) -> bool:
    """Whether the larger value of what is monitored is the better one."""
    name = (monitor or "").removeprefix("validation_")
    return any(one.name == name and bool(one.greater_is_better) for one in metrics)


def update(metric: Any, output: Any, targets: Any) -> None:
    """Take a batch into a metric; what stands past ragged sequences' ends does not count."""
    if targets.__class__ is Targets:
        names = {"weights": "sample_weight"}
        metric.update(output, targets.values, **{names.get(name, name): one for name, one in targets.options.items()})
    else:
        metric.update(output, targets)


def warn_empty(name: str, place: int) -> None:
    warnings.warn(f"{name}: no target of batch {place + 1} counts: such batches add nothing", stacklevel=2)


def reason_of(model: Any, output: Any) -> str:
    bad = next((name for name, one in model.named_parameters() if not np.isfinite(one.data).all()), None)
    if bad is not None:
        return f"the parameter {bad} is not finite"
    if output is not None and (found := not_finite("outputs", output)):
        return f"inputs and targets are finite, but {found}"
    return "inputs, targets and outputs are finite" if output is not None else "inputs and targets are finite"


def mean_loss(
    model: Any,
    batches: Iterable[Batch],
    loss: Loss,
    carry_state: bool,
    count: Count | None = None,
    name: str = "batches",
    run: Measuring | None = None,
    interruption: Interruption | None = None,
    metrics: Sequence[Any] = (),
) -> float:
    """Mean loss over all targets that count, in evaluation mode; the model's modes are restored.

    For a `run`, one that is not finite is an error; otherwise it is what was measured.
    """
    targets: float = 0
    dtype = model.parameters().dtype
    total, state, warned = 0.0, None, run is not None and run.warned
    with evaluating(model):
        for place, batch in enumerate(batches):
            x, y = of_type(pair(batch, name, place + 1), dtype)
            if carry_state:
                output, state = of_batch(name, place + 1, model.forward, x, state, return_state=True)
            else:
                output = of_batch(name, place + 1, model.forward, x)
            result = of_batch(name, place + 1, called, loss, output, y)
            if is_number(result):
                result = (result if isinstance(result, LossValue) else float(result)), None
            value, _, number, summed = measured(result, count, y)
            if number == 0:
                if not warned:
                    warned = True
                    warn_empty(name, place)
                continue
            if run is not None and not math.isfinite(value):
                found = not_finite("inputs", x) or not_finite("targets", y)
                reason = f"{found}, in batch {place + 1}" if found else reason_of(model, output)
                raise FloatingPointError(f"the {name} loss became {value} in epoch {run.epoch + 1}: {reason}")
            for metric in metrics:
                of_batch(name, place + 1, update, metric, output, y)
            total += value if summed else value * number
            targets += number
            if interruption is not None and interruption.signum is not None:
                return math.nan
    if run is not None:
        run.warned = warned
    if targets == 0:
        raise ValueError(f"{name}: gave no targets that count, expected some")
    return total / targets
