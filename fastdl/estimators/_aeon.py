"""The estimators over sequences as aeon's: X is (N, F, T) or a list of (F, T), as there.

Needs aeon (``pip install aeon``), which is imported with this module.
"""

from typing import Any, ClassVar

try:
    from aeon.classification import BaseClassifier
    from aeon.regression import BaseRegressor
except ImportError:
    raise ImportError("fastdl.estimators.aeon needs aeon: pip install aeon") from None

from . import _sequences
from ._adapters import QUICK, Adapting

__all__ = ["SequenceClassifier", "SequenceRegressor"]

_TAGS = {
    "X_inner_type": ["np-list", "numpy3D"],
    "algorithm_type": "deeplearning",
    "capability:multivariate": True,
    "capability:unequal_length": True,
}


class SequenceClassifier(Adapting, BaseClassifier, ours=_sequences.SequenceClassifier):
    """:class:`fastdl.estimators.SequenceClassifier` as an aeon classifier, with the same settings.

    Attributes
    ----------
    estimator_ : fastdl.estimators.SequenceClassifier
        The estimator that was fitted.

    Examples
    --------
    >>> import fastdl as fd
    >>> from aeon.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(split="train")
    >>> model = fd.estimators.aeon.SequenceClassifier(max_iter=2, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (270, 9)
    """

    _tags: ClassVar[dict[str, Any]] = _TAGS

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        return QUICK


class SequenceRegressor(Adapting, BaseRegressor, ours=_sequences.SequenceRegressor):
    """:class:`fastdl.estimators.SequenceRegressor` as an aeon regressor, with the same settings.

    Attributes
    ----------
    estimator_ : fastdl.estimators.SequenceRegressor
        The estimator that was fitted.

    Examples
    --------
    >>> import fastdl as fd
    >>> from aeon.datasets import load_covid_3month
    >>> X, y = load_covid_3month(split="train")
    >>> fd.estimators.aeon.SequenceRegressor(max_iter=2, random_state=0).fit(X, y).predict(X).shape
    (140,)
    """

    _tags: ClassVar[dict[str, Any]] = _TAGS

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        return QUICK
