"""Many-to-one: a window of a series in, its next value out."""

import math
from typing import Any, Unpack

import numpy as np

from .. import dense, nn, training
from .._validate import data_array, float_array, integer, number
from ..metrics import r2_score
from ..nn._backward import backward
from ..nn._modes import evaluating
from ._checks import lstm_settings
from ._fitting import Prepared, in_batches, train
from ._options import ExampleOptions, Scaled
from ._ready import Ready


class Forecaster(Ready):
    """An LSTM that reads the last values of a series and forecasts the next (many-to-one, docs/models.md 5.2).

    Parameters
    ----------
    window : int, default 12
        Values it reads.
    hidden : int, default 32
        Size of the LSTM's state.
    dropout : float, default 0.3
        Probability of dropping an element of the last state in training.
    layers : int, default 1
        LSTM layers; `dropout` acts between them too.
    bidirectional : bool, default False
        Whether a window is read in both directions; `hidden` is then even, half for each.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks and the order of the examples come from.

    Attributes
    ----------
    mean, std : float
        Of the series fitted to, by which values are standardised: 0 and 1 before, and 1 for a constant series. They
        are in the state, so a model that is loaded, resumed or copied forecasts on the same scale.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, or `dropout` is outside [0, 1].

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> series = np.sin(np.arange(200.0) / 3)
    >>> model = fd.models.Forecaster(window=8, hidden=8, dropout=0.0, rng=0)
    >>> history = model.fit(series[:150], epochs=60, learning_rate=0.02)
    >>> bool(np.abs(model.predict(series)[150:-1] - series[150:]).max() < 0.1)
    True
    >>> model.score(series[150:]) > 0.98
    True
    """

    mean: float
    std: float

    def __init__(
        self,
        window: int = 12,
        hidden: int = 32,
        dropout: float = 0.3,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.window = integer("window", window, 1)
        dropout = number("dropout", dropout, 0.0, 1.0)
        width, stack = lstm_settings(hidden, layers, bidirectional, dropout)
        rng = self._start(rng)
        self.lstm = nn.LSTM(1, width, **stack, output="last", rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(hidden, 1, rng=rng)
        self.register_buffer("mean", 0.0)
        self.register_buffer("std", 1.0)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The values after windows, both standardised.

        Parameters
        ----------
        x : ndarray of float32 (B, window)
            Windows, the oldest value first.

        Returns
        -------
        ndarray of float32 (B, 1)

        Raises
        ------
        TypeError, ValueError
            If `x` is of another type or width.
        """
        x = float_array("x", x, (None, self.window), self.linear.weight.dtype)
        last = self.lstm.forward(np.ascontiguousarray(x.T[:, :, None]))
        return self.linear.forward(self.dropout.forward(last))

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients, for the last forward.

        Parameters
        ----------
        dy : ndarray of float32 (B, 1)
            Gradient with respect to the values.
        """
        backward(self.lstm, self.dropout.backward(self.linear.backward(dy)), False)

    def fit(
        self,
        series: Any,
        *,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        validation: Any = None,
        warm_start: bool = False,
        progress: bool = False,
        **options: Unpack[ExampleOptions],
    ) -> training.History:
        """Train on a series, by AdamW under a one-cycle schedule, to the least squared error of the next value.

        Parameters
        ----------
        series : array_like (N,)
            Finite numbers, more than `window` of them. Their mean and deviation become the model's, unless it goes on
            from an earlier fit (`warm_start`).
        epochs : int, default 100
            Passes over the windows.
        batch_size : int, default 32
            Windows a step.
        learning_rate : float, default 5e-3
            The largest of the cycle.
        weight_decay : float, default 0.01
            Decoupled: a step takes rate * weight_decay of each weight away.
        validation : array_like (N,), optional
            A held-out series, a later part of it say, measured after every epoch: its values from the `window`-th on
            are forecast from those before, on the scale of `series`.
        warm_start : bool, default False
            Whether to go on from the present values. Otherwise the weights are drawn anew, as when the model was made;
            frozen ones stay (docs/models.md).
        progress : bool, default False
            Whether to show progress on stderr.
        **options
            Of :func:`fastdl.training.fit`: ``metrics``, ``monitor``, ``restore_best``, ``callbacks``, ``checkpoint``,
            ``resume``, ``average``, ``schedule``, ``sample_weight`` (of the windows) and more (docs/models.md).

        Returns
        -------
        fastdl.training.History
            The learning curve, of squared errors on the standardised scale. The model is in evaluation mode afterwards.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad, a value is not finite, or there are no more than `window`; the model is as it was.
        FloatingPointError
            If the loss is no longer finite; the model is as it was.

        Warns
        -----
        UserWarning
            If values that were loaded, set or trained by other means are drawn anew, since it is no `warm_start`.
        """
        whole = self._series(series, self.window + 1)
        if warm_start is True and (self.mean, self.std) != (0.0, 1.0):
            mean, std = self.mean, self.std
        else:
            mean, std = _moments(whole)

        def prepared(series: Any) -> Prepared:
            values = self._standardised(self._series(series, self.window + 1), mean, std)
            x, y = self._windows(values)[:-1], values[self.window :, None]
            return Prepared(len(x), lambda chosen: (x[chosen], y[chosen]))

        return train(
            self, dense.mse_loss, (whole,), prepared, validation=validation, warm_start=warm_start,
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            progress=progress, options=options,
            buffers={"mean": mean, "std": std}, form=Scaled(mean, std),
        )  # fmt: skip

    def predict(self, series: Any) -> np.ndarray:
        """One-step forecasts: entry t is made from the values before t.

        Parameters
        ----------
        series : array_like (N,)
            At least `window` values. A NaN stands for a missing one: what is made from it is NaN.

        Returns
        -------
        ndarray of float64 (N + 1,)
            The first `window` entries are NaN, and the last one is the forecast of what comes after the series.

        Raises
        ------
        TypeError, ValueError
            If the series is infinite somewhere, beyond float32 on the model's scale, or shorter than `window`.
        """
        series = self._series(series, self.window, missing=True)
        values = self._standardised(series, self.mean, self.std)
        with evaluating(self):
            found = [self.forward(part)[:, 0] for part in in_batches(self._windows(values))]
        forecasts = np.concatenate(found).astype(np.float64)
        forecasts = forecasts * self.std + self.mean
        return np.concatenate([np.full(self.window, np.nan), forecasts])

    def score(self, series: Any) -> float:
        """R2 of the one-step forecasts: the share of the variance that they account for.

        Parameters
        ----------
        series : array_like (N,)
            Finite numbers; those from the `window`-th on are forecast, two or more.

        Returns
        -------
        float
            1 where all forecasts are right, 0 for those of the mean (:func:`fastdl.metrics.r2_score`).

        Raises
        ------
        TypeError, ValueError
            If the series is not finite somewhere, beyond float32 on the model's scale, or too short.
        """
        series = self._series(series, self.window + 2)
        return float(r2_score(series[self.window :], self.predict(series)[self.window : -1]))

    def _standardised(self, series: np.ndarray, mean: float, std: float) -> np.ndarray:
        values = _standard(series, mean, std)
        beyond = np.flatnonzero(np.isinf(values))
        if beyond.size:
            raise ValueError(
                f"series[{beyond[0]}]: got {series[beyond[0]]}, expected what float32 holds on the model's scale, "
                f"of mean {mean:g} and deviation {std:g}"
            )
        return values

    def _series(self, series: Any, least: int, missing: bool = False) -> np.ndarray:
        array = data_array("series", series, dtype=np.float64, missing=missing)
        if array.ndim != 1 or array.size < least:
            raise ValueError(f"series: got shape {array.shape}, expected ({least} or more,)")
        return array

    def _windows(self, values: np.ndarray) -> np.ndarray:
        """(N - window + 1, window), the last one ending with the values."""
        return np.lib.stride_tricks.sliding_window_view(values, self.window)


def _moments(series: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, also where squares would overflow or vanish; 1 for that of a constant series."""
    low, high = float(series.min()), float(series.max())
    if low == high:
        return low, 1.0
    _, power = math.frexp(max(abs(low), abs(high)))
    scaled = np.ldexp(series, -power)  # to at most 1: exact, but for what is too small to matter
    mean = float(scaled.mean())
    centred = scaled - mean
    _, spread = math.frexp(float(np.abs(centred).max()))
    std = math.ldexp(math.sqrt(np.mean(np.ldexp(centred, -spread) ** 2)), power + spread)
    return math.ldexp(mean, power), std or math.ulp(0.0)


def _standard(series: np.ndarray, mean: float, std: float) -> np.ndarray:
    """(series - mean) / std as float32, which is infinite where that is beyond it."""
    known = np.abs(series[~np.isnan(series)]).max(initial=max(abs(mean), std))
    _, power = math.frexp(known)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # Neither the difference nor the quotient leaves the range of double on the way.
        difference = np.ldexp(series, -power) - math.ldexp(mean, -power)
        return (difference / math.ldexp(std, -power)).astype(np.float32)
