"""Layers at a point: the value there, and the linear maps that lead through it in both directions.

A linearization is made once for an input and serves any number of directions: what depends on the point alone
(states, gates, gradients) is computed once. Dense layers are here, recurrent ones in _recurrent.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dense, nn
from .._validate import float_array, function, index_array, shown
from ..nn import Module
from ..nn._handing import accepts, check_lengths, lengths_after, parted, takes_lengths
from ._affine import add_outer, sum_of_products
from ._by_differences import ByDifferences
from ._guard import Arrays, Guard, Linearization


def by_sample(x: np.ndarray, axis: int) -> np.ndarray:
    """x with the samples' axis next to last and all before it as one: (T, samples, I)."""
    moved = np.moveaxis(x, axis, -2)
    return np.ascontiguousarray(moved.reshape(-1, *moved.shape[-2:]))


_makers: dict[type, Callable[[Any, np.ndarray], Linearization]] = {}


def register(layer: type[Module], make: Callable[[Any, np.ndarray], Linearization]) -> None:
    """Say how layers of a type are linearized, so that models with them have curvature (docs/curvature.md).

    Parameters
    ----------
    layer : type
        A subclass of :class:`fastdl.nn.Module`; its own subclasses are registered apart.
    make : callable
        Takes a layer and its input, and returns a ``Linearization`` whose ``y`` is what the layer's forward gives
        in evaluation mode. Where it also names `lengths`, it gets them for padded batches.

    Raises
    ------
    TypeError
        If `layer` is no subclass of Module, or `make` no function.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> class Double(fd.nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> class DoubleAt(fd.curvature.Linearization):
    ...     def __init__(self, layer, x):
    ...         self.y = layer.forward(x)
    ...     def jvp(self, tx, direction):
    ...         return None if tx is None else 2 * tx
    ...     def backward(self, dy, out, need_input):
    ...         return 2 * dy if need_input else None
    ...     def jvp_backward(self, tdy, direction, out, need_input):
    ...         return 2 * tdy if need_input and tdy is not None else None
    >>> fd.curvature.register(Double, DoubleAt)
    >>> fd.curvature.linearize(Double(), np.ones((1, 2))).jvp(np.ones((1, 2)), None)
    array([[2., 2.]])
    """
    if not (isinstance(layer, type) and issubclass(layer, Module)):
        raise TypeError(f"layer: got {type(layer).__name__}, expected a subclass of fastdl.nn.Module")
    _makers[layer] = function("make", make, "a function of a layer and its input")


def linearize(layer: Module, x: Any, lengths: Any = None) -> Guard:
    """The layer at an input, in evaluation mode whatever its mode is (docs/curvature.md 2.3).

    Parameters
    ----------
    layer : fastdl.nn.Module
        A layer or model.
    x : ndarray
        The layer's input; or (x, lengths), as :func:`fastdl.training.fit` gives inputs of two parts.
    lengths : array of int (B,), optional
        True lengths of the sequences, for recurrent layers, alone or in a chain. What lies past a sequence's end is not
        read, outputs and gradients are 0 there.

    Returns
    -------
    Linearization
        Its passes compare shapes and types of all they are given.

    Raises
    ------
    TypeError
        If the layer, or one in it, is of a type that has no jvp, or none with lengths; or its backward is derived, and
        it draws masks or has buffers.

    Notes
    -----
    Where a backward is derived the gradients are exact, and the tangents differences of its passes in float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.Tanh()
    >>> fd.curvature.linearize(layer, np.zeros((1, 2))).jvp(np.ones((1, 2)), None)
    array([[1., 1.]])
    """
    if not isinstance(layer, Module):
        raise TypeError(f"layer: got {type(layer).__name__}, expected a fastdl.nn layer")
    x, lengths = parted(layer, x, lengths)
    check_lengths(layer, lengths)
    make = _makers.get(type(layer)) or (ByDifferences if layer._derived else None)
    if make is None:
        raise TypeError(f"model: {type(layer).__name__} has no jvp, so a model with it has no curvature products")
    if lengths is not None and not accepts(make, "lengths"):
        got = f"got {shown(lengths)}, expected None"
        raise TypeError(f"lengths: {got}, since {type(layer).__name__} has no jvp with lengths")
    return Guard(layer, x, make, lengths)


