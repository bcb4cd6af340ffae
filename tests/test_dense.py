"""Linear, embedding and the first two losses: the reference, finite differences."""

import numpy as np
import pytest
from awkward import awkward_arrays

import fastdl as fd
from fastdl import dense
from fastdl.reference import dense as reference

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
OPTIONS = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1},
    {"ignore_index": 0},
    {"ignore_index": -100, "label_smoothing": 0.2},
]
SHAPES = [(1, 1, 1), (1, 32, 64), (3, 5, 7), (4, 33, 32), (5, 32, 33), (23, 17, 150), (300, 20, 96), (517, 64, 130)]


def assert_close(one, other, dtype):
    scale = max(1.0, float(np.abs(other).max(initial=0)))
    np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_linear_equals_the_reference_at_any_number_of_threads(level, shape, dtype, monkeypatch):
    monkeypatch.setattr(dense._grains, "PRODUCT", 1)
    rows, inputs, outputs = shape
    rng = np.random.default_rng(0)
    x, W, b, dy = (
        rng.standard_normal(s).astype(dtype) for s in [(rows, inputs), (inputs, outputs), (outputs,), (rows, outputs)]
    )
    results = []
    for count in (1, 2, 3, 8):
        fd.set_num_threads(count)
        out = np.ones_like(W), np.ones_like(b)
        dense.linear_backward(dy, x, W, out, accumulate=True)
        results.append([dense.linear_forward(x, W, b), *dense.linear_backward(dy, x, W), *out])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    y, dx, dW, db, dW1, db1 = results[0]
    assert_close(y, reference.linear_forward(x, W, b), dtype)
    assert_close(dense.linear_forward(x, W), reference.linear_forward(x, W), dtype)
    for one, other in zip((dx, dW, db), reference.linear_backward(dy, x, W), strict=True):
        assert_close(one, other, dtype)
    assert_close(dW1, dW + 1, dtype)
    assert_close(db1, db + 1, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_number_of_rows_gives_each_row_what_it_gets_alone(level, dtype):
    """Each number has tiles of its own, of one panel (at 33 columns) and of two."""
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((27, 21)).astype(dtype), rng.standard_normal((21, 161)).astype(dtype)
    for outputs in (33, 161):
        columns = np.ascontiguousarray(W[:, :outputs])
        alone = np.concatenate([dense.linear_forward(x[r : r + 1], columns) for r in range(len(x))])
        for rows in range(1, len(x) + 1):
            np.testing.assert_array_equal(dense.linear_forward(x[:rows], columns), alone[:rows])


def test_linear_takes_any_leading_axes(level):
    x, W = np.arange(24.0).reshape(2, 3, 4), np.ones((4, 2))
    assert dense.linear_forward(x, W).shape == (2, 3, 2)
    assert dense.linear_backward(np.ones((2, 3, 2)), x, W)[0].shape == x.shape
    assert dense.linear_forward(x[0, 0], W).shape == (2,)
    assert dense.linear_forward(x[:0], W, np.ones(2)).shape == (0, 3, 2)
    dx, dW, db = dense.linear_backward(np.ones((0, 3, 2)), x[:0], W)
    assert dx.shape == (0, 3, 4)
    assert not dW.any()
    assert not db.any()
    dx, dW, db = dense.linear_backward(np.ones((2, 3, 2)), np.ones((2, 3, 0)), np.ones((0, 2)))
    assert dx.shape == (2, 3, 0)
    assert dW.shape == (0, 2)
    np.testing.assert_array_equal(db, [6, 6])  # a bias is there without inputs, too
    dense.linear_backward(np.ones((2, 3, 2)), np.ones((2, 3, 0)), np.ones((0, 2)), (dW, db), accumulate=True)
    np.testing.assert_array_equal(db, [12, 12])
    assert dense.linear_backward(np.ones((2, 0)), np.ones((2, 3)), np.ones((3, 0)))[0].tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embedding_adds_repeated_indices(level, dtype):
    rng = np.random.default_rng(0)
    W, index = rng.standard_normal((11, 70)).astype(dtype), rng.integers(0, 11, (40, 25))
    np.testing.assert_array_equal(dense.embedding_forward(index, W), W[index])
    dy = rng.standard_normal((40, 25, 70)).astype(dtype)
    expected = reference.embedding_backward(dy, index, W)
    for count in (1, 2, 3):
        fd.set_num_threads(count)
        np.testing.assert_array_equal(dense.embedding_backward(dy, index, W), expected)
    out = np.ones_like(W)
    dense.embedding_backward(dy, index, W, out, accumulate=True)
    assert_close(out, expected + 1, dtype)
    for bad in (np.array([11]), np.array([-1])):
        with pytest.raises(ValueError, match=r"index: got values from .* expected 0 to 10"):
            dense.embedding_forward(bad, W)
    with pytest.raises(TypeError, match="index: got dtype float64"):
        dense.embedding_forward(np.zeros(2), W)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_error_on_awkward_arrays(level, dtype):
    for label, x in awkward_arrays(dtype):
        x = np.asarray(np.nan_to_num(x.astype(dtype), nan=0.5, posinf=3, neginf=-2).clip(-1e3, 1e3))
        for reduction in ("mean", "sum", "none"):
            found, expected = (one.mse_loss(x, x[..., ::-1] if x.ndim else x, reduction) for one in (dense, reference))
            tiny = np.finfo(dtype).tiny  # below it the reference's squares vanish
            np.testing.assert_allclose(found[0], expected[0], rtol=2 * TOLERANCE[dtype], atol=tiny, err_msg=label)
            np.testing.assert_array_equal(found[1], expected[1], err_msg=label)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 96), (7, 33)], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_cross_entropy_equals_the_reference(level, shape, dtype, options):
    rng = np.random.default_rng(0)
    logits = (rng.standard_normal(shape) * 10).astype(dtype)
    targets = rng.integers(0, shape[1], shape[0])
    targets[0] = options.get("ignore_index", 0)
    if options.get("ignore_index") == 0 and shape[1] == 1:
        targets = np.zeros(1, np.int64)
    got, expected = (
        dense.softmax_cross_entropy(logits, targets, **options),
        reference.softmax_cross_entropy(logits, targets, **options),
    )
    np.testing.assert_allclose(got[0], expected[0], rtol=20 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)
    assert_close(got[1], expected[1], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"ignore_index": 2}, {"reduction": "sum", "label_smoothing": 0.1}], ids=str)
