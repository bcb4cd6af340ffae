"""Optimizers: update rules as functions and as classes, each one pass over memory (docs/optim.md).

An optimizer takes what `model.parameters()` returns, or a list of (parameter, gradient) arrays, and changes
the parameters in place. Every rule has a function, `<rule>_update`, that works on plain arrays.
"""

from . import schedules
from ._optimizer import Optimizer
from ._rows import sum_rows
from .adadelta import AdaDelta, adadelta_update
from .adafactor import Adafactor, adafactor_update
from .adagrad import AdaGrad, adagrad_update, adagrad_update_rows
from .adam import Adam, AdamW, adam_update, adam_update_rows
from .adamax import Adamax, adamax_update
from .amsgrad import AMSGrad, amsgrad_update
from .asgd import ASGD, asgd_update
from .averages import ExponentialAverage, StochasticAverage, average_update
from .clip import clip_each_grad_norm_, clip_grad_norm_, clip_grad_value_
from .lion import Lion, lion_update
from .muon import Muon, muon_update
from .nadam import NAdam, nadam_update
from .radam import RAdam, radam_update
from .rmsprop import RMSProp, rmsprop_update
from .rprop import Rprop, rprop_update
from .scheduler import ReduceOnPlateau, Scheduler
from .sgd import SGD, sgd_update, sgd_update_rows

__all__ = [
    "ASGD",
    "SGD",
    "AMSGrad",
    "AdaDelta",
    "AdaGrad",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "ExponentialAverage",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSProp",
    "ReduceOnPlateau",
    "Rprop",
    "Scheduler",
    "StochasticAverage",
    "adadelta_update",
    "adafactor_update",
    "adagrad_update",
    "adagrad_update_rows",
    "adam_update",
    "adam_update_rows",
    "adamax_update",
    "amsgrad_update",
    "asgd_update",
    "average_update",
    "clip_each_grad_norm_",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lion_update",
    "muon_update",
    "nadam_update",
    "radam_update",
    "rmsprop_update",
    "rprop_update",
    "schedules",
    "sgd_update",
    "sgd_update_rows",
    "sum_rows",
]


def __dir__() -> list[str]:
    return __all__
