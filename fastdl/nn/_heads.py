"""Heads over many classes: layers that give a loss instead of logits."""

from typing import Any

import numpy as np

from .. import dense
from .._validate import check_shape, flag, float_array, integer, number
from ..random import Generator, as_generator
from ._layers import Embedding, Linear
from ._module import Module
from ._parameter import Parameter
from ._pull import Computed, Part
from ._sampling import draw_classes, sampled_loss


class Head(Module):
    """The end of a model whose classes are many: it hands on what it gets, and its :meth:`loss` has the weights.

    So the logits of all classes need not be there in training. ``fit`` takes the head's loss, and the model ends with
    the head, which makes its parameters the model's.
    """

    in_features: int

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x itself: the features that :meth:`loss`, :meth:`log_prob` and :meth:`predict` take.

        Parameters
        ----------
        x : ndarray (..., in_features)
            Of the layer's dtype.

        Returns
        -------
        The same.

        Raises
        ------
        TypeError, ValueError
            If `x` is of another dtype or size.
        """
        x = self._features(x)
        if self.training:
            self._tape.append((x.shape, x.dtype))
        return x

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """dy itself. The parameters have their gradients from :meth:`loss`.

        Parameters
        ----------
        dy : ndarray (..., in_features)
            Gradient with respect to the features.
        input_gradient : bool, default True
            Whether it is wanted.

        Returns
        -------
        The same, or None
            None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        shape, dtype = self._peek()
        dy, wanted = float_array("dy", dy, shape, dtype), flag("input_gradient", input_gradient)
        self._pop()
        return dy if wanted else None

    def loss(self, x: np.ndarray, targets: np.ndarray, lengths: Any = None, *, weights: Any = None) -> tuple[Any, Any]:
        """Mean cross-entropy, and its gradient still to be taken: what ``fit(loss=...)`` wants.

        Parameters
        ----------
        x : ndarray (..., in_features)
            What the model gave.
        targets : ndarray of int (...)
            Classes, or `ignore_index`.
        lengths : ndarray or list of int (B,), optional
            For x (T, B, in_features): targets of sequence b count up to step lengths[b] only.
        weights : array or list, optional
            What each target counts, at least 0, of a shape that broadcasts to the targets'.

        Returns
        -------
        loss : fastdl.dense.LossValue
            In nats, its `count` beside it.
        gradient : callable, or None in evaluation mode
            ``gradient()`` adds to the gradients of the parameters and returns that with respect to `x`, once;
            ``gradient(factor)`` that of a multiple.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        """
        raise NotImplementedError

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities of all classes.

        Parameters
        ----------
        x : ndarray (..., in_features)

        Returns
        -------
        ndarray (..., classes)

        Raises
        ------
        TypeError, ValueError
            If `x` is of another dtype or size.
        """
        raise NotImplementedError

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The likeliest class of each row.

        Parameters
        ----------
        x : ndarray (..., in_features)

        Returns
        -------
        ndarray of int (...)

        Raises
        ------
        TypeError, ValueError
            If `x` is of another dtype or size.
        """
        return np.asarray(self.log_prob(x).argmax(-1))

    def _features(self, x: Any) -> np.ndarray:
        x = float_array("x", x, None, next(one.dtype for _, one in self.named_parameters()))
        check_shape("x", x, (*[None] * (x.ndim - 1), self.in_features))
        return x


class LinearCrossEntropy(Head):
    """A linear layer and softmax cross-entropy in one, for vocabularies (docs/dense.md 6.24).

    The logits of all rows are never there (:func:`fastdl.linear_cross_entropy`). With `samples` a step of training
    sees the targets and so many other classes alone (sampled softmax); evaluation is exact.

    Parameters
    ----------
    in_features, out_features : int
        I, and the number of classes C.
    bias : bool, default True
        Whether there is b.
    samples : int, optional
        Other classes a step compares with, drawn by rank: class k with probability log((k + 2) / (k + 1)) / log(C + 1),
        so classes have to be in order of their frequency. None for all.
    ignore_index : int, optional
        Targets of this value count nothing.
    label_smoothing : float in [0, 1), default 0
        Share of a target's mass spread evenly over all classes, in training. Not with `samples`.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, as of :class:`Linear`, and of the classes that are drawn.
    dtype : float32 (default) or float64
        With `tied` the embedding's counts.
    tied : Embedding or its weight, optional
        Use this table (out_features, in_features) for W^T.

    Attributes
    ----------
    linear : Linear
        W and b.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    References
    ----------
    S. Jean et al., "On using very large target vocabulary for neural machine translation", ACL 2015.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> words = fd.nn.Embedding(10, 4, rng=0)
    >>> head = fd.nn.LinearCrossEntropy(4, 10, tied=words, rng=1)
    >>> model = fd.nn.Sequential(words, fd.nn.LSTM(4, 4, rng=2), head)
    >>> x = np.array([[1, 2, 3, 1, 2, 3]]).T
    >>> optimizer = fd.optim.Adam(model.parameters(), lr=0.05)
    >>> history = fd.training.fit(model, optimizer, [(x[:-1], x[1:])] * 200, loss=head.loss, progress=False)
    >>> head.predict(model.eval()(x[:-1])).T
    array([[2, 3, 1, 2, 3]])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        samples: int | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
        tied: Embedding | Parameter | None = None,
    ) -> None:
        super().__init__()
        self.in_features = integer("in_features", in_features, 1)
        self.out_features = integer("out_features", out_features, 1)
        self.samples = None if samples is None else integer("samples", samples, 1, self.out_features)
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
        self.label_smoothing = number("label_smoothing", label_smoothing, 0, 1, open_high=True)
        if self.samples is not None and self.label_smoothing:
            raise ValueError(f"label_smoothing: got {label_smoothing}, expected 0, since samples is given")
        source = as_generator(rng)
        self.linear = Linear(in_features, out_features, bias, rng=source, dtype=dtype, tied=tied)
        self.rng = None if self.samples is None else source

    def loss(self, x: np.ndarray, targets: np.ndarray, lengths: Any = None, *, weights: Any = None) -> tuple[Any, Any]:
        x = self._features(x)
        W, b = self._affine()
        if self.training and self.samples is not None and self.rng is not None:
            wanted = dense.counting(x, self.out_features, targets, self.ignore_index, lengths, None, weights)
            return sampled_loss(self.linear, (x, W, b), wanted, draw_classes(self.rng, self.samples, self.out_features))
        smoothing = self.label_smoothing if self.training else 0.0
        loss, found = dense.linear_cross_entropy(
            x, W, b, targets, self.ignore_index, smoothing, lengths=lengths, weights=weights, gradients=self.training
        )
        if found is None:
            return loss, None
        dx, dW, db = found
        parts = [Part(self.linear.weight, dW.T if self.linear.tied else dW)]
        if b is not None:
            parts.append(Part(self.linear.bias, db))
        return loss, Computed(dx, parts)

    def _affine(self) -> tuple[np.ndarray, np.ndarray | None]:
        W = self.linear.weight._data
        return W.T if self.linear.tied else W, self.linear.bias._data if self.linear.has_bias else None

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        W, b = self._affine()
        return dense.log_softmax(dense.linear_forward(self._features(x), np.ascontiguousarray(W), b))

    def _describe(self) -> str:
        options = f", samples={self.samples}" if self.samples else ""
        return f"LinearCrossEntropy({self.in_features}, {self.out_features}{options})"
