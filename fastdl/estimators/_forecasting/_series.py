"""Many series, as they were given: long frames, or arrays; each a stretch of one time axis."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._validate import data_array
from ._covariates import Encoder
from ._frames import Table, labels, positions, repr_of
from ._grid import Grid, as_times, grid_of


class Columns(NamedTuple):
    """Names of columns."""

    id: str | None
    time: str
    target: str
    past: tuple[str, ...]
    future: tuple[str, ...]
    static: tuple[str, ...]


class Encoders(NamedTuple):
    """How covariates become numbers."""

    past: Encoder
    future: Encoder
    static: Encoder


class Panel(NamedTuple):
    """Series and their covariates. NaN is a missing value."""

    ids: np.ndarray
    starts: np.ndarray  # (N,) positions on the axis
    values: list[np.ndarray]  # (T,) float64
    past: list[np.ndarray]  # (T, E) float32
    future: list[np.ndarray]  # (T or more, F) float32
    static: np.ndarray  # (N, S) float32
    library: Any  # of the frame that it came in, None for pandas; "array" for arrays, "one" for a single one

    @property
    def ends(self) -> np.ndarray:
        """Positions after the last value of each."""
        return self.starts + np.array([one.size for one in self.values], np.int64)

    def before(self, ends: Sequence[int] | np.ndarray) -> "Panel":
        """The panel up to a position of each series; what is known of the future stays."""
        sizes = np.clip(np.asarray(ends) - self.starts, 0, None)
        parts = [[one[:n] for one, n in zip(arrays, sizes, strict=True)] for arrays in (self.values, self.past)]
        return self._replace(values=parts[0], past=parts[1])

    def chosen(self, which: np.ndarray) -> "Panel":
        """Some of the series."""
        lists = {name: [getattr(self, name)[i] for i in which] for name in ("values", "past", "future")}
        return self._replace(ids=self.ids[which], starts=self.starts[which], static=self.static[which], **lists)

    def packed(self) -> dict[str, Any]:
        """Plain data of few arrays, of which :meth:`unpacked` makes it again."""
        lists = {name: getattr(self, name) for name in ("values", "past", "future")}
        found = {name: np.concatenate(arrays) for name, arrays in lists.items()}
        sizes = {f"{name}_sizes": np.array([len(one) for one in arrays]) for name, arrays in lists.items()}
        return {
            "ids": self.ids,
            "starts": self.starts,
            "static": self.static,
            "library": self.library,
            **found,
            **sizes,
        }

    @classmethod
    def unpacked(cls, state: dict[str, Any]) -> "Panel":
        parts = {}
        for name in ("values", "past", "future"):
            parts[name] = np.split(state[name], np.cumsum(state[f"{name}_sizes"])[:-1])
        return cls(state["ids"], state["starts"], **parts, static=state["static"], library=state["library"])


def is_frame(data: Any) -> bool:
    """Whether data are a long frame rather than arrays."""
    return not isinstance(data, (np.ndarray, list, tuple)) and getattr(data, "ndim", 2) != 1


def panel_of_arrays(name: str, data: Any) -> Panel:
    """A 1-D array is one series, a 2-D one has a series a row, and a list has arrays of any lengths."""
    one = isinstance(data, np.ndarray) and data.ndim == 1
    one = one or (getattr(data, "ndim", 0) == 1 and not isinstance(data, np.ndarray))
    one = one or (isinstance(data, (list, tuple)) and len(data) > 0 and all(np.ndim(part) == 0 for part in data))
    rows = [data] if one else list(data)
    if not rows:
        raise ValueError(f"{name}: got no series, expected one or more")
    values = []
    for i, row in enumerate(rows):
        place = name if one else f"{name}[{i}]"
        array = np.array(data_array(place, row, (None,), np.float64, missing=True))
        if not array.size or np.isnan(array).all():
            raise ValueError(f"{place}: got no value, expected one or more")
        values.append(array)
    empty = [np.zeros((row.size, 0), np.float32) for row in values]
    n, library = len(values), "one" if one else "array"
    return Panel(np.arange(n), np.zeros(n, np.int64), values, empty, empty, np.zeros((n, 0), np.float32), library)


class Reader:
    """Reads long frames: the first one says where the time axis lies and how covariates become numbers."""

    def __init__(self, columns: Columns, freq: Any, grid: Grid | None = None, encoders: Encoders | None = None) -> None:
        self.columns, self.freq, self.grid, self.encoders = columns, freq, grid, encoders

    def panel(self, name: str, frame: Any, static: Any = None) -> Panel:
        """The series of a frame, with its static covariates in another one."""
        table, own = Table(name, frame), self.columns
        if not table.rows:
            raise ValueError(f"{name}: got no rows, expected one or more")
        ids, codes = self._series(table)
        times = as_times(f"{name}[{own.time!r}]", table[own.time])
        y = table.numbers(own.target)
        if self.grid is None:
            longest = times[codes == np.bincount(codes).argmax()]
            self.grid = grid_of(f"{name}[{own.time!r}]", times, self.freq, longest)
        beside = Table("static_df", static) if static is not None else table
        if self.encoders is None:
            self.encoders = Encoders(
                Encoder.of(table, own.past), Encoder.of(table, own.future), Encoder.of(beside, own.static)
            )
        places = self.grid.places(f"{name}[{own.time!r}]", times)
        starts, slots, sizes = _stretches(name, ids, codes, places, times)
        columns = [y[:, None], self.encoders.past(table), self.encoders.future(table)]
        values, past, future = (
            _laid(one, codes, slots, sizes, np.nan if k == 0 else 0.0) for k, one in enumerate(columns)
        )
        flat = [one[:, 0] for one in values]
        for i, one in enumerate(flat):
            if np.isnan(one).all():
                raise ValueError(f"{name}: the series {repr_of(ids[i])} has no value, expected one or more")
        return Panel(ids, starts, flat, past, future, self._static(beside, ids), table.library)

    def extended(self, panel: Panel, frame: Any, steps: int) -> Panel:
        """The panel with what is known of so many steps after its ends, which `futr_df` has."""
        if not self.columns.future:
            return panel
        if frame is None:
            raise ValueError(f"futr_df: got None, expected a frame with {', '.join(self.columns.future)}")
        assert self.grid is not None
        assert self.encoders is not None
        table = Table("futr_df", frame)
        ids, codes = self._series(table)
        rows = self.encoders.future(table)
        times = as_times(f"futr_df[{self.columns.time!r}]", table[self.columns.time])
        places = self.grid.places(f"futr_df[{self.columns.time!r}]", times)
        own = positions(list(ids), list(panel.ids))[codes]
        future = []
        for i, (end, start) in enumerate(zip(panel.ends, panel.starts, strict=True)):
            here = np.flatnonzero((own == i) & (places >= end) & (places < end + steps))
            more = np.full((steps, rows.shape[1]), np.nan, np.float32)
            more[places[here] - end] = rows[here]
            missing = np.flatnonzero(np.isnan(more).any(1))
            if missing.size:
                when = self.grid.times(int(end + missing[0]), int(end + missing[0]) + 1)[0]
                raise ValueError(
                    f"futr_df: has no row of {repr_of(panel.ids[i])} at {when}, expected the {steps} after it"
                )
            future.append(np.concatenate([panel.future[i][: end - start], more]))
        return panel._replace(future=future)

    def _series(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        if self.columns.id is None:
            return np.zeros(1, np.int64), np.zeros(table.rows, np.int64)
        return labels(f"{table.name}[{self.columns.id!r}]", table[self.columns.id])

    def _static(self, table: Table, ids: np.ndarray) -> np.ndarray:
        """Of each series the first row."""
        assert self.encoders is not None
        if not self.columns.static:
            return np.zeros((len(ids), 0), np.float32)
        its, codes = self._series(table)
        place = positions(list(ids), list(its))
        if (place < 0).any():
            raise ValueError(f"{table.name}: has no row of {repr_of(ids[int(np.argmin(place))])}")
        first = np.unique(codes, return_index=True)[1]
        return self.encoders.static(table)[first[place]]


def axis_of(frame: Any, time_col: str, id_col: str | None, freq: Any = None) -> Grid:
    """The time axis of a long frame, its step found where `freq` is None."""
    table = Table("df", frame)
    codes = np.zeros(table.rows, np.int64) if id_col is None else labels(f"df[{id_col!r}]", table[id_col])[1]
    times = as_times(f"df[{time_col!r}]", table[time_col])
    return grid_of(f"df[{time_col!r}]", times, freq, times[codes == np.bincount(codes).argmax()])


def _stretches(name: str, ids: np.ndarray, codes: np.ndarray, places: np.ndarray, times: Any) -> Any:
    """Where each series starts, the slot of each row in it, and how long each is; a time given twice is refused."""
    starts = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(starts, codes, places)
    ends = np.full(len(ids), np.iinfo(np.int64).min)
    np.maximum.at(ends, codes, places)
    order = np.lexsort((places, codes))
    again = np.flatnonzero((np.diff(codes[order]) == 0) & (np.diff(places[order]) == 0))
    if again.size:
        row = int(order[again[0] + 1])
        raise ValueError(
            f"{name}: the series {repr_of(ids[codes[row]])} has {times[row]} twice, row {row} is the second"
        )
    return starts, places - starts[codes], ends - starts + 1


def _laid(rows: np.ndarray, codes: np.ndarray, slots: np.ndarray, sizes: np.ndarray, fill: float) -> list[np.ndarray]:
    """Rows put at their slots, an array a series."""
    found = [np.full((int(size), rows.shape[1]), fill, rows.dtype) for size in sizes]
    order = np.argsort(codes, kind="stable")
    for i, mine in enumerate(np.split(order, np.cumsum(np.bincount(codes, minlength=len(sizes)))[:-1])):
        found[i][slots[mine]] = rows[mine]
    return found
