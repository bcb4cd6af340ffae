"""What sets an optimizer's learning rates: a schedule, or a measure that stopped improving."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validate import choice, function, integer, is_one_of, number, shown
from ._optimizer import Optimizer
from ._rule import LAST_STEP
from ._states import check_keys
from .schedules import Schedule


class Scheduler:
    """Sets an optimizer's learning rates: each group's at the start, times the schedule (docs/optim.md).

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' rates are set: at once for step 0, then by :meth:`step`.
    schedule : callable
        From the step number, 0 at the start, to a factor: one of this module's, or a function of yours.

    Attributes
    ----------
    step_number : int
        Calls of `step` so far.

    Raises
    ------
    TypeError, ValueError
        If `optimizer` is none of this module's, the schedule is no function, or its factor no finite number from 0
        up.

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
        _check_optimizer(optimizer)
        self.optimizer = optimizer
        self.schedule = function("schedule", schedule, "a function of the step number")
        self.base = [group.lr for group in optimizer.groups]
        self.step_number = 0
        self._go_to(0, self.base, "schedule(step)")

    def __repr__(self) -> str:
        return f"Scheduler({type(self.optimizer).__name__}, {self.schedule!r}, step {self.step_number})"

    def step(self) -> None:
        """Go to the next step; call it after the optimizer's.

        Raises
        ------
        TypeError, ValueError
            For a factor that is no finite number from 0 up; nothing was changed or counted then.
        """
        self._go_to(self.step_number + 1, self._base(), "schedule(step)")

    def _base(self) -> list[float]:
        """Each group's rate at the start; of a group that was added since, the rate that it has."""
        return self.base + [group.lr for group in self.optimizer.groups[len(self.base) :]]

    def _go_to(self, step: int, base: list[float], name: str) -> None:
        """Set the rates of that step; `name` is what they are refused as."""
        factor = number("schedule(step)", self.schedule(step), 0, math.inf, open_high=True)
        self.optimizer._rate([name] * len(base), [one * factor for one in base])
        self.step_number, self.base = step, base

    def state_dict(self) -> dict[str, Any]:
        """What the scheduler needs to go on; the schedule itself is code.

        Returns
        -------
        dict
            "step_number", and "base", a list of each group's rate at the start.
        """
        return {"step_number": self.step_number, "base": self._base()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, and set the rates.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        TypeError, ValueError
            If it does not fit; nothing was changed then.
        """
        check_keys("state", state, ("step_number", "base"))
        given, step = state["base"], integer("state['step_number']", state["step_number"], 0, LAST_STEP - 1)
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"state['base']: got {type(given).__name__}, expected a list of rates")
        if len(given) != len(self.optimizer.groups):
            raise ValueError(f"state: got {len(given)} base rates, expected {len(self.optimizer.groups)}")
        self._go_to(step, [number(f"state['base'][{i}]", one, 0) for i, one in enumerate(given)], "state['base']")


class ReduceOnPlateau:
    """Multiplies the learning rates by `factor` when a measure stops improving (docs/optim.md).

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' rates are reduced.
    factor : float in [0, 1), default 0.1
        What the rates are multiplied by.
    patience : int, default 10
        The reduction comes once more than so many steps in a row brought no improvement.
    threshold : float, default 1e-4
        An improvement is a change for the better by more than this part of the best measure.
    cooldown : int, default 0
        Steps after a reduction in which nothing counts as bad.
    min_lr : float, default 0.0
        No rate is reduced below it.
    mode : {"min", "max"}, default "min"
        Whether smaller or larger measures are better.

    Attributes
    ----------
    best : float
        The best measure so far; inf, or -inf, before the first.
    bad : int
        Steps in a row without an improvement.

    Raises
    ------
    TypeError, ValueError
        If `optimizer` is none of this module's, or a number is out of its range.

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
        _check_optimizer(optimizer)
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

    def __repr__(self) -> str:
        return f"ReduceOnPlateau({type(self.optimizer).__name__}, mode={self.mode!r}, best={self.best}, bad={self.bad})"

    def step(self, measure: float) -> None:
        """Take in the measure of one more step, and reduce the rates where it is time.

        Parameters
        ----------
        measure : float
            A loss on held-out data, for example; NaN counts as no improvement.

        Raises
        ------
        TypeError
            For a measure that is no number; nothing was changed then.
        """
        if not (isinstance(measure, (float, np.floating)) and measure != measure):
            measure = number("measure", measure)
        best, bad, resting = self.best, self.bad, self.resting
        margin = 0.0 if math.isinf(best) else self.threshold * abs(best)
        better = measure < best - margin if self.mode == "min" else measure > best + margin
        if better:
            best, bad = float(measure), 0
        else:
            bad += 1
        if resting > 0:
            resting -= 1
            bad = 0
        if bad > self.patience:
            rates = [group.lr for group in self.optimizer.groups]
            self.optimizer.set_rates([min(one, max(one * self.factor, self.min_lr)) for one in rates])
            resting, bad = self.cooldown, 0
        self.best, self.bad, self.resting = best, bad, resting

    def state_dict(self) -> dict[str, Any]:
        """What the watcher remembers, and in which direction it looks.

        Returns
        -------
        dict
            "mode", "best", "bad" and "resting", the steps of the cooldown that are left. The rates are the optimizer's.
        """
        return {"mode": self.mode, "best": self.best, "bad": self.bad, "resting": self.resting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        TypeError, ValueError
            If it does not fit; nothing was changed then.
        """
        if isinstance(state, Mapping) and set(state) == {"best", "bad", "resting"}:
            raise ValueError("state: saved by an earlier version, which did not say in which mode")
        check_keys("state", state, ("mode", "best", "bad", "resting"))
        if not is_one_of(state["mode"], (self.mode,)):
            raise ValueError(f"state: got mode {shown(state['mode'])}, expected {self.mode!r}")
        best = number("state['best']", state["best"])
        bad, resting = (integer(f"state[{name!r}]", state[name], 0) for name in ("bad", "resting"))
        self.best, self.bad, self.resting = best, bad, resting


def _check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: got {type(optimizer).__name__}, expected an optimizer of fastdl.optim")
