"""A linear layer and its cross-entropy in one: the bits of the two calls, without their memory."""

import numpy as np
import pytest

import fastdl as fd
from fastdl._dispatch import kernels

SHAPES = [(1, 3, 5), (7, 5, 1), (170, 33, 37), (12, 64, 1001), (337, 20, 64), (200, 300, 130)]  # rows, inputs, classes


def drawn(rows, inputs, classes, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x, W, b = (rng.normal(size=shape).astype(dtype) for shape in ((rows, inputs), (inputs, classes), classes))
    return x, W, b, rng.integers(0, classes, rows)


def two_calls(x, W, b, targets, **options):
    loss, dlogits = fd.softmax_cross_entropy(fd.linear_forward(x, W, b), targets, **options)
    dx, dW, db = fd.linear_backward(dlogits, x, W)
    return loss, (dx, dW, None if b is None else db)


def assert_close(mine, theirs, rtol=1e-12):
    np.testing.assert_allclose(mine[0], theirs[0], rtol=rtol)
    for one, other in zip(mine[1], theirs[1], strict=True):
        if one is None or other is None:
            assert one is other
        else:
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * (1e-30 + np.abs(other).max()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_has_the_bits_of_the_two_calls_at_any_number_of_threads(shape, dtype, level):
    x, W, b, y = drawn(*shape, dtype)
    for bias in (b, None):
        loss, expected = two_calls(x, W, bias, y)
        for threads in (1, 3):
            fd.set_num_threads(threads)
            for laid in (W, np.asfortranarray(W)):
                found, gradients = fd.linear_cross_entropy(x, laid, bias, y)
                assert found == loss
                assert found.count == len(y)
                for one, other in zip(gradients, expected, strict=True):
                    assert one is other if other is None else np.array_equal(one, other)
                assert gradients[1].strides == laid.strides


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum"},
        {"reduction": "none"},
        {"label_smoothing": 0.2},
        {"ignore_index": 3},
        {"lengths": [4, 2, 0]},
        {"class_weights": np.arange(9.0)},
        {"weights": np.arange(12).reshape(4, 3) % 3 / 2, "label_smoothing": 0.1},
        {"weights": np.arange(12).reshape(4, 3) % 2 == 0, "lengths": [1, 3, 4], "ignore_index": 2},
    ],
)
def test_its_options_are_those_of_the_two_calls(options, level):
    x, W, b, y = drawn(12, 5, 9)
    x, y = x.reshape(4, 3, 5), y.reshape(4, 3)
    expected = two_calls(x, W, b, y, **options)
    found = fd.linear_cross_entropy(x, W, b, y, **options)
    assert_close(found, expected)
    if options.get("reduction") != "none":
        assert (found[0].count, found[0].reduction) == (expected[0].count, expected[0].reduction)
    assert_close(fd.reference.dense.linear_cross_entropy(x, W, b, y, **options), expected)
    value, none = fd.linear_cross_entropy(x, W, b, y, gradients=False, **options)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    assert none is None


def test_what_does_not_count_is_not_read():
    x, W, b, y = drawn(12, 5, 9)
    x, y = x.reshape(4, 3, 5), y.reshape(4, 3)
    expected = fd.linear_cross_entropy(x, W, b, y, lengths=[4, 2, 1])
    x[2:, 1:] = x[1:, 2] = np.nan
    found = fd.linear_cross_entropy(x, W, b, y, lengths=[4, 2, 1])
    assert_close(found, expected)
    assert not found[1][0][2:, 1:].any()
    loss, gradients = fd.linear_cross_entropy(x, W, b, y, ignore_index=0, weights=0)
    assert np.isnan(loss)
    assert loss.count == 0
    assert not any(one.any() for one in gradients)


def test_gradients_agree_with_differences():
    x, W, b, y = drawn(6, 4, 7)
    _, gradients = fd.linear_cross_entropy(x, W, b, y, label_smoothing=0.1)
    for place, (one, gradient) in enumerate(zip((x, W, b), gradients, strict=True)):
        v, h = np.random.default_rng(1).normal(size=one.shape), 1e-5
        values = []
        for step in (h, -h):
            moved = [x, W, b]
            moved[place] = one + step * v
            values.append(fd.linear_cross_entropy(*moved, y, label_smoothing=0.1, gradients=False)[0])
        assert (gradient * v).sum() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-8)


def test_it_writes_into_given_arrays_and_adds():
    x, W, b, y = drawn(200, 6, 30)
    _, (_, dW, db) = fd.linear_cross_entropy(x, W, b, y)
    out = np.ones_like(W), np.ones_like(b)
    _, found = fd.linear_cross_entropy(x, W, b, y, out=out, accumulate=True, input_gradient=False)
    assert found[0] is None
    assert found[1] is out[0]
    np.testing.assert_allclose(out[0], dW + 1, rtol=1e-12)
    np.testing.assert_allclose(out[1], db + 1, rtol=1e-12)
    fd.linear_cross_entropy(x, W, b, y, out=out)
    np.testing.assert_array_equal(out[0], dW)
    table = np.asfortranarray(np.empty_like(W))
    fd.linear_cross_entropy(x, np.asfortranarray(W), b, y, out=(table, None))
    np.testing.assert_array_equal(table, dW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.array([0, 9])}, "targets: got values from 0 to 9, expected 0 to 3"),
        ({"targets": np.zeros((2, 4))}, "targets: got dtype float64, expected integers: softmax_cross_entropy"),
        ({"targets": np.array([0])}, r"targets: got shape \(1,\)"),
        ({"x": np.ones((2, 2))}, r"W: got shape \(3, 4\), expected \(2, any\)"),
        ({"W": np.ones((3, 4), np.float32)}, "W: got dtype float32, expected float64"),
        ({"W": np.ones((3, 0))}, r"W: got shape \(3, 0\)"),
        ({"b": np.ones(3)}, r"b: got shape \(3,\)"),
        ({"label_smoothing": 1.0}, "label_smoothing: got 1.0"),
        ({"label_smoothing": 0.1, "class_weights": np.ones(4)}, "class_weights: got weights beside label_smoothing"),
        ({"weights": [-1.0, 1.0]}, r"weights\[0\]: got -1.0"),
        ({"reduction": "max"}, "reduction: got 'max'"),
        ({"out": (np.ones((3, 4)), np.ones(3))}, r"out\[1\]: got shape \(3,\)"),
        ({"b": None, "out": (np.ones((3, 4)), np.ones(4))}, r"out\[1\]: got an array, expected None"),
        ({"gradients": 1}, "gradients: got 1"),
        ({"lengths": [1]}, r"x: got shape \(2, 3\), expected \(T, B, 3\), since lengths is given"),
    ],
)
def test_what_it_refuses(change, message):
    x, W, b, y = np.ones((2, 3)), np.ones((3, 4)), np.ones(4), np.array([0, 1])
    given = {"x": x, "W": W, "b": b, "targets": y, **change}
    with pytest.raises((TypeError, ValueError), match=message):
        fd.linear_cross_entropy(**given)
    with fd.backend("reference"), pytest.raises((TypeError, ValueError), match=message):
        fd.linear_cross_entropy(**given)


def test_its_work_space_is_a_tenth_of_what_the_two_calls_take():
    rows, inputs, classes = 640, 256, 16383
    mine = kernels.linear_loss.work_size(rows, inputs, classes, 4, 2)
    theirs = kernels.dense.work_size(rows, inputs, classes, 4) + 2 * rows * classes
    assert mine < theirs / 10