def test_cross_entropy_over_sequences_counts_true_tokens_only(level, options, dtype):
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((7, 4, 5)).astype(dtype), rng.integers(0, 5, (7, 4))
    lengths = np.array([7, 0, 3, 1])
    past = np.arange(7)[:, None] >= lengths
    loss, gradient = dense.softmax_cross_entropy(logits, np.where(past, 999, targets), lengths=lengths, **options)
    flat = dense.softmax_cross_entropy(logits[~past], targets[~past], **options)  # without any padding
    assert loss == pytest.approx(flat[0], rel=1e-14)
    np.testing.assert_array_equal(gradient[~past], flat[1])
    assert not gradient[past].any()
    wanted = reference.softmax_cross_entropy(logits, targets, lengths=lengths, **options)
    np.testing.assert_allclose(loss, wanted[0], rtol=20 * np.finfo(dtype).eps)
    assert_close(gradient, wanted[1], dtype)
    assert np.isnan(dense.softmax_cross_entropy(logits, targets, lengths=0 * lengths)[0])
    for arguments, message in [
        ((logits, targets, lengths + 1), "lengths: got values from 1 to 8, expected 0 to 7"),
        ((logits[0], targets[0], lengths), r"logits: got shape \(4, 5\), expected \(T, B, C\)"),
        ((logits, targets[:, :1], lengths), r"targets: got shape \(7, 1\), expected \(7, 4\)"),
        ((logits, targets + 1, lengths), "targets: got values from .* expected 0 to 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            dense.softmax_cross_entropy(*arguments[:2], lengths=arguments[2])


def test_cross_entropy_at_the_edges(level):
    logits = np.array([[1e30, 0.0, -np.inf], [-1e30, -1e30, -1e30], [700.0, -700.0, 0.0]])
    loss, gradient = dense.softmax_cross_entropy(logits, np.array([0, 1, 0]), reduction="none")
    np.testing.assert_allclose(loss, [0, np.log(3), 0], atol=1e-15)
    np.testing.assert_allclose(gradient[1], [1 / 3, -2 / 3, 1 / 3], rtol=1e-14)
    assert np.isnan(dense.softmax_cross_entropy(np.full((1, 3), np.nan), np.array([1]))[0])
    assert np.isnan(dense.softmax_cross_entropy(logits, np.array([9, 9, 9]), ignore_index=9)[0])
    for bad, message in [
        ((logits, np.array([0, 1, 3])), "targets: got values from 0 to 3, expected 0 to 2"),
        ((logits, np.array([0, 1])), r"targets: got shape \(2,\), expected \(3,\)"),
        (
            (logits, np.array([0, 1, 2]), None, 1.0),
            r"label_smoothing: got 1.0, expected a number in \[0, 1\)",
        ),
        ((logits, np.array([0, 1, 2]), None, 0.0, "max"), "reduction: got 'max'"),
    ]:
        with pytest.raises(ValueError, match=message):
            dense.softmax_cross_entropy(*bad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_against_finite_differences(level, reduction):
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((3, 5)), np.array([1, 4, 0])
    other = rng.standard_normal((3, 5))
    for function in (
        lambda z: dense.softmax_cross_entropy(z, targets, None, 0.1, reduction),
        lambda z: dense.mse_loss(z, other, reduction),
    ):
        gradient = function(logits)[1]
        for at in np.ndindex(logits.shape):
            step = np.zeros_like(logits)
            step[at] = 1e-6
            numeric = (np.sum(function(logits + step)[0]) - np.sum(function(logits - step)[0])) / 2e-6
            np.testing.assert_allclose(gradient[at], numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_equal_torch(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((40, 9)).astype(dtype), rng.integers(0, 9, 40)
    for options in ({}, {"ignore_index": 3}, {"label_smoothing": 0.1}, {"reduction": "sum"}):
        tensor = torch.from_numpy(logits).requires_grad_()
        loss = torch.nn.functional.cross_entropy(tensor, torch.from_numpy(targets), **options)
        loss.backward()
        mine, gradient = dense.softmax_cross_entropy(logits, targets, **options)
        np.testing.assert_allclose(mine, loss.item(), rtol=TOLERANCE[dtype])
        assert_close(gradient, tensor.grad.numpy(), dtype)
    lengths = np.array([5, 1, 8, 3, 0])
    padded = np.where(np.arange(8)[:, None] < lengths, targets.reshape(8, 5), -100)  # torch's default ignore_index
    tensor = torch.from_numpy(logits).requires_grad_()
    torch.nn.functional.cross_entropy(tensor, torch.from_numpy(padded.ravel())).backward()
    gradient = dense.softmax_cross_entropy(logits.reshape(8, 5, 9), targets.reshape(8, 5), lengths=lengths)[1]
    assert_close(gradient.reshape(40, 9), tensor.grad.numpy(), dtype)
