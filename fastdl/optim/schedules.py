"""Learning-rate schedules: functions of the step number, which compose.

A schedule is any callable that takes a step number, from 0, and returns a factor on the base learning rate;
:class:`fastdl.optim.Scheduler` applies one. It has no state, so it resumes by the step number.
"""

import bisect
import math
from collections.abc import Callable, Sequence

from .._validate import integer, number

__all__ = [
    "Schedule",
    "constant",
    "cosine",
    "cyclic",
    "exponential",
    "inverse_sqrt",
    "multistep",
    "one_cycle",
    "polynomial",
    "sequence",
    "step_decay",
    "warm_restarts",
    "warm_up",
]


def __dir__() -> list[str]:
    return __all__


Schedule = Callable[[int], float]


def constant(factor: float = 1.0) -> Schedule:
    """The same factor for ever.

    Parameters
    ----------
    factor : float, default 1.0

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> constant(0.5)(10)
    0.5
    """
    number("factor", factor, 0)
    return lambda step: factor


def step_decay(every: int, gamma: float = 0.1) -> Schedule:
    """gamma ** (step // every).

    Parameters
    ----------
    every : int
        Steps between two reductions.
    gamma : float, default 0.1

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [step_decay(2, 0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    integer("every", every, 1)
    number("gamma", gamma, 0)
    return lambda step: gamma ** (step // every)


def multistep(milestones: Sequence[int], gamma: float = 0.1) -> Schedule:
    """gamma ** (number of milestones reached).

    Parameters
    ----------
    milestones : sequence of int
    gamma : float, default 0.1

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [multistep([2, 3], 0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """
    ordered = sorted(integer(f"milestones[{i}]", one, 0) for i, one in enumerate(milestones))
    number("gamma", gamma, 0)
    return lambda step: gamma ** bisect.bisect_right(ordered, step)


def exponential(gamma: float) -> Schedule:
    """gamma ** step.

    Parameters
    ----------
    gamma : float

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> exponential(0.5)(2)
    0.25
    """
    number("gamma", gamma, 0)
    return lambda step: gamma**step


def polynomial(steps: int, power: float = 1.0, end: float = 0.0) -> Schedule:
    """(1 - end) * (1 - step / steps) ** power + end, then `end`; linear by default.

    Parameters
    ----------
    steps : int
        Length of the decay.
    power : float, default 1.0
    end : float, default 0.0

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [polynomial(4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    integer("steps", steps, 1)
    number("power", power, 0)
    number("end", end, 0)
    return lambda step: (1 - end) * (1 - min(step, steps) / steps) ** power + end


def _half_cosine(part: float, end: float) -> float:
    """From 1 to `end` as `part` goes from 0 to 1."""
    return end + (1 - end) * (1 + math.cos(math.pi * part)) / 2


def cosine(steps: int, end: float = 0.0) -> Schedule:
    """end + (1 - end) * (1 + cos(pi * step / steps)) / 2, then `end` (Loshchilov and Hutter 2017).

    Parameters
    ----------
    steps : int
        Length of the decay.
    end : float, default 0.0

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [round(cosine(4)(t), 3) for t in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    integer("steps", steps, 1)
    number("end", end, 0)
    return lambda step: _half_cosine(min(step, steps) / steps, end)


def warm_restarts(first: int, multiply: int = 1, end: float = 0.0) -> Schedule:
    """Cosine periods of first, first * multiply, first * multiply ** 2, ... steps, each from 1 (SGDR).

    Parameters
    ----------
    first : int
        Length of the first period.
    multiply : int, default 1
    end : float, default 0.0

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [round(warm_restarts(2, 2)(t), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """
    integer("first", first, 1)
    integer("multiply", multiply, 1)
    number("end", end, 0)

    def factor(step: int) -> float:
        length = first
        if multiply == 1:
            return _half_cosine(step % length / length, end)
        while step >= length:
            step, length = step - length, length * multiply
        return _half_cosine(step / length, end)

    return factor


def one_cycle(steps: int, rise: float = 0.3, start: float = 0.04, end: float = 4e-6) -> Schedule:
    """Up from `start` to 1 over the first `rise` of the steps, then down to `end`, both by half cosines.

    Parameters
    ----------
    steps : int
        Length of the cycle.
    rise : float, default 0.3
        Part of the steps that goes up.
    start, end : float, default 0.04 and 4e-6
        Of the peak, which is the base rate. PyTorch's div_factor is 1 / start (25), its final_div_factor
        start / end (1e4).

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [round(one_cycle(10)(t), 3) for t in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """
    integer("steps", steps, 2)
    number("rise", rise, 0, 1, open_low=True, open_high=True)
    number("start", start, 0)
    number("end", end, 0)
    peak = rise * steps - 1

    def factor(step: int) -> float:
        if step <= peak:
            return 1 + start - _half_cosine(step / peak, start)
        return _half_cosine((min(step, steps - 1) - peak) / (steps - 1 - peak), end)

    return factor


def cyclic(low: float, up: int, down: int | None = None, decay: float = 1.0) -> Schedule:
    """From `low` to 1 in `up` steps and back in `down`; the height is multiplied by `decay` each cycle.

    Smith (2017).

    Parameters
    ----------
    low : float
    up : int
    down : int, optional
        Default: as `up`.
    decay : float, default 1.0
        0.5 is PyTorch's mode "triangular2".

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [cyclic(0.0, 2)(t) for t in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """
    number("low", low, 0, 1)
    integer("up", up, 1)
    down = up if down is None else integer("down", down, 1)
    number("decay", decay, 0, 1)

    def factor(step: int) -> float:
        cycle, place = divmod(step, up + down)
        height = place / up if place <= up else 1 - (place - up) / down
        return low + (1 - low) * height * decay**cycle

    return factor


def inverse_sqrt(steps: int) -> Schedule:
    """1 up to `steps`, then sqrt(steps / step) (Vaswani et al. 2017, with :func:`warm_up` in front).

    Parameters
    ----------
    steps : int

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> inverse_sqrt(4)(16)
    0.5
    """
    integer("steps", steps, 1)
    return lambda step: math.sqrt(steps / max(step, steps))


def warm_up(schedule: Schedule, steps: int, start: float = 0.0) -> Schedule:
    """A straight line from `start` to 1 over `steps`, times the schedule, whose steps count from the same 0.

    Parameters
    ----------
    schedule : callable
    steps : int
    start : float, default 0.0

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> [warm_up(constant(), 4)(t) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    integer("steps", steps, 1)
    number("start", start, 0)
    return lambda step: schedule(step) * (start + (1 - start) * min(step, steps) / steps)


def sequence(schedules: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """One schedule after the other, each counting from 0 at its milestone.

    Parameters
    ----------
    schedules : sequence of callable
    milestones : sequence of int
        Increasing, one less than there are schedules.

    Returns
    -------
    callable
        From step number to factor.

    Examples
    --------
    >>> both = sequence([constant(0.1), exponential(0.5)], [2])
    >>> [both(t) for t in range(5)]
    [0.1, 0.1, 1.0, 0.5, 0.25]
    """
    if len(schedules) != len(milestones) + 1:
        raise ValueError(f"milestones: got {len(milestones)}, expected one less than the {len(schedules)} schedules")
    ends = [integer(f"milestones[{i}]", one, 1) for i, one in enumerate(milestones)]
    if ends != sorted(set(ends)):
        raise ValueError(f"milestones: got {ends}, expected increasing steps")

    def factor(step: int) -> float:
        i = bisect.bisect_right(ends, step)
        return schedules[i](step - (ends[i - 1] if i else 0))

    return factor
