"""Forecasting: :class:`GlobalForecaster`, one network over many series."""

from ._baselines import baseline_forecast
from ._evaluation import Backtest
from ._forecaster import GlobalForecaster
from ._grid import season_of
from ._network import ForecastNet
from ._series import axis_of

__all__ = ["Backtest", "ForecastNet", "GlobalForecaster", "axis_of", "baseline_forecast", "season_of"]
