"""Estimators as scikit-learn's: ``fit``, ``predict``, ``score``, in its pipelines and searches (docs/estimators.md).

Needs the extra ``estimators``, scikit-learn and pandas, which are imported with this module.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError('fastdl.estimators needs scikit-learn: pip install "fastdl[estimators]"') from None

from ._encoder import TableEncoder
from ._perceptron import MLPClassifier, MLPRegressor
from ._saved import SavedEstimator
from ._tables import CodedColumns, TableClassifier, TableRegressor

__all__ = [
    "CodedColumns",
    "MLPClassifier",
    "MLPRegressor",
    "SavedEstimator",
    "TableClassifier",
    "TableEncoder",
    "TableRegressor",
]


def __dir__() -> list[str]:
    return __all__
