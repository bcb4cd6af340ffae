"""Attention over a source of true lengths: dot product (Luong, Vaswani) and additive (Bahdanau)."""

import math
from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty, aligned_zeros, scratch
from .._threads import threads_for
from .._validate import flag, float_array, lengths_array

# Multiply-adds, and tanh's, below which a second thread costs more than it brings (docs/profiling.md).
_GRAIN_PRODUCT = 200_000
_GRAIN_TANH = 10_000


@mirrored
def dot_attention_forward(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray | None = None,
    scaled: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the values, weighted by softmax(query . keys) over the source (6.6).

    Parameters
    ----------
    query : ndarray (T, B, H), float32 or float64
        All queries of a sequence, or one with T = 1.
    keys : ndarray (S, B, H)
    values : ndarray (S, B, V)
        Often the keys themselves.
    lengths : ndarray of int (B,), optional
        Source steps of each sequence; those past it get no weight. All S by default; 0 gives context 0.
    scaled : bool, default False
        Divide the products by sqrt(H) (Vaswani 2017).

    Returns
    -------
    context : ndarray (T, B, V)
    weights : ndarray (T, B, S)

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes do not fit, or a length is out of range.

    References
    ----------
    M.-T. Luong et al., "Effective approaches to attention-based neural machine translation", EMNLP 2015;
    A. Vaswani et al., "Attention is all you need", 2017.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> keys = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[9.0, 9.0]]])
    >>> context, weights = fd.dot_attention_forward(np.array([[[3.0, 3.0]]]), keys, keys, np.array([2]))
    >>> context[0, 0], weights[0, 0]
    (array([0.5, 0.5]), array([0.5, 0.5, 0. ]))
    """
    return _forward(query, keys, values, lengths, None, _scale(query, scaled))


@mirrored
def dot_attention_backward(
    dcontext: np.ndarray,
    weights: np.ndarray,
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray | None = None,
    scaled: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of :func:`dot_attention_forward` (docs/sequence.md 6.6).

    Parameters
    ----------
    dcontext : ndarray (T, B, V)
        Gradient with respect to the context.
    weights : ndarray (T, B, S)
        From the forward.
    query, keys, values, lengths, scaled
        As given to the forward.

    Returns
    -------
    dquery, dkeys, dvalues : ndarray
        As query, keys and values; zero past the lengths.

    Raises
    ------
    TypeError, ValueError
        As the forward.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> query, keys = np.ones((1, 1, 2)), np.ones((3, 1, 2))
    >>> context, weights = fd.dot_attention_forward(query, keys, keys)
    >>> fd.dot_attention_backward(np.ones((1, 1, 2)), weights, query, keys, keys)[2].ravel().round(4)
    array([0.3333, 0.3333, 0.3333, 0.3333, 0.3333, 0.3333])
    """
    return _backward(dcontext, weights, query, keys, values, lengths, None, _scale(query, scaled))[:3]