class _Sequential(Linearization):
    def __init__(self, layer: nn.Sequential, x: np.ndarray, lengths: Any = None) -> None:
        self.parts = []
        for one in layer:
            part = linearize(one, x, lengths if takes_lengths(one) else None)
            lengths = lengths_after(one, lengths)
            self.parts.append(part)
            x = part.y
        self.y = x

    def jvp(self, tx, direction):
        for part in self.parts:
            tx = part.jvp(tx, direction)
        return tx

    def backward(self, dy, out, need_input):
        for index, part in reversed(list(enumerate(self.parts))):
            dy = part.backward(dy, out, need_input or index > 0)
        return dy

    def jvp_backward(self, tdy, direction, out, need_input):
        for index, part in reversed(list(enumerate(self.parts))):
            tdy = part.jvp_backward(tdy, direction, out, need_input or index > 0)
        return tdy

    def sample_gradients(self, dy, axis, out, need_input):
        for index, part in reversed(list(enumerate(self.parts))):
            dy = part.sample_gradients(dy, axis, out, need_input or index > 0)
        return dy

    def check_axis(self, axis):
        for part in self.parts:
            part.check_axis(axis)


class _Linear(Linearization):
    """y = x W + b; ty = tx W + x V + v. The gradients are dx = dy W^T, dW = x^T dy; their tangents follow.

    Of a tied layer the weight is an embedding's table E = W^T: it is multiplied the other way round, and its gradient
    is dy^T x.
    """

    def __init__(self, layer: nn.Linear, x: np.ndarray) -> None:
        self.weight, self.tied = layer.weight, layer.tied
        self.bias = layer.bias if layer.has_bias else None
        W = layer.weight.data
        self.x = float_array("x", x, (*x.shape[:-1], layer.in_features), W.dtype)  # dense would find W at fault
        W = np.ascontiguousarray(W.T) if self.tied else W
        self.y = dense.linear_forward(self.x, W, None if self.bias is None else self.bias.data)
        self.tx: np.ndarray | None = None
        self.dy: np.ndarray | None = None

    def jvp(self, tx, direction):
        self.tx = tx
        terms = [] if tx is None else [(tx, self.weight.data)]
        bias = None
        if direction is not None:
            terms.append((self.x, direction[self.weight]))
            bias = None if self.bias is None else direction[self.bias]
        return sum_of_products(terms, bias, transposed=self.tied) if terms else None

    def backward(self, dy, out, need_input):
        self.dy = dy
        if out is not None:
            self._add(self.x, dy, out, biases=True)
        return sum_of_products([(dy, self.weight.data)], transposed=not self.tied) if need_input else None

    def jvp_backward(self, tdy, direction, out, need_input):
        if out is not None:
            if tdy is not None:
                self._add(self.x, tdy, out, biases=True)
            if self.tx is not None and self.dy is not None:
                self._add(self.tx, self.dy, out, biases=False)
        if not need_input:
            return None
        terms = [] if tdy is None else [(tdy, self.weight.data)]
        if direction is not None:
            terms.append((self.dy, direction[self.weight]))
        return sum_of_products(terms, transposed=not self.tied) if terms else None

    def sample_gradients(self, dy, axis, out, need_input):
        x, apart = by_sample(self.x, axis), by_sample(dy, axis)
        out[self.weight].add_products(*((apart, x) if self.tied else (x, apart)))
        if self.bias is not None:
            out[self.bias].add_sums(apart)
        return self.backward(dy, None, need_input)

    def _add(self, x: np.ndarray, dy: np.ndarray, out: Arrays, *, biases: bool) -> None:
        """x^T dy to the weight's gradient, or dy^T x to a table's, and dy to the bias's where it counts."""
        bias = out[self.bias] if biases and self.bias is not None else None
        if not self.tied:
            add_outer(dy, (x, out[self.weight]), db=bias)
            return
        add_outer(x, (dy, out[self.weight]))
        if bias is not None:
            bias += dy.reshape(-1, dy.shape[-1]).sum(0)


