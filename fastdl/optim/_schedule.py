"""What a schedule is made of: checks, copies, its text."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .._validate import integer, number, plain_number

Schedule = Callable[[int], float]
_F = TypeVar("_F", bound=Callable[..., Schedule])
LONGEST = 2**63 - 1  # steps, and what counts them


class _Made:
    """A schedule of this module: checks the step and the factor, and can be pickled, copied and read."""

    def __init__(
        self, maker: Callable[..., Schedule], args: tuple[Any, ...], kwargs: dict[str, Any], factor: Schedule
    ) -> None:
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
        return f"{self._maker.__name__}({', '.join(given)})"


def _make(maker: Callable[..., Schedule], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Schedule:
    return maker(*args, **kwargs)


def readable(make: _F) -> _F:
    """Have a function return a :class:`_Made`. Lists and other iterables among its arguments are kept as tuples."""

    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Schedule:
        args = tuple(_kept(one) for one in args)
        kwargs = {name: _kept(one) for name, one in kwargs.items()}
        return _Made(made, args, kwargs, make(*args, **kwargs))

    return made  # type: ignore[return-value]


def _kept(value: Any) -> Any:
    value = plain_number(value)
    plain = isinstance(value, (str, bytes)) or not isinstance(value, Iterable)
    return value if plain else tuple(value)


def checked_several(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{name}: got {value!r}, expected a sequence of {what}")
    return value


def checked_steps(name: str, value: Any, low: int = 1) -> int:
    return integer(name, value, low, LONGEST)


def checked_factor(name: str, value: Any) -> float:
    return number(name, value, 0, math.inf, open_high=True)


def between(part: float, end: float) -> float:
    """1 for the part 1, `end` for the part 0, and a straight line between."""
    return part + (1 - part) * end


def half_cosine(part: float, end: float) -> float:
    """From 1 to `end` as `part` goes from 0 to 1."""
    return between((1 + math.cos(math.pi * part)) / 2, end)
