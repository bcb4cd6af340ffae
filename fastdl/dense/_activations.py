"""Activations, and their derivatives in terms of the output."""

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty
from .._threads import threads_for
from .._validate import (
    float_array,
)
from . import _grains


def _elementwise(name: str, **arrays: np.ndarray) -> np.ndarray:
    """The kernel's result for one array, or for two of one shape."""
    (name_of_first, first), *others = arrays.items()
    first = float_array(name_of_first, first)
    out = aligned_empty(first.shape, first.dtype)
    checked = [first, *[float_array(label, one, first.shape, first.dtype) for label, one in others], out]
    if out.size:
        flat = [one.reshape(-1) for one in checked]
        getattr(kernels.dense, name)(*flat, threads_for(out.size, _grains.ELEMENTS))
    return out


@mirrored
def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function 1 / (1 + exp(-x)), elementwise (6.4).

    Parameters
    ----------
    x : ndarray, float32 or float64

    Returns
    -------
    y : ndarray
        Within 3 units in the last place where the result is a normal number.

    Raises
    ------
    TypeError
        If `x` is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.sigmoid(np.array([0.0, 2.0])).round(4)
    array([0.5   , 0.8808])
    """
    return _elementwise("sigmoid", x=x)


@mirrored
def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`sigmoid`, from the forward's output y (6.4).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to y.
    y : ndarray
        What :func:`sigmoid` returned, of the shape and type of `dy`.

    Returns
    -------
    dx : ndarray
        dy y (1 - y), of the same shape and type.

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, or the shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.sigmoid_backward(np.ones(1), np.full(1, 0.5))
    array([0.25])
    """
    return _elementwise("sigmoid_backward", dy=dy, y=y)


@mirrored
def tanh(x: np.ndarray) -> np.ndarray:
    """Hyperbolic tangent, elementwise (6.4).

    Parameters
    ----------
    x : ndarray, float32 or float64

    Returns
    -------
    y : ndarray
        Within 3 units in the last place.

    Raises
    ------
    TypeError
        If `x` is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.tanh(np.array([0.0, np.inf]))
    array([0., 1.])
    """
    return _elementwise("tanh", x=x)


@mirrored
def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`tanh`, from the forward's output y (6.4).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to y.
    y : ndarray
        What :func:`tanh` returned, of the shape and type of `dy`.

    Returns
    -------
    dx : ndarray
        dy (1 - y^2), of the same shape and type.

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, or the shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.tanh_backward(np.ones(1), np.full(1, 0.5))
    array([0.75])
    """
    return _elementwise("tanh_backward", dy=dy, y=y)


@mirrored
def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), elementwise; NaN stays (6.4).

    Parameters
    ----------
    x : ndarray, float32 or float64
        Any shape.

    Returns
    -------
    y : ndarray
        Of the shape and type of `x`.

    Raises
    ------
    TypeError
        If `x` is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _elementwise("relu", x=x)


@mirrored
def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`relu`, from the forward's output y (6.4).

    Parameters
    ----------
    dy : ndarray, float32 or float64
        Gradient with respect to y.
    y : ndarray
        What :func:`relu` returned, of the shape and type of `dy`.

    Returns
    -------
    dx : ndarray
        dy where y is positive, else 0: so 0 at the kink, as torch.

    Raises
    ------
    TypeError, ValueError
        If an argument is no float array, or the shapes or dtypes differ.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.relu_backward(np.ones(2), np.array([0.0, 2.0]))
    array([0., 1.])
    """
    return _elementwise("relu_backward", dy=dy, y=y)