class _Embedding(Linearization):
    """y = W[x], linear in W but for the row of padding, which is no variable; integers have no tangent."""

    def __init__(self, layer: nn.Embedding, x: np.ndarray) -> None:
        self.x, self.weight = index_array("x", x, layer.num_embeddings), layer.weight
        self.padding = None if layer.padding_idx is None else (self.x == layer.padding_idx)[..., None]
        self.y = dense.embedding_forward(self.x, layer.weight.data)

    def jvp(self, tx, direction):
        _refuse_integers(tx is not None)
        return None if direction is None else self._words(dense.embedding_forward(self.x, direction[self.weight]))

    def backward(self, dy, out, need_input):
        _refuse_integers(need_input)
        if out is not None:
            dense.embedding_backward(self._words(dy), self.x, self.weight.data, out[self.weight], accumulate=True)

    def jvp_backward(self, tdy, direction, out, need_input):
        if tdy is not None:
            self.backward(tdy, out, need_input)

    def sample_gradients(self, dy, axis, out, need_input):
        _refuse_integers(need_input)
        apart = by_sample(self._words(dy), axis)
        columns = out[self.weight].columns.reshape(apart.shape[1], *self.weight.shape)
        index = np.moveaxis(self.x, axis, -1).reshape(apart.shape[:2])
        np.add.at(columns, (np.arange(apart.shape[1]), index), apart)

    def _words(self, array: np.ndarray) -> np.ndarray:
        """0 where there is padding."""
        return array if self.padding is None else np.where(self.padding, array.dtype.type(0), array)


def _refuse_integers(wanted: bool) -> None:
    if wanted:
        raise TypeError("x: the model's input is integers (an Embedding comes first), expected real numbers")


class _Activation(Linearization):
    """An elementwise f, with f' and f'' in terms of y: tdx = f' tdy + f'' dy tx."""

    def __init__(self, layer: Any, x: np.ndarray) -> None:
        self.y = layer._function(x)
        self.slope = self._slope()
        self.tx: np.ndarray | None = None
        self.dy: np.ndarray | None = None

    def _slope(self) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no _slope")

    def _bend(self) -> np.ndarray | None:
        """f''; None for zero."""
        raise TypeError(f"{type(self).__name__} defines no _bend")

    def jvp(self, tx, direction):
        self.tx = tx
        return None if tx is None else self.slope * tx

    def backward(self, dy, out, need_input):
        self.dy = dy
        return self.slope * dy if need_input else None

    def jvp_backward(self, tdy, direction, out, need_input):
        if not need_input:
            return None
        result = None if tdy is None else self.slope * tdy
        bend = self._bend()
        if self.tx is None or bend is None:
            return result
        bend = bend * self.dy
        bend *= self.tx
        return bend if result is None else np.add(result, bend, out=result)

    def sample_gradients(self, dy, axis, out, need_input):
        return self.backward(dy, None, need_input)


class _Tanh(_Activation):
    def _slope(self):
        return 1 - self.y * self.y

    def _bend(self):
        return -2 * self.y * self.slope


class _Sigmoid(_Activation):
    def _slope(self):
        return self.y * (1 - self.y)

    def _bend(self):
        return self.slope * (1 - 2 * self.y)


class _ReLU(_Activation):
    """At the kink the derivative is 0, as in the layer's backward; the second derivative is 0 everywhere."""

    def _slope(self):
        return (self.y > 0).astype(self.y.dtype)

    def _bend(self):
        return None


class _Dropout(Linearization):
    """Dropout in evaluation mode: y = x, or (1 - p) x for the classic scaling."""

    def __init__(self, layer: nn.Dropout, x: np.ndarray) -> None:
        self.factor = 1 - layer.p if layer.scaling == "classic" else 1.0
        self.y = self._scaled(x)

    def _scaled(self, x):
        return x if x is None or self.factor == 1 else x * x.dtype.type(self.factor)

    def jvp(self, tx, direction):
        return self._scaled(tx)

    def backward(self, dy, out, need_input):
        return self._scaled(dy)

    def jvp_backward(self, tdy, direction, out, need_input):
        return self._scaled(tdy)

    def sample_gradients(self, dy, axis, out, need_input):
        return self._scaled(dy)


register(nn.Sequential, _Sequential)
register(nn.Linear, _Linear)
register(nn.Embedding, _Embedding)
register(nn.Tanh, _Tanh)
register(nn.Sigmoid, _Sigmoid)
register(nn.ReLU, _ReLU)
register(nn.Dropout, _Dropout)
