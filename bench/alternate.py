"""Timing in turn: what every comparison here uses, since these machines are shared and drift."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

REST, TURN = 0.02, 0.05  # seconds


class Sample(NamedTuple):
    """Seconds: the median of the runs, and their quartiles as the spread."""

    median: float
    low: float
    high: float
    runs: int


def alternate(functions: dict[str, Callable[[], object]], seconds: float = 2.0, least: int = 5) -> dict[str, Sample]:
    """Time the functions in turn for about `seconds`, at least `least` runs of each.

    A turn begins with a rest and a run that does not count: the threads of the one before spin for some
    milliseconds after their work, and would slow whoever comes next.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while len(next(iter(times.values()))) < least or time.perf_counter() < end:
        for name, function in functions.items():
            time.sleep(REST)
            function()
            turn = time.perf_counter() + TURN
            while True:
                start = time.perf_counter()
                function()
                done = time.perf_counter()
                times[name].append(done - start)
                if done > turn:
                    break
    samples = {}
    for name, taken in times.items():
        low, median, high = statistics.quantiles(taken, n=4) if len(taken) > 1 else taken * 3
        samples[name] = Sample(median, low, high, len(taken))
    return samples


def geometric_mean(values: list[float]) -> float:
    return statistics.geometric_mean(values)
