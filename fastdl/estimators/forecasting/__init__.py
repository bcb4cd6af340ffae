"""Forecasting: :class:`GlobalForecaster`, one network over many series."""

from ._baselines import BASELINES
from ._evaluation import Backtest
from ._forecaster import GlobalForecaster
from ._network import ForecastNet

__all__ = ["BASELINES", "Backtest", "ForecastNet", "GlobalForecaster"]


def __dir__() -> list[str]:
    return __all__
