"""Errors of numbers: MSE, RMSE, MAE, MAPE, the pinball loss, R2, the average relative variance."""

from typing import Any

import numpy as np

from .._validate import data_array, flag, is_one_of, number, real_values, shown
from ._inputs import Counts, axes, numbers
from ._rules import BY, Mean, Rule, Settings, State, Values
from ._words import told

WAYS = ("uniform_average", "raw_values", "pooled")
_EPSILON = float(np.finfo(np.float64).eps)

# ---- several outputs


def multioutput(name: str, value: Any, others: tuple[str, ...] = WAYS) -> Any:
    """How outputs are averaged: a word, or weights of each."""
    if is_one_of(value, others):
        return value
    if isinstance(value, str) or value is None:
        raise ValueError(f"{name}: got {shown(value)}, expected one of {', '.join(map(repr, others))}, or weights")
    weights = data_array(name, value, (None,), np.float64)
    if not weights.size or weights.min() < 0 or weights.sum() == 0:
        raise ValueError(f"{name}: got {shown(value)}, expected weights of at least 0, not all 0")
    return weights


def averaged(scores: np.ndarray, counted: np.ndarray, way: Any) -> Any:
    """What is asked for of the score of each output, where those that nothing counted of are left out."""
    if isinstance(way, str) and way == "raw_values":
        return np.where(counted, scores, np.nan)
    if isinstance(way, str):
        return float(scores[counted].mean())
    if way.shape != scores.shape:
        raise ValueError(f"multioutput: got {way.size} weights, expected {scores.size} as there are outputs")
    whole = way[counted].sum()
    return float((scores[counted] * way[counted]).sum() / whole) if whole > 0 else float("nan")


def pooled(options: dict[str, Any]) -> bool:
    return isinstance(options["multioutput"], str) and options["multioutput"] == "pooled"


def mean_of(total: np.ndarray, weight: np.ndarray, options: dict[str, Any]) -> Any:
    """The average over outputs of their means."""
    return averaged(total / weight, weight > 0, options["multioutput"])


_WAY: Settings = {"multioutput": ("uniform_average", multioutput)}


