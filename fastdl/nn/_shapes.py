"""Layers that compute nothing: the input in another shape, or as it is."""

from typing import Any

import numpy as np

from .._validate import FLOATS, flag, float_array, integer, plain_array
from ._handing import checked_lengths
from ._module import Module


class Flatten(Module, alone=True):
    """Several axes as one (docs/nn.md).

    The defaults are torch's: of (B, ...) each example becomes a row. Sequences are time-major here: of (T, B, ...),
    ``Flatten(2)`` makes one axis of the features, and ``Flatten(batch_dim=1)`` a row of each whole sequence,
    (B, T C).

    Parameters
    ----------
    start_dim, end_dim : int, default 1 and -1
        The first and the last of the axes that become one; from the end if negative.
    batch_dim : int, default 0
        The axis of the batch, which is moved to the front first.

    Raises
    ------
    TypeError
        If an argument is no integer.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.arange(12.0).reshape(3, 2, 2)
    >>> fd.nn.Flatten(batch_dim=1).forward(x)
    array([[ 0.,  1.,  4.,  5.,  8.,  9.],
           [ 2.,  3.,  6.,  7., 10., 11.]])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1, *, batch_dim: int = 0) -> None:
        super().__init__()
        self.start_dim, self.end_dim = integer("start_dim", start_dim), integer("end_dim", end_dim)
        self.batch_dim = integer("batch_dim", batch_dim)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x with the axes as one.

        Parameters
        ----------
        x : ndarray

        Returns
        -------
        y : ndarray
            A view of x where that is possible.

        Raises
        ------
        TypeError, ValueError
            If `x` is no array, or has no such axes.
        """
        x = plain_array("x", x)
        turned = np.moveaxis(x, self._axis("batch_dim", x), 0)
        first, last = self._axis("start_dim", x), self._axis("end_dim", x)
        if last < first:
            raise ValueError(
                f"x: got shape {x.shape}, expected axes for end_dim={self.end_dim} from start_dim={first} on"
            )
        joined = int(np.prod(turned.shape[first : last + 1], dtype=np.int64))
        y = turned.reshape(*turned.shape[:first], joined, *turned.shape[last + 1 :])
        if self.training:
            self._tape.append((turned.shape, y.shape, x.dtype))
        return y

    def _axis(self, name: str, x: np.ndarray) -> int:
        at: int = getattr(self, name)
        if not -x.ndim <= at < x.ndim:
            raise ValueError(f"x: got shape {x.shape}, expected one with the axis {name}={at}")
        return at % x.ndim

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """dy in the shape of the last forward's input.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether it is wanted.

        Returns
        -------
        dx : ndarray or None
            None with ``input_gradient=False``, and where the input was no array of real numbers.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, (turned, shape, dtype) = flag("input_gradient", input_gradient), self._peek()
        dx = _gradient(dy, shape, dtype) if wanted else None
        self._pop()
        return None if dx is None else np.moveaxis(dx.reshape(turned), 0, self.batch_dim)

    def lengths_after(self, lengths: Any) -> Any:
        """How long sequences (T, B, ...) are behind the layer.

        Parameters
        ----------
        lengths : array of int (B,)
            How long they are before it.

        Returns
        -------
        ndarray of int (B,), or None
            The same; None where the time is no axis of its own any more.

        Raises
        ------
        TypeError, ValueError
            If `lengths` are no integers of one axis, or below 0.
        """
        lengths = checked_lengths(lengths)
        return lengths if self.batch_dim == 0 and self.start_dim not in (0, 1) else None

    def _describe(self) -> str:
        listed = (
            f"start_dim={self.start_dim}, end_dim={self.end_dim}" if (self.start_dim, self.end_dim) != (1, -1) else ""
        )
        batch = f"batch_dim={self.batch_dim}" if self.batch_dim else ""
        return f"Flatten({', '.join(part for part in (listed, batch) if part)})"


class Identity(Module, alone=True):
    """The input as it is: what stands where a layer may be left out (docs/nn.md).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.nn.Identity().forward(np.ones(2))
    array([1., 1.])
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x itself.

        Parameters
        ----------
        x : ndarray

        Returns
        -------
        The same.

        Raises
        ------
        TypeError
            If `x` is no array.
        """
        x = plain_array("x", x)
        if self.training:
            self._tape.append((x.shape, x.dtype))
        return x

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """dy itself.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether it is wanted.

        Returns
        -------
        The same, or None
            None with ``input_gradient=False``, and where the input was no array of real numbers.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, left = flag("input_gradient", input_gradient), self._peek()
        dx = _gradient(dy, *left) if wanted else None
        self._pop()
        return dx


def _gradient(dy: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """dy, checked; None for integers, which have none: an embedding comes behind."""
    return float_array("dy", dy, shape, dtype) if dtype in FLOATS else None