@mirrored
def additive_attention_forward(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    v: np.ndarray,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the values, weighted by softmax(v . tanh(query + keys)) over the source (6.6).

    Parameters
    ----------
    query : ndarray (T, B, A), float32 or float64
        Projected queries, W_q s + b in the paper's notation.
    keys : ndarray (S, B, A)
        Projected source states.
    values : ndarray (S, B, V)
    v : ndarray (A,)
    lengths : ndarray of int (B,), optional
        Source steps of each sequence; those past it get no weight. All S by default; 0 gives context 0.

    Returns
    -------
    context : ndarray (T, B, V)
    weights : ndarray (T, B, S)

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes do not fit, or a length is out of range.

    References
    ----------
    D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate", ICLR 2015.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> query, keys = np.zeros((1, 1, 2)), np.array([[[9.0, 9.0]], [[-9.0, -9.0]]])
    >>> context, weights = fd.additive_attention_forward(query, keys, keys, np.array([5.0, 5.0]))
    >>> weights[0, 0].round(4)
    array([1., 0.])
    """
    return _forward(query, keys, values, lengths, float_array("v", v), 1.0)


@mirrored
def additive_attention_backward(
    dcontext: np.ndarray,
    weights: np.ndarray,
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    v: np.ndarray,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Gradients of :func:`additive_attention_forward` (docs/sequence.md 6.6).

    Parameters
    ----------
    dcontext : ndarray (T, B, V)
        Gradient with respect to the context.
    weights : ndarray (T, B, S)
        From the forward.
    query, keys, values, v, lengths
        As given to the forward.

    Returns
    -------
    dquery, dkeys, dvalues, dv : ndarray
        As query, keys, values and v; zero past the lengths.

    Raises
    ------
    TypeError, ValueError
        As the forward.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> query, keys, v = np.ones((1, 1, 2)), np.ones((3, 1, 2)), np.ones(2)
    >>> context, weights = fd.additive_attention_forward(query, keys, keys, v)
    >>> fd.additive_attention_backward(context, weights, query, keys, keys, v)[3].shape
    (2,)
    """
    return _backward(dcontext, weights, query, keys, values, lengths, float_array("v", v), 1.0)


def _scale(query: Any, scaled: bool) -> float:
    size = query.shape[-1] if isinstance(query, np.ndarray) and query.ndim else 1
    return 1 / math.sqrt(max(size, 1)) if flag("scaled", scaled) else 1.0


def _arguments(query: Any, keys: Any, values: Any, lengths: Any, v: Any) -> tuple[Any, ...]:
    query = float_array("query", query, (None, None, None))
    _, B, size = query.shape
    kind = query.dtype
    keys = float_array("keys", keys, (None, B, size), kind)
    values = float_array("values", values, (keys.shape[0], B, None), kind)
    for name, array in (("query", query), ("values", values)):
        if array.shape[-1] == 0:
            raise ValueError(f"{name}: got shape {array.shape}, expected at least one feature")
    if lengths is None:
        lengths = np.full(B, keys.shape[0], np.int64)
    lengths = lengths_array("lengths", lengths, keys.shape[0], B)
    v = None if v is None else float_array("v", v, (size,), kind)
    return query, keys, values, lengths, v


def _work(query: np.ndarray, keys: np.ndarray, values: np.ndarray, v: np.ndarray | None) -> np.ndarray:
    """Work space, a row for each thread."""
    (T, B, size), S, width = query.shape, keys.shape[0], values.shape[2]
    pairs = T * B * S
    num_threads = threads_for(pairs * (size / _GRAIN_TANH if v is not None else (size + width) / _GRAIN_PRODUCT), 1)
    space = kernels.sequence_attention.work_size(T, S, size, width, query.itemsize)
    return scratch(num_threads * space, query.dtype)[: num_threads * space].reshape(num_threads, space)


def _forward(query: Any, keys: Any, values: Any, lengths: Any, v: Any, scale: float) -> tuple[np.ndarray, np.ndarray]:
    query, keys, values, lengths, v = _arguments(query, keys, values, lengths, v)
    (T, B, _), (S, _, width) = query.shape, values.shape
    if T * B * S == 0:  # nothing to attend to, or nobody who does
        return np.zeros((T, B, width), query.dtype), np.zeros((T, B, S), query.dtype)
    context, weights = aligned_empty((T, B, width), query.dtype), aligned_empty((T, B, S), query.dtype)
    work = _work(query, keys, values, v)
    kernels.sequence_attention.attention_forward((query, keys, values), lengths, v, scale, context, weights, work)
    return context, weights


def _backward(
    dcontext: Any, weights: Any, query: Any, keys: Any, values: Any, lengths: Any, v: Any, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    query, keys, values, lengths, v = _arguments(query, keys, values, lengths, v)
    (T, B, _), (S, _, width) = query.shape, values.shape
    dcontext = float_array("dcontext", dcontext, (T, B, width), query.dtype)
    weights = float_array("weights", weights, (T, B, S), query.dtype)
    dquery, dkeys, dvalues = (aligned_zeros(array.shape, query.dtype) for array in (query, keys, values))
    dv = None if v is None else np.zeros((B, v.size), query.dtype)
    if T * B * S:
        work, gradients = _work(query, keys, values, v), (dquery, dkeys, dvalues, dv)
        kernels.sequence_attention.attention_backward(
            dcontext, weights, (query, keys, values), lengths, v, scale, gradients, work
        )
    return dquery, dkeys, dvalues, dv if dv is None else dv.sum(0)
