"""Where gradients vanish or explode in a recurrent layer: the singular values of d h_t / d h_s (2.7)."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from .._differences import check_finite
from .._files import name_of, save_picture
from .._validate import float_array, integer, mapping, text
from ..nn import Module
from ..plots import gradient_flow as gradient_flow_picture
from ._linearization import linearize
from ._recurrent import Cell, Stack, Weights


class GradientFlow:
    """Singular values of d h_t / d h_s over the lag t - s (docs/curvature.md 2.7).

    Parameters
    ----------
    values : ndarray (samples, starts, L, H), float32 or float64
        Singular values, descending along the last axis; finite, at least one of each.

    Attributes
    ----------
    lags : ndarray (L,)
        1 to L.
    values : ndarray (samples, starts, L, H)
        As given.

    Raises
    ------
    TypeError, ValueError
        If the values have not four axes, are none, or not finite.

    See Also
    --------
    gradient_flow : makes it.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> flow = fd.curvature.GradientFlow(np.array([[[[0.5], [0.25], [0.125]]]]))
    >>> flow.largest, round(flow.rate, 6)
    (array([0.5  , 0.25 , 0.125]), 0.5)
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = float_array("values", values, (None,) * 4)
        if not self.values.size:  # nothing to take means of
            raise ValueError(f"values: got shape {self.values.shape}, expected one or more of each")
        check_finite("values", self.values)  # LAPACK would fit a line through NaN, and print what it thinks of it
        self.lags = np.arange(1, self.values.shape[2] + 1)

    @property
    def largest(self) -> np.ndarray:
        """(L,): the geometric mean, over samples and starts, of the largest singular value."""
        return self._mean(0)

    @property
    def median(self) -> np.ndarray:
        """(L,): the geometric mean, over samples and starts, of the middle singular value."""
        return self._mean(self.values.shape[-1] // 2)

    @property
    def smallest(self) -> np.ndarray:
        """(L,): the geometric mean, over samples and starts, of the smallest singular value."""
        return self._mean(-1)

    @property
    def rate(self) -> float:
        """Factor by which the largest grows a step, fitted over all lags: below 1 gradients vanish, above explode."""
        logs = np.log(np.maximum(self.largest, np.finfo(np.float64).tiny))
        if len(logs) == 1:
            return float(np.exp(logs[0]))
        return float(np.exp(np.polyfit(self.lags, logs, 1)[0]))

    def _mean(self, which: int) -> np.ndarray:
        chosen = self.values[..., which].astype(np.float64)
        return np.exp(np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean(axis=(0, 1)))

    def __repr__(self) -> str:
        word = "vanish" if self.rate < 1 else "explode"
        return (
            f"GradientFlow({len(self.lags)} lags: largest {self.largest[0]:.3g} to {self.largest[-1]:.3g}, "
            f"{self.rate:.3g} a step: gradients {word})"
        )

    def plot(self, path: str | os.PathLike[str], others: Mapping[str, "GradientFlow"] | None = None) -> None:
        """Draw the singular values over the lag, those of other layers beside them.

        Needs matplotlib.

        Parameters
        ----------
        path : str or path-like
            The picture; the suffix chooses the format.
        others : mapping of str to GradientFlow, optional
            More to compare, by name: for example an RNN's beside an LSTM's.

        Raises
        ------
        TypeError, ValueError
            If `path` is none, or `others` holds something else.
        ImportError
            If matplotlib is not installed.
        """
        path = name_of(path)
        others = {} if others is None else mapping("others", others, "gradient flows")
        for name, flow in others.items():
            text("others", name)
            if not isinstance(flow, GradientFlow):
                raise TypeError(f"others[{name!r}]: got {type(flow).__name__}, expected a GradientFlow")
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("plot needs matplotlib: pip install matplotlib") from None
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        FigureCanvasAgg(figure)  # no window system is asked for
        gradient_flow_picture({"": self, **others}, ax=figure.add_subplot())
        save_picture(figure, path)


def gradient_flow(
    model: Module,
    x: np.ndarray,
    *,
    layer: int = -1,
    lags: int | None = None,
    starts: Sequence[int] = (0,),
    samples: Sequence[int] = (0,),
) -> GradientFlow:
    """Singular values of d h_t / d h_s in one recurrent layer of a model, at an input (docs/curvature.md 2.7).

    Parameters
    ----------
    model : fastdl.nn.Module
        A recurrent layer, or a chain with one.
    x : ndarray
        The model's input.
    layer : int, default -1
        Which recurrent layer, counted from the input; stacked ones count each.
    lags : int, optional
        Up to which lag; default to the end of the sequence.
    starts : sequence of int, default (0,)
        Times s of the state that moves: 0 is the initial state.
    samples : sequence of int, default (0,)
        Which sequences of the batch.

    Returns
    -------
    GradientFlow

    Raises
    ------
    ValueError
        If the model has no such layer, the sequence is too short, or a Jacobian is not finite.
    TypeError
        If the model is no layer, or starts or samples no sequence of ints.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> lstm = fd.nn.LSTM(3, 8, rng=0)
    >>> flow = fd.curvature.gradient_flow(lstm, np.ones((20, 1, 3), np.float32))
    >>> flow.values.shape, bool(flow.rate < 1)
    ((1, 1, 20, 8), True)
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a fastdl.nn layer")
    starts, samples = _times("starts", starts), _times("samples", samples)
    cells = _cells(linearize(model, x))
    if not -len(cells) <= integer("layer", layer) < len(cells):
        raise ValueError(f"layer: got {layer}, but the model has {len(cells)} recurrent layers")
    cell = cells[layer]
    time, batch = cell.x.shape[:2]
    last = max(starts)
    length = time - last if lags is None else integer("lags", lags, 1)
    if length < 1 or last + length > time:
        raise ValueError(f"starts, lags: got {last} and {lags}, expected within the {time} steps of the sequence")
    for sample in samples:
        integer("samples", sample, 0, batch - 1)
    jacobians = np.array([[_jacobians(cell, s, b, length) for s in starts] for b in samples])
    if not np.isfinite(jacobians).all():
        raise ValueError("model: its states' derivatives here are not finite, expected finite numbers")
    return GradientFlow(np.linalg.svd(jacobians, compute_uv=False))


def _times(name: str, values: Sequence[int]) -> list[int]:
    """One or more places in a sequence or a batch."""
    if not isinstance(values, (Sequence, np.ndarray)) or isinstance(values, str):
        raise TypeError(f"{name}: got {type(values).__name__}, expected a sequence of ints")
    if not len(values):
        raise ValueError(f"{name}: got none, expected one or more")
    return [integer(name, one, 0) for one in values]


def _cells(linear: object) -> list[Cell]:
    """The recurrent layers within a linearization, from the input on."""
    linear = getattr(linear, "plain", linear)  # behind its guard
    if isinstance(linear, Stack):
        return linear.cells
    return [cell for part in getattr(linear, "parts", ()) for cell in _cells(part)]


def _jacobians(cell: Cell, start: int, sample: int, length: int) -> np.ndarray:
    """d h_t / d h_start transposed, for t = start + 1 to start + length: H directions walked as a batch."""
    H = cell.h.shape[2]

    def repeated(array: np.ndarray, count: int) -> np.ndarray:
        return np.ascontiguousarray(np.repeat(array[start : start + count, sample : sample + 1], H, axis=1))

    c = None if cell.c is None else repeated(cell.c, length + 1)
    gates = None
    if cell.gates is not None:
        gates = repeated(cell.gates.reshape(*cell.x.shape[:2], -1), length).reshape(length * H, -1)
    one = Cell(
        cell.kind,
        repeated(cell.x, length),
        Weights(*cell.weights),
        repeated(cell.h, length + 1),
        c,
        gates,
    )
    return one.tangent(None, None, np.eye(H, dtype=cell.h.dtype))
