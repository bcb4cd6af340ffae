"""Learning-rate schedules: functions of the step number, which compose.

A schedule is any callable that takes a step number, from 0, and returns a factor on the base learning rate;
:class:`fastdl.optim.Scheduler` applies one. It has no state, so it resumes by the step number.
"""

import bisect
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from .._validate import function, integer, number, plain_number

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
_F = TypeVar("_F", bound=Callable[..., Schedule])
LONGEST = 2**63 - 1  # steps, and what counts them


class _Made:
    """A schedule of this module: checks the step and the factor, and can be pickled, copied and read."""

    def __init__(self, maker: str, args: tuple[Any, ...], kwargs: dict[str, Any], factor: Schedule) -> None:
        self._maker, self._args, self._kwargs, self._factor = maker, args, kwargs, factor

    def __call__(self, step: int) -> float:
        step = integer("step", step, 0, LONGEST)
        try:
            factor = self._factor(step)
        except OverflowError:
            factor = math.inf
        if factor == math.inf:
            raise ValueError(f"step: got {step}, at which {self!r} is beyond the largest float")
        return factor

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (self._maker, self._args, self._kwargs)

    def __repr__(self) -> str:
        given = [repr(one) for one in self._args] + [f"{name}={one!r}" for name, one in self._kwargs.items()]
        return f"{self._maker}({', '.join(given)})"


def _make(maker: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Schedule:
    return globals()[maker](*args, **kwargs)


def _schedule(make: _F) -> _F:
    """Have a function return a :class:`_Made`. Lists and other iterables among its arguments are kept as tuples."""

    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Schedule:
        args = tuple(_kept(one) for one in args)
        kwargs = {name: _kept(one) for name, one in kwargs.items()}
        return _Made(make.__name__, args, kwargs, make(*args, **kwargs))

    return made  # type: ignore[return-value]


def _kept(value: Any) -> Any:
    value = plain_number(value)
    plain = isinstance(value, (str, bytes)) or not isinstance(value, Iterable)
    return value if plain else tuple(value)


def _several(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{name}: got {value!r}, expected a sequence of {what}")
    return value


def _steps(name: str, value: Any, low: int = 1) -> int:
    return integer(name, value, low, LONGEST)


def _finite(name: str, value: Any) -> float:
    return number(name, value, 0, math.inf, open_high=True)


def _between(part: float, end: float) -> float:
    """1 for the part 1, `end` for the part 0, and a straight line between."""
    return part + (1 - part) * end


def _half_cosine(part: float, end: float) -> float:
    """From 1 to `end` as `part` goes from 0 to 1."""
    return _between((1 + math.cos(math.pi * part)) / 2, end)


@_schedule
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
    factor = _finite("factor", factor)
    return lambda step: factor


@_schedule
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
    every, gamma = _steps("every", every), _finite("gamma", gamma)
    return lambda step: gamma ** (step // every)


@_schedule
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
    given = _several("milestones", milestones, "step numbers")
    ordered = sorted(_steps(f"milestones[{i}]", one, 0) for i, one in enumerate(given))
    gamma = _finite("gamma", gamma)
    return lambda step: gamma ** bisect.bisect_right(ordered, step)


@_schedule
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
    gamma = _finite("gamma", gamma)
    return lambda step: gamma**step


@_schedule
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
    steps, power, end = _steps("steps", steps), _finite("power", power), _finite("end", end)
    return lambda step: _between((1 - step / steps) ** power, end) if step < steps else end


@_schedule
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
    steps, end = _steps("steps", steps), _finite("end", end)
    return lambda step: _half_cosine(min(step, steps) / steps, end)


@_schedule
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
    first, multiply, end = _steps("first", first), _steps("multiply", multiply), _finite("end", end)

    def factor(step: int) -> float:
        length = first
        if multiply == 1:
            return _half_cosine(step % length / length, end)
        while step >= length:
            step, length = step - length, length * multiply
        return _half_cosine(step / length, end)

    return factor


@_schedule
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
    steps, start, end = _steps("steps", steps, 2), _finite("start", start), _finite("end", end)
    rise = number("rise", rise, 0, 1, open_low=True, open_high=True)
    peak = rise * steps - 1

    def factor(step: int) -> float:
        if step >= steps - 1:
            return end
        if step <= peak and peak > 0:  # with a peak at 0 or before, the cycle starts on its way down
            return _half_cosine(1 - step / peak, start)
        return _half_cosine((step - peak) / (steps - 1 - peak), end)

    return factor


@_schedule
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
    rising = _steps("up", up)
    falling = rising if down is None else _steps("down", down)

    def factor(step: int) -> float:
        cycle, place = divmod(step, rising + falling)
        height = place / rising if place <= rising else 1 - (place - rising) / falling
        return _between(height * decay**cycle, low)

    return factor


@_schedule
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
    steps = _steps("steps", steps)
    return lambda step: math.sqrt(steps / max(step, steps))


@_schedule
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
    steps, start = _steps("steps", steps), _finite("start", start)
    return lambda step: _finite("schedule(step)", schedule(step)) * _between(min(step, steps) / steps, start)


@_schedule
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
    schedules = _several("schedules", schedules, "functions of the step number")
    milestones = _several("milestones", milestones, "step numbers")
    for i, one in enumerate(schedules):
        function(f"schedules[{i}]", one, "a function of the step number")
    if len(schedules) != len(milestones) + 1:
        raise ValueError(f"milestones: got {len(milestones)}, expected one less than the {len(schedules)} schedules")
    ends = [_steps(f"milestones[{i}]", one) for i, one in enumerate(milestones)]
    if ends != sorted(set(ends)):
        raise ValueError(f"milestones: got {ends}, expected increasing steps")

    def factor(step: int) -> float:
        i = bisect.bisect_right(ends, step)
        return _finite(f"schedules[{i}](step)", schedules[i](step - (ends[i - 1] if i else 0)))

    return factor
