"""Dropout: equality with the reference on every build, slices, adjoints, in-place use, refusals."""

import numpy as np
import pytest
from awkward import awkward_arrays

import fastdl as fd
from fastdl.reference import dropout as reference

PROBABILITIES = (0.0, 1e-6, 1 / 256, 0.1, 0.5, 0.9, 1 - 1e-6, 1.0)
WHERE = {"seed": 0x0123456789ABCDEF, "stream": 3, "step": 7}
DTYPES = (np.float32, np.float64)


def assert_same(got, want):
    """Bit for bit, NaNs and the signs of zeros included."""
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", PROBABILITIES)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_awkward_arrays_equal_the_reference(level, p, dtype):
    for _, x in awkward_arrays(dtype):
        for options in (
            {},
            {"scaling": "classic"},
            {"training": False},
            {"scaling": "classic", "training": False},
        ):
            want = reference.dropout_forward(x, p, **WHERE, **options)
            assert_same(fd.dropout_forward(x, p, **WHERE, **options), want)
            assert_same(fd.dropout_backward(x, p, **WHERE, **options), want)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.003, 0.998])
def test_any_number_of_threads_and_large_results(level, p):
    """2^22 + 5 float32 go past the caches; the last group is short."""
    x = np.arange(1, 2**22 + 6, dtype=np.float32)
    y = [run(x, p, **WHERE) for run in (with_threads(n) for n in (1, 2, 3, 8))]
    keep = fd.dropout_mask(x.shape, p, **WHERE)
    assert_same(y[0], np.where(keep, x * np.float32(1 / (1 - p)), np.float32(0)))
    for other in y[1:]:
        assert_same(other, y[0])
    assert_same(keep[-70_000:], reference.dropout_mask(70_000, p, **WHERE, start=x.size - 70_000))


def with_threads(n):
    def run(*args, **kwargs):
        fd.set_num_threads(n)
        return fd.dropout_forward(*args, **kwargs)

    return run


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_any_part_of_a_mask_is_that_part_of_the_whole(level, p):
    whole = fd.dropout_mask(5000, p, **WHERE)
    assert_same(whole, reference.dropout_mask(5000, p, **WHERE))
    for start, count in ((0, 1), (1, 1), (1023, 2), (1024, 1024), (999, 3001), (4999, 1), (77, 0)):
        assert_same(fd.dropout_mask(count, p, **WHERE, start=start), whole[start : start + count])
    for far in (2**32 * 16 - 5, 2**40 + 3):  # where the block's low word carries
        assert_same(fd.dropout_mask(3000, p, **WHERE, start=far), reference.dropout_mask(3000, p, **WHERE, start=far))