def of_pairs(function: Any, finish: Any = mean_of, **settings: Any) -> Mean:
    """The mean of a function of the true and the predicted number."""

    def each(y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> Values:
        true, predicted, weight = numbers(y_true, y_pred, counts, pooled(options))
        with np.errstate(over="ignore", invalid="ignore"):
            return function(true, predicted), weight

    return Mean(each, settings | _WAY, False, finish)


def _pinball(y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> Values:
    alpha = np.asarray(options["alpha"])
    if not alpha.ndim:
        true, predicted, weight = numbers(y_true, y_pred, counts, pooled(options))
        return _slopes(true - predicted, alpha), weight
    whole = real_values("y_pred", y_pred, "fiub")
    shape = axes("y_true", y_true, "fiub").shape
    if whole.shape != (*shape, alpha.size):
        raise ValueError(f"y_pred: got shape {whole.shape}, expected {(*shape, alpha.size)} as of y_true and alpha")
    total: Any = 0.0
    for column, level in enumerate(alpha):
        true, predicted, weight = numbers(y_true, whole[..., column], counts, pooled(options))
        total = total + _slopes(true - predicted, level)
    return total / alpha.size, weight


def _slopes(apart: np.ndarray, alpha: Any) -> np.ndarray:
    return np.maximum(alpha * apart, (alpha - 1) * apart)


def _alpha(name: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple)) and not (isinstance(value, np.ndarray) and value.ndim):
        return number(name, value, 0.0, 1.0)
    levels = data_array(name, value, (None,), np.float64)
    if not levels.size or levels.min() < 0 or levels.max() > 1:
        raise ValueError(f"{name}: got {shown(value)}, expected one level or more, from 0 to 1")
    return levels


MEAN_SQUARED_ERROR = of_pairs(lambda true, predicted: (true - predicted) ** 2)
ROOT_MEAN_SQUARED_ERROR = of_pairs(
    lambda true, predicted: (true - predicted) ** 2,
    lambda total, weight, options: averaged(np.sqrt(total / weight), weight > 0, options["multioutput"]),
)
MEAN_ABSOLUTE_ERROR = of_pairs(lambda true, predicted: np.abs(true - predicted))
MEAN_ABSOLUTE_PERCENTAGE_ERROR = of_pairs(
    lambda true, predicted: np.abs(true - predicted) / np.maximum(np.abs(true), _EPSILON)
)
MEAN_PINBALL_LOSS = Mean(_pinball, {"alpha": (0.5, _alpha), **_WAY}, False, mean_of)

# ---- errors as a share of the variance


class Moments(Rule):
    """Squared errors and squared distances from the true mean, of each output; batches are joined as Chan's (1983)."""

    kept = ("weight", "mean", "spread", "error", "samples")

    def gather(self, y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> State:
        true, predicted, weight = numbers(y_true, y_pred, counts, pooled(options))
        weight = np.ones(true.shape) if weight is None else weight
        whole = weight.sum(0)
        # From a value that counts, so that the mean of values that are all the same is that value to the bit.
        start = np.take_along_axis(true, weight.argmax(0)[None], 0)[0] if len(true) else np.zeros(whole.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            apart = true - start
            mean = np.divide((weight * apart).sum(0), whole, out=np.zeros(whole.shape), where=whole > 0)
            spread, error = (weight * (apart - mean) ** 2).sum(0), (weight * (true - predicted) ** 2).sum(0)
        samples = (weight > 0).sum(0)
        return {"weight": whole, "mean": start + mean, "spread": spread, "error": error, "samples": samples}

    def merged(self, state: State, other: State) -> State:
        both = super().merged(state, other)
        part = np.divide(other["weight"], both["weight"], out=np.zeros(both["weight"].shape), where=both["weight"] > 0)
        apart = other["mean"] - state["mean"]
        with np.errstate(over="ignore", invalid="ignore"):
            between = apart**2 * state["weight"] * part
        return both | {"mean": state["mean"] + apart * part, "spread": both["spread"] + between}


class R2(Moments):
    """1 - error / spread."""

    def finish(self, state: State, options: dict[str, Any]) -> Any:
        counted = state["weight"] > 0
        if state["samples"][counted].min() < 2:
            raise ValueError(f"y_true: got one value that counts{BY}, expected two or more")
        error, spread, way = state["error"], state["spread"], options["multioutput"]
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = 1 - error / spread
        if options["force_finite"]:
            scores = np.where(spread > 0, scores, np.where(error > 0, 0.0, 1.0))
        if isinstance(way, str) and way == "variance_weighted":
            way = spread if spread[counted].sum() > 0 else np.ones(spread.shape)
        return averaged(scores, counted, way)


class RelativeVariance(Moments):
    """error / spread, or the mean squared error over a variance that is given."""

    def finish(self, state: State, options: dict[str, Any]) -> Any:
        counted, variance = state["weight"] > 0, options["variance"]
        if variance is not None and variance.shape not in ((), (1,), state["error"].shape):
            raise ValueError(f"variance: got {variance.size} of them, expected {state['error'].size} as of outputs")
        spread = state["spread"] if variance is None else variance * state["weight"]
        if not (spread[counted] > 0).all():
            raise ValueError("y_true: does not vary, expected values that do, or variance")
        with np.errstate(invalid="ignore", divide="ignore"):
            return averaged(state["error"] / spread, counted, options["multioutput"])


def _r2_multioutput(name: str, value: Any) -> Any:
    return multioutput(name, value, (*WAYS, "variance_weighted"))


def _variance(name: str, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    found = data_array(name, value, None, np.float64)
    if found.ndim > 1 or not found.size or found.min() <= 0:
        raise ValueError(f"{name}: got {shown(value)}, expected a number above 0, or one of each output")
    return found


R2_SCORE = R2({"multioutput": ("uniform_average", _r2_multioutput), "force_finite": (True, flag)}, True)
AVERAGE_RELATIVE_VARIANCE = RelativeVariance({"variance": (None, _variance), **_WAY}, False)

# ---- the functions


@told
def mean_squared_error(
    y_true: Any, y_pred: Any, *, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean of squared errors (docs/metrics.md 8.9).

    Parameters
    ----------
    {numbers}
    {multioutput}
    {counts}

    Returns
    -------
    {number}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.mean_squared_error([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    return MEAN_SQUARED_ERROR(y_true, y_pred, Counts(sample_weight, mask, lengths), multioutput=multioutput)


@told
def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The root of the mean of squared errors, RMSE (docs/metrics.md 8.9).

    Parameters
    ----------
    {numbers}
    {multioutput}
    {counts}

    Returns
    -------
    {number}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.root_mean_squared_error([1.0, 2.0, 3.0], [1.0, 2.0, 9.0], mask=[True, True, False])
    0.0
    >>> fd.metrics.root_mean_squared_error([[0.0, 0.0]], [[1.0, 2.0]], multioutput="raw_values")
    array([1., 2.])
    """
    return ROOT_MEAN_SQUARED_ERROR(y_true, y_pred, Counts(sample_weight, mask, lengths), multioutput=multioutput)


@told
def mean_absolute_error(
    y_true: Any, y_pred: Any, *, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean of the errors' sizes, MAE (docs/metrics.md 8.10).

    Parameters
    ----------
    {numbers}
    {multioutput}
    {counts}

    Returns
    -------
    {number}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.mean_absolute_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return MEAN_ABSOLUTE_ERROR(y_true, y_pred, Counts(sample_weight, mask, lengths), multioutput=multioutput)


@told
def mean_absolute_percentage_error(
    y_true: Any, y_pred: Any, *, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean of the errors' sizes as shares of the true values', MAPE (docs/metrics.md 8.11).

    Parameters
    ----------
    {numbers}
    {multioutput}
    {counts}

    Returns
    -------
    {number}
        A share: 0.1 is 10 %.

    Raises
    ------
    {raises}

    Notes
    -----
    A true value of 0 is taken for 2.2e-16, as in scikit-learn: such data has no MAPE worth reading.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.mean_absolute_percentage_error([1.0, 4.0], [1.5, 3.0])
    0.375
    """
    return MEAN_ABSOLUTE_PERCENTAGE_ERROR(y_true, y_pred, Counts(sample_weight, mask, lengths), multioutput=multioutput)


@told
def mean_pinball_loss(
    y_true: Any, y_pred: Any, *, alpha: Any = 0.5, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean of what forecasts of a quantile cost (docs/metrics.md 8.14).

    Parameters
    ----------
    {numbers}
        Of several levels (..., levels), one axis more.
    alpha : float or sequence of float, default 0.5
        The quantile's level, from 0 to 1; of several the mean is given.
    {multioutput}
    {counts}

    Returns
    -------
    {number}

    Raises
    ------
    {raises}

    See Also
    --------
    fastdl.quantile_loss : the same, with its gradient.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.mean_pinball_loss([1.0, 2.0], [0.0, 3.0], alpha=0.75)
    0.5
    >>> fd.metrics.mean_pinball_loss([2.0], [[1.0, 1.0]], alpha=[0.25, 0.75])
    0.5
    """
    counts = Counts(sample_weight, mask, lengths)
    return MEAN_PINBALL_LOSS(y_true, y_pred, counts, alpha=alpha, multioutput=multioutput)


@told
def r2_score(
    y_true: Any, y_pred: Any, *, multioutput: Any = "uniform_average", force_finite: bool = True,
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The share of the variance that is predicted, R2 (docs/metrics.md 8.16).

    Parameters
    ----------
    {numbers}
    {multioutput}
        "variance_weighted" weighs each by its variance.
    force_finite : bool, default True
        Whether values that do not vary give 1 where all are predicted and 0 otherwise, instead of NaN and -inf.
    {counts}

    Returns
    -------
    {number}

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    counts = Counts(sample_weight, mask, lengths)
    return R2_SCORE(y_true, y_pred, counts, multioutput=multioutput, force_finite=force_finite)


@told
def average_relative_variance(
    y_true: Any, y_pred: Any, *, variance: Any = None, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean squared error over the variance of the true values, ARV (docs/metrics.md 8.17).

    Parameters
    ----------
    {numbers}
    variance : float or array_like (outputs,), optional
        What to divide by: of the whole series, say. Default the variance of `y_true`.
    {multioutput}
    {counts}

    Returns
    -------
    {number}
        1 for forecasts of the mean.

    Raises
    ------
    {raises}

    References
    ----------
    A. Weigend, B. Huberman and D. Rumelhart, "Predicting the future: a connectionist approach", 1990.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.average_relative_variance([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    >>> fd.metrics.average_relative_variance([1.0, 2.0, 3.0], [1.0, 2.0, 1.0], variance=2.0)
    0.6666666666666666
    """
    counts = Counts(sample_weight, mask, lengths)
    return AVERAGE_RELATIVE_VARIANCE(y_true, y_pred, counts, variance=variance, multioutput=multioutput)
