"""Dropout on parameters: rows of an embedding, and any weights of a layer."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import dropout as functional
from .._validate import choice, flag, float_array, integer, members
from ._backward import backward
from ._links import Link
from ._module import Module
from .dropout import Drawn


class EmbeddingDropout(Drawn):
    """An embedding that drops whole words: all occurrences of a word in a batch, or none (Gal and Ghahramani 2016).

    Parameters
    ----------
    embedding : Module
        A layer that turns integers (...) into vectors (..., E).
    num_embeddings : int
        Size of the vocabulary: the embedding's.
    p : float in [0, 1], default 0.1
        Probability of a word being dropped; the others are divided by 1 - p.
    rng : None, int or fastdl.random.Generator, default None
        As in :class:`Dropout`.

    Raises
    ------
    TypeError, ValueError
        If `embedding` is no layer or of another size, p is outside [0, 1], or `rng` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.EmbeddingDropout(fd.nn.Embedding(50, 4, rng=0), 50, 0.5, rng=1)
    >>> y = layer.forward(np.arange(100) % 50)
    >>> bool((y[:50] == y[50:]).all()), bool((y == 0).any())
    (True, True)
    """

    def __init__(self, embedding: Module, num_embeddings: int, p: float = 0.1, *, rng: Any = None) -> None:
        super().__init__(p, rng)
        if not isinstance(embedding, Module):
            raise TypeError(f"embedding: got {type(embedding).__name__}, expected a layer")
        self.embedding = embedding
        self.num_embeddings = integer("num_embeddings", num_embeddings, 1)
        rows = getattr(embedding, "num_embeddings", None)
        if rows is None and "weight" in embedding._parameters:
            rows = embedding._parameters["weight"].shape[0]
        if rows is not None and rows != self.num_embeddings:
            raise ValueError(f"num_embeddings: got {num_embeddings}, expected the embedding's {rows}")

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Vectors of the words.

        Parameters
        ----------
        x : ndarray of int, any shape
            From 0 to num_embeddings - 1.

        Returns
        -------
        ndarray (..., E)
            In evaluation mode the embedding's own.

        Raises
        ------
        TypeError, ValueError
            If `x` holds something else than integers, or one out of range.
        """
        y, where = self.embedding.forward(x), self._next()
        if where is not None:
            y = self._drop(y, x, where)
        self._done(where, (x, where, y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Pass the gradient on to the embedding, zero for the words that were dropped.

        Parameters
        ----------
        dy : ndarray (..., E)
            Gradient with respect to the output.
        input_gradient : bool, default True
            Whether the embedding's input gradient is wanted, if it has one.

        Returns
        -------
        ndarray or None
            What the embedding's backward returns; None for :class:`Embedding`, or with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, (x, where, shape, dtype) = flag("input_gradient", input_gradient), self._peek()
        dx = backward(self.embedding, self._drop(float_array("dy", dy, shape, dtype), x, where), wanted)
        self._pop()
        return dx if wanted else None

    def _drop(self, y: np.ndarray, x: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.embedding_dropout(y, x, self.num_embeddings, self.p, **where)


class DropConnect(Drawn):
    """Drop weights instead of activations, anew at every forward.

    Parameters
    ----------
    layer : Module
        The layer whose weights are dropped.
    p : float in [0, 1], default 0.5
        Probability of a weight being dropped; the others are divided by 1 - p.
    names : tuple of str, default ("weight",)
        Which of the layer's parameters, for an LSTM for example ``("weight_hh_l0",)`` (Merity 2018).
    rng : None, int or fastdl.random.Generator, default None
        As in :class:`Dropout`.

    Raises
    ------
    TypeError, ValueError
        If `layer` is no layer, a name is none of its parameters, p is outside [0, 1], or `rng` is something else.

    Notes
    -----
    Wan et al., "Regularization of neural networks using DropConnect", ICML 2013; docs/dropout.md 4.6. The layer's
    parameters hold the masked values only while its forward or backward runs.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> inner = fd.nn.Linear(2, 1000, bias=False, rng=0)
    >>> layer = fd.nn.DropConnect(inner, 0.5, rng=1)
    >>> x = np.array([[1.0, 0.0]], np.float32)
    >>> y = layer.forward(x)
    >>> bool((np.isclose(y, 2 * inner.weight.data[0]) | (y == 0)).all())
    True
    >>> bool((layer.eval().forward(x) == inner.forward(x)).all())
    True
    """

    _hands_on = True

    def __init__(self, layer: Module, p: float = 0.5, *, names: Sequence[str] = ("weight",), rng: Any = None) -> None:
        super().__init__(p, rng)
        if not isinstance(layer, Module):
            raise TypeError(f"layer: got {type(layer).__name__}, expected a layer")
        self.names = tuple(members("names", names, "names"))
        for name in self.names:
            choice("names", name, list(layer._parameters))
        self.layer = layer

    def forward(self, x: np.ndarray, *args: Any, **kwargs: Any) -> Any:
        """The layer's output with some weights at zero.

        Parameters
        ----------
        x : ndarray
            The layer's input.
        *args, **kwargs : optional
            What else the layer's forward takes.

        Returns
        -------
        ndarray, or what the layer returns
            In evaluation mode with all weights as they are.
        """
        where = self._next()
        with contextlib.nullcontext() if where is None else self._masked(where):
            y = self.layer.forward(x, *args, **kwargs)
        self._done(where, where)
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """The layer's backward, with the weights of the last forward; the gradient of a dropped weight is zero.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output.
        input_gradient : bool, default True
            Whether the gradient with respect to the input is wanted.

        Returns
        -------
        ndarray or None
            What the layer's backward returns; None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit; the gradients are as before then.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, where = flag("input_gradient", input_gradient), self._peek()
        parameters = [self.layer._parameters[name] for name in self.names]
        before = [(one._grad.copy(), one._ledger[one]) if one.written else None for one in parameters]
        for parameter in parameters:
            parameter.written = False  # this backward's share alone is masked, then joins the earlier ones
        try:
            with self._masked(where):
                dx = backward(self.layer, dy, wanted)
        except BaseException:
            for parameter, earlier in zip(parameters, before, strict=True):
                parameter.written = False
                if earlier is not None:
                    parameter._grad[...], parameter._ledger[parameter] = earlier
            raise
        self._pop()
        for stream, (parameter, earlier) in enumerate(zip(parameters, before, strict=True)):
            gradient = parameter.grad
            functional.dropout_backward(gradient, self.p, **where, stream=stream, out=gradient)
            if earlier is not None:
                gradient += earlier[0]
        return dx if wanted else None

    def _link(self, args: Any, kwargs: Any, result: Any, backward: Any) -> Link:
        """As the layer's own, whose gradient this one's backward takes alone."""
        return self.layer._link(args, kwargs, result, backward)

    @contextlib.contextmanager
    def _masked(self, where: dict[str, Any]) -> Iterator[None]:
        """The weights times their masks, one stream each; restored on leaving."""
        parameters = [self.layer._parameters[name] for name in self.names]
        kept = [parameter.data.copy() for parameter in parameters]
        try:
            for stream, parameter in enumerate(parameters):
                functional.dropout_forward(parameter.data, self.p, **where, stream=stream, out=parameter.data)
            yield
        finally:
            for parameter, values in zip(parameters, kept, strict=True):
                parameter.data = values
