"""Layers over the topic `dense`: embedding, linear, activations."""

import math
from typing import Any

import numpy as np

from .. import dense
from .._validate import FLOATS, integer
from ..random import Generator, as_generator
from ._module import Module
from ._parameter import Parameter, claim_all


def float_dtype(dtype: Any) -> np.dtype:
    """float32 or float64."""
    kind = np.dtype(dtype)
    if kind not in FLOATS:
        raise TypeError(f"dtype: got {kind}, expected float32 or float64")
    return kind


class Embedding(Module):
    """A table of vectors, looked up by integers.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows V and width D of the table.
    rng : None, int or fastdl.random.Generator
        Source of the initial values, N(0, 1) as in torch.
    dtype : float32 (default) or float64

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.Embedding(10, 4, rng=0).forward(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.num_embeddings = integer("num_embeddings", num_embeddings, 1)
        self.embedding_dim = integer("embedding_dim", embedding_dim, 1)
        shape = (self.num_embeddings, self.embedding_dim)
        values = as_generator(rng).normal(0.0, 1.0, shape, float_dtype(dtype))
        self.weight = Parameter("weight", values, by_rows=True)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x: integers of any shape; returns (*x.shape, D)."""
        y = dense.embedding_forward(x, self.weight.data)
        if self.training:
            self._tape.append(x)
        return y

    def backward(self, dy: np.ndarray) -> None:
        """Adds to the table's gradient; integers have none, so there is nothing to return."""
        x = self._pop()
        out, accumulate = self.weight.claim_grad(rows=x)
        dense.embedding_backward(dy, x, self.weight.data, out, accumulate)

    def _describe(self) -> str:
        return f"Embedding({self.num_embeddings}, {self.embedding_dim})"


class Linear(Module):
    """Affine map of the last axis, y = x W + b.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
    rng : None, int or fastdl.random.Generator
        Source of the initial values, U(-1/sqrt(I), 1/sqrt(I)) for both, as in torch.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight : Parameter (in_features, out_features)
        The transpose of torch's; ``state_dict`` has torch's layout.
    bias : Parameter (out_features,), absent without bias
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.in_features = integer("in_features", in_features, 1)
        self.out_features = integer("out_features", out_features, 1)
        self.has_bias = bool(bias)
        source, bound = as_generator(rng), 1 / math.sqrt(self.in_features)
        shape, kind = (self.in_features, self.out_features), float_dtype(dtype)
        self.weight = Parameter("weight", source.uniform(-bound, bound, shape, kind), transposed=True)
        if self.has_bias:
            self.bias = Parameter("bias", source.uniform(-bound, bound, self.out_features, kind))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x: (..., in_features); returns (..., out_features)."""
        y = dense.linear_forward(x, self.weight.data, self.bias.data if self.has_bias else None)
        if self.training:
            self._tape.append(x)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy: (..., out_features); returns dx."""
        x = self._pop()
        places, accumulate = claim_all((self.weight, self.bias if self.has_bias else None))
        return dense.linear_backward(dy, x, self.weight.data, dense.Apart(places), accumulate)[0]

    def _describe(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}{'' if self.has_bias else ', bias=False'})"


class _Activation(Module):
    """An elementwise function whose derivative is known from its output."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x of any shape; returns the same shape."""
        y = self._function(x)
        if self.training:
            self._tape.append(y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Gradient by the input."""
        return self._derivative(dy, self._pop())

    def _function(self, x: np.ndarray) -> np.ndarray:
        return x

    def _derivative(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        return dy


class Tanh(_Activation):
    """Hyperbolic tangent, elementwise."""

    def _function(self, x: np.ndarray) -> np.ndarray:
        return dense.tanh(x)

    def _derivative(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        return dense.tanh_backward(dy, y)


class Sigmoid(_Activation):
    """Logistic function, elementwise."""

    def _function(self, x: np.ndarray) -> np.ndarray:
        return dense.sigmoid(x)

    def _derivative(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        return dense.sigmoid_backward(dy, y)


class ReLU(_Activation):
    """max(x, 0), elementwise."""

    def _function(self, x: np.ndarray) -> np.ndarray:
        return dense.relu(x)

    def _derivative(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        return dense.relu_backward(dy, y)
