"""Learning-rate schedules: functions of the step number, which compose.

A schedule is any callable that takes a step number, from 0, and returns a factor on the base learning rate;
:class:`fastdl.optim.Scheduler` applies one. It has no state, so it resumes by the step number.
"""

import bisect
import math
from collections.abc import Sequence

from .._validate import function, number
from ._schedule import (
    Schedule,
    between,
    checked_factor,
    checked_several,
    checked_steps,
    half_cosine,
    readable,
)

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


@readable
def constant(factor: float = 1.0) -> Schedule:
    """The same factor for ever (docs/optim.md).

    Parameters
    ----------
    factor : float, default 1.0
        At least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If the factor is no finite number from 0 up.

    Examples
    --------
    >>> constant(0.5)(10)
    0.5
    """
    factor = checked_factor("factor", factor)
    return lambda step: factor


@readable
def step_decay(every: int, gamma: float = 0.1) -> Schedule:
    """gamma ** (step // every): PyTorch's StepLR (docs/optim.md).

    Parameters
    ----------
    every : int
        Steps between two reductions, at least 1.
    gamma : float, default 0.1
        Factor of each reduction, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range; later, if the factor of a step is beyond the largest float.

    Examples
    --------
    >>> [step_decay(2, 0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    every, gamma = checked_steps("every", every), checked_factor("gamma", gamma)
    return lambda step: gamma ** (step // every)


@readable
def multistep(milestones: Sequence[int], gamma: float = 0.1) -> Schedule:
    """gamma ** (number of milestones reached): PyTorch's MultiStepLR (docs/optim.md).

    Parameters
    ----------
    milestones : sequence of int
        Step numbers from 0, in any order; one that comes twice counts twice.
    gamma : float, default 0.1
        Factor at each milestone, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the milestones are no sequence; later, if the factor of a step is beyond the
        largest float.

    Examples
    --------
    >>> [multistep([2, 3], 0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """
    given = checked_several("milestones", milestones, "step numbers")
    ordered = sorted(checked_steps(f"milestones[{i}]", one, 0) for i, one in enumerate(given))
    gamma = checked_factor("gamma", gamma)
    return lambda step: gamma ** bisect.bisect_right(ordered, step)


@readable
def exponential(gamma: float) -> Schedule:
    """gamma ** step: PyTorch's ExponentialLR (docs/optim.md).

    Parameters
    ----------
    gamma : float
        Factor of each step, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If gamma is no finite number from 0 up; later, if the factor of a step is beyond the largest float.

    Examples
    --------
    >>> exponential(0.5)(2)
    0.25
    """
    gamma = checked_factor("gamma", gamma)
    return lambda step: gamma**step


@readable
def polynomial(steps: int, power: float = 1.0, end: float = 0.0) -> Schedule:
    """(1 - end) * (1 - step / steps) ** power + end, then `end`; linear by default.

    Parameters
    ----------
    steps : int
        Length of the decay, at least 1.
    power : float, default 1.0
        At least 0.
    end : float, default 0.0
        The last factor, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Notes
    -----
    PyTorch's PolynomialLR, with an end as Keras' PolynomialDecay has it (docs/optim.md).

    Examples
    --------
    >>> [polynomial(4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    steps, power, end = checked_steps("steps", steps), checked_factor("power", power), checked_factor("end", end)
    return lambda step: between((1 - step / steps) ** power, end) if step < steps else end


@readable
def cosine(steps: int, end: float = 0.0) -> Schedule:
    """end + (1 - end) * (1 + cos(pi * step / steps)) / 2, then `end` (Loshchilov and Hutter 2017).

    Parameters
    ----------
    steps : int
        Length of the decay, at least 1.
    end : float, default 0.0
        The last factor, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> [round(cosine(4)(t), 3) for t in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    steps, end = checked_steps("steps", steps), checked_factor("end", end)
    return lambda step: half_cosine(min(step, steps) / steps, end)


@readable
def warm_restarts(first: int, multiply: int = 1, end: float = 0.0) -> Schedule:
    """Cosine periods of first, first * multiply, first * multiply ** 2, ... steps, each from 1 (SGDR).

    Parameters
    ----------
    first : int
        Length of the first period in steps, at least 1.
    multiply : int, default 1
        How much longer each period is than the one before, at least 1.
    end : float, default 0.0
        What each period falls to, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Examples
    --------
    >>> [round(warm_restarts(2, 2)(t), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """
    first, multiply, end = (
        checked_steps("first", first),
        checked_steps("multiply", multiply),
        checked_factor("end", end),
    )

    def factor(step: int) -> float:
        length = first
        if multiply == 1:
            return half_cosine(step % length / length, end)
        while step >= length:
            step, length = step - length, length * multiply
        return half_cosine(step / length, end)

    return factor


@readable
def one_cycle(steps: int, rise: float = 0.3, start: float = 0.04, end: float = 4e-6) -> Schedule:
    """Up from `start` to 1 over the first `rise` of the steps, then down to `end`, both by half cosines.

    Parameters
    ----------
    steps : int
        Length of the cycle, at least 2; from its last step on the factor is `end`.
    rise : float in (0, 1), default 0.3
        Part of the steps that goes up.
    start, end : float, default 0.04 and 4e-6
        Of the peak, which is the base rate. PyTorch's div_factor is 1 / start (25), its final_div_factor
        start / end (1e4).

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018.

    Examples
    --------
    >>> [round(one_cycle(10)(t), 3) for t in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """
    steps, start, end = checked_steps("steps", steps, 2), checked_factor("start", start), checked_factor("end", end)
    rise = number("rise", rise, 0, 1, open_low=True, open_high=True)
    peak = rise * steps - 1

    def factor(step: int) -> float:
        if step >= steps - 1:
            return end
        if step <= peak and peak > 0:  # with a peak at 0 or before, the cycle starts on its way down
            return half_cosine(1 - step / peak, start)
        return half_cosine((step - peak) / (steps - 1 - peak), end)

    return factor


@readable
def cyclic(low: float, up: int, down: int | None = None, decay: float = 1.0) -> Schedule:
    """From `low` to 1 in `up` steps and back in `down`; the height is multiplied by `decay` each cycle.

    Parameters
    ----------
    low : float in [0, 1]
        The factor between two cycles.
    up : int
        Steps from `low` to the peak, at least 1.
    down : int, optional
        Steps back; default: as `up`.
    decay : float in [0, 1], default 1.0
        0.5 is PyTorch's mode "triangular2".

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    L. N. Smith, "Cyclical learning rates for training neural networks", 2017.

    Examples
    --------
    >>> [cyclic(0.0, 2)(t) for t in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """
    low, decay = number("low", low, 0, 1), number("decay", decay, 0, 1)
    rising = checked_steps("up", up)
    falling = rising if down is None else checked_steps("down", down)

    def factor(step: int) -> float:
        cycle, place = divmod(step, rising + falling)
        height = place / rising if place <= rising else 1 - (place - rising) / falling
        return between(height * decay**cycle, low)

    return factor


@readable
def inverse_sqrt(steps: int) -> Schedule:
    """1 up to `steps`, then sqrt(steps / step) (Vaswani et al. 2017, with :func:`warm_up` in front).

    Parameters
    ----------
    steps : int
        From which step on it falls, at least 1.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If `steps` is no integer, or below 1.

    Examples
    --------
    >>> inverse_sqrt(4)(16)
    0.5
    """
    steps = checked_steps("steps", steps)
    return lambda step: math.sqrt(steps / max(step, steps))


@readable
def warm_up(schedule: Schedule, steps: int, start: float = 0.0) -> Schedule:
    """A straight line from `start` to 1 over `steps`, times the schedule, whose steps count from the same 0.

    Parameters
    ----------
    schedule : callable
        From step number to factor, as all of this module.
    steps : int
        Length of the line, at least 1.
    start : float, default 0.0
        Where it begins, at least 0.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range; later, if the schedule's factor is no finite number from 0 up.

    References
    ----------
    P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 2.2.

    Examples
    --------
    >>> [warm_up(constant(), 4)(t) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    function("schedule", schedule, "a function of the step number")
    steps, start = checked_steps("steps", steps), checked_factor("start", start)
    return lambda step: checked_factor("schedule(step)", schedule(step)) * between(min(step, steps) / steps, start)


@readable
def sequence(schedules: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """One schedule after the other, each counting from 0 at its milestone (docs/optim.md).

    Parameters
    ----------
    schedules : sequence of callable
        From step number to factor, as all of this module.
    milestones : sequence of int
        Steps at which the next one begins: increasing from 1 up, one less than there are schedules.

    Returns
    -------
    callable
        From step number to factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is no such sequence; later, if a schedule's factor is no finite number from 0 up.

    Examples
    --------
    >>> both = sequence([constant(0.1), exponential(0.5)], [2])
    >>> [both(t) for t in range(5)]
    [0.1, 0.1, 1.0, 0.5, 0.25]
    """
    schedules = checked_several("schedules", schedules, "functions of the step number")
    milestones = checked_several("milestones", milestones, "step numbers")
    for i, one in enumerate(schedules):
        function(f"schedules[{i}]", one, "a function of the step number")
    if len(schedules) != len(milestones) + 1:
        raise ValueError(f"milestones: got {len(milestones)}, expected one less than the {len(schedules)} schedules")
    ends = [checked_steps(f"milestones[{i}]", one) for i, one in enumerate(milestones)]
    if ends != sorted(set(ends)):
        raise ValueError(f"milestones: got {ends}, expected increasing steps")

    def factor(step: int) -> float:
        i = bisect.bisect_right(ends, step)
        return checked_factor(f"schedules[{i}](step)", schedules[i](step - (ends[i - 1] if i else 0)))

    return factor
