"""Timing in turn: what every comparison here uses, since these machines are shared and drift."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Sample(NamedTuple):
    """Seconds: the median of the runs, and their quartiles as the spread."""

    median: float
    low: float
    high: float
    runs: int


def alternate(
    functions: dict[str, Callable[[], object]], seconds: float = 2.0, least: int = 5
) -> dict[str, Sample]:
    """Call the functions in turn for about `seconds`, at least `least` times each, warmed up."""
    for _ in range(2):
        for function in functions.values():
            function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while len(next(iter(times.values()))) < least or time.perf_counter() < end:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    samples = {}
    for name, taken in times.items():
        low, median, high = statistics.quantiles(taken, n=4)
        samples[name] = Sample(median, low, high, len(taken))
    return samples


def geometric_mean(values: list[float]) -> float:
    return statistics.geometric_mean(values)
