"""Convolution and pooling over time."""

import math
from typing import Any

import numpy as np

from .. import sequence
from .._validate import check_apart, flag, float_array, integer, lengths_array, out_array, parts
from ..random import Generator, as_generator
from ..sequence._windows import windows
from ._handing import checked_lengths
from ._layers import float_dtype
from ._module import Module
from ._parameter import Parameter, claim_all


class _OverTime(Module, alone=True):
    """Base of layers whose outputs are made of windows of steps."""

    def __init__(self, windows: Any, batch_first: bool) -> None:
        super().__init__()
        self._windows, self.batch_first = windows, flag("batch_first", batch_first)

    def lengths_after(self, lengths: Any) -> np.ndarray:
        """How long sequences are behind the layer: (L + zeros - dilation (kernel_size - 1) - 1) // stride + 1.

        Parameters
        ----------
        lengths : array of int (B,)
            How long they are before it.

        Returns
        -------
        ndarray of int (B,)
            0 where no window fits.

        Raises
        ------
        TypeError, ValueError
            If `lengths` are no integers of one axis, or below 0.
        """
        return np.asarray(self._windows.steps(checked_lengths(lengths)))

    def forward(self, x: np.ndarray, *, lengths: Any = None) -> np.ndarray:
        """The windows' outputs.

        Parameters
        ----------
        x : ndarray (T, B, C), or (B, T, C) with ``batch_first=True``
            Kept for backward: do not write to it before.
        lengths : array of int (B,), optional
            True lengths, 0 to T. Steps past them are not read, and y is 0 past what they become
            (:meth:`lengths_after`).

        Returns
        -------
        y : ndarray (T', B, C'), or (B, T', C') with ``batch_first=True``

        Raises
        ------
        TypeError, ValueError
            If `x` or `lengths` do not fit, or there are too few steps for a window.
        """
        y, tape = self._function(self._turned(self._checked(x)), lengths)
        if self.training:
            self._tape.append((tape, y.shape, y.dtype))
        return self._turned(y)

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Add to the gradients of the parameters, if there are any, for the last forward.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether dx is wanted.

        Returns
        -------
        dx : ndarray, or None
            Gradient with respect to the input, zero past the lengths; None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit; nothing is written then.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, (tape, shape, dtype) = flag("input_gradient", input_gradient), self._peek()
        if not (wanted or self._parameters):
            self._pop()
            return None
        T, B, C = shape
        dy = self._turned(float_array("dy", dy, (B, T, C) if self.batch_first else shape, dtype))
        self._pop()
        dx = self._undo(dy, tape, wanted)
        return self._turned(dx) if wanted else None

    def _turned(self, x: np.ndarray) -> np.ndarray:
        """Time-major from batch-first, or back."""
        return np.ascontiguousarray(x.swapaxes(0, 1)) if self.batch_first else x

    def _checked(self, x: Any) -> np.ndarray:
        return float_array("x", x, (None, None, None))

    def _function(self, x: np.ndarray, lengths: Any) -> tuple[np.ndarray, Any]:
        raise TypeError(f"{type(self).__name__} defines no forward")

    def _undo(self, dy: np.ndarray, tape: Any, wanted: bool) -> Any:
        raise TypeError(f"{type(self).__name__} defines no backward")


