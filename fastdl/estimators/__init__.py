"""Estimators as scikit-learn's: ``fit``, ``predict``, ``score``, in its pipelines and searches (docs/estimators.md).

Needs the extra ``estimators``, scikit-learn and pandas, which are imported with this module.
"""

import importlib
from typing import Any

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError('fastdl.estimators needs scikit-learn: pip install "fastdl[estimators]"') from None

from ._encoder import TableEncoder
from ._forecasting import Backtest, ForecastNet, GlobalForecaster, baseline_forecast
from ._perceptron import MLPClassifier, MLPRegressor
from ._saved import SavedEstimator
from ._sequence_network import SequenceNetwork
from ._sequences import SequenceClassifier, SequenceRegressor
from ._tables import CodedColumns, TableClassifier, TableRegressor
from ._tagger import SequenceTagger

__all__ = [
    "Backtest",
    "CodedColumns",
    "ForecastNet",
    "GlobalForecaster",
    "MLPClassifier",
    "MLPRegressor",
    "SavedEstimator",
    "SequenceClassifier",
    "SequenceNetwork",
    "SequenceRegressor",
    "SequenceTagger",
    "TableClassifier",
    "TableEncoder",
    "TableRegressor",
    "baseline_forecast",
]
_ADAPTERS = ("aeon", "sktime")  # imported where they are asked for, since each needs its library


def __getattr__(name: str) -> Any:
    if name in _ADAPTERS:
        return importlib.import_module(f"{__name__}._{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_ADAPTERS]
