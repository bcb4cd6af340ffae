"""A metric over batches, and the names under which metrics are found."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._validate import integer, mapping, number, shown
from . import _classes, _edits, _errors, _forecasts, _scores
from ._inputs import Counts, axes
from ._rules import Rule, State, of_a_model

_POOLED = {"multioutput": "pooled"}
NAMES: dict[str, tuple[Rule, dict[str, Any]]] = {
    "accuracy": (_classes.ACCURACY, {}),
    "balanced_accuracy": (_classes.BALANCED_ACCURACY, {}),
    "f1": (_classes.F1, {}),
    "f1_macro": (_classes.F1, {"average": "macro"}),
    "f1_micro": (_classes.F1, {"average": "micro"}),
    "f1_weighted": (_classes.F1, {"average": "weighted"}),
    "confusion_matrix": (_classes.CONFUSION_MATRIX, {}),
    "log_loss": (_scores.LOG_LOSS, {}),
    "top_k_accuracy": (_scores.TOP_K_ACCURACY, {}),
    "bits_per_character": (_scores.BITS_PER_CHARACTER, {}),
    "perplexity": (_scores.PERPLEXITY, {}),
    "mse": (_errors.MEAN_SQUARED_ERROR, _POOLED),
    "rmse": (_errors.ROOT_MEAN_SQUARED_ERROR, _POOLED),
    "mae": (_errors.MEAN_ABSOLUTE_ERROR, _POOLED),
    "mape": (_errors.MEAN_ABSOLUTE_PERCENTAGE_ERROR, _POOLED),
    "smape": (_forecasts.SYMMETRIC_MEAN_ABSOLUTE_PERCENTAGE_ERROR, _POOLED),
    "mase": (_forecasts.MEAN_ABSOLUTE_SCALED_ERROR, _POOLED),
    "pinball": (_errors.MEAN_PINBALL_LOSS, _POOLED),
    "coverage": (_forecasts.INTERVAL_COVERAGE, _POOLED),
    "r2": (_errors.R2_SCORE, _POOLED),
    "arv": (_errors.AVERAGE_RELATIVE_VARIANCE, _POOLED),
    "edit_distance": (_edits.EDIT_DISTANCE, {}),
    "wer": (_edits.WORD_ERROR_RATE, {}),
    "cer": (_edits.CHARACTER_ERROR_RATE, {}),
}
FUNCTIONS: dict[Any, str] = {
    _classes.accuracy_score: "accuracy",
    _classes.balanced_accuracy_score: "balanced_accuracy",
    _classes.f1_score: "f1",
    _classes.confusion_matrix: "confusion_matrix",
    _scores.log_loss: "log_loss",
    _scores.top_k_accuracy_score: "top_k_accuracy",
    _scores.bits_per_character: "bits_per_character",
    _scores.perplexity: "perplexity",
    _errors.mean_squared_error: "mse",
    _errors.root_mean_squared_error: "rmse",
    _errors.mean_absolute_error: "mae",
    _errors.mean_absolute_percentage_error: "mape",
    _forecasts.symmetric_mean_absolute_percentage_error: "smape",
    _forecasts.mean_absolute_scaled_error: "mase",
    _errors.mean_pinball_loss: "pinball",
    _forecasts.interval_coverage: "coverage",
    _errors.r2_score: "r2",
    _errors.average_relative_variance: "arv",
    _edits.edit_distance: "edit_distance",
    _edits.word_error_rate: "wer",
    _edits.character_error_rate: "cer",
}


class _Own(Rule):
    """A function of one's own of (outputs, targets), whose values are weighted by the targets of their batches."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__({}, None)
        self.function = function

    def gather_outputs(self, outputs: Any, targets: Any, counts: Counts, options: dict[str, Any]) -> State:
        for name, given in counts._asdict().items():
            if given is not None:
                raise ValueError(f"{name}: got {shown(given)}, expected None for a function of one's own")
        value = self.function(outputs, targets)
        if isinstance(value, tuple) and len(value) == 2:
            value = value[0]  # a loss gives its gradient too
        said = f"{getattr(self.function, '__name__', 'metric')}(outputs, targets)"
        found = number(said, value)
        own = getattr(value, "count", None)  # of what fastdl's losses give
        weight = float(np.size(targets)) if own is None else number(f"{said}.count", own, 0.0)
        summed = getattr(value, "reduction", "mean") == "sum"
        return {"total": np.asarray(found if summed else found * weight), "weight": np.asarray(weight)}

    def finish(self, state: State, options: dict[str, Any]) -> float:
        return float(state["total"] / state["weight"])


