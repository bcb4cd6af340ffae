"""What calls leave behind: nothing, however many and however their shapes change."""

import resource
import tracemalloc

import numpy as np
import pytest

import fastdl as fd


@pytest.mark.compiled_only("the reference keeps nothing, and takes a minute")
def test_ten_thousand_calls_of_changing_shapes_leave_nothing():
    rng, layer = np.random.default_rng(0), fd.nn.GRU(8, 12, rng=0)

    def calls(count):
        for _ in range(count):
            T, B = rng.integers(1, 20), rng.integers(1, 12)
            y = layer.forward(np.ones((T, B, 8), np.float32), lengths=rng.integers(1, T + 1, B))
            layer.backward(y)

    calls(500)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    calls(100)
    before = tracemalloc.get_traced_memory()[0]
    calls(10_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000  # bytes of Python's
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 20_000  # KiB of the process
