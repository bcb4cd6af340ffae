"""Packages that are optional: imported where they are used, with an error that names the extra."""

import importlib
from typing import Any


def pandas() -> Any:
    """pandas, which knows calendars."""
    return _module("pandas", "estimators", "frames and dates")


def narwhals() -> Any:
    """narwhals, through which frames other than pandas' are read and made."""
    return _module("narwhals", "forecast", "frames other than pandas'")


def exponential_smoothing() -> Any:
    """statsmodels' ETSModel."""
    return _module("statsmodels.tsa.exponential_smoothing.ets", "forecast", "the baseline ETS").ETSModel


def theta_model() -> Any:
    """statsmodels' ThetaModel."""
    return _module("statsmodels.tsa.forecasting.theta", "forecast", "the baseline Theta").ThetaModel


def _module(name: str, extra: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise ImportError(f'{purpose} need {package}: pip install "fastdl[{extra}]"') from None
