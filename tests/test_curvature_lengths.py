"""Curvature of recurrent layers over padded batches: as of each sequence by itself, whatever the padding holds."""

import functools

import numpy as np
import pytest

import fastdl as fd

T, B, I, H = 6, 4, 3, 5  # noqa: E741
LENGTHS = np.array([6, 2, 0, 4])
CELLS = ("RNN", "LSTM", "GRU", "IndRNN", "MinGRU", "MinLSTM", "sLSTM")
OPTIONS = [
    {}, {"reverse": True}, {"bidirectional": True, "num_layers": 2}, {"batch_first": True, "num_layers": 2},
    {"output": "last"}, {"output": "last", "reverse": True}, {"output": "last", "bidirectional": True},
]  # fmt: skip


class Batch:
    """A model, a padded batch with NaN for padding, and where each sequence lies in it and in the outputs."""

    def __init__(self, cell, options):
        self.model = getattr(fd.nn, cell)(I, H, **options, rng=1, dtype=np.float64)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((T, B, I))
        x[np.arange(T)[:, None] >= LENGTHS] = np.nan
        self.turned = options.get("batch_first", False)
        self.x = np.ascontiguousarray(x.swapaxes(0, 1)) if self.turned else x
        self.point = fd.curvature.ModelPoint(self.model, (self.x, LENGTHS))
        self.along, self.dx, self.dy = (
            rng.standard_normal(shape) for shape in (self.point.size, self.x.shape, self.point.output.shape)
        )
        self.last = options.get("output") == "last"

    def alone(self):
        """Of each sequence with any steps: its place in the input, in the output, and its input."""
        for b, length in enumerate(LENGTHS):
            if length:
                one = slice(b, b + 1)
                place = (one, slice(length)) if self.turned else (slice(length), one)
                yield place, one if self.last else place, np.ascontiguousarray(self.x[place])


@pytest.fixture(params=CELLS)
def cell(request):
    return request.param


@pytest.fixture(params=OPTIONS, ids=str)
def batch(cell, request):
    return Batch(cell, request.param)


def test_outputs_are_those_of_the_model(batch):
    found = batch.model.eval().forward(np.nan_to_num(batch.x), lengths=LENGTHS)
    np.testing.assert_allclose(batch.point.output, found, rtol=0, atol=1e-14)


def test_products_with_the_jacobian_are_those_of_each_sequence(batch):
    point, found = batch.point, {}
    found["jvp"], found["jvp by x"] = point.jvp(batch.along), point.jvp(batch.dx, "input")
    found["vjp"], found["vjp by x"] = point.vjp(batch.dy), point.vjp(batch.dy, "input")
    expected = {name: np.zeros_like(one) for name, one in found.items()}
    for at, out, x in batch.alone():
        one = fd.curvature.ModelPoint(batch.model, x)
        expected["jvp"][out] = one.jvp(batch.along)
        expected["jvp by x"][out] = one.jvp(np.ascontiguousarray(batch.dx[at]), "input")
        expected["vjp"] += one.vjp(np.ascontiguousarray(batch.dy[out]))
        expected["vjp by x"][at] = one.vjp(np.ascontiguousarray(batch.dy[out]), "input")
    for name, one in found.items():
        np.testing.assert_allclose(one, expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_products_with_the_hessian_are_sums_over_the_sequences(batch):
    loss = functools.partial(fd.mse_loss, reduction="sum")
    point = fd.curvature.LossPoint(batch.model, loss, ((batch.x, LENGTHS), batch.dy))
    names = ("hvp", "gauss_newton_product")
    found = {name: getattr(point, name)(batch.along) for name in names}
    expected = {name: np.zeros_like(one) for name, one in found.items()}
    gradient = np.zeros(point.size)
    for _, out, x in batch.alone():
        one = fd.curvature.LossPoint(batch.model, loss, (x, np.ascontiguousarray(batch.dy[out])))
        gradient += one.gradient
        for name in names:
            expected[name] += getattr(one, name)(batch.along)
    np.testing.assert_allclose(point.gradient, gradient, rtol=0, atol=1e-11)
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-10, err_msg=name)


