"""The bound on the learning rate, around a minimum of a network's loss on the digits."""

import functools

import numpy as np
import pytest

import fastdl as fd
from fastdl.curvature import LossPoint

datasets = pytest.importorskip("sklearn.datasets")


@pytest.fixture(scope="module")
def minimum():
    """A point of a small network trained to a minimum of the smoothed loss, and what the landscape is there."""
    images, targets = datasets.load_digits(return_X_y=True)
    data = images[:400] / 16.0, targets[:400]
    model = fd.nn.Sequential(
        fd.nn.Linear(64, 8, rng=0, dtype=np.float64), fd.nn.Tanh(), fd.nn.Linear(8, 10, rng=1, dtype=np.float64)
    )
    loss = functools.partial(fd.softmax_cross_entropy, label_smoothing=0.1)
    optimizer = fd.curvature.LBFGS(model.parameters())

    def closure():
        value, slope = loss(model.forward(data[0]), data[1])
        model.backward(slope)
        return value

    for _ in range(300):
        optimizer.step(closure)
    return LossPoint(model, loss, data), fd.curvature.landscape(model, loss, data)


@pytest.mark.parametrize(("factor", "grows"), [(0.9, False), (1.2, True)])
def test_gradient_descent_falls_below_the_bound_and_grows_above_it(minimum, factor, grows):
    """On the quadratic model around the minimum, from a step along the sharpest direction and some of all others."""
    point, found = minimum
    noise = 0.1 * np.random.default_rng(0).standard_normal(point.size)
    offset, values = fd.curvature.eigenpairs(point).vectors[:, 0] + noise, []
    for _ in range(60):
        along = point.hvp(offset)
        values.append(0.5 * offset @ along)
        offset -= factor * found.max_stable_lr * along
    assert values[-1] > 1e6 * values[0] if grows else values[-1] < values[0]
