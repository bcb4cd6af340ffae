"""Training: the fit loop, batches, callbacks, the learning curve, checkpoints.

:func:`fit` trains a model of :mod:`fastdl.nn` with an optimizer of :mod:`fastdl.optim`.
"""

from ._fit import evaluate, fit
from ._run import Run
from ._batches import ArrayBatches
from ._callbacks import Callback, EarlyStopping, SaveBest
from ._history import History

__all__ = ["ArrayBatches", "Callback", "EarlyStopping", "History", "Run", "SaveBest", "evaluate", "fit"]
