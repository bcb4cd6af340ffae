"""Many-to-one: a window of a series in, its next value out."""

from typing import Any

import numpy as np

from .. import dense, nn, random, training
from .._validate import integer
from ._fitting import in_batches, train


class Forecaster(nn.Module):
    """An LSTM that reads the last values of a series and forecasts the next (many-to-one, MATH 5.2).

    Parameters
    ----------
    window : int, default 12
        Values it reads.
    hidden : int, default 32
        Size of the LSTM's state.
    dropout : float, default 0.3
        Probability of dropping an element of the last state in training.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks and the order of the examples come from.

    Notes
    -----
    Values are standardised by mean and standard deviation of the series fitted to.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> series = np.sin(np.arange(200.0) / 3)
    >>> model = fd.models.Forecaster(window=8, hidden=8, dropout=0.0, rng=0)
    >>> history = model.fit(series[:150], epochs=60, learning_rate=0.02)
    >>> bool(np.abs(model.predict(series)[150:-1] - series[150:]).max() < 0.1)
    True
    """

    def __init__(self, window: int = 12, hidden: int = 32, dropout: float = 0.3, *, rng: Any = None) -> None:
        super().__init__()
        self.window = integer("window", window, 1)
        self.rng = rng = random.as_generator(rng)
        self.lstm = nn.LSTM(1, hidden, output="last", rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(hidden, 1, rng=rng)
        self.mean, self.std = 0.0, 1.0

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Next values (B, 1) of windows (B, window), standardised both."""
        last = self.lstm.forward(np.ascontiguousarray(x.T[:, :, None]))
        return self.linear.forward(self.dropout.forward(last))

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients; `dy` is the gradient by the values."""
        self.lstm.backward(self.dropout.backward(self.linear.backward(dy)))

    def fit(
        self,
        series: Any,
        *,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        progress: bool = False,
    ) -> training.History:
        """Train on a series (N,), by AdamW under a one-cycle schedule."""
        series = self._series(series)
        self.mean, self.std = float(series.mean()), float(series.std()) or 1.0
        x, y = self._windows(series)[:-1], self._standard(series)[self.window :, None]
        return train(
            self, dense.mse_loss, len(x), lambda chosen: (x[chosen], y[chosen]), epochs=epochs,
            batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay, progress=progress,
        )  # fmt: skip

    def predict(self, series: Any) -> np.ndarray:
        """One-step forecasts, float64 (N + 1,): entry t is made from the values before t.

        The first `window` entries are NaN, and the last one is the forecast of what comes after the series.
        """
        self.eval()
        windows = self._windows(self._series(series))
        values = np.concatenate([self.forward(part)[:, 0] for part in in_batches(windows)])
        return np.concatenate([np.full(self.window, np.nan), values * self.std + self.mean])

    def _series(self, series: Any) -> np.ndarray:
        array = np.asarray(series, np.float64)
        if array.ndim != 1 or array.size <= self.window:
            raise ValueError(f"series: got shape {array.shape}, expected ({self.window + 1} or more,)")
        return array

    def _standard(self, series: np.ndarray) -> np.ndarray:
        return ((series - self.mean) / self.std).astype(np.float32)

    def _windows(self, series: np.ndarray) -> np.ndarray:
        """(N - window + 1, window), the last one ending with the series."""
        return np.lib.stride_tricks.sliding_window_view(self._standard(series), self.window)
