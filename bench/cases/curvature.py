"""Products with a model's derivatives: a recurrent layer, a linear one and a softmax cross-entropy.

The reference has no such products. They are compared with differences of what it has, in float64: the output and
the gradient of the loss, on the same parameters.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import DOUBLE, Work, case, integers, normals

SHAPES = {
    "small": {"steps": 3, "batch": 5, "hidden": 19, "classes": 5},
    "medium": {"steps": 16, "batch": 15, "hidden": 67, "classes": 33},
    "large": {"steps": 32, "batch": 16, "hidden": 256, "classes": 128},
}
CELLS = {  # the layer, its gates, and what multiplies its state
    "lstm": (fd.nn.LSTM, 4, "matrix"),
    "gru": (fd.nn.GRU, 3, "matrix"),
    "rnn": (fd.nn.RNN, 1, "matrix"),
    "indrnn": (fd.nn.IndRNN, 1, "vector"),
    "mingru": (fd.nn.MinGRU, 2, "nothing"),
    "minlstm": (fd.nn.MinLSTM, 3, "nothing"),
    "slstm": (partial(fd.nn.sLSTM, init="torch"), 4, "matrix"),
}
STEP = 1e-5  # of the differences: their error is below a millionth of the result


class Subject:
    """A model with data, a vector to multiply with, and the multiply-adds of its products by part."""

    def __init__(self, cell: str, dtype: np.dtype, steps: int, batch: int, hidden: int, classes: int) -> None:
        self.kind, gates, recurrence = CELLS[cell]
        self.sizes = hidden, classes
        self.x, self.targets = normals(dtype, steps, batch, hidden), integers(classes, steps, batch)
        self.model = self._model(dtype)
        self.v = normals(dtype, sum(one.size for one in self.model.parameters()), seed=1)
        rows = steps * batch
        # Of one product with W_x, of one with what multiplies the state, and of one with the linear layer's matrix.
        self.of_x, self.linear = rows * hidden * gates * hidden, rows * hidden * classes
        self.of_h = {"matrix": self.of_x, "vector": rows * gates * hidden, "nothing": 0}[recurrence]

    def _model(self, dtype: np.dtype) -> fd.nn.Sequential:
        hidden, classes = self.sizes
        return fd.nn.Sequential(
            self.kind(hidden, hidden, rng=0, dtype=dtype), fd.nn.Linear(hidden, classes, rng=1, dtype=dtype)
        )

    def point(self) -> fd.curvature.LossPoint:
        return fd.curvature.LossPoint(self.model, fd.softmax_cross_entropy, (self.x, self.targets))

    # ---- The same from the reference, in float64.
    def difference(self, function: Callable[[fd.nn.Sequential], np.ndarray]) -> np.ndarray:
        """The derivative along v of what a function gives for the model."""
        ahead, behind = (function(self._moved(distance)) for distance in (STEP, -STEP))
        return (ahead - behind) / (2 * STEP)

    def output(self, model: fd.nn.Sequential) -> np.ndarray:
        with fd.backend("reference"):
            return model.forward(self.x.astype(DOUBLE))

    def gradient(self, model: fd.nn.Sequential) -> np.ndarray:
        return self.pulled_back(model, fd.softmax_cross_entropy(self.output(model), self.targets)[1])

    def pulled_back(self, model: fd.nn.Sequential, slope: np.ndarray, samples: slice = slice(None)) -> np.ndarray:
        """The gradient with respect to the parameters, from that with respect to the output of some samples."""
        with fd.backend("reference"):
            model.forward(self.x[:, samples].astype(DOUBLE))
            model.zero_grad()
            model.backward(slope[:, samples].astype(DOUBLE))
        return np.concatenate([one.grad.reshape(-1) for one in model.parameters()])

    def here(self) -> fd.nn.Sequential:
        return self._moved(0)

    def _moved(self, distance: float) -> fd.nn.Sequential:
        """The model in float64, its parameters moved so far along v."""
        model, start = self._model(DOUBLE), 0
        for one, own in zip(model.parameters(), self.model.parameters(), strict=True):
            along = self.v[start : start + one.size].reshape(one.shape)
            one.data[...] = own.data.astype(DOUBLE) + distance * along.astype(DOUBLE)
            start += one.size
        return model

    def gauss_newton(self) -> np.ndarray:
        model, along = self.here(), self.difference(self.output)
        chances = np.exp(self.output(model))
        chances /= chances.sum(axis=-1, keepdims=True)
        along -= (chances * along).sum(axis=-1, keepdims=True)
        return self.pulled_back(model, chances * along / self.targets.size)

    def sample_gradients(self) -> np.ndarray:
        model = self.here()
        slope = fd.softmax_cross_entropy(self.output(model), self.targets)[1]
        batch = range(self.targets.shape[1])
        return np.stack([self.pulled_back(model, slope, slice(one, one + 1)) for one in batch])


def _enter(cell: str) -> None:
    def enter(name: str, build: Callable[[Subject], Work]) -> None:
        case("curvature", name, cell, **SHAPES)(lambda dtype, **shape: build(Subject(cell, dtype, **shape)))

    enter("hvp", _hvp)
    enter("gauss_newton_product", _gauss_newton)
    enter("jvp", _jvp)
    enter("vjp", _vjp)
    enter("sample_gradients", _sample_gradients)


# The multiply-adds count no product with a tangent of the input, which has none, nor a gradient with respect to it.
# products: with W_x, with what multiplies the state, and with the linear layer's matrix.
def _work(subject: Subject, run: Callable[[], np.ndarray], expected: Callable[[], np.ndarray],
          products: tuple[int, int, int], results: int) -> Work:  # fmt: skip
    of_x, of_h, linear = products
    size = subject.model.parameters().data.nbytes
    return Work(
        run,
        read=subject.x.nbytes + 2 * size,  # parameters and vector
        written=results * subject.v.itemsize,
        multiply_adds=of_x * subject.of_x + of_h * subject.of_h + linear * subject.linear,
        tolerance=1e-4,
        expected=expected,
    )


def _hvp(subject: Subject) -> Work:
    point, v = subject.point(), subject.v
    return _work(subject, lambda: point.hvp(v), lambda: subject.difference(subject.gradient), (2, 6, 6), v.size)


def _gauss_newton(subject: Subject) -> Work:
    point, v = subject.point(), subject.v
    return _work(subject, lambda: point.gauss_newton_product(v), subject.gauss_newton, (2, 4, 4), v.size)


def _jvp(subject: Subject) -> Work:
    point, v = subject.point(), subject.v
    return _work(
        subject, lambda: point.jvp(v), lambda: subject.difference(subject.output), (1, 2, 2), point.output.size
    )


def _vjp(subject: Subject) -> Work:
    point = subject.point()
    slope = normals(point.output.dtype, *point.output.shape, seed=2)
    expected = lambda: subject.pulled_back(subject.here(), slope)  # noqa: E731
    return _work(subject, lambda: point.vjp(slope), expected, (1, 2, 2), point.size)


def _sample_gradients(subject: Subject) -> Work:
    point, samples = subject.point(), subject.targets.shape[1]
    return _work(subject, lambda: point.sample_gradients(1), subject.sample_gradients, (1, 2, 2), samples * point.size)


for _cell in CELLS:
    _enter(_cell)
