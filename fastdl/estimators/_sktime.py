"""The estimators over sequences as sktime's: X is of any of its panels' types, of equal or unequal lengths.

Needs sktime (``pip install sktime``), which is imported with this module.
"""

from typing import Any, ClassVar

try:
    from sktime.classification.base import BaseClassifier
    from sktime.regression.base import BaseRegressor
except ImportError:
    raise ImportError("fastdl.estimators.sktime needs sktime: pip install sktime") from None

from . import _sequences
from ._adapters import QUICK, Adapting
from ._forecasting._sktime import GlobalForecaster

__all__ = ["GlobalForecaster", "SequenceClassifier", "SequenceRegressor"]

_TAGS = {
    "authors": "fastdl developers",
    "maintainers": "fastdl developers",
    "X_inner_mtype": "df-list",  # the only layout of unequal lengths that needs no reading of an index
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": False,
    "capability:random_state": True,
    "property:randomness": "derandomized",
    "capability:categorical_in_X": False,
}


class SequenceClassifier(Adapting, BaseClassifier, ours=_sequences.SequenceClassifier):
    """:class:`fastdl.estimators.SequenceClassifier` as an sktime classifier, with the same settings.

    Attributes
    ----------
    estimator_ : fastdl.estimators.SequenceClassifier
        The estimator that was fitted.

    Examples
    --------
    >>> import fastdl as fd
    >>> from sktime.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(split="train")
    >>> model = fd.estimators.sktime.SequenceClassifier(max_iter=2, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (270, 9)
    """

    _tags: ClassVar[dict[str, Any]] = {**_TAGS, "capability:predict_proba": True, "capability:class_weight": True}

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's checks."""
        return QUICK


class SequenceRegressor(Adapting, BaseRegressor, ours=_sequences.SequenceRegressor):
    """:class:`fastdl.estimators.SequenceRegressor` as an sktime regressor, with the same settings.

    Attributes
    ----------
    estimator_ : fastdl.estimators.SequenceRegressor
        The estimator that was fitted.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> X, y = np.random.default_rng(0).standard_normal((20, 2, 8)), np.arange(20.0)  # 20 series of 2 variables
    >>> fd.estimators.sktime.SequenceRegressor(max_iter=2, random_state=0).fit(X, y).predict(X).shape
    (20,)
    """

    _tags: ClassVar[dict[str, Any]] = _TAGS

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's checks."""
        return QUICK
