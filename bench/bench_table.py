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
from fastdl.cli._bench._peers import OWN, compare
from fastdl.cli._bench._table import label
from fastdl.cli._bench._tour import installed

SECONDS = 0.15  # for a row, and again for its reference or a peer
FRESH = 20.0  # seconds that limits are quoted before they are measured again

ROWS = [
    pytest.param(case, size, dtype, id=f"{case.name}-{size}-{dtype}")
    for case in counted() for dtype in case.dtypes for size in SIZES
]  # fmt: skip
COMPARED = [
    pytest.param(case, sizes, id=f"{case.name}-{label(case.title, sizes)}") for case in table() for sizes in case.shapes
]
_seen: dict[np.dtype, tuple[float, Limits]] = {}


def limits_now(dtype: np.dtype) -> Limits:
    """The best seen in this run, measured again from time to time: on a shared machine a moment may be a poor one."""
    taken, best = _seen.get(dtype, (-FRESH, Limits(0, 0, 0)))
    if time.monotonic() - taken >= FRESH:
        _seen[dtype] = time.monotonic(), Limits(*map(max, best, limits(dtype, 0.1)))
    return _seen[dtype][1]


@pytest.mark.parametrize(("case", "size", "dtype"), ROWS)
def test_function(benchmark, case: Case, size: str, dtype: np.dtype):
    row = measure(case, size, dtype, limits_now(dtype), SECONDS)
    print(f"\n{line(row)}", end="")
    benchmark.extra_info.update(row)
    benchmark.pedantic(case.work(size, dtype).run, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize(("case", "sizes"), COMPARED)
def test_against_peers(benchmark, case: Case, sizes: dict):
    adapters = {OWN: _fastdl, **{peer.title: peer.adapter for peer in _peers()}}
    found = compare(case, sizes, adapters, SECONDS * len(adapters), reference=case.kind == "recurrent")
    assert not found.wrong
    taken = {name: one.median for name, one in found.taken.items()}
    told = [f"{name} {1e3 * one:.3f} ms, {one / taken[OWN]:.2f} x" for name, one in taken.items()]
    print(f"\n{label(case.title, sizes):72} {kernels.level}, {fd.get_num_threads()} threads: {'; '.join(told)}", end="")
    benchmark.extra_info.update(taken)
    benchmark.pedantic(found.works[OWN].run, rounds=3)


@functools.cache
def _peers() -> list:
    return installed(fd.get_num_threads())