def test_the_layout_of_a_mask_is_the_documented_one():
    """Element e of a group: byte e // 256 of word (e % 256) // 64 of block e % 64; ties by another block."""
    threshold, key = round(0.1 * 2**32), (WHERE["seed"] & 0xFFFFFFFF, WHERE["seed"] >> 32)
    mask, ties = fd.dropout_mask(2048, 0.1, **WHERE), 0
    for i in range(2048):
        group, e = divmod(i, 1024)
        words = fd.random.philox((group * 64 + e % 64, 0, WHERE["step"], WHERE["stream"]), key)
        byte = int(words[e % 256 // 64]) >> (8 * (e // 256)) & 255
        if byte == threshold >> 24:
            ties += 1
            rest = fd.random.philox((i // 4, 0x80000000, WHERE["step"], WHERE["stream"]), key)[i % 4]
            assert mask[i] == (int(rest) >> 8 >= threshold & 0xFFFFFF)
        else:
            assert mask[i] == (byte > threshold >> 24)
    assert ties > 0


def test_forms_of_the_mask():
    x = np.linspace(1, 2, 3000).reshape(3, 1000)
    y, mask = fd.dropout_forward(x, 0.3, **WHERE, return_mask="bytes")
    assert_same(y, np.where(mask, x * (1 / 0.7), 0.0))
    _, bits = fd.dropout_forward(x, 0.3, **WHERE, return_mask="bits")
    assert_same(np.unpackbits(bits, count=3000, bitorder="little"), mask.ravel())
    assert bits.nbytes == 375
    _, floats = fd.dropout_forward(x, 0.3, **WHERE, return_mask="floats")
    assert_same(floats, mask * (1 / 0.7))
    many = 2**20 + 1000  # more than are drawn at a time
    for form in ("bits", "floats"):
        got = fd.dropout_mask(many, 0.3, **WHERE, form=form, dtype=np.float64)
        assert_same(got, reference.dropout_mask(many, 0.3, **WHERE, form=form, dtype=np.float64))
    assert fd.dropout_mask((2, 3), 1.0, form="floats").tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("axes", [(0,), 1, (2,), -1, (0, 1), (1, 2), (0, 2), (1, 3), (0, 1, 2, 3), (0, 0, -4)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast_axes(level, axes, dtype):
    x = np.random.default_rng(3).normal(1, 1, (5, 4, 3, 37)).astype(dtype)
    for p in (0.0, 0.4, 1.0):
        got, mask = fd.dropout_forward(x, p, **WHERE, broadcast_axes=axes, return_mask="bytes")
        want, same = reference.dropout_forward(x, p, **WHERE, broadcast_axes=axes, return_mask="bytes")
        assert_same(got, want)
        assert_same(mask, same)
    assert fd.dropout_forward(x[:0], 0.4, broadcast_axes=axes).shape == (0, 4, 3, 37)
    large = np.ones((300, 7, 61), dtype)
    for n in (1, 3, 8):
        fd.set_num_threads(n)
        got = fd.dropout_forward(large, 0.4, **WHERE, broadcast_axes=1)
        assert_same(got, reference.dropout_forward(large, 0.4, **WHERE, broadcast_axes=1))


@pytest.mark.parametrize("options", [{}, {"broadcast_axes": 0}, {"training": False, "scaling": "classic"}])
def test_in_place_and_given_outputs(options):
    x = np.linspace(1, 2, 9000, dtype=np.float32).reshape(9, 1000)
    want = fd.dropout_forward(x, 0.3, **WHERE, **options)
    out = np.full_like(x, 7)
    assert fd.dropout_forward(x, 0.3, **WHERE, **options, out=out) is out
    assert_same(out, want)
    assert fd.dropout_forward(x, 0.3, **WHERE, **options, out=x) is x
    assert_same(x, want)


def test_large_results_in_place():
    x = np.ones(2**22 + 1, np.float32)
    want = fd.dropout_forward(x, 0.3, **WHERE)
    fd.dropout_forward(x, 0.3, **WHERE, out=x)
    assert_same(x, want)


@pytest.mark.parametrize("options", [{}, {"scaling": "classic"}, {"broadcast_axes": (1,)}])
def test_backward_is_the_adjoint_of_forward(options):
    rng = np.random.default_rng(1)
    v, u = rng.normal(1, 1, (2, 60, 70))
    forward = np.vdot(u, fd.dropout_forward(v, 0.4, **WHERE, **options))
    backward = np.vdot(fd.dropout_backward(u, 0.4, **WHERE, **options), v)
    assert forward == pytest.approx(backward, rel=1e-12)
    wrong = fd.dropout_backward(u, 0.4, **{**WHERE, "step": 8}, **options)
    assert forward != pytest.approx(np.vdot(wrong, v), rel=1e-12)


def test_exact_ends_and_one_counter_one_mask():
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 1.0], np.float32)
    assert_same(fd.dropout_forward(x, 0.0, **WHERE), x)
    assert_same(fd.dropout_forward(x, 1.0, **WHERE), np.zeros_like(x))
    ones = np.ones(4000)
    once = fd.dropout_forward(ones, 0.5, **WHERE)
    assert_same(fd.dropout_forward(once, 0.5, **WHERE), 2 * once)
    for change in ({"seed": 5}, {"step": 8}, {"stream": 4}):
        assert (fd.dropout_forward(ones, 0.5, **{**WHERE, **change}) != once).any()


def test_backend_reference_runs_the_reference():
    x = np.linspace(1, 2, 1100)
    with fd.backend("reference"):
        assert_same(fd.dropout_forward(x, 0.2, **WHERE), reference.dropout_forward(x, 0.2, **WHERE))


FLAT = np.ones(64, np.float32)
READ_ONLY = np.ones(64, np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"p": -0.1}, ValueError, r"p: got -0.1, expected a number in \[0, 1\]"),
        ({"p": 1.5}, ValueError, "p: got 1.5"),
        ({"p": float("nan")}, ValueError, "p: got nan"),
        ({"p": "0.5"}, TypeError, "p: got '0.5'"),
        ({"x": np.ones(3, np.int64)}, TypeError, "x: got dtype int64"),
        ({"x": [1.0]}, TypeError, "x: got list"),
        ({"seed": -1}, ValueError, "seed: got -1"),
        ({"stream": 2**32}, ValueError, "stream: got 4294967296"),
        ({"step": 0.5}, TypeError, "step: got 0.5"),
        ({"scaling": "both"}, ValueError, "scaling: got 'both'"),
        ({"return_mask": "words"}, ValueError, "return_mask: got 'words'"),
        ({"broadcast_axes": 1}, ValueError, "broadcast_axes: got 1"),
        ({"out": READ_ONLY}, ValueError, "out: got a read-only array"),
        ({"out": np.ones(64)}, TypeError, "out: got dtype float64"),
        ({"out": np.ones(63, np.float32)}, ValueError, r"out: got shape \(63,\)"),
        ({"out": np.ones(128, np.float32)[::2]}, ValueError, "out: got strides"),
        ({"out": "x"}, TypeError, "out: got str"),
    ],
)
def test_refusals_write_nothing(change, error, message):
    arguments = {"x": FLAT, "p": 0.5, **change}
    with pytest.raises(error, match=message):
        fd.dropout_forward(arguments.pop("x"), arguments.pop("p"), **arguments)
    assert (FLAT == 1).all()
    assert (READ_ONLY == 1).all()


def test_overlapping_outputs_are_refused():
    memory = np.ones(100, np.float32)
    with pytest.raises(ValueError, match="out: overlaps x"):
        fd.dropout_forward(memory[:64], 0.5, out=memory[1:65])
    with pytest.raises(ValueError, match="out: overlaps dy"):
        fd.dropout_backward(memory[:64][::-1], 0.5, out=memory[:64])
    assert (memory == 1).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shape": -1}, ValueError, "shape: got -1"),
        ({"shape": 1.5}, TypeError, "shape: got 1.5"),
        ({"start": -1}, ValueError, "start: got -1"),
        ({"form": "words"}, ValueError, "form: got 'words'"),
        ({"form": "floats", "dtype": np.int8}, TypeError, "dtype: got int8"),
    ],
)
def test_mask_refusals(change, error, message):
    with pytest.raises(error, match=message):
        fd.dropout_mask(**{"shape": 3, **change})
