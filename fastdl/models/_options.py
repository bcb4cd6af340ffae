"""What every model's ``fit`` hands on to training.fit, by name; and what the metrics see of a model's outputs."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, TypedDict

import numpy as np

from .._validate import shown
from ..metrics import Metric
from ..training._measured import checked_metrics

Form = Callable[[Any, Any, Any], tuple[Any, Any, Any]]  # outputs, targets and weights to what a metric shall see


class FitOptions(TypedDict, total=False):
    """Options of :func:`fastdl.training.fit` that mean the same for every model (docs/models.md)."""

    metrics: Sequence[Any]
    monitor: str | None
    restore_best: bool
    callbacks: Sequence[Any]
    checkpoint: str | PathLike[str] | None
    checkpoint_every: int | None
    resume: bool
    metadata: Mapping[str, str] | None
    average: Any
    schedule: Any
    max_norm: float | None
    accumulate: int
    penalties: Sequence[Any]
    constraints: Sequence[Any]
    unit: str
    loss_format: Callable[[float], str]


class ExampleOptions(FitOptions, total=False):
    """And what models of examples take besides."""

    sample_weight: Any


class ClassOptions(ExampleOptions, total=False):
    """And what models of classes take besides."""

    class_weight: Any


OWN = ("epochs", "batch_size", "learning_rate", "weight_decay", "validation", "warm_start", "progress")
CHOSEN = ("loss", "optimizer", "count", "shuffle", "seed", "carry_state")  # of training.fit


def check_names(given: Mapping[str, Any], options: type) -> None:
    """Refuse what ``fit`` has no argument for, with its name; `options` are a TypedDict."""
    known = list(options.__annotations__)
    for name in given:
        if name not in known:
            if name in CHOSEN:
                raise TypeError(
                    f"{name}: got {shown(given[name])}, but the model chooses it itself: fastdl.training.fit takes it"
                )
            near = difflib.get_close_matches(name, [*OWN, *known], 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join([*OWN, *known])}"
            raise TypeError(f"{name}: got {shown(given[name])}, but the model's fit has no such argument; {hint}")


def check_schedule(schedule: Any) -> None:
    """Refuse a schedule over an optimizer, since the model makes its own."""
    if schedule is not None and (hasattr(schedule, "step") or isinstance(schedule, type) or not callable(schedule)):
        raise TypeError(
            f"schedule: got {shown(schedule)}, expected a function of the step, as fd.optim.schedules.cosine(n), or "
            "None, since the model makes its own optimizer"
        )


class Seen(Metric):
    """A metric that is shown a model's outputs and targets in a form of its own: without padding, say."""

    def __init__(self, metric: Metric, form: Form) -> None:
        self.__dict__.update(metric.__dict__)
        self.form = form

    def update(self, outputs: Any, targets: Any, *, sample_weight: Any = None, **counts: Any) -> None:
        """Take a batch as the model gives it."""
        outputs, targets, weights = self.form(outputs, targets, sample_weight)
        super().update(outputs, targets, sample_weight=weights, **counts)

    def result(self) -> Any:
        """The metric of all batches."""
        try:
            return super().result()
        except ValueError as error:
            raise ValueError(f"metrics: {self.name} of these data is none ({error})") from None


def shown_as(form: Form | None, metrics: Any) -> Any:
    """The metrics, each of which sees batches in that form; None is the model's own."""
    found = checked_metrics(metrics)
    return found if form is None else [Seen(one, form) for one in found]


def without(ignored: int) -> Form:
    """The targets that are not `ignored` and their outputs, in a row."""
    return _Counting(ignored)


class _Counting:
    def __init__(self, ignored: int) -> None:
        self.ignored = ignored

    def __call__(self, outputs: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
        keep = targets != self.ignored
        return outputs[keep], targets[keep], None if weights is None else weights[keep]


class Scaled:
    """Standardised values on the scale they had."""

    def __init__(self, mean: float, std: float) -> None:
        self.mean, self.std = mean, std

    def __call__(self, outputs: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
        back = [np.asarray(one, np.float64) * self.std + self.mean for one in (outputs, targets)]
        return back[0], back[1], weights
