"""The time axis: times as positions on it, and back; and what the calendar says of them."""

import re
import warnings
from typing import Any

import numpy as np

from ..._validate import choice, integer
from ._optional import pandas

# feature: (attribute of pandas' DatetimeIndex, its least value, length of its cycle)
CYCLES = {
    "second": ("second", 0, 60),
    "minute": ("minute", 0, 60),
    "hour": ("hour", 0, 24),
    "dayofweek": ("day_of_week", 0, 7),
    "day": ("day", 1, 31),
    "dayofyear": ("day_of_year", 1, 365.25),
    "month": ("month", 1, 12),
    "quarter": ("quarter", 1, 4),
}
_AUTO = (  # up to a step of so many hours
    (0.02, ("minute", "hour", "dayofweek")),
    (12.0, ("hour", "dayofweek", "month")),
    (25.0, ("dayofweek", "dayofyear")),
    (24.0 * 8, ("dayofyear",)),
    (24.0 * 32, ("month",)),
    (24.0 * 93, ("quarter",)),
)
_MOST = 10**7  # positions of an axis: a wrong freq would fill the memory


class Grid:
    """Equally spaced times from `origin` on: whole numbers, or what pandas' offset `freq` says.

    Parameters
    ----------
    freq : int or str
        Step of whole numbers, or pandas' alias of an offset, as "ME" or "h".
    origin : int or datetime
        Of position 0.
    """

    def __init__(self, freq: int | str, origin: Any) -> None:
        self.freq, self.origin = freq, origin

    @property
    def dated(self) -> bool:
        return isinstance(self.freq, str)

    def places(self, name: str, times: Any) -> np.ndarray:
        """Position of each time, which may be before the origin.

        Raises
        ------
        ValueError
            If one is no time of the axis, with its place.
        """
        times = as_times(name, times)
        if self.dated != isinstance(times, pandas().DatetimeIndex):
            what = "datetimes" if self.dated else "whole numbers"
            raise ValueError(f"{name}: got {times.dtype}, expected {what}, as the forecaster was fitted to")
        if not len(times):
            return np.zeros(0, np.int64)
        found = self._dated_places(name, times) if self.dated else self._whole_places(times)
        wrong = np.flatnonzero(found == _NOWHERE)
        if wrong.size:
            raise ValueError(
                f"{name}: row {wrong[0]} has {times[wrong[0]]}, which is not on the time axis that begins at "
                f"{self.origin} with freq={self.freq!r}"
            )
        return found

    def _whole_places(self, times: Any) -> np.ndarray:
        places, rest = np.divmod(np.asarray(times, np.int64) - self.origin, self.freq)
        return np.where(rest == 0, places, _NOWHERE)

    def _dated_places(self, name: str, times: Any) -> np.ndarray:
        if (times.tz is None) != (self.origin.tz is None):
            raise ValueError(f"{name}: got times with zone {times.tz}, expected {self.origin.tz} as in training")
        before = self._before(times.min())
        axis = pandas().date_range(before[0] if len(before) else self.origin, times.max(), freq=self.freq)
        found = axis.get_indexer(times)
        return np.where(found < 0, _NOWHERE, found - len(before))

    def _before(self, first: Any) -> Any:
        """Times of the axis from `first` to just before the origin."""
        if first >= self.origin:
            return []
        before = pandas().date_range(end=self.origin, start=first, freq=self.freq)
        return before[:-1]

    def times(self, first: int, last: int) -> Any:
        """The times of positions first to last - 1."""
        if not self.dated:
            return np.arange(first, last) * self.freq + self.origin
        if first >= 0:
            return pandas().date_range(self.origin, periods=last, freq=self.freq)[first:]
        before = pandas().date_range(end=self.origin, periods=1 - first, freq=self.freq)[:-1]
        return before.append(pandas().date_range(self.origin, periods=max(last, 0), freq=self.freq))[: last - first]

    def joined(self, stretches: list[tuple[int, int]]) -> Any:
        """The times of several stretches, one after the other."""
        known = {one: self.times(*one) for one in set(stretches)}
        parts = [known[one] for one in stretches]
        return parts[0].append(parts[1:]) if self.dated else np.concatenate(parts)

    def calendar(self, first: int, last: int, features: tuple[str, ...]) -> np.ndarray:
        """Sine and cosine of the place in each cycle, (last - first, 2 len(features))."""
        if not features:
            return np.zeros((last - first, 0), np.float32)
        times, found = self.times(first, last), []
        for name in features:
            attribute, least, cycle = CYCLES[name]
            angle = 2 * np.pi * (np.asarray(getattr(times, attribute), np.float64) - least) / cycle
            found += [np.sin(angle), np.cos(angle)]
        return np.stack(found, axis=1).astype(np.float32)

    def state(self) -> dict[str, Any]:
        """Plain data, of which :meth:`of_state` makes it again."""
        if not self.dated:
            return {"freq": self.freq, "origin": int(self.origin)}
        return {"freq": self.freq, "origin": self.origin.isoformat(), "zone": str(self.origin.tz or "")}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Grid":
        if not isinstance(state["freq"], str):
            return cls(state["freq"], state["origin"])
        origin = pandas().Timestamp(state["origin"])
        return cls(state["freq"], origin.tz_convert(state["zone"]) if state["zone"] else origin)


