"""A case of the table, asserted first, then timed in turn with its reference and held to what the machine can do."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl._memory import aligned_empty
from fastdl.cli._bench._clock import Sample, alternate, turn
from fastdl.cli._bench._table import DOUBLE, Case, Sizes, assert_result, on_reference

BYTES = 1 << 26  # of each array that is copied or read: more than any cache in front of memory
UNITS = {"copy": "copying", "read": "reading", "multiply_adds": "multiply-adds"}


class Limits(NamedTuple):
    """Of the build and number of threads in force: the best of many short runs, in units a second."""

    copy: float  # bytes read plus bytes written
    read: float  # bytes
    multiply_adds: float


def limits(dtype: np.dtype, seconds: float = 0.3) -> Limits:
    """Take the three limits now, `seconds` for each."""
    threads = fd.get_num_threads()
    words, (source, target) = np.ones(BYTES // 8, np.uint64), (aligned_empty(BYTES // 8, DOUBLE) for _ in range(2))
    source[:] = target[:] = 1.0  # their pages are there before anything is timed
    bounds = [source.size * part // threads for part in range(threads + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(bounds)]
    with ThreadPoolExecutor(threads) as pool:  # NumPy's copy, split over the threads
        copying = min(turn(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), parts)), seconds))
    reading = min(turn(lambda: kernels.system.read_words(words, threads), seconds))
    run, units = peak(dtype == DOUBLE)
    return Limits(2 * BYTES / copying, BYTES / reading, units / min(turn(run, seconds)))


def peak(double: bool = False) -> tuple[Callable[[], object], float]:
    """A call that does multiply-adds in registers, and how many: to be timed in turn with what is held to it."""
    threads = fd.get_num_threads()

    def run() -> float:
        return kernels.system.multiply_adds(200_000, double, threads)

    return run, run() * threads


def roofline(row: Any, limits: Any) -> tuple[Any, Any]:
    """Which limit binds a row, and the least time over the time taken; of a frame with a row a line too.

    What only reads is held to the speed of reading, what writes too to that of copying. A row that takes less had
    its data from a cache.
    """
    memory = np.where(row["written"] > row["read"] / 16, "copy", "read")
    moving = (row["read"] + row["written"]) / np.where(memory == "copy", limits["copy"], limits["read"])
    computing = row["multiply_adds"] / limits["multiply_adds"]
    return np.where(computing > moving, "multiply_adds", memory), np.maximum(moving, computing) / row["seconds"]


def measure(
    case: Case, size: str | Sizes, dtype: np.dtype, limits: Limits, seconds: float = 0.3, reference: bool = True
) -> dict[str, Any]:
    """Assert a case, time it for about `seconds`, and say what it reached.

    With `reference` the result is asserted at this size, and the reference is timed too: in turn, or, if a call
    takes it longer than `seconds`, by that one call. Without, the result is asserted at the small size and the ratio
    is None. The build and the threads are those in force.
    """
    taken = assert_result(case, size if reference else "small", dtype)
    work = case.work(size, dtype)
    cost = work.cost()
    runs = {"fastdl": work.run}
    if reference and taken <= seconds:
        runs["reference"] = on_reference(case, size, dtype).run
    samples = alternate(runs, seconds * len(runs), least=3)
    own = samples["fastdl"]
    other = samples.get("reference", Sample(taken, taken, taken, 1)).median if reference else None
    row = {
        "case": case.name, "size": size, "dtype": dtype.name, "build": kernels.level, "threads": fd.get_num_threads(),
        "seconds": own.median, "low": own.low, "high": own.high, "runs": own.runs, **cost,
        "gbytes_s": (cost["read"] + cost["written"]) / own.median / 1e9,
        "gflops": 2 * cost["multiply_adds"] / own.median / 1e9, "limits": limits._asdict(),
        "reference_ratio": other / own.median if other else None,
    }  # fmt: skip
    limit, share = roofline(row, row["limits"])
    return row | {"limit": str(limit), "share": float(share)}


def line(row: dict[str, Any]) -> str:
    """A row as one line of text."""
    text = f"{row['case']:48} {row['size']!s:6} {row['dtype']:7} {row['build']}, {row['threads']} threads: "
    text += f"{1e6 * row['seconds']:11.1f} us ({1e6 * row['low']:.1f} to {1e6 * row['high']:.1f}), "
    text += f"{row['gbytes_s']:6.1f} GB/s, " if row["gbytes_s"] else ""
    text += f"{row['gflops']:6.1f} GFLOP/s, " if row["multiply_adds"] else ""
    text += f"{row['share']:4.2f} of {UNITS[row['limit']]}"
    return text + (f"; {row['reference_ratio']:.2f} x the reference" if row["reference_ratio"] else "")
