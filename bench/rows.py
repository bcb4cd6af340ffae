"""One row of every benchmark: a case of the table, asserted first, then timed and held to the machine's limits."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from alternate import Sample, alternate
from cases import SINGLE, Case
from limits import Limits, binding, share

import fastdl as fd
from fastdl._dispatch import kernels

EXACT = 1e-6  # float64: of the largest element


def measure(
    case: Case,
    size: str | dict[str, int],
    dtype: np.dtype,
    limits: Limits,
    seconds: float = 0.3,
    reference: bool = True,
) -> dict[str, Any]:
    """Assert a case, time it for about `seconds`, and say what it reached.

    With `reference` the result is asserted at this size, and the reference is timed too: in turn, or, if a call
    takes it longer than `seconds`, by that one call. Without, the result is asserted at the small size and the ratio
    is None. The build and the threads are those in force.
    """
    taken = assert_result(case, size if reference else "small", dtype)
    work = case.work(size, dtype)
    contenders = {"fastdl": work.run}
    if reference and taken <= seconds:
        contenders["reference"] = work.expected or _reference(case, size, dtype)
    samples = alternate(contenders, seconds * len(contenders), least=3)
    own = samples["fastdl"]
    other = samples.get("reference", Sample(taken, taken, taken, 1)).median if reference else None
    return {
        "case": case.name,
        "size": size,
        "dtype": dtype.name,
        "build": kernels.level,
        "threads": fd.get_num_threads(),
        "seconds": own.median,
        "low": own.low,
        "high": own.high,
        "runs": own.runs,
        "read": work.read,
        "written": work.written,
        "multiply_adds": work.multiply_adds,
        "gbytes_s": (work.read + work.written) / own.median / 1e9,
        "gflops": 2 * work.multiply_adds / own.median / 1e9,
        "limit": binding(work.read, work.written, work.multiply_adds, limits),
        "share": share(work.read, work.written, work.multiply_adds, own.median, limits),
        "reference_ratio": other / own.median if other else None,
    }


def line(row: dict[str, Any]) -> str:
    """A row as one line of text."""
    of = {"copy": "copying", "read": "reading", "multiply_adds": "the multiply-add peak"}[row["limit"]]
    text = f"{row['case']:48} {row['size']!s:6} {row['dtype']:7} {row['build']}, {row['threads']} threads: "
    text += f"{1e6 * row['seconds']:11.1f} us ({1e6 * row['low']:.1f} to {1e6 * row['high']:.1f}), "
    text += f"{row['gbytes_s']:6.1f} GB/s, " if row["gbytes_s"] else ""
    text += f"{row['gflops']:6.1f} GFLOP/s, " if row["multiply_adds"] else ""
    text += f"{row['share']:4.2f} of {of}"
    return text + (f"; {row['reference_ratio']:.2f} x the reference" if row["reference_ratio"] else "")


def assert_result(case: Case, size: str | dict[str, int], dtype: np.dtype) -> float:
    """Compare one call with the reference, both on fresh arrays; the seconds the reference took.

    A result counts as right within the case's tolerance of the reference's largest element, which is one number
    for values of any scale.
    """
    work = case.work(size, dtype)
    tolerance = work.tolerance if dtype == SINGLE else min(work.tolerance, EXACT)
    found = list(arrays_of(work.run()))
    run = work.expected or _reference(case, size, dtype)
    start = time.perf_counter()
    result = run()
    taken = time.perf_counter() - start
    expected = list(arrays_of(result))
    assert len(found) == len(expected) > 0, f"{case.name}: {len(found)} results, the reference has {len(expected)}"
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape, f"{case.name}, {size}: shape {one.shape}, the reference has {other.shape}"
        assert _same(one, other, tolerance), f"{case.name}, {size}, {dtype}: differs from the reference"
    return taken


def _reference(case: Case, size: str | dict[str, int], dtype: np.dtype) -> Callable[[], Any]:
    """The same call, built and run on the reference."""
    with fd.backend("reference"):
        work = case.work(size, dtype)

    def run() -> Any:
        with fd.backend("reference"):
            return work.run()

    return run


def _same(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """No case has results that are not finite, so none passes here."""
    if expected.dtype.kind != "f":
        return np.array_equal(found, expected)
    return bool(np.abs(found - expected).max(initial=0.0) <= tolerance * np.abs(expected).max(initial=0.0) < np.inf)


def arrays_of(result: Any) -> Iterator[np.ndarray]:
    """The arrays and numbers in what a function returns."""
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from arrays_of(part)
    elif result is not None:
        yield np.asarray(result)
