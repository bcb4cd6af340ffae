"""One table of update rules for the tests of optim: every rule, every variant, every option.

A class of optimizer has a case of its own with its defaults. A row is only for further settings, or another rate.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

import fastdl as fd
from fastdl.reference import optim as reference


@dataclass(frozen=True)
class Case:
    """A rule with settings. `lr` is one at which it finds the parabola's minimum."""

    name: str
    optimizer: type
    settings: dict = field(default_factory=dict)
    lr: float = 0.01
    only: tuple[str, ...] = ()  # the variants that take these settings, where not all do

    @property
    def variants(self):
        return self.only or self.optimizer.rule.variants

    @property
    def states(self):
        return self.optimizer.rule.states(self.optimizer.rule.settings | self.settings)

    @property
    def update(self):
        return self.optimizer.update

    @property
    def twin(self):
        return getattr(reference, self.update.__name__)


def optimizers():
    """Every class of optimizer."""
    found = [getattr(fd.optim, name) for name in fd.optim.__all__]
    return [
        one for one in found if isinstance(one, type) and issubclass(one, fd.optim.Optimizer) and hasattr(one, "rule")
    ]


ROWS = [
    Case("momentum", fd.optim.SGD, {"momentum": 0.9}),
    Case("dampening", fd.optim.SGD, {"momentum": 0.9, "dampening": 0.3}, only=("torch",)),
    Case("nesterov", fd.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    Case("adagrad", fd.optim.AdaGrad, lr=0.5),
    Case("adagrad decay", fd.optim.AdaGrad, {"lr_decay": 1e-4}, lr=0.5),
    Case("rmsprop", fd.optim.RMSProp, lr=0.003),
    Case("rmsprop momentum", fd.optim.RMSProp, {"momentum": 0.5}, lr=0.003),
    Case("centered", fd.optim.RMSProp, {"centered": True, "eps": 1e-3}, lr=0.003),
    Case("centered momentum", fd.optim.RMSProp, {"centered": True, "momentum": 0.5, "eps": 1e-3}, lr=0.003),
    Case("adadelta", fd.optim.AdaDelta, lr=1.0),
    Case("adamw", fd.optim.AdamW, {"weight_decay": 1e-4, "decoupled_weight_decay": True}),
    Case("lion", fd.optim.Lion, lr=0.001),
    Case("asgd averaging", fd.optim.ASGD, {"t0": 2.0, "lambd": 1e-5}),
]
NAMED = {case.name for case in ROWS}
PLAIN = [Case(one.__name__.lower(), one) for one in optimizers() if one.__name__.lower() not in NAMED]
# Those whose rule takes each element by itself; for the others there is tests/test_optim_matrices.py.
CASES = [case for case in [*PLAIN, *ROWS] if case.optimizer.rule.whole is None]
# What a model's parameters() need beside the defaults.
NOT_MATRICES = {"params": lambda name, one: one.ndim != 2, "optimizer": fd.optim.AdamW, "lr": 0.02}
FOR_MODELS = {"Muon": {"groups": [NOT_MATRICES]}}

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