def test_gradients_of_each_sequence(cell):
    batch = Batch(cell, {})
    loss = functools.partial(fd.mse_loss, reduction="sum", lengths=LENGTHS)
    point = fd.curvature.LossPoint(batch.model, loss, ((batch.x, LENGTHS), batch.dy))
    rows = point.sample_gradients(axis=1)
    assert not rows[2].any()  # it has no steps
    np.testing.assert_allclose(rows.sum(0), point.gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", [fd.mse_loss, fd.softmax_cross_entropy])
def test_losses_of_true_lengths(loss, reduction):
    x = np.random.default_rng(0).standard_normal((T, B, I))
    y = np.random.default_rng(1).integers(0, 2, (T, B)) if loss is fd.softmax_cross_entropy else np.ones((T, B, 2))
    model = fd.nn.Sequential(fd.nn.GRU(I, H, rng=0, dtype=np.float64), fd.nn.Linear(H, 2, rng=1, dtype=np.float64))
    loss = functools.partial(loss, reduction=reduction, lengths=LENGTHS)
    point = fd.curvature.LossPoint(model, loss, ((x, LENGTHS), y))
    model.train()
    value, gradient = loss(model.forward(x, lengths=LENGTHS), y)
    model.backward(gradient)
    assert point.value == pytest.approx(value, rel=1e-13)
    flat = np.concatenate([one.grad.reshape(-1) for one in model.parameters()])
    np.testing.assert_allclose(point.gradient, flat, rtol=0, atol=1e-12)
    v, step = np.random.default_rng(2).standard_normal(point.size), 1e-5
    slopes = []
    for sign in (1, -1):
        other = fd.nn.Sequential(fd.nn.GRU(I, H, dtype=np.float64), fd.nn.Linear(H, 2, dtype=np.float64))
        at = 0
        for one, start in zip(other.parameters(), model.parameters(), strict=True):
            one.data = start.data + sign * step * v[at : at + one.size].reshape(one.shape)
            at += one.size
        slopes.append(fd.curvature.LossPoint(other, loss, ((x, LENGTHS), y)).gradient)
    np.testing.assert_allclose(point.hvp(v), (slopes[0] - slopes[1]) / (2 * step), rtol=0, atol=1e-7)
    if loss.func is fd.mse_loss:
        with pytest.raises(TypeError, match="^loss: .* since it takes lengths"):
            point.loss.residual_scale()


def test_long_padding_overflows_nothing():
    layer = fd.nn.RNN(1, 2, nonlinearity="relu", rng=0)
    layer.weight_hh_l0.data[...] = 4
    layer.weight_ih_l0.data[...] = 1
    steps, lengths = 200, np.array([3, 0])
    point = fd.curvature.ModelPoint(layer, (np.ones((steps, 2, 1), np.float32), lengths))
    v = np.ones(point.size, np.float32)
    assert np.isfinite(point.output).all()
    assert np.isfinite(point.jvp(v)).all()
    assert np.isfinite(point.vjp(np.ones_like(point.output))).all()


def test_a_chain_hands_lengths_on():
    model = fd.nn.Sequential(
        fd.nn.Residual(fd.nn.GRU(3, 3, rng=0, dtype=np.float64)),
        fd.nn.LSTM(3, 4, output="last", rng=1, dtype=np.float64),
        fd.nn.Linear(4, 2, rng=2, dtype=np.float64),
    )
    x, lengths = np.random.default_rng(0).standard_normal((5, 2, 3)), np.array([2, 5])
    v = np.random.default_rng(1).standard_normal(model.parameters().size)
    found = fd.curvature.ModelPoint(model, (x, lengths)).jvp(v)
    for b, length in enumerate(lengths):
        alone = fd.curvature.ModelPoint(model, np.ascontiguousarray(x[:length, b : b + 1])).jvp(v)
        np.testing.assert_allclose(found[b : b + 1], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("model", "lengths", "error", "message"),
    [
        (fd.nn.Linear(3, 2), [1, 2], TypeError, "lengths: got .* no layer of it takes lengths"),
        (fd.nn.Conv1d(3, 2, 2), [2, 2], TypeError, "lengths: got .* Conv1d has no jvp with lengths"),
        (fd.nn.GRU(3, 2), [1, 6], ValueError, "lengths: got values from 1 to 6, expected 0 to 5"),
        (fd.nn.GRU(3, 2), [1], ValueError, "lengths: got shape"),
        (fd.nn.GRU(3, 2), "a", TypeError, "lengths: got str"),
    ],
)
def test_refusals(model, lengths, error, message):
    x = np.zeros((5, 2, 3), np.float32)
    with pytest.raises(error, match=f"^{message}"):
        fd.curvature.linearize(model, x, lengths)
    if not isinstance(model, fd.nn.Linear):
        with pytest.raises(error, match=r"^x\[1\]: "):
            fd.curvature.ModelPoint(model, (x, lengths))
        with pytest.raises(error, match=r"^data\[0\]\[1\]: "):
            fd.curvature.LossPoint(model, fd.mse_loss, ((x, lengths), x))
