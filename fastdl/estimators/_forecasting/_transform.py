"""What is done to a series before the network sees it, and undone with its forecasts: logarithm, season, level, scale.

NaN is a missing value everywhere.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np

SCALERS = ("level", "mean", "standard", "robust", "none")
_TENTH = 1.645  # of a standard normal: the test of seasonality is one of 90 %


class Transform(NamedTuple):
    """What was found out about one series; `season` has an entry for each step of the period."""

    shift: float | None  # y becomes log(y + shift); None for no logarithm
    season: np.ndarray | None  # taken away from it, by position on the time axis modulo its size
    unit: float = 1.0  # a power of two, by which values are divided where there is no logarithm: squares of them fit


def transform_of(
    values: np.ndarray, start: int, seen: int, log: bool, period: int, deseasonalize: bool | str
) -> Transform:
    """Find it from a series that begins at position `start` of the time axis; its season from the first `seen`."""
    if log:
        plain = Transform(0.0 if np.nanmin(values, initial=np.inf) > 0 else 1.0, None)
    else:
        plain = Transform(None, None, math.ldexp(1.0, math.frexp(np.nanmax(np.abs(values), initial=0.0))[1] - 1))
    if not deseasonalize or period < 2:
        return plain
    y = applied(plain, values[:seen], start)
    if deseasonalize == "auto" and not is_seasonal(y, period):
        return plain
    return plain._replace(season=seasonal_indices(y, start, period))


def applied(transform: Transform, values: np.ndarray, start: int) -> np.ndarray:
    """The series as the network sees it, before level and scale."""
    y = values / transform.unit if transform.shift is None else np.log(values + transform.shift)
    return y if transform.season is None else y - _season(transform.season, start, y.shape[-1])


def undone(transform: Transform, y: np.ndarray, start: int) -> np.ndarray:
    """Undo :func:`applied` for values whose last axis begins at position `start`."""
    if transform.season is not None:
        y = y + _season(transform.season, start, y.shape[-1])
    with np.errstate(over="ignore"):
        if transform.shift is None:
            return y * transform.unit
        return np.exp(np.minimum(y, 700.0)) - transform.shift  # 700: what exp has a double for


def _season(season: np.ndarray, start: int, size: int) -> np.ndarray:
    return season[np.arange(start, start + size) % season.size]


def is_seasonal(y: np.ndarray, period: int) -> bool:
    """Whether the autocorrelation at lag `period` is beyond the 90 % limit, given those at shorter lags.

    The test of the M competitions: ``abs(r_m) > 1.645 sqrt((1 + 2 sum_{k<m} r_k^2) / n)``, with three periods at least.

    Assimakopoulos and Nikolopoulos, "The theta model", 2000.
    """
    known = y[~np.isnan(y)]
    if known.size < 3 * period:
        return False
    filled = np.where(np.isnan(y), known.mean(), y) - known.mean()
    power = float(filled @ filled)
    if power <= 0:
        return False
    r = np.array([float(filled[k:] @ filled[:-k]) / power for k in range(1, period + 1)])
    limit = _TENTH * np.sqrt((1 + 2 * float(r[:-1] @ r[:-1])) / known.size)
    return abs(float(r[-1])) > limit


def seasonal_indices(y: np.ndarray, start: int, period: int) -> np.ndarray:
    """Classical decomposition: means by phase of what a centred moving average of one period leaves, of mean 0."""
    trend = _moving_average(y, period)
    left, phase = y - trend, np.arange(start, start + y.size) % period
    found = np.zeros(period)
    for one in range(period):
        here = left[phase == one]
        here = here[~np.isnan(here)]
        if here.size:
            found[one] = here.mean() if here.size < 4 else np.sort(here)[1:-1].mean()  # without its extremes
    return found - found.mean()


def _moving_average(y: np.ndarray, period: int) -> np.ndarray:
    """Centred, over one period, half weights at its ends where it is even; NaN where it would reach beyond."""
    weights = np.ones(period) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5]
    reach = weights.size // 2
    found = np.full(y.size, np.nan)
    if y.size < weights.size:
        return np.full(y.size, np.nanmean(y))
    windows = np.lib.stride_tricks.sliding_window_view(y, weights.size)
    there = ~np.isnan(windows)
    total = there @ weights
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, windows, 0.0) @ weights / total
    found[reach : reach + mean.size] = np.where(total >= period / 2, mean, np.nan)
    return found


# ---- windows ------------------------------------------------------------------------------------------------------


def levels(
    windows: np.ndarray, kind: str, floor: np.ndarray, mean: np.ndarray, positive: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Level and scale of windows (..., m), by which they and what comes after them are standardised.

    `floor` (...) is the scale where a window tells of none, as all its values are equal, and `mean` the level where it
    has no value. With `positive` the level is 0, so that a rate stays one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # windows without a value
        centre = np.nanmedian(windows, -1) if kind == "robust" else np.nanmean(windows, -1)
        if kind == "mean":
            scale = np.nanmean(np.abs(windows), -1)
        elif kind == "standard":
            scale = np.nanstd(windows, -1)
        elif kind == "robust":
            scale = 1.4826 * np.nanmedian(np.abs(windows - centre[..., None]), -1)
        else:
            scale = np.array(floor) if kind == "level" else np.ones(centre.shape)
    centre = np.zeros(centre.shape) if kind == "none" or positive else np.where(np.isnan(centre), mean, centre)
    scale = np.nan_to_num(scale)
    return centre, np.where(scale > 1e-3 * floor, scale, floor)
