"""How a metric is computed: what it keeps of a batch, how that adds up, and what comes of it."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .._validate import check_shape, real_values, same_names, shown, written_as
from ._inputs import Counts, pair_of_labels, predicted_classes

State = dict[str, np.ndarray]
Check = Callable[[str, Any], Any]
Settings = dict[str, tuple[Any, Check]]  # by name: default and check
Values = tuple[np.ndarray, np.ndarray | None]  # of each target, and its weight (None: 1)


def _as_they_are(outputs: Any, targets: Any) -> Any:
    return outputs


BY = " (by sample_weight, mask and lengths)"  # as messages say where all may have been left out
_TRUE = ("y_true", "reference")
_PREDICTED = ("y_pred", "y_proba", "y_score", "logits", "hypothesis", "y_lower", "y_upper")


@contextlib.contextmanager
def of_a_model() -> Iterator[None]:
    """Refusals inside name targets and outputs, which is what the caller of an update wrote."""
    try:
        with written_as(**dict.fromkeys(_TRUE, "targets"), **dict.fromkeys(_PREDICTED, "outputs")):
            yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):  # somebody's own, made of other arguments
            raise
        raise type(error)(re.sub(rf"\b({'|'.join(_TRUE)})\b", "targets", str(error))) from None


class Rule:
    """One definition, of which function and :class:`Metric` are made.

    A state is a dict of arrays. Of every state ``weight`` says how much counted.
    """

    target = "y_true"  # the argument with what is true
    kept: tuple[str, ...] = ("total", "weight")  # names of the state's arrays

    def __init__(self, settings: Settings, better: bool | None, read: Callable[[Any, Any], Any] = _as_they_are) -> None:
        self.settings, self.greater_is_better, self.read = settings, better, read

    def checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """All settings, of those given and the defaults."""
        for name in given:
            if name not in self.settings:
                wanted = ", ".join(self.settings) or "none"
                raise TypeError(f"{name}: got {shown(given[name])}, expected of this metric's options: {wanted}")
        return {name: check(name, given.get(name, default)) for name, (default, check) in self.settings.items()}

    def gather(self, y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> State:
        """What the metric keeps of predictions."""
        raise NotImplementedError

    def gather_outputs(self, outputs: Any, targets: Any, counts: Counts, options: dict[str, Any]) -> State:
        """What it keeps of a model's outputs."""
        with of_a_model():
            return self.gather(targets, self.read(outputs, targets), counts, options)

    def merged(self, state: State, other: State) -> State:
        """What it would have kept of both."""
        for name, value in state.items():
            if value.shape != other[name].shape:
                raise ValueError(f"targets: got {other[name].size} outputs, expected {value.size} as before")
        return {name: value + other[name] for name, value in state.items()}

    def finish(self, state: State, options: dict[str, Any]) -> Any:
        """The metric."""
        raise NotImplementedError

    def loaded(self, state: Mapping[str, Any]) -> State:
        """A state of what somebody kept: arrays of this rule's names, all of one shape."""
        same_names("state", state, self.kept)
        found = {name: real_values(f"state[{name!r}]", value, "fiuU") for name, value in state.items()}
        for name, value in found.items():
            check_shape(f"state[{name!r}]", value, found["weight"].shape)
            texts = value.dtype.kind == "U"
            if texts and name not in ("true", "predicted"):
                raise TypeError(f"state[{name!r}]: got texts, expected numbers")
            if not texts and not np.isfinite(value).all():
                raise ValueError(f"state[{name!r}]: got what is not finite, expected numbers")
        return {name: value.copy() for name, value in found.items()}

    def __call__(self, y_true: Any, y_pred: Any, counts: Counts, **given: Any) -> Any:
        """The metric of all predictions at once: what the function returns."""
        options = self.checked(given)
        state = self.gather(y_true, y_pred, counts, options)
        if not state["weight"].sum() > 0:
            raise ValueError(f"{self.target}: got nothing that counts{BY}, expected one or more")
        return self.finish(state, options)


class Mean(Rule):
    """The weighted mean of a value of each target; `each` gives the values (n,) or (n, outputs), with their weights."""

    def __init__(
        self,
        each: Callable[[Any, Any, Counts, dict[str, Any]], Values],
        settings: Settings,
        better: bool | None,
        finish: Callable[[np.ndarray, np.ndarray, dict[str, Any]], Any],
        read: Callable[[Any, Any], Any] = _as_they_are,
        of_outputs: Callable[[Any, Any, Counts, dict[str, Any]], Values] | None = None,
    ) -> None:
        super().__init__(settings, better, read)
        self.each, self.of_outputs, self._finish = each, of_outputs, finish

    def gather(self, y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> State:
        return _sums(*self.each(y_true, y_pred, counts, options))

    def gather_outputs(self, outputs: Any, targets: Any, counts: Counts, options: dict[str, Any]) -> State:
        if self.of_outputs is None:
            return super().gather_outputs(outputs, targets, counts, options)
        with of_a_model():
            return _sums(*self.of_outputs(targets, outputs, counts, options))

    def finish(self, state: State, options: dict[str, Any]) -> Any:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return self._finish(state["total"], state["weight"], options)


def _sums(values: np.ndarray, weight: np.ndarray | None) -> State:
    values = values.astype(np.float64, copy=False)
    if weight is None:
        weight = np.ones(values.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.where(weight > 0, values * weight, 0.0).sum(0)
    return {"total": np.asarray(total), "weight": np.asarray(weight.sum(0))}


def share(total: np.ndarray, weight: np.ndarray, options: dict[str, Any]) -> float:
    """The mean, or with ``normalize=False`` the sum."""
    return float(total / weight) if options.get("normalize", True) else float(total)


class Pairs(Rule):
    """Of the classes, how often each was taken for which: the pairs that occur, with their weights.

    Pairs instead of a table, since there may be a hundred thousand classes.
    """

    kept = ("true", "predicted", "weight")

    def __init__(self, settings: Settings, better: bool | None, finish: Callable[[State, dict[str, Any]], Any]) -> None:
        super().__init__(settings, better, predicted_classes)
        self._finish = finish

    def gather(self, y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> State:
        true, predicted, weight = pair_of_labels(y_true, y_pred, counts)
        return _grouped(true, predicted, np.ones(true.shape, np.int64) if weight is None else weight)

    def merged(self, state: State, other: State) -> State:
        return _grouped(*(np.concatenate([state[name], other[name]]) for name in ("true", "predicted", "weight")))

    def finish(self, state: State, options: dict[str, Any]) -> Any:
        return self._finish(state, options)


def _grouped(true: np.ndarray, predicted: np.ndarray, weight: np.ndarray) -> State:
    """Each pair once, with the weight of all its occurrences."""
    classes = np.unique(np.concatenate([true, predicted]))
    codes = np.searchsorted(classes, true) * len(classes) + np.searchsorted(classes, predicted)
    found, places = np.unique(codes, return_inverse=True)
    total = np.zeros(len(found), weight.dtype)
    np.add.at(total, places, weight)
    size = max(len(classes), 1)
    return {"true": classes[found // size], "predicted": classes[found % size], "weight": total}
