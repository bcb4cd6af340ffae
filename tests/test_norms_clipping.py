"""Global norm and clipping by it (docs/norms.md 1.12)."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl.reference import norms as reference

ORDERS = [0, 0.5, 1, 1.5, 2, 3, math.inf]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ord", ORDERS)
@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 65, 8192, 8193, 200_001])
def test_global_norm_is_that_of_the_concatenation(level, dtype, ord, size):
    rng = np.random.default_rng(size)
    arrays = [rng.standard_normal(size).astype(dtype), rng.standard_normal((3, 5)).astype(dtype)]
    want = reference.global_norm(arrays, ord)
    rel = 1e-14 if dtype is np.float64 or ord in {0, 1, 2, math.inf} else 3e-7
    assert fd.global_norm(arrays, ord) == pytest.approx(want, rel=rel)
    flat = np.concatenate([one.ravel() for one in arrays])
    assert fd.global_norm(flat, ord) == pytest.approx(want, rel=rel)


@pytest.mark.parametrize("ord", ORDERS)
def test_same_bits_for_any_number_of_threads(level, ord):
    x = np.random.default_rng(1).standard_normal(1_000_003).astype(np.float32)
    values = set()
    for threads in (1, 2, 3, 8):
        fd.set_num_threads(threads)
        values.add(fd.global_norm(x, ord))
    assert len(values) == 1


def test_norm_survives_where_squares_do_not(level):
    for scale in (1e300, 1e-300, 5e-324):
        x = np.array([3.0, 4.0]) * scale
        assert fd.global_norm(x) == pytest.approx(5 * scale, rel=1e-15)
    assert fd.global_norm([np.array([3e300]), np.array([4e-300])]) == 3e300


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("position", [0, 40, 99, 20_000])
def test_the_norm_tells_what_is_not_finite(level, bad, position):
    x = np.ones(30_000, np.float32)
    x[position] = bad
    for ord in (1, 1.5, 2, math.inf):
        got = fd.global_norm(x, ord)
        assert math.isnan(got) if math.isnan(bad) else got == math.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_norm", [0, 1.0, 1e9])
def test_clipping_agrees_with_the_reference(level, dtype, max_norm):
    rng = np.random.default_rng(3)
    ours = [rng.standard_normal(n).astype(dtype) for n in (5, 3000, 200_000)]
    theirs = [one.copy() for one in ours]
    assert fd.clip_by_global_norm_(ours, max_norm) == pytest.approx(
        reference.clip_by_global_norm_(theirs, max_norm), rel=1e-14
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2 * np.finfo(dtype).eps)
    if max_norm:
        assert fd.global_norm(ours) <= max_norm * (1 + 1e-6)


def test_a_refused_call_changes_nothing():
    good, locked = np.full(3, 7.0), np.full(3, 7.0)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match=r"arrays\[1\]: got a read-only"):
        fd.clip_by_global_norm_([good, locked], 1.0)
    with pytest.raises(TypeError, match=r"arrays\[1\]: got dtype int64"):
        fd.clip_by_global_norm_([good, np.arange(3)], 1.0)
    with pytest.raises(ValueError, match="max_norm: got -1"):
        fd.clip_by_global_norm_([good], -1)
    with pytest.raises(ValueError, match="ord: got -2"):
        fd.global_norm([good], -2)
    assert (good == 7).all()
