"""Layers that normalise: over the features of a row, or over the batch."""

from typing import Any

import numpy as np

from .. import dense
from .._validate import flag, float_array, integer, iterated, number
from ._layers import float_dtype
from ._module import Module
from ._parameter import Parameter, claim_all


class _Affine(Module, alone=True):
    """Base of both: a weight and a bias or none, and the backward."""

    _each_step = True
    weight: Parameter
    bias: Parameter

    def _fill(self, shape: tuple[int, ...], has_weight: bool, has_bias: bool, dtype: np.dtype) -> None:
        if has_weight:
            self.weight = Parameter("weight", np.ones(shape, dtype))
        if has_bias:
            self.bias = Parameter("bias", np.zeros(shape, dtype))
        self.dtype = dtype

    def _pair(self) -> tuple[Parameter | None, Parameter | None]:
        return self._parameters.get("weight"), self._parameters.get("bias")

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Add to the gradients of weight and bias, for the last forward.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether dx is wanted.

        Returns
        -------
        dx : ndarray, or None
            Gradient with respect to the input; None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit; nothing is written then.
        RuntimeError
            If no forward in training mode waits for it.
        """
        (tape, shape), wanted = self._peek(), flag("input_gradient", input_gradient)
        if not (wanted or self._parameters):
            self._pop()
            return None
        dy = float_array("dy", dy, shape, self.dtype)
        self._pop()
        places, accumulate = claim_all(self._pair())
        dx = self._undo(dy.reshape(tape.x.shape), tape, dense.Apart(places), accumulate, wanted)[0]
        return dx.reshape(shape) if wanted else None

    def _undo(self, dy: np.ndarray, tape: Any, out: Any, accumulate: bool, wanted: bool) -> Any:
        raise TypeError(f"{type(self).__name__} defines no backward")

    def _values(self) -> tuple[Any, Any]:
        weight, bias = self._pair()
        return None if weight is None else weight._data, None if bias is None else bias._data


class LayerNorm(_Affine, alone=True):
    """Mean 0 and variance 1 over the last axes, then a scale and a shift (docs/dense.md 6.20).

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last axes of the input, over which it is normalised.
    eps : float >= 0, default 1e-5
        Added to the variance.
    elementwise_affine : bool, default True
        Whether there is a weight (and a bias).
    bias : bool, default True
        Whether there is a bias; without `elementwise_affine` there is none.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight, bias : Parameter (normalized_shape), ones and zeros at first; absent where there is none

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Ba, Kiros and Hinton 2016, Layer Normalization; :func:`fastdl.layer_norm_forward`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.LayerNorm(2, eps=0.0)
    >>> layer.forward(np.array([[1.0, 3.0], [0.0, 8.0]], np.float32))
    array([[-1.,  1.], [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        shape = [normalized_shape] if not isinstance(normalized_shape, (tuple, list)) else normalized_shape
        self.normalized_shape = tuple(
            integer("normalized_shape", one, 1) for one in iterated("normalized_shape", shape, "sizes")
        )
        if not self.normalized_shape:
            raise ValueError("normalized_shape: got no axis, expected at least one")
        self.eps, affine = number("eps", eps, 0), flag("elementwise_affine", elementwise_affine)
        self._fill(self.normalized_shape, affine, flag("bias", bias) and affine, float_dtype(dtype))

    backward = _Affine.backward  # which undoes this forward too

    def forward(self, x: np.ndarray) -> np.ndarray:
        """weight (x - mean x) / sqrt(var x + eps) + bias.

        Parameters
        ----------
        x : ndarray (..., normalized_shape)
            Of the layer's dtype. It is kept for backward: do not write to it before.

        Returns
        -------
        y : ndarray, of the shape of x

        Raises
        ------
        TypeError, ValueError
            If `x` is of another dtype or shape.
        """
        x, wide = float_array("x", x, None, self.dtype), self.normalized_shape
        if x.shape[-len(wide) :] != wide:
            raise ValueError(f"x: got shape {x.shape}, expected (..., {', '.join(map(str, wide))})")
        y, tape = self._normalised(x)
        if self.training:
            self._tape.append((tape, x.shape))
        return y.reshape(x.shape)

    def _normalised(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        wide, (weight, bias) = self.normalized_shape, self._values()
        rows = x if weight is not None or len(wide) == 1 else x.reshape(*x.shape[: -len(wide)], -1)
        return dense.layer_norm_forward(rows, weight, bias, self.eps)

    def _undo(self, dy: np.ndarray, tape: Any, out: Any, accumulate: bool, wanted: bool) -> Any:
        return dense.layer_norm_backward(dy, tape, out, accumulate, wanted)

    def _describe(self) -> str:
        shape = self.normalized_shape[0] if len(self.normalized_shape) == 1 else self.normalized_shape
        weight, bias = self._pair()
        listed = ", elementwise_affine=False" if weight is None else ", bias=False" if bias is None else ""
        return f"LayerNorm({shape}{listed})"


class BatchNorm1d(_Affine, alone=True):
    """Mean 0 and variance 1 of each feature over the batch, then a scale and a shift (docs/dense.md 6.21).

    Features are the last axis: (N, C) as in torch, and (T, B, C) where torch has (B, C, T). In evaluation mode the
    running averages of mean and variance take the place of the batch's own.

    Parameters
    ----------
    num_features : int
        C.
    eps : float >= 0, default 1e-5
        Added to the variance.
    momentum : float in [0, 1] or None, default 0.1
        Share of each batch in the running averages; None for their plain mean over all batches.
    affine : bool, default True
        Whether there are weight and bias.
    track_running_stats : bool, default True
        Whether there are running averages; if not, evaluation mode takes the batch's own mean and variance too.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight, bias : Parameter (C,), ones and zeros at first; absent without `affine`
    running_mean, running_var : ndarray (C,)
        Buffers: zeros and ones at first; absent without `track_running_stats`.
    num_batches_tracked : ndarray of int64 ()
        Buffer: how many batches they are of.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Ioffe and Szegedy 2015, Batch Normalization; :func:`fastdl.batch_norm_forward`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.BatchNorm1d(1, eps=0.0)
    >>> layer.forward(np.array([[1.0], [3.0]], np.float32)).ravel(), layer.running_mean
    (array([-1.,  1.], dtype=float32), array([0.2], dtype=float32))
    """

    running_mean: np.ndarray
    running_var: np.ndarray
    num_batches_tracked: np.ndarray

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.num_features, self.eps = integer("num_features", num_features, 1), number("eps", eps, 0)
        self.momentum = None if momentum is None else number("momentum", momentum, 0, 1)
        affine = flag("affine", affine)
        self.track_running_stats, kind = flag("track_running_stats", track_running_stats), float_dtype(dtype)
        self._fill((self.num_features,), affine, affine, kind)
        if self.track_running_stats:
            self.register_buffer("running_mean", np.zeros(self.num_features, kind))
            self.register_buffer("running_var", np.ones(self.num_features, kind))
            self.register_buffer("num_batches_tracked", np.array(0, np.int64))

    backward = _Affine.backward

    def forward(self, x: np.ndarray, *, lengths: Any = None) -> np.ndarray:
        """weight (x - mean) / sqrt(var + eps) + bias, with mean and variance of the batch, or the running ones.

        Parameters
        ----------
        x : ndarray (N, C) or (T, B, C)
            Of the layer's dtype. It is kept for backward: do not write to it before.
        lengths : array of int (B,), optional
            True lengths of the sequences of x (T, B, C): what stands past them does not count and is not read, and y is
            0 there.

        Returns
        -------
        y : ndarray, of the shape of x

        Raises
        ------
        TypeError, ValueError
            If `x` is of another dtype or shape, `lengths` do not fit, or in training one row alone counts; the
            averages stay as they are then.
        """
        x = float_array("x", x, None, self.dtype)
        if x.ndim not in (2, 3) or x.shape[-1] != self.num_features:
            raise ValueError(
                f"x: got shape {x.shape}, expected (N, {self.num_features}) or (T, B, {self.num_features})"
            )
        y, tape = self._normalised(x, lengths, self.training)
        if self.training:
            if self.track_running_stats and tape.count:
                self.num_batches_tracked += 1
            self._tape.append((tape, x.shape))
        return y

    def _normalised(self, x: np.ndarray, lengths: Any, training: bool) -> tuple[np.ndarray, Any]:
        tracks, (weight, bias) = self.track_running_stats, self._values()
        mean, var = (self.running_mean, self.running_var) if tracks else (None, None)
        share = 1 / (int(self.num_batches_tracked) + 1) if tracks and self.momentum is None else self.momentum
        return dense.batch_norm_forward(
            x, weight, bias, mean, var, training or not tracks, share or 0.0, self.eps, lengths
        )

    def _undo(self, dy: np.ndarray, tape: Any, out: Any, accumulate: bool, wanted: bool) -> Any:
        return dense.batch_norm_backward(dy, tape, out, accumulate, wanted)

    def _averages(self) -> list[np.ndarray]:
        """Copies of the buffers, for a forward of the whole model that fails behind this layer."""
        return [getattr(self, name).copy() for name in self._buffers]

    def _restore_averages(self, before: list[np.ndarray]) -> None:
        for name, values in zip(self._buffers, before, strict=True):
            getattr(self, name)[...] = values

    def _describe(self) -> str:
        listed = "" if "weight" in self._parameters else ", affine=False"
        listed += "" if self.track_running_stats else ", track_running_stats=False"
        return f"BatchNorm1d({self.num_features}{listed})"
