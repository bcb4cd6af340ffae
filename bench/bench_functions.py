"""Every public function with a kernel, at three sizes and in both types: a row for each case of the table.

A row is asserted against the reference at its own size before it is timed (``rows.py``). Choose rows by name, size
or type: ``pytest bench/bench_functions.py --benchmark-enable -s -k "large and float32 and optim"``. The build is
that of FASTDL_ISA, the threads are those of OMP_NUM_THREADS.
"""

import time

import limits
import numpy as np
import pytest
import rows
from cases import SIZES, Case, table
from limits import Limits

SECONDS = 0.15  # for a row, and again for its reference
FRESH = 20.0  # seconds that limits are quoted before they are measured again

ROWS = [
    pytest.param(case, size, dtype, id=f"{case.name}-{size}-{dtype}")
    for case in table()
    for dtype in case.dtypes
    for size in SIZES
]
_best: dict[np.dtype, Limits] = {}
_taken: dict[np.dtype, float] = {}


def limits_now(dtype: np.dtype) -> Limits:
    """The best seen in this run, measured again from time to time: on a shared machine a moment may be a poor one."""
    if time.monotonic() - _taken.get(dtype, -FRESH) >= FRESH:
        found = limits.measure(dtype, 0.1)
        _best[dtype] = Limits(*map(max, found, _best.get(dtype, found)))
        _taken[dtype] = time.monotonic()
    return _best[dtype]


@pytest.mark.parametrize(("case", "size", "dtype"), ROWS)
def test_function(benchmark, case: Case, size: str, dtype: np.dtype):
    row = rows.measure(case, size, dtype, limits_now(dtype), SECONDS)
    print(f"\n{rows.line(row)}", end="")
    benchmark.extra_info.update(row)
    benchmark.pedantic(case.work(size, dtype).run, rounds=3, warmup_rounds=1)
