"""Stretches of series as batches: at each step a window of values up to it, and as targets the values after it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ... import random
from ...training._data import Targets
from ._transform import levels


class Prepared(NamedTuple):
    """Series as the network sees them, each with what goes beside it."""

    values: list[np.ndarray]  # (T,) transformed, NaN where missing
    floors: np.ndarray  # (N,) scale of a series whose windows tell of none
    means: np.ndarray  # (N,) of its values, the level of a window without any
    beside: list[np.ndarray]  # (T, E) float32: what is read at each step beside the window
    known: list[np.ndarray]  # (T + ahead, F) float32: what is known in advance

    def chosen(self, which: np.ndarray) -> "Prepared":
        """Some of the series, each as often as it is asked for."""
        values, beside, known = ([one[i] for i in which] for one in (self.values, self.beside, self.known))
        return Prepared(values, self.floors[which], self.means[which], beside, known)


class Shape(NamedTuple):
    """How stretches are cut."""

    window: int  # values seen at each step
    ahead: int  # steps that are forecast at each
    steps: int  # of the recurrent layer
    scaler: str
    positive: bool
    masked: bool  # whether a window says which of its values are missing


class Cut(NamedTuple):
    """Stretches side by side."""

    read: np.ndarray  # (L, B, I) float32
    known: np.ndarray  # (L, B, ahead * F) float32
    level: np.ndarray  # (L, B)
    scale: np.ndarray  # (L, B)
    noise: np.ndarray  # (L, B): mean absolute step within the window
    seen: np.ndarray  # (L, B): values within the window that are not missing


def cut(series: Prepared, which: np.ndarray, ends: np.ndarray, shape: Shape) -> Cut:
    """The `shape.steps` steps of series `which` before positions `ends`; steps before a series began have no values."""
    m, L = shape.window, shape.steps
    values = np.stack([_between(series.values[i], e - L - m + 1, e) for i, e in zip(which, ends, strict=True)])
    windows = np.lib.stride_tricks.sliding_window_view(values, m, axis=1)  # (B, L, m)
    floor, mean = (np.broadcast_to(one[which][:, None], windows.shape[:2]) for one in (series.floors, series.means))
    level, scale = levels(windows, shape.scaler, floor, mean, shape.positive)
    with np.errstate(invalid="ignore"):
        read = (windows - level[..., None]) / scale[..., None]
    missing = np.isnan(read)
    read = np.where(missing, 0.0, read)
    parts = [read, missing] if shape.masked else [read]
    if series.beside[0].shape[1]:
        parts.append(np.stack([_rows(series.beside[i], e - L, e) for i, e in zip(which, ends, strict=True)]))
    known = np.zeros((len(which), L, 0))
    if series.known[0].shape[1]:
        rows = np.stack([_rows(series.known[i], e - L + 1, e + shape.ahead) for i, e in zip(which, ends, strict=True)])
        over = np.lib.stride_tricks.sliding_window_view(rows, shape.ahead, axis=1)  # (B, L, F, ahead)
        known = over.reshape(len(which), L, -1)
    read, known = _time_major(np.concatenate(parts, axis=2)), _time_major(known)
    return Cut(read, known, level.T, scale.T, _noise(windows, scale).T, m - missing.sum(2).T)


def targets(series: Prepared, which: np.ndarray, ends: np.ndarray, shape: Shape, stops: np.ndarray) -> np.ndarray:
    """The values after each step (L, B, ahead), NaN where missing or from position `stops` on."""
    rows = []
    for i, end, stop in zip(which, ends, stops, strict=True):
        row = _between(series.values[i], end - shape.steps + 1, end + shape.ahead)
        row[max(stop - (end - shape.steps + 1), 0) :] = np.nan
        rows.append(row)
    return np.lib.stride_tricks.sliding_window_view(np.stack(rows), shape.ahead, axis=1).transpose(1, 0, 2)


def _noise(windows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    steps = np.abs(np.diff(windows, axis=2))
    there = ~np.isnan(steps)
    mean = np.where(there, steps, 0.0).sum(2) / np.maximum(there.sum(2), 1)
    return np.maximum(mean, 1e-3 * scale)


def _between(values: np.ndarray, first: int, last: int) -> np.ndarray:
    """values[first:last], NaN where it reaches beyond either end."""
    found = np.full(last - first, np.nan)
    low, high = max(first, 0), min(last, values.size)
    if low < high:
        found[low - first : high - first] = values[low:high]
    return found


def _rows(array: np.ndarray, first: int, last: int) -> np.ndarray:
    """array[first:last], its end rows repeated where it reaches beyond."""
    return array[np.clip(np.arange(first, last), 0, len(array) - 1)]


def _time_major(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(1, 0, 2), np.float32)


class Stretches:
    """Batches for :func:`fastdl.training.fit`: each epoch every series in stretches that begin at a random place."""

    def __init__(
        self, series: Prepared, stops: np.ndarray, shape: Shape, batch_size: int, rng: random.Generator | None
    ) -> None:
        self.series, self.shape, self.batch_size, self.rng = series, shape, batch_size, rng
        self.stops = stops  # targets before these positions
        self.parts = np.maximum(1, -(-(stops - 1) // shape.steps))

    def __len__(self) -> int:
        return -(-int(self.parts.sum()) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of `epoch` from number `start` on."""
        which = np.repeat(np.arange(self.parts.size), self.parts)
        place = np.arange(which.size) - np.repeat(np.cumsum(self.parts) - self.parts, self.parts)
        last, steps = self.stops - 1, self.shape.steps
        order, shift = np.arange(which.size), np.zeros(self.parts.size, np.int64)
        if self.rng is not None:  # the first stretch ends with the series, the others so that all steps are in one
            drawn = self.rng.stream(f"epoch {epoch}")
            spare = self.parts * steps - last
            shift = np.floor(drawn.uniform(0, 1, self.parts.size) * (np.maximum(spare, 0) + 1)).astype(np.int64)
            order = drawn.permutation(which.size)
        ends = np.minimum(last[which], last[which] - place * steps + shift[which])
        for first in range(start * self.batch_size, which.size, self.batch_size):
            chosen = order[first : first + self.batch_size]
            yield self.batch(which[chosen], ends[chosen])

    def batch(self, which: np.ndarray, ends: np.ndarray) -> Any:
        """((read, known), targets) of some stretches, on the network's scale."""
        found = cut(self.series, which, ends, self.shape)
        y = targets(self.series, which, ends, self.shape, self.stops[which])
        with np.errstate(invalid="ignore"):
            y = (y - found.level[..., None]) / found.scale[..., None]
        there = ~np.isnan(y) & (found.seen >= min(2, self.shape.window))[..., None]
        return (found.read, found.known), Targets(
            np.where(there, y, 0).astype(np.float32), {"weights": there.astype(np.float32)}
        )