class Conv1d(_OverTime, alone=True):
    """Convolution over time (docs/sequence.md 6.22).

    Sequences are (T, B, C), time first, as for the recurrent layers; torch has (B, C, T).

    Parameters
    ----------
    in_channels, out_channels : int
        C before and after.
    kernel_size : int
        Taps.
    stride : int, default 1
        Steps from one window to the next.
    padding : int, "same" or "causal", default 0
        Zeros before and after each sequence; "same" keeps T (stride 1 alone), "causal" puts all before it, so that no
        output depends on a later step (:meth:`step`).
    dilation : int, default 1
        Steps from one tap to the next.
    groups : int, default 1
        Parts of the channels, of which each sees only its own.
    bias : bool, default True
        Whether there is a bias.
    batch_first : bool, default False
        Whether x and y are (B, T, C).
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, U(-k, k) with k = 1/sqrt(C kernel_size / groups), as in torch.
    dtype : float32 (default) or float64

    Attributes
    ----------
    weight : Parameter (kernel_size, in_channels / groups, out_channels)
        All axes of torch's reversed; ``state_dict`` has torch's layout.
    bias : Parameter (out_channels,), absent without bias

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.Conv1d(4, 8, 3, padding="causal", dilation=2, rng=0)
    >>> layer.forward(np.ones((10, 2, 4), np.float32)).shape
    (10, 2, 8)
    >>> fd.nn.Conv1d(4, 8, 3, stride=2, rng=0).lengths_after([10, 3, 2])
    array([4, 1, 0])
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        batch_first: bool = False,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(windows(kernel_size, stride, padding, dilation, named=True), batch_first)
        self.in_channels, self.out_channels = (
            integer("in_channels", in_channels, 1),
            integer("out_channels", out_channels, 1),
        )
        self.kernel_size, self.stride, self.dilation = self._windows[:3]
        self.padding = padding if isinstance(padding, str) else self._windows.left
        self.groups, self.has_bias, kind = integer("groups", groups, 1), flag("bias", bias), float_dtype(dtype)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            got = f"{self.groups} with {self.in_channels} and {self.out_channels} channels"
            raise ValueError(f"groups: got {got}, expected a divisor of both")
        shape = (self.kernel_size, self.in_channels // self.groups, self.out_channels)
        source, bound = as_generator(rng), 1 / math.sqrt(shape[0] * shape[1])
        self.weight = Parameter("weight", source.uniform(-bound, bound, shape, kind), transposed=True)
        if self.has_bias:
            self.bias = Parameter("bias", source.uniform(-bound, bound, self.out_channels, kind))

    def step(
        self,
        x: np.ndarray,
        state: np.ndarray | None = None,
        *,
        out: tuple[np.ndarray | None, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One time step of a causal layer, for streams: nothing is kept for backward.

        Parameters
        ----------
        x : ndarray (B, in_channels)
        state : ndarray (dilation (kernel_size - 1), B, in_channels), optional
            The last inputs, as the last step returned them; zeros by default.
        out : tuple (y, state), optional
            Arrays to write into, C-contiguous; the state may be the one given. None for y makes a new one.

        Returns
        -------
        y : ndarray (B, out_channels)
        state : ndarray
            The new last inputs.

        Raises
        ------
        TypeError, ValueError
            If `x`, `state` or `out` do not fit, or the layer is not causal with stride 1; nothing is written then.
        """
        if self.padding != "causal" or self.stride != 1:
            raise ValueError(
                f"step: got padding={self.padding!r}, stride={self.stride}, expected padding='causal', stride=1"
            )
        kind = self.weight.dtype
        x = float_array("x", x, (None, self.in_channels), kind)
        before = (self._windows.left, *x.shape)
        state = np.zeros(before, kind) if state is None else float_array("state", state, before, kind)
        window = np.concatenate([state, x[None]])
        W, b = self.weight._data, self.bias._data if self.has_bias else None
        y, after = sequence.conv1d_forward(window, W, b, dilation=self.dilation, groups=self.groups)[0], window[1:]
        if out is None:
            return y, after
        place, given = parts("out", out, "y", "state")
        given = out_array("out[1]", given, after.shape, kind)
        if place is not None:
            place = out_array("out[0]", place, y.shape, kind)
            check_apart(**{"out[0]": place, "out[1]": given})
            place[...], y = y, place
        given[...] = after
        return y, given

    def _checked(self, x: Any) -> np.ndarray:
        return float_array("x", x, (None, None, self.in_channels), self.weight.dtype)

    def _options(self, lengths: Any) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names} | {"lengths": lengths}

    def _function(self, x: np.ndarray, lengths: Any) -> tuple[np.ndarray, Any]:
        if lengths is not None:  # a copy: until backward the batch may become another
            lengths = lengths_array("lengths", lengths, x.shape[0], x.shape[1])
        W, b = self.weight._data, self.bias._data if self.has_bias else None
        return sequence.conv1d_forward(x, W, b, **self._options(lengths)), (x, lengths)

    def _undo(self, dy: np.ndarray, tape: Any, wanted: bool) -> Any:
        x, lengths = tape
        places, accumulate = claim_all((self.weight, self.bias if self.has_bias else None))
        return sequence.conv1d_backward(
            dy, x, self.weight._data, tuple(places), accumulate, wanted, **self._options(lengths)
        )[0]

    def _describe(self) -> str:
        plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "has_bias": True, "batch_first": False}
        listed = [
            f", {name.removeprefix('has_')}={getattr(self, name)!r}"
            for name, value in plain.items()
            if getattr(self, name) != value
        ]
        return f"Conv1d({self.in_channels}, {self.out_channels}, {self.kernel_size}{''.join(listed)})"


