"""Fixtures shared by all tests: every kernel test runs on every build and several thread counts.

``FASTDL_TEST_BACKEND=reference`` runs the suite on the reference, but for what is of the kernels alone: the files
and the fixture below, and tests marked ``compiled_only(reason)``.
"""

import os
import signal

import pytest

import fastdl as fd
from fastdl._dispatch import _system, kernels

# A shell has its background jobs ignore these, and what a job starts inherits that: tests that interrupt would fail.
for _signal, _action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _action)


@pytest.fixture(params=_system.supported_levels())
def level(request):
    """Each build this processor runs, in turn."""
    before = kernels.level
    kernels.switch(request.param)
    yield request.param
    kernels.switch(before)


@pytest.fixture(autouse=True)
def _threads_restored():
    before = fd.get_num_threads()
    yield
    fd.set_num_threads(before)


BACKEND = os.environ.get("FASTDL_TEST_BACKEND", "compiled")
COMPILED_ONLY = {  # files about the kernels themselves, or the tools around them
    "test_arrays", "test_bench", "test_bench_peers", "test_bench_report", "test_bench_tracking", "test_builds",
    "test_cli", "test_examples", "test_kernel_doors", "test_floors", "test_backends",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    if BACKEND == "compiled":
        return
    for item in items:
        mark = item.get_closest_marker("compiled_only")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"of the compiled backend alone: {mark.args[0]}"))
        elif "level" in getattr(item, "fixturenames", ()) or item.path.stem in COMPILED_ONLY:
            item.add_marker(pytest.mark.skip(reason="of the compiled backend alone: every build"))


@pytest.fixture(autouse=True)
def _backend():
    with fd.backend(BACKEND):
        yield
