"""Values of the norms against NumPy, extended precision and exact sums (docs/norms.md 1.1 to 1.8)."""

import math
import warnings

import awkward
import numpy as np
import pytest

import fastdl as fd
from fastdl.norms._axes import norms_along
from fastdl.reference import norms as reference

ORDERS = [0, 0.3, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 12.5, 40, math.inf, -math.inf, -1, -2, -1.5, -33.3]
DTYPES = [np.float32, np.float64]
# float32 sums run in double: one rounding, except where the terms are computed in float32.
TOLERANCE = {np.float32: 3e-7, np.float64: 2e-14}


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def exactly(x, p):
    """The norm in extended precision, scaled; a count or an extreme for the others."""
    a = np.abs(x.astype(np.longdouble)).ravel()
    if p == 0:
        return np.longdouble((a != 0).sum())
    if math.isinf(p):
        return a.max() if p > 0 else a.min()
    decides = a.max() if p > 0 else a.min()
    scale = np.exp2(np.floor(np.log2(decides))) if 0 < decides < np.inf else np.longdouble(1)
    with np.errstate(all="ignore"):
        return scale * ((a / scale) ** np.longdouble(p)).sum() ** (1 / np.longdouble(p))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", ORDERS)
def test_vectors_of_every_size(level, dtype, ord):
    for size in awkward.SIZES[1:]:
        x = np.random.default_rng(size).standard_normal(size).astype(dtype)
        got = fd.norm(x, ord)
        assert type(got) is dtype
        assert got == pytest.approx(float(exactly(x, ord)), rel=TOLERANCE[dtype]), size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", ORDERS)
@pytest.mark.parametrize("shape", [(33, 129), (2000, 17), (17, 2000), (5, 3), (4, 3, 40), (300, 16, 2)])
def test_norms_along_axes(level, dtype, ord, shape):
    x = np.random.default_rng(2).standard_normal(shape).astype(dtype)
    for axis in range(x.ndim):
        for keepdims in (False, True):
            want = np.linalg.norm(x.astype(np.float64), ord, axis, keepdims)
            got = fd.norm(x, ord, axis, keepdims)
            assert got.dtype == dtype
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype])
    if ord >= 0:
        axes = (0, x.ndim - 1)
        np.testing.assert_allclose(fd.lp(x, ord, axes), reference.lp(x, ord, axes), rtol=TOLERANCE[dtype])


@pytest.mark.compiled_only("two ways of the kernels")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", [0, 1, 2, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 31, 129, 8192, 9001])
def test_rows_of_any_values_by_one_kernel(level, dtype, ord, n):
    info = np.finfo(dtype)
    x = np.random.default_rng(n).standard_normal((9, n)).astype(dtype)
    for row, value in enumerate([0, info.smallest_subnormal, info.tiny, info.max, np.inf, np.nan]):
        x[row, :: 1 if row < 4 else 7] = value
    got, want = fd.norm(x, ord, 1), norms_along(x, (1,), float(ord))
    assert got.dtype == dtype
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, want.astype(dtype))
    np.testing.assert_allclose(got[6:], [exactly(row, ord) for row in x[6:]], rtol=TOLERANCE[dtype])
    np.testing.assert_array_equal(got, [fd.norm(row, ord) for row in x])
    assert fd.norm(x[None], ord, -1, keepdims=True).shape == (1, 9, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", [None, 0, 1, 2, 2.5, 3, math.inf])
def test_every_layout(dtype, ord):
    for name, x in awkward.layouts(dtype):
        if x.ndim == 1 or ord is None:
            want = np.linalg.norm(np.asarray(x, np.float64), ord)
            assert fd.norm(x, ord) == pytest.approx(want, rel=TOLERANCE[dtype]), name
        p = 2 if ord is None else ord
        for axis in [None, *range(-x.ndim, x.ndim)]:
            want = reference.lp(x, p, axis)
            got = fd.lp(x, p, axis)
            assert got.dtype == dtype, name
            np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], err_msg=f"{name}, axis {axis}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", ORDERS)
