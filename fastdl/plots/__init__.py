"""Pictures, with matplotlib (the extra ``plot``), which is imported when the first is drawn.

Each function draws into ``ax``, or into a figure of its own, and returns the axes. None shows or saves a figure, and
none changes matplotlib's settings.
"""

from ._inside import attention_map, gates, gradient_flow, gradient_histogram, weight_histogram
from ._judging import confusion_matrix, forecast, learning_curve, reliability_diagram
from ._surfaces import optimizer_path, spectrum

__all__ = [
    "attention_map",
    "confusion_matrix",
    "forecast",
    "gates",
    "gradient_flow",
    "gradient_histogram",
    "learning_curve",
    "optimizer_path",
    "reliability_diagram",
    "spectrum",
    "weight_histogram",
]


def __dir__() -> list[str]:
    return __all__