class _Pool(_OverTime, alone=True):
    """Base of both pools: no parameters."""

    def __init__(
        self, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, batch_first: Any
    ) -> None:
        size = integer("kernel_size", kernel_size, 1)
        super().__init__(windows(size, size if stride is None else stride, padding, dilation, ceil_mode), batch_first)
        self.kernel_size, self.stride, self.dilation, self.padding, _, self.ceil_mode = self._windows

    def _describe(self) -> str:
        plain = {"stride": self.kernel_size, "padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True}
        listed = [
            f", {name}={getattr(self, name)}" for name, value in plain.items() if getattr(self, name, value) != value
        ]
        return f"{type(self).__name__}({self.kernel_size}{''.join(listed)})"


class MaxPool1d(_Pool, alone=True):
    """The largest of each window of steps (docs/sequence.md 6.23).

    Parameters
    ----------
    kernel_size : int
        Steps of a window.
    stride : int, optional
        Steps from one window to the next; `kernel_size` by default.
    padding : int, default 0
        Steps of -inf before and after each sequence, at most half of `kernel_size`.
    dilation : int, default 1
        Steps from one of a window to its next.
    ceil_mode : bool, default False
        Whether a last window may reach over the end.
    batch_first : bool, default False
        Whether x and y are (B, T, C) instead of (T, B, C).

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.MaxPool1d(2)
    >>> layer.forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1)).ravel()
    array([3., 2.])
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        dilation: int = 1,
        ceil_mode: bool = False,
        *,
        batch_first: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, batch_first)

    def _function(self, x: np.ndarray, lengths: Any) -> tuple[np.ndarray, Any]:
        return sequence.max_pool1d_forward(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, lengths
        )

    def _undo(self, dy: np.ndarray, tape: Any, wanted: bool) -> Any:
        return sequence.max_pool1d_backward(dy, tape) if wanted else None


class AvgPool1d(_Pool, alone=True):
    """The mean of each window of steps (docs/sequence.md 6.23).

    Parameters
    ----------
    kernel_size : int
        Steps of a window.
    stride : int, optional
        Steps from one window to the next; `kernel_size` by default.
    padding : int, default 0
        Zeros before and after each sequence, at most half of `kernel_size`.
    ceil_mode : bool, default False
        Whether a last window may reach over the end; what lies past the padding does not count.
    count_include_pad : bool, default True
        Whether these zeros count in the mean.
    batch_first : bool, default False
        Whether x and y are (B, T, C) instead of (T, B, C).

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.AvgPool1d(2)
    >>> layer.forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1)).ravel()
    array([2., 1.])
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        batch_first: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode, batch_first)
        self.count_include_pad = flag("count_include_pad", count_include_pad)

    def _function(self, x: np.ndarray, lengths: Any) -> tuple[np.ndarray, Any]:
        return sequence.avg_pool1d_forward(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, lengths
        )

    def _undo(self, dy: np.ndarray, tape: Any, wanted: bool) -> Any:
        return sequence.avg_pool1d_backward(dy, tape) if wanted else None
