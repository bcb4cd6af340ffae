"""What this machine can do at best, measured in the run that quotes it: copying, reading, multiply-adds."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl._memory import aligned_empty

BYTES = 1 << 26  # of each array: more than any cache in front of memory


class Limits(NamedTuple):
    """Of the build and number of threads in force: the best of many short runs, in units a second."""

    copy: float  # bytes read plus bytes written
    read: float  # bytes
    multiply_adds: float


def measure(dtype: np.dtype, seconds: float = 0.3) -> Limits:
    """Take the three limits now, `seconds` for each."""
    return Limits(_copy(seconds), _read(seconds), multiply_adds(dtype == np.float64, seconds))


def share(work_read: int, work_written: int, multiply_adds: int, seconds: float, limits: Limits) -> float:
    """The least time the work can take on this machine, over the time it took.

    The roofline: whichever of memory and arithmetic takes longer is the limit. What only reads is held to the
    speed of reading, what writes too to that of copying. Above 1 the data came from a cache.
    """
    return max(_least(work_read, work_written, multiply_adds, limits).values()) / seconds


def binding(work_read: int, work_written: int, multiply_adds: int, limits: Limits) -> str:
    """Which of the limits that is: "copy", "read" or "multiply_adds"."""
    least = _least(work_read, work_written, multiply_adds, limits)
    return max(least, key=lambda name: least[name])


def _least(work_read: int, work_written: int, multiply_adds: int, limits: Limits) -> dict[str, float]:
    """Seconds by each limit that applies."""
    memory = "copy" if work_written > work_read / 16 else "read"
    bytes_moved = work_read + work_written
    return {memory: bytes_moved / getattr(limits, memory), "multiply_adds": multiply_adds / limits.multiply_adds}


def multiply_adds(double: bool = False, seconds: float = 0.3) -> float:
    """Multiply-adds a second of this build, all operands in registers, at best."""
    return _best(peak(double), seconds)


def peak(double: bool = False) -> Callable[[], float]:
    """A call that does multiply-adds in registers and returns how many: to be timed in turn with what is held to it."""
    threads = fd.get_num_threads()
    return lambda: kernels.system.multiply_adds(200_000, double, threads) * threads


def _copy(seconds: float) -> float:
    """NumPy's copy, split over the threads."""
    threads = fd.get_num_threads()
    source, target = aligned_empty(BYTES // 8, np.dtype(np.float64)), aligned_empty(BYTES // 8, np.dtype(np.float64))
    source[:] = 1.0
    bounds = [source.size * part // threads for part in range(threads + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(bounds)]
    with ThreadPoolExecutor(threads) as pool:

        def run() -> float:
            list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))
            return 2 * BYTES

        return _best(run, seconds)


def _read(seconds: float) -> float:
    words, threads = np.ones(BYTES // 8, np.uint64), fd.get_num_threads()

    def run() -> float:
        assert kernels.system.read_words(words, threads) == 1
        return BYTES

    return _best(run, seconds)


def _best(run: Callable[[], float], seconds: float) -> float:
    """Units a second of the fastest run."""
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        done = run()
        best = max(best, done / (time.perf_counter() - start))
    return best
