"""Training: the fit loop, batches, callbacks, the learning curve, checkpoints.

:func:`fit` trains a model of :mod:`fastdl.nn` with an optimizer of :mod:`fastdl.optim`.
"""

from ._augmented import Augmented
from ._batches import ArrayBatches
from ._callbacks import Callback, EarlyStopping, SaveBest
from ._examples import Examples
from ._fit import evaluate, fit
from ._history import History
from ._logging import CSVLogger, LambdaCallback, SampleText, StopAtTarget, TensorBoard, TimeLimit
from ._predict import predict
from ._run import Run

__all__ = [
    "ArrayBatches",
    "Augmented",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "Examples",
    "History",
    "LambdaCallback",
    "Run",
    "SampleText",
    "SaveBest",
    "StopAtTarget",
    "TensorBoard",
    "TimeLimit",
    "evaluate",
    "fit",
    "predict",
]


def __dir__() -> list[str]:
    return __all__
