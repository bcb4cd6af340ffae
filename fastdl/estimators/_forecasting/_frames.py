"""Tables by column: pandas' frames as they are, others through narwhals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._optional import narwhals, pandas


class Table:
    """A data frame's columns by name.

    Raises
    ------
    TypeError
        If it is no data frame.
    """

    library: str | None  # None is pandas

    def __init__(self, name: str, frame: Any) -> None:
        self.name = name
        if isinstance(frame, pandas().DataFrame):
            self.library, self._frame = None, frame
            self.columns, self.rows = list(frame.columns), len(frame)
            return
        if isinstance(frame, (np.ndarray, list, tuple, Mapping, str)) or frame is None:
            raise TypeError(f"{name}: got {type(frame).__name__}, expected a data frame, as of pandas or polars")
        nw = narwhals()
        try:
            self._frame = nw.from_native(frame, eager_only=True)
        except TypeError:
            kind = type(frame).__name__
            raise TypeError(f"{name}: got {kind}, expected a data frame, as of pandas or polars") from None
        self.library = str(self._frame.implementation.value)
        self.columns, self.rows = list(self._frame.columns), len(self._frame)

    def __getitem__(self, column: str) -> Any:
        """A column; refused where the table has none, or two, of that name."""
        if self.columns.count(column) != 1:
            found = ", ".join(map(repr, self.columns[:20]))
            raise ValueError(f"{self.name}: has {self.columns.count(column)} columns {column!r}, expected 1 of {found}")
        if self.library is None:
            return self._frame[column].array
        return self._frame[column].to_numpy()

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers as float64, NaN where a value is missing; infinite ones are refused."""
        values = pandas().Series(self[column])
        try:
            if values.dtype.kind not in "fiub" and not pandas().api.types.is_numeric_dtype(values.dtype):
                raise TypeError
            found = values.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            row = _first_text(values)
            what = f"row {row} has {values[row]!r:.60}" if row is not None else f"is of type {values.dtype}"
            raise ValueError(f"{self.name}[{column!r}]: {what}, expected numbers") from None
        bad = np.flatnonzero(np.isinf(found))
        if bad.size:
            raise ValueError(f"{self.name}[{column!r}]: row {bad[0]} has {found[bad[0]]}, expected finite numbers")
        return found


def _first_text(values: Any) -> int | None:
    for row, one in enumerate(values):
        try:
            float(one)
        except (TypeError, ValueError):
            return row
    return None


def made(columns: Mapping[str, Any], library: Any) -> Any:
    """A frame of the library that the data came in; None is pandas."""
    if library is None:
        return pandas().DataFrame(dict(columns))
    nw = narwhals()
    plain = {name: _plain(one) for name, one in columns.items()}
    return nw.from_dict(plain, backend=library).to_native()


def _plain(column: Any) -> Any:
    array = np.asarray(column)
    return list(array) if array.dtype == object else array


def labels(name: str, values: Any) -> tuple[Any, np.ndarray]:
    """Distinct values in the order of their first appearance, and which each row has; missing ones are refused."""
    codes, found = pandas().factorize(values)
    if (codes < 0).any():
        raise ValueError(f"{name}: row {int(np.argmin(codes))} is missing, expected an identifier")
    found = np.asarray(found)
    return (found.astype(object) if found.dtype.kind in "OUT" else found), codes


def repr_of(label: Any) -> str:
    """A series' name in a message."""
    return repr(label.item() if isinstance(label, np.generic) else label)[:60]


def positions(wanted: Sequence[Any], among: Sequence[Any]) -> np.ndarray:
    """Where each is among others; -1 where it is not."""
    place = {one: i for i, one in enumerate(among)}
    return np.array([place.get(one, -1) for one in wanted], np.int64)
