"""Attention layers: a query looks over a source of true lengths."""

import math
from typing import Any

import numpy as np

from .. import sequence
from .._validate import flag, float_array, integer, lengths_array
from ..random import Generator, as_generator
from ._layers import Linear, float_dtype
from ._links import Link, link_without_weights
from ._module import Module
from ._parameter import Parameter


class DotAttention(Module, alone=True):
    """Attention by dot products, without parameters: the source is keys and values at once.

    Parameters
    ----------
    scaled : bool, default False
        Divide the products by the square root of the size (Vaswani 2017).

    Raises
    ------
    TypeError, ValueError
        If `scaled` is no bool.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> source, queries = np.ones((7, 2, 4), np.float32), np.ones((3, 2, 4), np.float32)
    >>> fd.nn.DotAttention().forward(queries, source, np.array([7, 5])).shape
    (3, 2, 4)
    """

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.scaled = flag("scaled", scaled)

    def forward(
        self, x: np.ndarray, source: np.ndarray, lengths: np.ndarray | None = None, *, return_weights: bool = False
    ) -> Any:
        """The source's mean under each query's weights.

        Parameters
        ----------
        x : ndarray (T, B, H)
            Queries: all of a decoder's steps at once, or one with T = 1. Call it as often as there are steps, and
            backward as often, the last first.
        source : ndarray (S, B, H)
        lengths : ndarray of int (B,), optional
            Source steps of each sequence; all S by default.
        return_weights : bool, default False
            Whether to return (context, weights) with the weights (T, B, S).

        Returns
        -------
        context : ndarray (T, B, H)

        Raises
        ------
        TypeError, ValueError
            If shapes or dtypes do not fit each other, or a length is out of range.
        """
        return_weights = flag("return_weights", return_weights)
        x = float_array("x", x, (None, None, None))
        source = float_array("source", source, (None, *x.shape[1:]), x.dtype)
        context, weights = sequence.dot_attention_forward(x, source, source, lengths, self.scaled)
        if self.training:
            self._tape.append((weights, x, source, lengths))
        return (context, weights) if return_weights else context

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of the last forward.

        Parameters
        ----------
        dy : ndarray (T, B, H)
            Gradient with respect to the context.

        Returns
        -------
        dx : ndarray (T, B, H)
            Gradient with respect to the queries.
        dsource : ndarray (S, B, H)
            Gradient with respect to the source, as keys and as values.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        weights, x, source, lengths = self._peek()
        dy = float_array("dy", dy, (*x.shape[:2], source.shape[2]), x.dtype)
        dx, dkeys, dvalues = sequence.dot_attention_backward(dy, weights, x, source, source, lengths, self.scaled)
        self._pop()
        return dx, dkeys + dvalues

    def _link(self, args: Any, kwargs: Any, result: Any, backward: Any) -> Link:
        return link_without_weights(self, args, kwargs, result, backward)

    def _describe(self) -> str:
        return f"DotAttention({'scaled=True' if self.scaled else ''})"


class AdditiveAttention(Module):
    """Attention by a small network (Bahdanau 2015): scores v . tanh(W_q x + b + W_k source).

    Parameters
    ----------
    query_size, source_size : int
        Sizes of the queries and of the source's states.
    size : int
        Hidden units of the scoring network.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, those of Linear.
    dtype : float32 (default) or float64

    Attributes
    ----------
    query, key : Linear
        W_q with b, and W_k.
    v : Parameter (size,)

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or below 1, or the dtype is another.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> source, queries = np.ones((7, 2, 6), np.float32), np.ones((3, 2, 4), np.float32)
    >>> fd.nn.AdditiveAttention(4, 6, 5, rng=0).forward(queries, source, np.array([7, 5])).shape
    (3, 2, 6)
    """

    v: Parameter

    def __init__(
        self,
        query_size: int,
        source_size: int,
        size: int,
        *,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        query_size, source_size = integer("query_size", query_size, 1), integer("source_size", source_size, 1)
        self.size = integer("size", size, 1)
        source, kind = as_generator(rng), float_dtype(dtype)
        self.query = Linear(query_size, size, rng=source, dtype=kind)
        self.key = Linear(source_size, size, bias=False, rng=source, dtype=kind)
        bound = 1 / math.sqrt(size)
        self.v = Parameter("v", source.uniform(-bound, bound, size, kind))

    def forward(
        self, x: np.ndarray, source: np.ndarray, lengths: np.ndarray | None = None, *, return_weights: bool = False
    ) -> Any:
        """The source's mean under each query's weights.

        Parameters
        ----------
        x : ndarray (T, B, query_size)
            Queries: all of a decoder's steps at once, or one with T = 1. Call it as often as there are steps, and
            backward as often, the last first.
        source : ndarray (S, B, source_size)
        lengths : ndarray of int (B,), optional
            Source steps of each sequence; all S by default.
        return_weights : bool, default False
            Whether to return (context, weights) with the weights (T, B, S).

        Returns
        -------
        context : ndarray (T, B, source_size)

        Raises
        ------
        TypeError, ValueError
            If shapes or dtypes do not fit, or a length is out of range; no layer remembers anything then.
        """
        return_weights = flag("return_weights", return_weights)
        source = float_array("source", source, (None, None, self.key.in_features), self.v.dtype)
        x = float_array("x", x, (None, source.shape[1], self.query.in_features), self.v.dtype)
        if lengths is not None:  # refused before the layers remember anything
            lengths = lengths_array("lengths", lengths, *source.shape[:2])
        query, keys = self.query.forward(x), self.key.forward(source)
        context, weights = sequence.additive_attention_forward(query, keys, source, self.v.data, lengths)
        if self.training:
            self._tape.append((weights, query, keys, source, lengths))
        return (context, weights) if return_weights else context

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add to the gradients of the scoring network, for the last forward.

        Parameters
        ----------
        dy : ndarray (T, B, source_size)
            Gradient with respect to the context.

        Returns
        -------
        dx : ndarray (T, B, query_size)
            Gradient with respect to the queries.
        dsource : ndarray (S, B, source_size)
            Gradient with respect to the source, as keys and as values.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        weights, query, keys, source, lengths = self._peek()
        dy = float_array("dy", dy, (*query.shape[:2], source.shape[2]), source.dtype)
        dquery, dkeys, dsource, dv = sequence.additive_attention_backward(
            dy, weights, query, keys, source, self.v.data, lengths
        )
        self._pop()
        dv_sum, accumulate = self.v.claim_grad()
        dv_sum[...] = dv_sum + dv if accumulate else dv
        dsource += self.key.backward(dkeys)
        return self.query.backward(dquery), dsource

    def _link(self, args: Any, kwargs: Any, result: Any, backward: Any) -> Link:
        return link_without_weights(self, args, kwargs, result, backward)

    def _describe(self) -> str:
        return f"AdditiveAttention({self.query.in_features}, {self.key.in_features}, {self.size})"
