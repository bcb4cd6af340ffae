"""What sets an optimizer's learning rates: a schedule, or a measure that stopped improving."""

import math
from collections.abc import Mapping
from typing import Any

from .._validate import choice, integer, number
from ._optimizer import Optimizer
from .schedules import Schedule


class Scheduler:
    """Sets an optimizer's learning rates: each group's rate at the start, times the schedule at this step.

    Parameters
    ----------
    optimizer : Optimizer
    schedule : callable
        From the step number, 0 at the start, to a factor: one of this module's, or a function of yours.

    Attributes
    ----------
    step_number : int
        Calls of `step` so far.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> optimizer = fd.optim.SGD([(np.zeros(1), np.zeros(1))], lr=0.8)
    >>> scheduler = fd.optim.Scheduler(optimizer, fd.optim.schedules.step_decay(2, 0.5))
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> optimizer.lr
    0.2
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.base = [group.lr for group in optimizer.groups]
        self.step_number = 0
        self._apply()

    def step(self) -> None:
        """Go to the next step; call it after the optimizer's."""
        self.step_number += 1
        self._apply()

    def _apply(self) -> None:
        factor = number("schedule(step)", self.schedule(self.step_number), 0)
        for group, base in zip(self.optimizer.groups, self.base, strict=True):
            group.lr = base * factor

    def state_dict(self) -> dict[str, Any]:
        """The step number and the base rates; the schedule itself is code."""
        return {"step_number": self.step_number, "base": list(self.base)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if len(state["base"]) != len(self.base):
            raise ValueError(f"state: got {len(state['base'])} base rates, expected {len(self.base)}")
        self.step_number = integer("step_number", state["step_number"], 0)
        self.base = [number("base", one, 0) for one in state["base"]]
        self._apply()


class ReduceOnPlateau:
    """Multiplies the learning rates by `factor` when a measure stops improving.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float, default 0.1
    patience : int, default 10
        The reduction comes once more than so many steps in a row brought no improvement.
    threshold : float, default 1e-4
        An improvement is a change for the better by more than this part of the best measure.
    cooldown : int, default 0
        Steps after a reduction in which nothing counts as bad.
    min_lr : float, default 0.0
    mode : {"min", "max"}, default "min"

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> optimizer = fd.optim.SGD([(np.zeros(1), np.zeros(1))], lr=1.0)
    >>> plateau = fd.optim.ReduceOnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     plateau.step(loss)
    >>> optimizer.lr
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str = "min",
    ) -> None:
        self.optimizer = optimizer
        self.factor = number("factor", factor, 0, 1, open_high=True)
        self.patience = integer("patience", patience, 0)
        self.threshold = number("threshold", threshold, 0)
        self.cooldown = integer("cooldown", cooldown, 0)
        self.min_lr = number("min_lr", min_lr, 0)
        self.mode = choice("mode", mode, ("min", "max"))
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = 0
        self.resting = 0

    def step(self, measure: float) -> None:
        """Take in the measure of one more step; NaN counts as no improvement."""
        measure = float(measure)
        margin = 0.0 if math.isinf(self.best) else self.threshold * self.best
        better = measure < self.best - margin if self.mode == "min" else measure > self.best + margin
        if better:
            self.best, self.bad = measure, 0
        else:
            self.bad += 1
        if self.resting > 0:
            self.resting -= 1
            self.bad = 0
        if self.bad > self.patience:
            for group in self.optimizer.groups:
                group.lr = max(group.lr * self.factor, self.min_lr)
            self.resting, self.bad = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "bad": self.bad, "resting": self.resting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = float(state["best"])
        self.bad = integer("bad", state["bad"], 0)
        self.resting = integer("resting", state["resting"], 0)
