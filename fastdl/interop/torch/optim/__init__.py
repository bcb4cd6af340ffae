"""torch's optimizers on fastdl's kernels: one pass over memory for all parameters of a group.

Each is a subclass of torch's of the same name: the same arguments, parameter groups and state dict, so schedulers work,
and a state goes from one to the other. Parameters are float32 or float64 on the CPU, gradients dense.
"""

from ._adams import Adam, Adamax, AdamW, NAdam, RAdam
from ._others import ASGD, SGD, Adadelta, Adafactor, Adagrad, Muon, RMSprop, Rprop

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
]


def __dir__() -> list[str]:
    return __all__
