"""Activations: each from one definition, of which `_pointwise` makes function and gradient, and fd.nn the layer.

A definition says which row of the kernels' table it is (kernels/pointwise/_activations_body.h).
"""

import numpy as np

from .._validate import choice, number
from ._pointwise import Along, Row, activation, gradient_of

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "hardtanh",
    "hardtanh_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
]


@activation("1 / (1 + e^-x)", "y (1 - y)", kept="y", examples=("[0.0, 2.0]", "[0.5   , 0.8808]", "[0.25 , 0.105]"))
def sigmoid(x: np.ndarray) -> Row:
    """Logistic function 1 / (1 + exp(-x)), elementwise (6.4).

    Within 3 units in the last place where the result is a normal number.
    """
    return Row("sigmoid")


@activation("(e^2x - 1) / (e^2x + 1)", "1 - y^2", kept="y", examples=("[0.0, np.inf]", "[0., 1.]", "[1., 0.]"))
def tanh(x: np.ndarray) -> Row:
    """Hyperbolic tangent, elementwise, within 3 units in the last place (6.4)."""
    return Row("tanh")


@activation("max(x, 0)", "1 where y > 0, else 0", kept="y", examples=("[-1.0, 2.0]", "[0., 2.]", "[0., 1.]"))
def relu(x: np.ndarray) -> Row:
    """max(x, 0), elementwise; NaN stays, and the gradient at the kink is 0, as torch's (6.4)."""
    return Row("relu")


@activation(
    "x where x > 0, else s x", "1 where x > 0, else s", kept="x",
    examples=("[-1.0, 2.0]", "[-0.01,  2.  ]", "[0.01, 1.  ]"),
)  # fmt: skip
def leaky_relu(x: np.ndarray, negative_slope: float = 0.01) -> Row:
    """x, or `negative_slope` times x where it is negative, elementwise (6.4; Maas 2013).

    Parameters
    ----------
    x : ndarray
    negative_slope : float, default 0.01
        s. The gradient at 0 is s, as torch's.
    """
    return Row("leaky_relu", number("negative_slope", negative_slope))


@activation(
    "x where x > 0, else a (e^x - 1)", "1 where x > 0, else a e^x", kept="x",
    examples=("[-1.0, 2.0]", "[-0.6321,  2.    ]", "[0.3679, 1.    ]"),
)  # fmt: skip
def elu(x: np.ndarray, alpha: float = 1.0) -> Row:
    """Exponential linear unit, elementwise (6.4; Clevert 2015).

    Parameters
    ----------
    x : ndarray
    alpha : float, default 1.0
        a: -a is the limit far to the left.
    """
    return Row("elu", number("alpha", alpha))


@activation(
    "min(max(x, l), h)", "1 where l < y < h, else 0", kept="y",
    examples=("[-2.0, 0.5]", "[-1. ,  0.5]", "[0., 1.]"),
)  # fmt: skip
def hardtanh(x: np.ndarray, min_val: float = -1.0, max_val: float = 1.0) -> Row:
    """x, but no less than `min_val` and no more than `max_val`, elementwise (6.4).

    Parameters
    ----------
    x : ndarray
    min_val : float, default -1.0
        l, below `max_val`.
    max_val : float, default 1.0
        h.
    """
    low, high = number("min_val", min_val), number("max_val", max_val)
    if low >= high:
        raise ValueError(f"min_val: got {low:g}, expected less than max_val, {high:g}")
    return Row("hardtanh", low, high)


@activation(
    "log(1 + e^(b x)) / b; x where b x > t", "1 / (1 + e^(-b x)); 1 where b x > t", kept="x",
    examples=("[-1.0, 30.0]", "[ 0.3133, 30.    ]", "[0.2689, 1.    ]"),
)  # fmt: skip
def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> Row:
    """log(1 + exp(beta x)) / beta, a smooth relu, elementwise (6.4; Dugas 2001).

    Parameters
    ----------
    x : ndarray
    beta : float, default 1.0
        b, above 0: how sharp the bend is.
    threshold : float, default 20.0
        t: where b x is above it the result is x, as torch's.
    """
    return Row("softplus", number("beta", beta, 0.0, open_low=True), number("threshold", threshold))


@activation(
    "x s, s = 1 / (1 + e^-x)", "s (1 + x (1 - s))", kept="x",
    examples=("[-1.0, 2.0]", "[-0.2689,  1.7616]", "[0.0723, 1.0908]"),
)  # fmt: skip
def silu(x: np.ndarray) -> Row:
    """Sigmoid linear unit x sigmoid(x), or swish, elementwise; at minus infinity it is 0 (6.4; Elfwing 2017)."""
    return Row("silu")


@activation(
    "x Phi(x)", "Phi(x) + x phi(x)", kept="x", examples=("[-1.0, 2.0]", "[-0.1587,  1.9545]", "[-0.0833,  1.0852]")
)
def gelu(x: np.ndarray, approximate: str = "none") -> Row:
    """Gaussian error linear unit x Phi(x), elementwise; at minus infinity it is 0 (6.4; Hendrycks and Gimpel 2016).

    Phi is the distribution function of the normal distribution, phi its density.

    Parameters
    ----------
    x : ndarray
    approximate : {"none", "tanh"}, default "none"
        "tanh" takes (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 for Phi(x), and its derivative for phi.
    """
    return Row("gelu" if choice("approximate", approximate, ("none", "tanh")) == "none" else "gelu_tanh")


@activation(
    "e^x / sum e^x", "dx = y (dy - sum dy y)", kept="y",
    examples=("[1.0, 1.0]", "[0.5, 0.5]", "[0., 0.]"),
)  # fmt: skip
def softmax(x: np.ndarray, axis: int = -1) -> Along:
    """exp(x) over its sum along an axis; no exponential overflows (6.7).

    Parameters
    ----------
    x : ndarray
    axis : int, default -1
        Along which the result sums to 1.
    """
    return Along(axis, False)


@activation(
    "x - log sum e^x", "dx = dy - e^y sum dy", kept="y",
    examples=("[0.0, 100.0]", "[-100.,    0.]", "[ 1., -1.]"),
)  # fmt: skip
def log_softmax(x: np.ndarray, axis: int = -1) -> Along:
    """Logarithm of the softmax along an axis, x - log sum exp(x), without its rounding to 0 (6.7).

    Parameters
    ----------
    x : ndarray
    axis : int, default -1
        Along which the exponentials of the result sum to 1.
    """
    return Along(axis, True)


sigmoid_backward = gradient_of(sigmoid)
tanh_backward = gradient_of(tanh)
relu_backward = gradient_of(relu)
leaky_relu_backward = gradient_of(leaky_relu)
elu_backward = gradient_of(elu)
hardtanh_backward = gradient_of(hardtanh)
softplus_backward = gradient_of(softplus)
silu_backward = gradient_of(silu)
gelu_backward = gradient_of(gelu)
softmax_backward = gradient_of(softmax)
log_softmax_backward = gradient_of(log_softmax)
