"""The one clock: everything that is timed here is timed in turn, since machines are shared and drift."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

REST, TURN = 0.02, 0.05  # seconds before, and of, a contender's turn
READING = 2e-5  # seconds: a shorter call is made several times between two looks at the clock

Run = Callable[[], object]
Clock = Callable[[], float]


class Sample(NamedTuple):
    """Seconds of a call: the median of the readings, and their quartiles as the spread."""

    median: float
    low: float
    high: float
    runs: int


def sample(times: list[float]) -> Sample:
    low, median, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    return Sample(median, low, high, len(times))


def turn(run: Run, seconds: float, calls: int = 1, clock: Clock = time.perf_counter) -> list[float]:
    """Seconds of a call, in as many readings of so many calls as the seconds hold: one at least."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        start = clock()
        for _ in range(calls):
            run()
        taken.append((clock() - start) / calls)
    return taken


def calls_of(run: Run, reading: float = READING, clock: Clock = time.perf_counter) -> int:
    """How many calls make a reading of so many seconds."""
    calls = 1
    while (once := turn(run, 0, calls, clock)[0]) * calls < reading:
        calls = max(2 * calls, int(reading / max(once, 1e-9)))
    return calls


def alternate(
    runs: dict[str, Run], seconds: float = 2.0, least: int = 5, clock: Clock = time.perf_counter
) -> dict[str, Sample]:
    """Time the contenders in turn for about `seconds`, at least `least` readings of each.

    A turn begins with a rest and a call that does not count: the threads of the one before spin for some
    milliseconds after their work, and would slow whoever comes next.
    """
    calls = {name: calls_of(run, clock=clock) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while min(map(len, times.values())) < least or time.perf_counter() < end:
        for name, run in runs.items():
            time.sleep(REST)
            run()
            times[name] += turn(run, TURN, calls[name], clock)
    return {name: sample(taken) for name, taken in times.items()}
