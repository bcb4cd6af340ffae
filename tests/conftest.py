"""Fixtures shared by all tests: every kernel test runs on every build and several thread counts."""

import pytest

import fastdl as fd
from fastdl._dispatch import _system, kernels


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
