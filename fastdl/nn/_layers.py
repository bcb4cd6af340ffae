"""Layers over the topic `dense`: embedding, linear."""

import math
from typing import Any

import numpy as np

from .. import dense
from .._validate import FLOATS, check_shape, flag, float_array, index_array, integer, is_plain
from ..random import Generator, as_generator
from ._module import Module
from ._parameter import Parameter, claim_all


def float_dtype(dtype: Any) -> np.dtype:
    """float32 or float64."""
    try:
        kind = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        kind = None
    if kind is None or kind not in FLOATS:  # NumPy takes None for float64
        raise TypeError(f"dtype: got {kind or repr(dtype)}, expected float32 or float64")
    return kind


class Embedding(Module, alone=True):
    """A table of vectors, looked up by integers (docs/dense.md 6.1).

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows V and width D of the table.
    padding_idx : int, optional
        A row that stands for padding, counted from the end where negative: 0 at first, and its gradient is 0 (where a
        head is tied to the table, this layer's share of it). As in torch.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, N(0, 1) as in torch.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight : Parameter (num_embeddings, embedding_dim)

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or below 1, or the dtype is another.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.Embedding(10, 4, rng=0).forward(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    _each_step = True
    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.num_embeddings = rows = integer("num_embeddings", num_embeddings, 1)
        self.embedding_dim = integer("embedding_dim", embedding_dim, 1)
        self.padding_idx = None
        if padding_idx is not None:
            if not -rows <= (row := integer("padding_idx", padding_idx)) < rows:
                raise ValueError(f"padding_idx: got {row}, expected from {-rows} to {rows - 1}, within num_embeddings")
            self.padding_idx = row % rows
        shape = (self.num_embeddings, self.embedding_dim)
        values = as_generator(rng).normal(0.0, 1.0, shape, float_dtype(dtype))
        if self.padding_idx is not None:
            values[self.padding_idx] = 0
        self.weight = Parameter("weight", values, by_rows=True)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The rows of the table that `x` names.

        Parameters
        ----------
        x : ndarray of int, any shape
            From 0 to V - 1.

        Returns
        -------
        y : ndarray (..., D)

        Raises
        ------
        TypeError, ValueError
            If `x` holds something else than integers, or one out of range.
        """
        y = dense.embedding_forward(index_array("x", x, self.num_embeddings), self.weight._data)
        if self.training:
            self._tape.append(x)
        return y

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradient of the table's rows that the last forward read, but for `padding_idx`.

        Integers have no gradient, so there is nothing to return.

        Parameters
        ----------
        dy : ndarray (..., D)
            Gradient with respect to the output.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit; nothing is written then.
        RuntimeError
            If no forward in training mode waits for it.
        """
        x, W = self._peek(), self.weight._data
        dy = float_array("dy", dy, (*x.shape, self.embedding_dim), W.dtype)
        if self.padding_idx is not None:
            words = x != self.padding_idx
            x, dy = x[words], dy[words]
        out, accumulate = self.weight.claim_grad(rows=x)
        self._pop()
        dense.embedding_backward(dy, x, W, out, accumulate)

    def _describe(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}{padding})"


class Linear(Module, alone=True):
    """Affine map of the last axis, y = x W + b (docs/dense.md 6.1).

    Parameters
    ----------
    in_features, out_features : int
        I and O, the sizes of the last axis before and after.
    bias : bool, default True
        Whether there is b.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, U(-1/sqrt(I), 1/sqrt(I)) for both, as in torch.
    dtype : float32 (default) or float64
        With `tied` the embedding's counts.
    tied : Embedding or its weight, optional
        Use this table (out_features, in_features) for W^T, as the head of a language model does: y = x E^T + b. Both
        layers then have one parameter, whose gradients add up. ``state_dict`` has it under both names, as torch's.

    Attributes
    ----------
    weight : Parameter (in_features, out_features)
        The transpose of torch's; ``state_dict`` has torch's layout. With `tied` the table itself.
    bias : Parameter (out_features,), absent without bias

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> words = fd.nn.Embedding(10, 4, rng=0)
    >>> model = fd.nn.Sequential(words, fd.nn.Tanh(), fd.nn.Linear(4, 10, bias=False, tied=words))
    >>> model.forward(np.array([[1, 2, 3]])).shape, model.parameters().size
    ((1, 3, 10), 40)
    """

    _each_step = True
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
        tied: Embedding | Parameter | None = None,
    ) -> None:
        super().__init__()
        self.in_features = integer("in_features", in_features, 1)
        self.out_features = integer("out_features", out_features, 1)
        self.has_bias = flag("bias", bias)
        source, bound = as_generator(rng), 1 / math.sqrt(self.in_features)
        shape, kind = (self.in_features, self.out_features), float_dtype(dtype)
        self.tied = tied is not None
        if tied is None:
            self.weight = Parameter("weight", source.uniform(-bound, bound, shape, kind), transposed=True)
        else:
            self.weight = _table(tied, shape[::-1])
            kind = self.weight.dtype
        if self.has_bias:
            self.bias = Parameter("bias", source.uniform(-bound, bound, self.out_features, kind))

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """y = x W + b.

        Parameters
        ----------
        x : ndarray (..., in_features)
            Of the layer's dtype.
        out : ndarray (..., out_features), optional
            Array to write y into, C-contiguous. A new one by default.

        Returns
        -------
        y : ndarray (..., out_features)

        Raises
        ------
        TypeError, ValueError
            If `x` is of another dtype or size, or `out` cannot be written or overlaps an array that is read.
        """
        W = self.weight._data
        if self.tied:
            W = W.T
        if not is_plain(x, W.dtype, None) or x.shape[-1:] != W.shape[:1]:  # dense would find W at fault, not x
            x = float_array("x", x, None, W.dtype)
            check_shape("x", x, (*[None] * (x.ndim - 1), self.in_features))
        y = dense.linear_forward(x, W, self.bias._data if self.has_bias else None, out)
        if self.training:
            self._tape.append(x)
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Add x^T dy and the sum of dy to the gradients of W and b, for the x of the last forward.

        Parameters
        ----------
        dy : ndarray (..., out_features)
            Gradient with respect to the output.
        input_gradient : bool, default True
            Whether dx is wanted; False saves its product.

        Returns
        -------
        dx : ndarray (..., in_features), or None
            dy W^T, the gradient with respect to x; None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit; nothing is written then.
        RuntimeError
            If no forward in training mode waits for it.
        """
        x, W, wanted = self._peek(), self.weight._data, flag("input_gradient", input_gradient)
        dy = float_array("dy", dy, (*x.shape[:-1], self.out_features), W.dtype)
        self._pop()
        places, accumulate = claim_all((self.weight, self.bias if self.has_bias else None))
        if not self.tied:
            return dense.linear_backward(dy, x, W, dense.Apart(places), accumulate, wanted)[0]
        # y = x E^T is what linear_backward makes of x: so the two change places.
        dense.linear_backward(x, dy, W, dense.Apart((places[0], None)), accumulate, False)
        if self.has_bias:
            total = dy.reshape(-1, self.out_features).sum(0)
            places[1][...] = places[1] + total if accumulate else total
        return dense.linear_forward(dy, W) if wanted else None

    def _describe(self) -> str:
        listed = ("" if self.has_bias else ", bias=False") + (", tied" if self.tied else "")
        return f"Linear({self.in_features}, {self.out_features}{listed})"


def _table(tied: Any, shape: tuple[int, int]) -> Parameter:
    """The parameter of an embedding, given so or by its layer, that a head is tied to."""
    found = tied._parameters.get("weight") if isinstance(tied, Module) else tied
    if not isinstance(found, Parameter) or found.transposed:
        raise TypeError(f"tied: got {type(tied).__name__}, expected an Embedding or its weight")
    if found.shape != shape:
        raise ValueError(f"tied: got a table of shape {found.shape}, expected {shape}: (out_features, in_features)")
    return found