def test_every_value(level, dtype, ord):
    for name, x in awkward.values(dtype):
        want = quiet(lambda x: dtype(exactly(x, ord)), x)
        columns = np.repeat(x[:, None], 20, axis=1)
        for got in (fd.norm(x, ord), fd.norm(x[None], ord, 1)[0], fd.norm(columns, ord, 0)[3]):
            if 0 < abs(want) < np.finfo(dtype).tiny:  # subnormal results have few digits
                assert abs(got - want) <= 2 * np.finfo(dtype).smallest_subnormal, name
            else:
                np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], err_msg=name)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf, None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_matrices(dtype, ord):
    rng = np.random.default_rng(4)
    matrix, stack = rng.standard_normal((7, 40)).astype(dtype), rng.standard_normal((3, 20, 5)).astype(dtype)
    np.testing.assert_allclose(fd.norm(matrix, ord), np.linalg.norm(matrix.astype(float), ord), rtol=2e-6)
    for axis in [(1, 2), (2, 1), (0, -1), (-3, 1)]:
        for keepdims in (False, True):
            want = np.linalg.norm(stack.astype(float), ord, axis, keepdims)
            got = fd.norm(stack, ord, axis, keepdims)
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=2e-6)


def test_integers_booleans_and_numpy_scalars():
    assert fd.norm(np.array([3, -4])) == 5
    assert type(fd.norm(np.array([3, -4]))) is np.float64
    assert fd.l1(np.array([True, False, True])) == 2
    assert fd.norm(np.arange(12, dtype=np.int8).reshape(3, 4), 1, axis=0).dtype == np.float64
    assert fd.l2(np.float32(-3)) == 3
    assert fd.l2(np.array([3.0, 4.0], np.float32), dtype=np.float64).dtype == np.float64
    assert fd.l2(np.array([3.0, 4.0]), dtype="float32").dtype == np.float32
    assert fd.l2(np.ones((2, 3)), keepdims=True).shape == (1, 1)


def test_what_overflows_elsewhere(level):
    for scale in (1e300, 1e-300, 1e-320):
        x = np.array([3.0, -4.0]) * scale
        assert fd.l2(x) == pytest.approx(5 * scale, rel=1e-14 if scale != 1e-320 else 1e-3)
        assert fd.norm(x[:, None] * np.ones(20), 3, axis=0)[7] == pytest.approx(91 ** (1 / 3) * scale, rel=1e-3)
    for p in (0.5, 3, 2.7, 100, 1e20):
        x = np.full(1000, 1e290)
        want = 1e290 * 1000.0 ** (1 / p)
        assert fd.lp(x, p) == pytest.approx(want, rel=1e-12)
        assert fd.lp(x * 1e-290 * 1e-290, p) == pytest.approx(want * 1e-290 * 1e-290, rel=1e-12)
    assert fd.l2(np.full(4, 1e38, np.float32)) == np.float32(2e38)
    # A result that the type cannot hold is an infinity, without a warning.
    assert fd.l2(np.full(100, 3e38, np.float32)) == np.inf
    assert fd.lp(np.ones(10_000), 1e-3) == np.inf


@pytest.mark.parametrize("p", [0.3, 0.7, 1.5, 2.5, 3, 4, 7, 7.5, 12, 31, 63.5, 64, -0.7, -2.5])
def test_powers_of_float32_in_every_range(level, p):
    """Whether a block's terms stay within float's range decides how they are computed: either way they are right."""
    rng = np.random.default_rng(0)
    for e in range(-149, 128, 3):
        x = np.ldexp(rng.uniform(-1, 1, 200), e).astype(np.float32)
        x = x[x != 0]
        small = np.float32([1e-45, -3e-42, 1e-38, 1e-30])
        for given in (x, np.concatenate([x, small]), np.concatenate([x, [0]]).astype(np.float32)):
            if not given.any():
                continue
            with np.errstate(divide="ignore", over="ignore"):
                terms = np.abs(given.astype(np.longdouble)) ** np.longdouble(p)
                want = np.float32(terms.sum() ** (1 / np.longdouble(p)))
            tiny = 2 * np.finfo(np.float32).smallest_subnormal
            np.testing.assert_allclose(fd.norm(given, p), want, rtol=4e-7, atol=tiny, err_msg=f"2^{e}")
        for odd in (np.nan, np.inf):
            got, want = fd.norm(np.append(x, np.float32(odd)), p), odd if p > 0 or np.isnan(odd) else fd.norm(x, p)
            np.testing.assert_allclose(got, want, rtol=4e-7)


@pytest.mark.compiled_only("sums in blocks")
@pytest.mark.parametrize("ord", [1, 2, 3, 2.5])
def test_error_does_not_grow_with_the_size(ord):
    x = np.random.default_rng(8).random(10_000_000).astype(np.float32)
    want = math.fsum(np.abs(x.astype(np.float64)) ** ord) ** (1 / ord)
    assert fd.norm(x, ord, dtype=np.float64) == pytest.approx(want, rel=1e-14)
    assert fd.norm(x, ord) == pytest.approx(want, rel=6e-8 if ord <= 2 else 1.5e-7)
    # float32 sums of peers stop growing altogether here
    assert fd.l1(np.full(40_000_000, 1.0, np.float32), dtype=np.float64) == 40_000_000


