"""A linearization compares all it is given with its point: nothing is read or written out of bounds."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.curvature import LossPoint, linearize

f4 = np.float32
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(f4)


LAYERS = {  # layer, input
    "Linear": (fd.nn.Linear(3, 4, rng=0), normal(5, 2, 3)),
    "Embedding": (fd.nn.Embedding(6, 3, rng=0), RNG.integers(0, 6, (5, 2))),
    "Tanh": (fd.nn.Tanh(), normal(5, 2, 3)),
    "Sigmoid": (fd.nn.Sigmoid(), normal(5, 2, 3)),
    "ReLU": (fd.nn.ReLU(), normal(5, 2, 3)),
    "Dropout": (fd.nn.Dropout(0.5, scaling="classic"), normal(5, 2, 3)),
    "RNN": (fd.nn.RNN(3, 4, rng=0), normal(5, 2, 3)),
    "LSTM": (fd.nn.LSTM(3, 4, 2, rng=0), normal(5, 2, 3)),
    "GRU": (fd.nn.GRU(3, 4, batch_first=True, rng=0), normal(5, 2, 3)),
    "last": (fd.nn.GRU(3, 4, output="last", rng=0), normal(5, 2, 3)),
    "IndRNN": (fd.nn.IndRNN(3, 4, 2, rng=0), normal(5, 2, 3)),
    "MinGRU": (fd.nn.MinGRU(3, 4, batch_first=True, rng=0), normal(5, 2, 3)),
    "MinLSTM": (fd.nn.MinLSTM(3, 4, output="last", rng=0), normal(5, 2, 3)),
    "Sequential": (fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.LSTM(4, 4, rng=0)), normal(5, 2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_arrays_that_do_not_fit_are_refused_by_name(name):
    layer, x = LAYERS[name]
    linear = linearize(layer, x)
    by_input = x.dtype.kind == "f"
    y = linear.y
    parameters = [one for module in layer.modules() for one in module._parameters.values()]
    zeros = {one: np.zeros(one.shape, f4) for one in parameters}
    wrong = [np.zeros((*y.shape[:-1], y.shape[-1] + 1), f4), np.zeros((1, *y.shape), f4), np.zeros(y.shape[-1], f4)]
    with pytest.raises(ValueError, match="jvp_backward: called before jvp"):
        linear.jvp_backward(np.ones_like(y), zeros, zeros, by_input)
    if by_input:
        for tx in (normal(3, 2, 5), normal(5, 1, 3), normal(3)):
            with pytest.raises(ValueError, match="tx: got shape"):
                linear.jvp(tx, None)
        with pytest.raises(TypeError, match="tx: got dtype float64"):
            linear.jvp(x.astype(np.float64), None)
    for dy in wrong:
        with pytest.raises(ValueError, match="dy: got shape"):
            linear.backward(dy, zeros, by_input)
        with pytest.raises(ValueError, match="dy: got shape"):
            linear.sample_gradients(dy, 0, {}, False)
    with pytest.raises(TypeError, match="dy: got NoneType"):
        linear.backward(None, zeros, by_input)
    linear.jvp(None, zeros)
    linear.backward(np.ones_like(y), zeros, by_input)
    for tdy in wrong:
        with pytest.raises(ValueError, match="tdy: got shape"):
            linear.jvp_backward(tdy, zeros, zeros, by_input)
    linear.jvp_backward(np.ones_like(y), zeros, zeros, by_input)
    for axis in (y.ndim - 1, -1, 7):
        with pytest.raises(ValueError, match="axis: got"):
            linear.sample_gradients(np.ones_like(y), axis, {}, False)
    if not parameters:
        return
    small = zeros | {parameters[-1]: np.zeros(1, f4)}
    for call in (lambda: linear.jvp(None, small), lambda: linear.jvp_backward(None, small, None, by_input)):
        with pytest.raises(ValueError, match=r"direction: got shape \(1,\)"):
            call()
    with pytest.raises(ValueError, match=r"out: got shape \(1,\)"):
        linear.backward(np.ones_like(y), small, by_input)
    with pytest.raises(ValueError, match="direction: got nothing for a parameter"):
        linear.jvp(None, {})
    with pytest.raises(ValueError, match="direction: expected that of the last jvp"):
        linear.jvp_backward(None, None, zeros, by_input)


def test_a_part_that_answers_in_another_shape_is_caught_before_its_neighbour():
    class Odd(fd.nn.Module):
        pass

    class Wide(fd.curvature.Linearization):
        def __init__(self, layer, x):
            self.y = x

        def jvp(self, tx, direction):
            return np.ones((9, 9), f4)

        def backward(self, dy, out, need_input):
            return np.ones((9, 9), f4)

    fd.curvature.register(Odd, Wide)
    linear = linearize(fd.nn.Sequential(Odd(), fd.nn.LSTM(3, 4, rng=0)), normal(5, 2, 3))
    with pytest.raises(ValueError, match=r"tx: got shape \(9, 9\), expected \(5, 2, 3\)"):
        linear.jvp(normal(5, 2, 3), None)
    linear = linearize(fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), Odd()), normal(5, 2, 3))
    with pytest.raises(ValueError, match=r"dy: got shape \(9, 9\), expected \(5, 2, 4\)"):
        linear.backward(normal(5, 2, 4), None, True)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_sample_gradients_take_a_batch_axis_alone(axis):
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Tanh(), fd.nn.Linear(4, 2, rng=1))
    point = LossPoint(model, fd.softmax_cross_entropy, (np.ones((5, 3), f4), np.zeros(5, int)))
    with pytest.raises(ValueError, match=f"axis: got {axis}, expected from 0 to 0"):
        point.sample_gradients(axis)
    slot = fd.curvature._slots.Slot(np.zeros((3, 12), f4), 0, 12)
    with pytest.raises(ValueError, match=r"dy: got shape \(1, 4, 4\)"):
        slot.add_products(np.ones((1, 3, 3), f4), np.ones((1, 4, 4), f4))
    with pytest.raises(ValueError, match="x, dy: got 3 and 5 columns, expected 12 products"):
        slot.add_products(np.ones((1, 3, 3), f4), np.ones((1, 3, 5), f4))
    with pytest.raises(ValueError, match="dy: got shape"):
        slot.add_sums(np.ones((1, 1, 12), f4))


def test_a_refused_pass_leaves_no_half_made_one_to_continue():
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    data = (normal(5, 2, 3), normal(5, 2, 2))
    point, fresh = LossPoint(model, fd.mse_loss, data), LossPoint(model, fd.mse_loss, data)
    v = normal(point.size)
    with pytest.raises(ValueError, match="axis: got 0, expected the batch axis"):
        point.sample_gradients(0)
    np.testing.assert_array_equal(point.hvp(v), fresh.hvp(v))


def test_other_layouts_and_byte_orders_are_read_rightly():
    layer, x = LAYERS["LSTM"]
    plain = linearize(layer, x)
    turned = np.ascontiguousarray(x.swapaxes(0, 2)).swapaxes(0, 2)
    swapped = x.astype(x.dtype.newbyteorder())
    dy = normal(*plain.y.shape)
    for one in (turned, swapped):
        other = linearize(layer, one)
        np.testing.assert_array_equal(other.y, plain.y)
        np.testing.assert_array_equal(other.jvp(one, None), plain.jvp(x, None))
        np.testing.assert_array_equal(
            other.backward(dy[..., ::-1], None, True), plain.backward(dy[..., ::-1], None, True)
        )
