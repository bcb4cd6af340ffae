"""Pooling over time: the largest or the mean of each window."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty
from .._threads import threads_for
from .._validate import flag, float_array
from ..reference.sequence import PoolTape  # one type for both: the reference imports nothing of fastdl
from ._windows import checked_lengths, out_steps, windows

_GRAIN = 20_000  # steps of windows below which a second thread costs more than it brings (measured)


@mirrored
def max_pool1d_forward(
    x: np.ndarray,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, PoolTape]:
    """The largest of each window of steps (6.23).

    Parameters
    ----------
    x : ndarray (T, B, C), float32 or float64
        Time first and channels last, where torch has (B, C, T).
    kernel_size : int >= 1
        Steps of a window.
    stride : int >= 1, optional
        Steps from one window to the next; `kernel_size` by default.
    padding : int, default 0
        Steps of -inf before and after each sequence, at most half of `kernel_size`.
    dilation : int >= 1, default 1
        Steps from one of a window to its next.
    ceil_mode : bool, default False
        Whether a last window may reach over the end.
    lengths : ndarray of int (B,), optional
        True lengths, 0 to T. Steps past them are not read, and y is 0 past what they become.

    Returns
    -------
    y : ndarray (T', B, C)
        NaN where a window has one, as in torch.
    tape : fastdl.sequence.PoolTape
        For :func:`max_pool1d_backward`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the stated kind, or there are too few steps for a window.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.max_pool1d_forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1), 2)
    >>> y.ravel()
    array([3., 2.])
    """
    return _forward(x, (kernel_size, stride, padding, dilation, ceil_mode), True, lengths, True)


@mirrored
def max_pool1d_backward(dy: np.ndarray, tape: PoolTape) -> np.ndarray:
    """The gradient of :func:`max_pool1d_forward`: each window's goes to the first of its largest (6.23).

    Parameters
    ----------
    dy : ndarray (T', B, C)
        Gradient with respect to y. What stands past the lengths is not read.
    tape : fastdl.sequence.PoolTape
        From the forward.

    Returns
    -------
    dx : ndarray (T, B, C)

    Raises
    ------
    TypeError, ValueError
        If `dy` does not fit, or the tape is none of this forward.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.max_pool1d_forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1), 2)
    >>> fd.max_pool1d_backward(np.ones_like(y), tape).ravel()
    array([0., 1., 1., 0.])
    """
    return _backward(dy, tape, True)


@mirrored
def avg_pool1d_forward(
    x: np.ndarray,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, PoolTape]:
    """The mean of each window of steps (6.23).

    Parameters
    ----------
    x : ndarray (T, B, C), float32 or float64
        Time first and channels last, where torch has (B, C, T).
    kernel_size : int >= 1
        Steps of a window.
    stride : int >= 1, optional
        Steps from one window to the next; `kernel_size` by default.
    padding : int, default 0
        Zeros before and after each sequence, at most half of `kernel_size`.
    ceil_mode : bool, default False
        Whether a last window may reach over the end; what lies past the padding does not count.
    count_include_pad : bool, default True
        Whether these zeros count in the mean.
    lengths : ndarray of int (B,), optional
        True lengths, 0 to T. Steps past them are not read, and y is 0 past what they become.

    Returns
    -------
    y : ndarray (T', B, C)
    tape : fastdl.sequence.PoolTape
        For :func:`avg_pool1d_backward`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the stated kind, or there are too few steps for a window.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.avg_pool1d_forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1), 2)
    >>> y.ravel()
    array([2., 1.])
    """
    return _forward(x, (kernel_size, stride, padding, 1, ceil_mode), False, lengths, count_include_pad)


@mirrored
def avg_pool1d_backward(dy: np.ndarray, tape: PoolTape) -> np.ndarray:
    """The gradient of :func:`avg_pool1d_forward`: each window's is shared out evenly (6.23).

    Parameters
    ----------
    dy : ndarray (T', B, C)
        Gradient with respect to y. What stands past the lengths is not read.
    tape : fastdl.sequence.PoolTape
        From the forward.

    Returns
    -------
    dx : ndarray (T, B, C)

    Raises
    ------
    TypeError, ValueError
        If `dy` does not fit, or the tape is none of this forward.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y, tape = fd.avg_pool1d_forward(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1, 1), 2)
    >>> fd.avg_pool1d_backward(np.ones_like(y), tape).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    return _backward(dy, tape, False)


def _forward(
    x: Any, settings: tuple[Any, ...], largest: bool, lengths: Any, include: Any
) -> tuple[np.ndarray, PoolTape]:
    x, include = float_array("x", x, (None, None, None)), flag("count_include_pad", include)
    size, stride, padding, dilation, ceil_mode = settings
    over = windows(size, size if stride is None else stride, padding, dilation, ceil_mode)
    pair = checked_lengths(lengths, x.shape, over.steps)
    y = aligned_empty((out_steps(x.shape, over), *x.shape[1:]), x.dtype)
    best = np.empty(y.shape, np.int32) if largest else None
    geometry = over.size, over.stride, over.left, over.dilation, include
    tape = PoolTape(len(x), y.shape, x.dtype, geometry, pair, best)
    if y.size:
        kernels.pooling.pool_forward(x, best, geometry, pair, y, threads_for(y.size * over.size, _GRAIN))
    return y, tape


def _backward(dy: Any, tape: Any, largest: bool) -> np.ndarray:
    if not isinstance(tape, PoolTape) or (tape.best is not None) != largest:
        name = "max_pool1d_forward" if largest else "avg_pool1d_forward"
        raise TypeError(f"tape: got {type(tape).__name__}, expected that of {name}")
    dy = float_array("dy", dy, tape.shape, tape.dtype)
    dx = aligned_empty((tape.steps, *tape.shape[1:]), tape.dtype)
    if not dy.size:
        dx[...] = 0
        return dx
    kernels.pooling.pool_backward(
        dy, tape.best, tape.geometry, tape.lengths, dx, threads_for(dy.size * tape.geometry[0], _GRAIN)
    )
    return dx
