"""The table as benchmarks: every case at its sizes, and against the peers that are installed here.

A row is asserted before it is timed. Choose rows by name, size or type:
``pytest bench/bench_table.py --benchmark-enable -s -k "large and float32 and optim"``. The build is that of
FASTDL_ISA, the threads are those of OMP_NUM_THREADS.
"""

import functools
import time

import numpy as np
import pytest
from cases import SIZES, Case, counted, table
from measure import Limits, limits, line, measure

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl.cli._bench import _fastdl
from fastdl.cli._bench._clock import alternate
from fastdl.cli._bench._peers import PEERS, against, agree, here
from fastdl.cli._bench._table import label

SECONDS = 0.15  # for a row, and again for its reference
FRESH = 20.0  # seconds that limits are quoted before they are measured again

ROWS = [
    pytest.param(case, size, dtype, id=f"{case.name}-{size}-{dtype}")
    for case in counted()
    for dtype in case.dtypes
    for size in SIZES
]
COMPARED = [
    pytest.param(case, sizes, id=f"{case.name}-{label(case.title, sizes)}") for case in table() for sizes in case.shapes
]
_seen: dict[np.dtype, tuple[float, Limits]] = {}


def limits_now(dtype: np.dtype) -> Limits:
    """The best seen in this run, measured again from time to time: on a shared machine a moment may be a poor one."""
    taken, best = _seen.get(dtype, (-FRESH, Limits(0, 0, 0)))
    if time.monotonic() - taken >= FRESH:
        _seen[dtype] = time.monotonic(), best.or_more(limits(dtype, 0.1))
    return _seen[dtype][1]


@functools.cache
def peers() -> dict:
    """The adapters of the peers in this interpreter, on as many threads."""
    found = {peer.title: peer.adapter for peer in PEERS.values() if here(peer)}
    for adapter in found.values():
        adapter.set_threads(fd.get_num_threads())
    return found


@pytest.mark.parametrize(("case", "size", "dtype"), ROWS)
def test_function(benchmark, case: Case, size: str, dtype: np.dtype):
    row = measure(case, size, dtype, limits_now(dtype), SECONDS)
    print(f"\n{line(row)}", end="")
    benchmark.extra_info.update(row)
    benchmark.pedantic(case.work(size, dtype).run, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize(("case", "sizes"), COMPARED)
def test_against_peers(benchmark, case: Case, sizes: dict):
    works, missing = against(case, sizes, {"fastdl": _fastdl} | peers())
    told, _ = agree(case, works, "fastdl")
    assert not any(told.values()), told
    taken = alternate({name: work.run for name, work in works.items()}, seconds=2 * SECONDS * len(works))
    own = taken.pop("fastdl")
    text = "".join(
        f"; {name} {1e3 * one.median:.3f} ms, {one.median / own.median:.2f} x" for name, one in taken.items()
    )
    text += f"; without: {', '.join(missing)}" if missing else ""
    spread = f"{1e3 * own.median:.3f} ms ({1e3 * own.low:.3f} to {1e3 * own.high:.3f})"
    print(f"\n{label(case.title, sizes):66} {kernels.level}, {fd.get_num_threads()} threads: {spread}{text}", end="")
    benchmark.extra_info.update({name: one.median / own.median for name, one in taken.items()}, build=kernels.level)
    benchmark.pedantic(works["fastdl"].run, rounds=3)
