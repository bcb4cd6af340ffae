"""Metrics of forecasts: sMAPE, MASE, and how often intervals hold."""

from typing import Any

import numpy as np

from .._validate import data_array, integer, parts, real_values
from ._errors import averaged, mean_of, multioutput, of_pairs, pooled
from ._inputs import Counts, numbers
from ._rules import Mean, Values
from ._words import told


def _symmetric(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    whole = np.abs(true) + np.abs(predicted)
    return np.divide(2 * np.abs(true - predicted), whole, out=np.zeros(whole.shape), where=whole > 0)


# ---- MASE


def _series(name: str, value: Any) -> np.ndarray:
    if value is None:
        raise ValueError(f"{name}: got None, expected the series that was trained on")
    found = data_array(name, value, None, np.float64)
    if found.ndim not in (1, 2) or not found.size:
        raise ValueError(f"{name}: got shape {found.shape}, expected a series, (n,) or (n, outputs)")
    return found


def _period(name: str, value: Any) -> int:
    return integer(name, value, 1)


def _scaled(total: np.ndarray, weight: np.ndarray, options: dict[str, Any]) -> Any:
    return averaged(total / weight / _naive(options, total.size), weight > 0, options["multioutput"])


def _naive(options: dict[str, Any], outputs: int) -> np.ndarray:
    """The mean error, in the series trained on, of forecasting the value one period before."""
    series, period = options["y_train"], options["period"]
    if len(series) <= period:
        raise ValueError(f"y_train: got {len(series)} values, expected more than the period, {period}")
    apart = np.abs(series[period:] - series[:-period]).reshape(len(series) - period, -1)
    scale = apart.mean(keepdims=True)[0] if pooled(options) else apart.mean(0)
    if scale.size != outputs:
        raise ValueError(f"y_train: got {scale.size} series, expected {outputs} as of the targets")
    if not (scale > 0).all():
        raise ValueError("y_train: repeats itself, expected a series that moves")
    return scale


# ---- coverage


def _inside(y_true: Any, bounds: Any, counts: Counts, options: dict[str, Any]) -> Values:
    lower, upper = bounds
    true, low, weight = numbers(y_true, lower, counts, pooled(options), "y_lower")
    high = numbers(y_true, upper, counts, pooled(options), "y_upper")[1]
    crossed = low > high
    if crossed.any():
        got = f"{low[crossed][0]:g} above {high[crossed][0]:g}"
        raise ValueError(f"y_lower: got {got}, expected at most the upper end, y_upper")
    return (low <= true) & (true <= high), weight


def _inside_of_outputs(targets: Any, outputs: Any, counts: Counts, options: dict[str, Any]) -> Values:
    """Of a pair of arrays, or of quantiles (..., Q) the outermost."""
    if isinstance(outputs, (tuple, list)):
        bounds = parts("outputs", outputs, "lower", "upper")
    else:
        array = real_values("outputs", outputs, "fiub")
        shape = real_values("targets", targets, "fiub").shape
        if array.ndim != len(shape) + 1 or array.shape[-1] < 2:
            wanted = (*shape, "Q")
            raise ValueError(
                f"outputs: got shape {array.shape}, expected (lower, upper), or quantiles {wanted} as of the targets"
            )
        bounds = (array[..., 0], array[..., -1])
    return _inside(targets, bounds, counts, options)


_WAY: Any = {"multioutput": ("uniform_average", multioutput)}
SYMMETRIC_MEAN_ABSOLUTE_PERCENTAGE_ERROR = of_pairs(_symmetric)
MEAN_ABSOLUTE_SCALED_ERROR = of_pairs(
    lambda true, predicted: np.abs(true - predicted), _scaled, y_train=(None, _series), period=(1, _period)
)
INTERVAL_COVERAGE = Mean(_inside, _WAY, None, mean_of, of_outputs=_inside_of_outputs)

# ---- the functions


@told
def symmetric_mean_absolute_percentage_error(
    y_true: Any, y_pred: Any, *, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean of the errors' sizes as shares of the mean of both values' sizes, sMAPE (docs/metrics.md 8.12).

    Parameters
    ----------
    {numbers}
    {multioutput}
    {counts}

    Returns
    -------
    {number}
        A share, from 0 to 2; 100 times as much is the M4 competition's.

    Raises
    ------
    {raises}

    Notes
    -----
    Where both values are 0 the error is 0.

    References
    ----------
    S. Makridakis, E. Spiliotis and V. Assimakopoulos, "The M4 competition", 2020.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.symmetric_mean_absolute_percentage_error([1.0, 0.0], [3.0, 0.0])
    0.5
    """
    counts = Counts(sample_weight, mask, lengths)
    return SYMMETRIC_MEAN_ABSOLUTE_PERCENTAGE_ERROR(y_true, y_pred, counts, multioutput=multioutput)


@told
def mean_absolute_scaled_error(
    y_true: Any, y_pred: Any, y_train: Any, *, period: int = 1, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The mean absolute error over that of the naive forecast where it was trained, MASE (docs/metrics.md 8.13).

    Parameters
    ----------
    {numbers}
    y_train : array_like of float (n,) or (n, outputs)
        The series that was trained on, of more than `period` values.
    period : int, default 1
        How far back the naive forecast looks: 12 for months with a yearly season.
    {multioutput}
    {counts}

    Returns
    -------
    {number}
        Below 1 where the forecasts are better than the naive one was.

    Raises
    ------
    {raises}

    References
    ----------
    R. Hyndman and A. Koehler, "Another look at measures of forecast accuracy", 2006.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.mean_absolute_scaled_error([5.0, 6.0], [5.0, 5.0], [1.0, 2.0, 4.0, 5.0])
    0.375
    """
    counts = Counts(sample_weight, mask, lengths)
    return MEAN_ABSOLUTE_SCALED_ERROR(y_true, y_pred, counts, y_train=y_train, period=period, multioutput=multioutput)


@told
def interval_coverage(
    y_true: Any, y_lower: Any, y_upper: Any, *, multioutput: Any = "uniform_average",
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The share of true values within their intervals, ends included (docs/metrics.md 8.15).

    Parameters
    ----------
    y_true : array_like of float
        The true values, (n,), or (..., outputs), whose last axis is the outputs as in scikit-learn.
    y_lower, y_upper : array_like of float
        Ends of the intervals, of the same shape.
    {multioutput}
    {counts}

    Returns
    -------
    {number}
        Near 0.9 for good intervals of 90 %.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.interval_coverage([1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 3.5, 3.0], [1.5, 2.5, 4.0, 5.0])
    0.75
    """
    bounds, counts = (y_lower, y_upper), Counts(sample_weight, mask, lengths)
    return INTERVAL_COVERAGE(y_true, bounds, counts, multioutput=multioutput)
