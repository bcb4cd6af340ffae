"""Forecasts to compare with: the last value, the last season, exponential smoothing, the Theta method."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..._validate import choice, integer, members
from ._optional import exponential_smoothing, theta_model
from ._series import panel_of_arrays
from ._transform import is_seasonal

Baseline = Callable[[np.ndarray, int, int], np.ndarray]


def naive(values: np.ndarray, h: int, season_length: int) -> np.ndarray:
    """The last value that is known."""
    known = values[~np.isnan(values)]
    return np.full(h, known[-1] if known.size else np.nan)


def seasonal_naive(values: np.ndarray, h: int, season_length: int) -> np.ndarray:
    """The value one season before, or as many as it takes to a known one; without any the last value."""
    found = naive(values, h, season_length)
    for step in range(h):
        place = values.size + step
        while place >= values.size or (place >= 0 and np.isnan(values[place])):
            place -= season_length
        if place >= 0:
            found[step] = values[place]
    return found


def ets(values: np.ndarray, h: int, season_length: int) -> np.ndarray:
    """Exponential smoothing with a damped trend, and a season where one is significant, by statsmodels.

    Hyndman et al., "Forecasting with exponential smoothing", 2008: ETS(A, Ad, M) of positive series, else (A, Ad, A).
    Where it cannot be fitted it is the (seasonal) naive forecast.
    """
    kind = exponential_smoothing()

    def forecast(filled: np.ndarray, seasonal: bool) -> Any:
        form = "mul" if seasonal and filled.min(initial=1.0) > 0 else "add"
        season = {"seasonal": form, "seasonal_periods": season_length} if seasonal else {}
        model = kind(filled, error="add", trend="add", damped_trend=True, **season)
        return model.fit(disp=False, maxiter=200).forecast(h)

    return _fitted(values, h, season_length, forecast)


def theta(values: np.ndarray, h: int, season_length: int) -> np.ndarray:
    """The Theta method, of deseasonalised values where a season is significant, by statsmodels.

    Assimakopoulos and Nikolopoulos, "The theta model", International Journal of Forecasting 16(4), 2000. Where it
    cannot be fitted it is the (seasonal) naive forecast.
    """
    kind = theta_model()

    def forecast(filled: np.ndarray, seasonal: bool) -> Any:
        return kind(filled, period=max(2, season_length), deseasonalize=seasonal, use_test=False).fit().forecast(h)

    return _fitted(values, h, season_length, forecast)


def _fitted(values: np.ndarray, h: int, season_length: int, forecast: Callable[[np.ndarray, bool], Any]) -> np.ndarray:
    """The forecast from the values without gaps and whether they have a season; else the (seasonal) naive one."""
    filled = _filled(values)
    seasonal = season_length > 1 and is_seasonal(filled, season_length)
    fallback = seasonal_naive if seasonal else naive
    if filled.size < 8 or np.ptp(filled) == 0:
        return fallback(values, h, season_length)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = np.asarray(forecast(filled, seasonal), np.float64)
        except (ValueError, FloatingPointError, np.linalg.LinAlgError):
            return fallback(values, h, season_length)
    return found if np.isfinite(found).all() else fallback(values, h, season_length)


def _filled(values: np.ndarray) -> np.ndarray:
    """Missing values by straight lines; those at the beginning are left out."""
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return np.zeros(0)
    places = np.arange(known[0], values.size)
    return np.interp(places, known, values[known])


BASELINES: dict[str, Baseline] = {"Naive": naive, "SeasonalNaive": seasonal_naive, "ETS": ets, "Theta": theta}


def baseline_forecast(name: str, series: Any, h: int, season_length: int = 1) -> Any:
    """A forecast to compare with, of one series or several.

    Parameters
    ----------
    name : {"Naive", "SeasonalNaive", "ETS", "Theta"}
        The last value; the value one season before; exponential smoothing with a damped trend, and with a season where
        one is significant (statsmodels, Hyndman et al. 2008); the Theta method, of deseasonalised values where a season
        is (statsmodels, Assimakopoulos and Nikolopoulos 2000).
    series : array (T,) or (N, T), or list of arrays
        The series; NaN is a missing value.
    h : int
        Steps.
    season_length : int, default 1
        Steps of a season.

    Returns
    -------
    ndarray of float64 (h,) or (N, h)

    Raises
    ------
    TypeError, ValueError
        If an argument is bad.
    ImportError
        For ETS and Theta without statsmodels.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.estimators.baseline_forecast("SeasonalNaive", [1.0, 2.0, 3.0, 4.0], h=3, season_length=2)
    array([3., 4., 3.])
    """
    function = BASELINES[choice("name", name, tuple(BASELINES))]
    h, season_length = integer("h", h, 1), integer("season_length", season_length, 1)
    panel = panel_of_arrays("series", series)
    found = np.stack([function(values, h, season_length) for values in panel.values])
    return found[0] if panel.library == "one" else found


def chosen(baselines: object, season_length: int) -> dict[str, Baseline]:
    """Those of these names; "auto" is all that say something here, ETS where statsmodels is installed."""
    if isinstance(baselines, str):
        choice("baselines", baselines, ("auto",))
        names = ["Naive"] + ["SeasonalNaive"] * (season_length > 1)
        try:
            exponential_smoothing()
        except ImportError:
            return {name: BASELINES[name] for name in names}
        return {name: BASELINES[name] for name in [*names, "ETS"]}
    found = {} if baselines is None else members("baselines", baselines, "names")
    return {one: BASELINES[choice(f"baselines[{i}]", one, tuple(BASELINES))] for i, one in enumerate(found)}