class Metric:
    """A metric of a model's outputs, batch after batch: what comes of all is that of the whole at once.

    Parameters
    ----------
    metric : str or callable
        A name of docs/metrics.md, such as "accuracy"; one of this module's functions; or a function of one's own of
        (outputs, targets) that gives a number, the mean over the targets. Of a loss that gives (value, gradient) too,
        the value counts.
    ignore_index : int, optional
        Targets equal to it do not count, as for :func:`fastdl.softmax_cross_entropy`. Default none.
    **options
        What the function of that name takes by keyword, such as ``average`` or ``k``. Default as there, but that
        ``multioutput`` is "pooled".

    Attributes
    ----------
    name : str
        As in a history: the name given, or the function's.
    greater_is_better : bool or None
        Whether the larger is the better one; None where nobody can say.
    options : dict
        All options, checked.

    Raises
    ------
    TypeError, ValueError
        If there is no such metric or option, or an option is bad.

    See Also
    --------
    get : a metric of a name, a function or a metric.

    Notes
    -----
    It holds sums and no data, as docs/metrics.md says (8.20). Copies, pickles and ``state_dict`` keep what it has seen.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> metric = fd.metrics.Metric("accuracy")
    >>> metric.update(np.array([[2.0, -1.0], [0.5, 1.0]]), np.array([0, 0]))
    >>> metric.update(np.array([[0.0, 3.0]]), np.array([1]))
    >>> metric
    Metric('accuracy': 0.666667, of 3)
    """

    def __init__(self, metric: Any, *, ignore_index: int | None = None, **options: Any) -> None:
        key = FUNCTIONS.get(metric, metric) if callable(metric) else metric
        if isinstance(key, str):
            if key not in NAMES:
                raise ValueError(f"metric: got {shown(key)}, expected one of {', '.join(NAMES)}, or a function")
            defaults = NAMES[key][1]
        elif callable(key):
            defaults = {}
        else:
            raise TypeError(f"metric: got {shown(metric)}, expected a name or a function of (outputs, targets)")
        self._key = key
        self._state: State | None = None
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index)
        self.options = self._rule.checked({**defaults, **options})

    @property
    def _rule(self) -> Rule:
        return NAMES[self._key][0] if isinstance(self._key, str) else _Own(self._key)

    @property
    def name(self) -> str:
        """As in a history."""
        return self._key if isinstance(self._key, str) else getattr(self._key, "__name__", type(self._key).__name__)

    @property
    def greater_is_better(self) -> bool | None:
        """Whether the larger is the better one; None where nobody can say."""
        return self._rule.greater_is_better

    @property
    def count(self) -> float:
        """How much has counted: targets, or their weights; for error rates, symbols of the references."""
        return 0.0 if self._state is None else float(self._state["weight"].sum())

    def update(
        self, outputs: Any, targets: Any, *, sample_weight: Any = None, mask: Any = None, lengths: Any = None
    ) -> None:
        """Take a batch.

        Parameters
        ----------
        outputs : array_like
            What the model gives. For metrics of classes logits (..., C), logits of the second of two classes, of the
            targets' shape or (..., 1), or classes as integers. For metrics of numbers, predictions of the targets'
            shape; for "coverage" (lower, upper), or quantiles (..., Q) in rising order; for "wer" and "cer", texts.
        targets : array_like
            What is true.
        sample_weight : array_like, optional
            How much each target counts, of the targets' shape or its leading axes. Default all alike.
        mask : array_like of bool, optional
            True where a target counts, likewise. Default all.
        lengths : array_like of int (B,), optional
            True lengths of sequences in targets (T, B, ...). Default all T.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad; what was taken before stays.
        """
        if self.ignore_index is not None:
            counted = axes("targets", targets, "biuf") != self.ignore_index
            mask = counted if mask is None else counted & _like("mask", mask, counted)
        rule = self._rule
        state = rule.gather_outputs(outputs, targets, Counts(sample_weight, mask, lengths), self.options)
        self._state = state if self._state is None else rule.merged(self._state, state)

    def result(self) -> Any:
        """The metric of all batches.

        Returns
        -------
        float or ndarray
            As the function's.

        Raises
        ------
        ValueError
            If nothing has counted yet, or the function would refuse what was seen.
        """
        if self._state is None or not self.count > 0:
            raise ValueError(f"{self.name}: nothing has counted yet, expected an update with one target or more")
        with of_a_model():
            return self._rule.finish(self._state, self.options)

    def reset(self) -> None:
        """Forget all batches."""
        self._state = None

    def merge(self, other: "Metric") -> None:
        """Take what another one has seen, of another process for example.

        Parameters
        ----------
        other : Metric
            Of the same metric and options.

        Raises
        ------
        TypeError, ValueError
            If it is none, or another metric's.
        """
        if not isinstance(other, Metric):
            raise TypeError(f"other: got {shown(other)}, expected a Metric")
        if other._said() != self._said():
            raise ValueError(f"other: got {shown(other)}, expected one of {self.name} with the same options")
        if other._state is not None:
            self._state = other._state if self._state is None else self._rule.merged(self._state, other._state)

    def state_dict(self) -> dict[str, np.ndarray]:
        """What it has seen, as arrays.

        Returns
        -------
        dict of str to ndarray
            Empty before the first batch.
        """
        return {} if self._state is None else {name: np.array(value) for name, value in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what another one of the same metric had seen.

        Parameters
        ----------
        state : mapping of str to ndarray
            Of its :meth:`state_dict`.

        Raises
        ------
        TypeError, ValueError
            If it is none; what was there stays.
        """
        given = mapping("state", state, "arrays")
        self._state = self._rule.loaded(given) if given else None

    def _said(self) -> tuple[Any, ...]:
        values = {name: getattr(value, "tolist", lambda value=value: value)() for name, value in self.options.items()}
        return self._key, self.ignore_index, repr(values)

    def __repr__(self) -> str:
        if self._state is None:
            return f"Metric({self.name!r})"
        try:
            found = self.result()
        except ValueError as error:
            return f"Metric({self.name!r}: {error})"
        value = f"{found:.6g}" if isinstance(found, float) else f"shape {found.shape}"
        return f"Metric({self.name!r}: {value}, of {self.count:g})"


def _like(name: str, value: Any, like: np.ndarray) -> np.ndarray:
    """A mask of the leading axes of an array, for all of it."""
    keep, _ = Counts(mask=value).of(name, like.shape)
    assert keep is not None
    return keep


def get(metric: Any, **options: Any) -> Metric:
    """A metric of what people write: a name of docs/metrics.md, a function, or a metric.

    Parameters
    ----------
    metric : str, callable or Metric
        As for :class:`Metric`, which is given back as it is.
    **options
        As for :class:`Metric`; none for one that is made. Default as there.

    Returns
    -------
    Metric

    Raises
    ------
    TypeError, ValueError
        If there is no such metric or option, or an option is bad.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.get("accuracy"), fd.metrics.get(fd.metrics.r2_score)
    (Metric('accuracy'), Metric('r2'))
    >>> fd.metrics.get("top_k_accuracy", k=5).options["k"]
    5
    """
    if not isinstance(metric, Metric):
        return Metric(metric, **options)
    for name, value in options.items():
        raise TypeError(f"{name}: got {shown(value)}, expected no options for a metric that is made")
    return metric
