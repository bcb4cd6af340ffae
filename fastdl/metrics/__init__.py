"""Metrics: how good predictions are.

Functions take (y_true, y_pred), with scikit-learn's names and results where it has them. A :class:`Metric` takes a
model's outputs batch by batch, of the same definitions; :func:`get` finds it by name.
"""

from ._classes import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score
from ._edits import character_error_rate, edit_distance, word_error_rate
from ._errors import (
    average_relative_variance,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)
from ._forecasts import interval_coverage, mean_absolute_scaled_error, symmetric_mean_absolute_percentage_error
from ._metric import Metric, get
from ._scores import bits_per_character, log_loss, perplexity, top_k_accuracy_score

__all__ = [
    "Metric",
    "accuracy_score",
    "average_relative_variance",
    "balanced_accuracy_score",
    "bits_per_character",
    "character_error_rate",
    "confusion_matrix",
    "edit_distance",
    "f1_score",
    "get",
    "interval_coverage",
    "log_loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_absolute_scaled_error",
    "mean_pinball_loss",
    "mean_squared_error",
    "perplexity",
    "r2_score",
    "root_mean_squared_error",
    "symmetric_mean_absolute_percentage_error",
    "top_k_accuracy_score",
    "word_error_rate",
]


def __dir__() -> list[str]:
    return __all__
