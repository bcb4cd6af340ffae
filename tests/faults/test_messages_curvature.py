"""Every refusal of the topic names the argument, what came and what was expected."""

import re

import numpy as np
import pytest

import fastdl as fd
from fastdl.curvature import LBFGS, FunctionPoint, LevenbergMarquardt, Newton

C = fd.curvature
X = np.ones(2)


def square(z):
    return (z**2).sum()


def pairs():
    return [(X.copy(), np.ones(2))]


def nothing_finite():
    return FunctionPoint(square, X, hess=lambda z: np.eye(2))


class Bad(FunctionPoint):
    def hvp(self, v):
        return np.full(self.size, np.nan)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LevenbergMarquardt(pairs()).step(lambda: (X, X)), "closure: got tuple, expected Residuals"),
        (lambda: LevenbergMarquardt(pairs()).step(lambda: 3.0), "closure: got float, expected Residuals"),
        (lambda: LBFGS(pairs()).step(lambda: None), "closure: got NoneType, expected the loss, one number"),
        (lambda: LBFGS(pairs()).step(lambda: "x"), "closure: got str, expected the loss, one number"),
        (lambda: LBFGS(pairs()).step(lambda: X), r"closure: got an array of shape \(2,\), expected the loss"),
        (lambda: LBFGS(pairs()).step(lambda: (1.0, X)), "closure: got tuple, expected the loss, one number"),
        (lambda: Newton(pairs()).step(lambda: 1.0), "closure: got float, expected a LossPoint or a FunctionPoint"),
        (lambda: C.eigenpairs(3), "point: got int, expected a LossPoint or a FunctionPoint"),
        (lambda: C.diagonal(3), "point: got int"),
        (lambda: C.trace(None, 4), "point: got NoneType"),
        (lambda: C.spectral_density("x"), "point: got str"),
        (lambda: C.Landscape.at(3), "point: got int"),
        (lambda: C.eigenpairs(Bad(square, X)), "point: got a product with its matrix with nan"),
        (lambda: C.spectral_density(Bad(square, X)), "point: got a product with its matrix with nan"),
        (lambda: C.Landscape.at(Bad(square, X)), "point: got a product with its matrix with nan"),
        (lambda: C.trace(Bad(square, X), 3), "point: got a product with its matrix with nan"),
        (lambda: C.eigenpairs(nothing_finite(), 2, "both"), "k: got 2, but there are 2 eigenvalues, and which='both'"),
        (lambda: FunctionPoint(square, X, lambda z: np.ones(3)).gradient, r"grad: got shape \(3,\), expected \(2,\)"),
        (lambda: FunctionPoint(square, X, lambda z: "a").gradient, "grad: got a value of dtype"),
        (lambda: FunctionPoint(square, X, None, lambda z: np.ones(4)).hessian(), r"hess: got shape \(4,\), expected"),
        (lambda: FunctionPoint(square, X, np.ones(2)), "grad: got ndarray, expected a function"),
        (lambda: FunctionPoint(square, [1.0]), "x: got list, expected an array"),
        (lambda: C.gradient(lambda z: [1.0, 2.0], X), r"f: got a value of shape \(2,\), expected one number"),
        (lambda: C.gradient(lambda z: [1.0, [2.0]], X), "f: got a list that is no array, expected real numbers"),
        (lambda: C.gradient(lambda z: None, X), "f: got a value of dtype object"),
        (lambda: C.gradient(square, X * np.nan), "x: got values that are not finite"),
        (lambda: C.gradient_flow(fd.nn.LSTM(2, 3), np.ones((4, 1, 2), np.float32), samples=()), "samples: got none"),
        (lambda: C.gradient_flow(fd.nn.LSTM(2, 3), np.ones((4, 1, 2), np.float32), starts=()), "starts: got none"),
        (lambda: C.gradient_flow(fd.nn.LSTM(2, 3), np.ones((4, 1, 2), np.float32), starts=2), "starts: got int"),
        (lambda: C.gradient_flow(3, X), "model: got int, expected a fastdl.nn layer"),
        (lambda: C.linearize(3, X), "layer: got int, expected a fastdl.nn layer"),
        (lambda: C.linearize(fd.nn.Tanh(), [1.0]), "x: got list, expected a numpy array"),
    ],
)
def test_refusals_name_their_argument(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert re.match(message, str(caught.value)), caught.value


def test_a_tape_prints_as_one_line():
    _, _, tape = fd.lstm_forward(
        np.ones((2, 1, 3)), np.zeros((1, 4)), np.zeros((1, 4)), np.ones((3, 16)), np.ones((4, 16)), np.zeros(16)
    )
    if fd.get_backend() == "compiled":
        assert str(tape) == "RecurrentTape(LSTM, 2 steps, batch 1, 4 outputs, float64)"


@pytest.mark.parametrize("kind", [C.LBFGS, C.Newton, C.NewtonCG, C.LevenbergMarquardt, C.AdaHessian])
def test_an_optimizer_prints_as_one_line(kind):
    optimizer = kind([(np.ones(3), np.zeros(3))])
    assert repr(optimizer) == f"{kind.__name__}(lr={optimizer.lr}, parameters=3, steps=0)"