_NOWHERE = np.iinfo(np.int64).min


_DOTTED = re.compile(r"\s*\d{1,2}\.\d{1,2}\.\d{2,4}")  # where the day stands first


def as_times(name: str, times: Any) -> Any:
    """A DatetimeIndex, or an array of whole numbers; texts are read as dates."""
    pd = pandas()
    index = pd.Index(times)
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if index.dtype == bool or index.isna().any():
        row = 0 if index.dtype == bool else int(np.flatnonzero(index.isna())[0])
        raise ValueError(f"{name}: row {row} has {index[row]}, expected a time")
    if isinstance(index, pd.DatetimeIndex):
        return index
    if pd.api.types.is_integer_dtype(index.dtype):
        return np.asarray(index, np.int64)
    if pd.api.types.is_numeric_dtype(index.dtype):
        raise ValueError(f"{name}: got {index.dtype}, expected datetimes, dates as text, or whole numbers")
    dotted = len(index) > 0 and _DOTTED.match(str(index[0])) is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that texts are of several forms: they are read or refused
            return pd.DatetimeIndex(pd.to_datetime(index, dayfirst=dotted))
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name}: not read as dates ({str(error).splitlines()[0]:.120})") from None


def season_of(grid: Grid) -> int:
    """Steps of the season that dates at this step usually have; 1 where there is no usual one."""
    if not grid.dated:
        return 1
    first, second = grid.times(0, 2)
    hours = (second - first) / pandas().Timedelta(hours=1)
    business = 5 if str(grid.freq).startswith(("B", "C")) else 7
    usual = ((0.9, 1), (1.1, 24), (12.1, round(24 / max(hours, 1))), (120, business), (24 * 8, 52))
    return next((season for most, season in (*usual, (24 * 32, 12), (24 * 93, 4)) if hours <= most), 1)


def grid_of(name: str, times: Any, freq: Any, longest: Any) -> Grid:
    """The axis of all times; its freq is found from those of the longest series where it is None."""
    pd = pandas()
    if not isinstance(times, pd.DatetimeIndex):
        if freq is None:
            steps = np.diff(np.unique(longest))
            freq = int(np.gcd.reduce(steps)) if steps.size else 1
        elif isinstance(freq, str):
            raise ValueError(f"freq: got {freq!r}, expected an int or None, since {name} has whole numbers")
        return Grid(integer("freq", freq, 1), int(times.min()))
    if freq is None:
        freq = _inferred(longest) or _inferred(times)
        if freq is None:
            raise ValueError(f"freq: got None, and none is seen in {name}: expected pandas' alias, as 'D' or 'ME'")
    try:
        offset = pd.tseries.frequencies.to_offset(freq)
    except (ValueError, TypeError):
        raise ValueError(f"freq: got {freq!r}, expected an alias of pandas, as 'h', 'D', 'W', 'MS', 'ME'") from None
    span = (times.max() - times.min()) / max((times.min() + offset) - times.min(), pd.Timedelta(1, "ns"))
    if span > _MOST:
        raise ValueError(f"freq: got {freq!r}, by which {name} spans {span:.3g} steps, expected at most {_MOST}")
    origin = offset.rollforward(times.min())
    if origin != times.min():
        raise ValueError(f"freq: got {freq!r}, of which {times.min()}, the first of {name}, is no time")
    return Grid(offset.freqstr, times.min())


def _inferred(times: Any) -> Any:
    """The step of dates, None where there is none."""
    ordered = times.unique().sort_values()
    if len(ordered) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will be an offset instead of its name, as pandas 3.1 announces
        found = pandas().infer_freq(ordered)
    return getattr(found, "freqstr", found)


def calendar_of(calendar: Any, grid: Grid) -> tuple[str, ...]:
    """Names of features: of "auto" those that vary within the cycles that the step shows."""
    if calendar is None or (calendar == "auto" and not grid.dated):
        return ()
    if calendar == "auto":
        first, second = grid.times(0, 2)
        hours = (second - first) / pandas().Timedelta(hours=1)
        return next((features for most, features in _AUTO if hours <= most), ())
    found = tuple(choice(f"calendar[{i}]", one, tuple(CYCLES)) for i, one in enumerate(calendar))
    if found and not grid.dated:
        raise ValueError(f"calendar: got {calendar!r}, expected None, since the times are whole numbers")
    return found