@pytest.mark.compiled_only("the bits of any number of threads")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ord", [0, 1, 2, 3, 2.5, 7, math.inf])
def test_same_bits_for_any_number_of_threads_and_build(dtype, ord):
    from fastdl._dispatch import _system, kernels

    x = np.random.default_rng(1).standard_normal((1003, 1017)).astype(dtype)
    seen = set()
    before = kernels.level
    for build in _system.supported_levels():
        kernels.switch(build)
        for threads in (1, 2, 3, 8):
            fd.set_num_threads(threads)
            parts = [
                fd.lp(x, ord),
                fd.lp(x, ord, 0),
                fd.lp(x, ord, 1),
                fd.norm_gradient(x, ord),
                fd.prox_norm(x, 0.1, 1),
            ]
            seen.add(b"".join(np.asarray(part).tobytes() for part in parts))
    kernels.switch(before)
    assert len(seen) == 1


def test_empty_arrays_follow_numpy():
    for ord in (0, 1, 2, 3, math.inf):
        assert fd.norm(np.zeros(0), ord) == np.linalg.norm(np.zeros(0), ord) == 0
        assert fd.norm(np.zeros((0, 3)), ord, axis=0).tolist() == [0, 0, 0]
        assert fd.norm(np.zeros((0, 3)), ord, axis=1).shape == (0,)
    for axis in (None, 0):
        with pytest.raises(ValueError, match="x: got shape"):
            fd.norm(np.zeros(0), -math.inf, axis=axis)


def test_dual_norm_and_hoelder():
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((2, 5, 300))
    for p in (1, 1.2, 2, 3, math.inf):
        bound = fd.lp(x, p, axis=1) * fd.dual_norm(y, p, axis=1)
        inner = (x * y).sum(axis=1)
        assert (np.abs(inner) <= bound * (1 + 1e-12)).all()
        # The gradient of the norm attains the bound: <x, g> = norm(x), dual norm(g) = 1.
        g = fd.norm_gradient(x, p, axis=1)
        np.testing.assert_allclose((x * g).sum(axis=1), fd.lp(x, p, axis=1), rtol=1e-12)
        np.testing.assert_allclose(fd.dual_norm(g, p, axis=1), 1, rtol=1e-12)
    with pytest.raises(ValueError, match=r"ord: got 0\.5"):
        fd.dual_norm(x, 0.5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fd.norm([3.0, 4.0], 2), TypeError, "x: got list, expected a numpy array"),
        (lambda: fd.l2("abc"), TypeError, "x: got str"),
        (lambda: fd.l2(np.zeros(3, complex)), TypeError, "x: got dtype complex128"),
        (lambda: fd.l2(np.zeros(3, np.float16)), TypeError, "x: got dtype float16"),
        (lambda: fd.norm(np.zeros(3), "fro"), ValueError, "ord: got 'fro'"),
        (lambda: fd.norm(np.zeros((3, 3)), 3), ValueError, "ord: got 3, expected one of"),
        (lambda: fd.norm(np.zeros((3, 3, 3)), 2), ValueError, "ord: got 2 with 3 axes"),
        (lambda: fd.norm(np.zeros(3), math.nan), ValueError, "ord: got nan"),
        (lambda: fd.norm(np.zeros(3), 2, axis=1), ValueError, "axis"),
        (lambda: fd.norm(np.zeros((3, 3)), 2, axis=(0, 0)), ValueError, "axis"),
        (lambda: fd.l1(np.zeros(3), axis=1.5), TypeError, "axis: got 1.5"),
        (lambda: fd.l1(np.zeros(3), dtype=np.int32), ValueError, "dtype: got"),
        (lambda: fd.lp(np.zeros(3), -1), ValueError, "p: got -1"),
    ],
)
def test_refusals_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_torch(dtype):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).standard_normal((13, 70, 9)).astype(dtype)
    for ord in (0, 0.5, 1, 2, 3, 2.5, -1, math.inf, -math.inf):
        for axis in (None, 0, 1, 2, (0, 2), (1, 2)):
            for keepdims in (False, True):
                if ord < 0 and not isinstance(axis, int):
                    continue
                theirs = torch.linalg.vector_norm(torch.from_numpy(x), ord, axis, keepdims).numpy()
                ours = fd.norm(x, ord, axis, keepdims) if ord < 0 else fd.lp(x, ord, axis, keepdims)
                np.testing.assert_allclose(ours, theirs, rtol=2e-5 if dtype is np.float32 else 1e-12)
                assert ours.shape == theirs.shape
