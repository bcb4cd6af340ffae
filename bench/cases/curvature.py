"""Products with a model's derivatives: a recurrent layer, a linear one and a softmax cross-entropy.

The reference has no such products. They are compared with differences of what it has, in float64: the output and
the gradient of the loss, on the same parameters.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import DOUBLE, Work, case, integers, normals, sizes

SHAPES = sizes("steps batch hidden classes", (3, 5, 19, 5), (16, 15, 67, 33), (32, 16, 256, 128))
CELLS = {  # the layer, its gates, and what multiplies its state
    "lstm": (fd.nn.LSTM, 4, "matrix"),
    "gru": (fd.nn.GRU, 3, "matrix"),
    "rnn": (fd.nn.RNN, 1, "matrix"),
    "indrnn": (partial(fd.nn.IndRNN, nonlinearity="tanh"), 1, "vector"),  # relu's kinks have no difference
    "mingru": (fd.nn.MinGRU, 2, "nothing"),
    "minlstm": (fd.nn.MinLSTM, 3, "nothing"),
    "slstm": (partial(fd.nn.sLSTM, init="torch"), 4, "matrix"),
}
STEP = 1e-5  # of the differences: their error is below a millionth of the result


class Subject:
    """A model with data, a vector to multiply with, and the same model on the reference, in float64."""

    def __init__(self, cell: str, dtype: np.dtype, steps: int, batch: int, hidden: int, classes: int) -> None:
        self.layer, self.hidden, self.classes = CELLS[cell][0], hidden, classes
        self.x, self.targets = normals(dtype, steps, batch, hidden), integers(classes, steps, batch)
        self.model = self._model(dtype)
        self.v = normals(dtype, sum(one.size for one in self.model.parameters()), seed=1)
        self.slope = normals(dtype, steps, batch, classes, seed=2)

    def _model(self, dtype: np.dtype) -> fd.nn.Sequential:
        layer = self.layer(self.hidden, self.hidden, rng=0, dtype=dtype)
        return fd.nn.Sequential(layer, fd.nn.Linear(self.hidden, self.classes, rng=1, dtype=dtype))

    def moved(self, distance: float = 0.0) -> fd.nn.Sequential:
        """The model in float64, its parameters moved so far along v."""
        model, start = self._model(DOUBLE), 0
        for one, own in zip(model.parameters(), self.model.parameters(), strict=True):
            along = self.v[start : start + one.size].reshape(one.shape)
            one.data[...] = own.data.astype(DOUBLE) + distance * along.astype(DOUBLE)
            start += one.size
        return model

    def difference(self, function: Callable[[fd.nn.Sequential], np.ndarray]) -> np.ndarray:
        """The derivative along v of what a function gives for the model."""
        ahead, behind = (function(self.moved(distance)) for distance in (STEP, -STEP))
        return (ahead - behind) / (2 * STEP)

    def output(self, model: fd.nn.Sequential) -> np.ndarray:
        with fd.backend("reference"):
            return model.forward(self.x.astype(DOUBLE))

    def loss_slope(self, model: fd.nn.Sequential) -> np.ndarray:
        return fd.softmax_cross_entropy(self.output(model), self.targets)[1]

    def pulled_back(self, model: fd.nn.Sequential, slope: np.ndarray, samples: slice = slice(None)) -> np.ndarray:
        """The gradient with respect to the parameters, from that with respect to the output of some samples."""
        with fd.backend("reference"):
            model.forward(self.x[:, samples].astype(DOUBLE))
            model.zero_grad()
            model.backward(slope[:, samples].astype(DOUBLE))
        return np.concatenate([one.grad.reshape(-1) for one in model.parameters()])

    def gauss_newton(self) -> np.ndarray:
        along, chances = self.difference(self.output), np.exp(self.output(self.moved()))
        chances /= chances.sum(axis=-1, keepdims=True)
        along -= (chances * along).sum(axis=-1, keepdims=True)
        return self.pulled_back(self.moved(), chances * along / self.targets.size)

    def sample_gradients(self) -> np.ndarray:
        slope, batch = self.loss_slope(self.moved()), range(self.targets.shape[1])
        return np.stack([self.pulled_back(self.moved(), slope, slice(one, one + 1)) for one in batch])


# By name the call, what it is compared with, and how many products there are with W_x, with what multiplies the state,
# and with the linear layer's matrix: none with a tangent of the input, which has none, nor for a gradient of it.
Products = tuple[Callable[..., np.ndarray], Callable[[Subject], np.ndarray], tuple[int, int, int]]
PRODUCTS: dict[str, Products] = {
    "hvp": (lambda one, point: point.hvp(one.v),
            lambda one: one.difference(lambda model: one.pulled_back(model, one.loss_slope(model))), (2, 6, 6)),
    "gauss_newton_product": (lambda one, point: point.gauss_newton_product(one.v), Subject.gauss_newton, (2, 4, 4)),
    "jvp": (lambda one, point: point.jvp(one.v), lambda one: one.difference(one.output), (1, 2, 2)),
    "vjp": (lambda one, point: point.vjp(one.slope), lambda one: one.pulled_back(one.moved(), one.slope), (1, 2, 2)),
    "sample_gradients": (lambda _, point: point.sample_gradients(1), Subject.sample_gradients, (1, 2, 2)),
}  # fmt: skip


def _enter(cell: str, name: str) -> None:
    product, expected, (with_x, with_h, linear) = PRODUCTS[name]
    _, gates, recurrence = CELLS[cell]

    @case("curvature", name, cell, **SHAPES)
    def build(dtype: np.dtype, steps: int, batch: int, hidden: int, classes: int) -> Work:
        one = Subject(cell, dtype, steps, batch, hidden, classes)
        point = fd.curvature.LossPoint(one.model, fd.softmax_cross_entropy, (one.x, one.targets))
        of_cell = with_x + {"matrix": with_h, "vector": with_h / hidden, "nothing": 0}[recurrence]
        return Work(
            lambda: product(one, point),
            read=one.x.nbytes + 2 * one.model.parameters().data.nbytes,  # parameters and vector
            written=None,
            multiply_adds=round(steps * batch * hidden * (of_cell * gates * hidden + linear * classes)),
            tolerance=1e-4,
            expected=lambda: expected(one),
        )


for _cell in CELLS:
    for _name in PRODUCTS:
        _enter(_cell, _name)
