"""Forecasting: :class:`GlobalForecaster`, one network over many series."""

from ._baselines import BASELINES
from ._evaluation import Backtest
from ._forecaster import GlobalForecaster
from ._grid import season_of
from ._network import ForecastNet
from ._series import axis_of

__all__ = ["BASELINES", "Backtest", "ForecastNet", "GlobalForecaster", "axis_of", "season_of"]


def __dir__() -> list[str]:
    return __all__
