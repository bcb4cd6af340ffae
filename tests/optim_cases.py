"""One table of update rules for the tests of optim: every rule, every variant, every option."""

import itertools
from dataclasses import dataclass, field

import numpy as np

import fastdl as fd
from fastdl.reference import optim as reference

ALL = ("torch", "keras", "optax", "paper", "course")


@dataclass(frozen=True)
class Case:
    """A rule with settings. `lr` is one at which it finds the parabola's minimum."""

    name: str
    optimizer: type
    states: tuple[str, ...]
    settings: dict = field(default_factory=dict)
    variants: tuple[str, ...] = ALL
    lr: float = 0.01

    @property
    def update(self):
        return self.optimizer.update

    @property
    def twin(self):
        return getattr(reference, self.update.__name__)


CASES = [
    Case("sgd", fd.optim.SGD, ()),
    Case("momentum", fd.optim.SGD, ("velocity",), {"momentum": 0.9}),
    Case("dampening", fd.optim.SGD, ("velocity",), {"momentum": 0.9, "dampening": 0.3}, ("torch",)),
    Case("nesterov", fd.optim.SGD, ("velocity",), {"momentum": 0.9, "nesterov": True}),
    Case("adagrad", fd.optim.AdaGrad, ("square_sum",), lr=0.5),
    Case("adagrad decay", fd.optim.AdaGrad, ("square_sum",), {"lr_decay": 1e-4}, lr=0.5),
    Case("rmsprop", fd.optim.RMSProp, ("square_avg",), lr=0.003),
    Case("rmsprop momentum", fd.optim.RMSProp, ("square_avg", "velocity"), {"momentum": 0.5}, lr=0.003),
    Case("centered", fd.optim.RMSProp, ("square_avg", "grad_avg"), {"centered": True, "eps": 1e-3}, lr=0.003),
    Case(
        "centered momentum",
        fd.optim.RMSProp,
        ("square_avg", "grad_avg", "velocity"),
        {"centered": True, "momentum": 0.5, "eps": 1e-3},
        lr=0.003,
    ),
    Case("adadelta", fd.optim.AdaDelta, ("square_avg", "delta_avg"), lr=1.0),
    Case("adam", fd.optim.Adam, ("m", "v")),
    Case("adamw", fd.optim.AdamW, ("m", "v"), {"weight_decay": 1e-4, "decoupled_weight_decay": True}),
    Case("amsgrad", fd.optim.AMSGrad, ("m", "v", "v_max")),
    Case("nadam", fd.optim.NAdam, ("m", "v")),
    Case("radam", fd.optim.RAdam, ("m", "v"), variants=("torch", "optax", "paper", "course")),
    Case("adamax", fd.optim.Adamax, ("m", "u")),
    Case("lion", fd.optim.Lion, ("m",), lr=0.001),
]

OPTIONS = [
    {},
    {"grad_scale": 0.37},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"maximize": True, "l1": 0.3},
    {"grad_scale": 0.37, "weight_decay": 0.1, "maximize": True, "l1": 0.02},
]

WITH_VARIANTS = [(case, variant) for case in CASES for variant in case.variants]
FULL = list(itertools.product(CASES, OPTIONS))


def arrays(case, n, dtype, seed=0):
    """A parameter and zeroed states."""
    param = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    return param, {name: np.zeros(n, dtype) for name in case.states}


def identify(value):
    """Readable test ids."""
    if isinstance(value, Case):
        return value.name.replace(" ", "-")
    if isinstance(value, dict):
        return "+".join(value) or "plain"
    return None
