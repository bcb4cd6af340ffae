"""What a function documents holds on every backend: types, names, shapes, memory."""

import numpy as np
import pytest
from cases import table

import fastdl as fd

EVERY = [pytest.param(case, dtype, id=f"{case.name}-{dtype}") for case in table() for dtype in case.dtypes]


def described(value):
    """Everything about a result but its numbers."""
    if isinstance(value, np.ndarray):
        return ("array", type(value), value.dtype, value.shape, value.flags.writeable)
    if isinstance(value, tuple) and type(value).__name__ != "RecurrentTape":
        return (type(value), getattr(value, "_fields", ()), [described(one) for one in value])
    if isinstance(value, list):
        return (list, [described(one) for one in value])
    if isinstance(value, dict):
        return {key: described(one) for key, one in value.items()}
    return type(value)


@pytest.mark.parametrize(("case", "dtype"), EVERY)
def test_the_same_types_on_both_backends(case, dtype):
    expected = described(case.work("small", dtype).run())
    with fd.backend("reference"):
        assert described(case.work("small", dtype).run()) == expected
