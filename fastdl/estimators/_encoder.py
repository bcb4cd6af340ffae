"""Tables of all kinds of columns as numbers: what each column is, is found in the data."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._validate import choice, integer, shown

_PANDAS = 'fastdl.estimators: tables need pandas: pip install "fastdl[estimators]"'
_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?"  # ISO 8601; other ways of writing dates are ambiguous
_CYCLES = {"month": 12, "day_of_week": 7, "hour": 24}


def as_frame(name: str, X: Any) -> Any:
    """A pandas frame of a frame (pandas or polars), a mapping of columns or an array; column names are texts."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(_PANDAS) from None
    if hasattr(X, "toarray"):
        raise TypeError(f"{name}: got a sparse matrix, expected a frame or an array")
    if hasattr(X, "to_dict") and not hasattr(X, "index"):  # polars
        X = X.to_dict(as_series=False)
    if not isinstance(X, (pd.DataFrame, Mapping)):
        X = _matrix(name, X)
    X = pd.DataFrame(X)
    if X.shape[1] == 0:
        raise ValueError(f"{name}: got 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if not len(X):
        raise ValueError(f"{name}: got 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
    names = [str(one) for one in X.columns]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise ValueError(f"{name}: got the column {shown(twice[0])} twice, expected each once")
    return X.set_axis(names, axis=1)


def _matrix(name: str, X: Any) -> np.ndarray:
    """A table without names for its columns."""
    try:
        found = np.asarray(X)
        if found.dtype.kind in "US":  # of a list of rows, each with numbers and texts
            found = np.asarray(X, object)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: got {type(X).__name__} that is no table: {error}") from None
    if found.ndim != 2:
        raise ValueError(f"{name}: got shape {found.shape}, expected (N, columns). Reshape your data.")
    return found


class TableEncoder(TransformerMixin, BaseEstimator):
    """Columns of any kind as numbers that a network takes (docs/estimators.md).

    Numbers are standardised, what is missing becomes their mean and gets a column that says so. Categories become a
    column each, or a code that an embedding looks up. Dates become the time passed, and their place in the year, the
    week and the day. A column of one value, or of a text that differs in every row, is left out.

    Parameters
    ----------
    categories : {"auto", "onehot", "embed"}, default "auto"
        What becomes of categories: "auto" is a column each up to `max_onehot` of them, and otherwise a code.
    max_onehot : int, default 10
        See `categories`.

    Attributes
    ----------
    columns_ : list of dict
        Of each column its "name", its "kind" ("number", "category", "date" or "left out"), and what was learnt.
    levels_ : list of int
        Of each column of codes, the last of the result, how many there are; 0 stands for what was not seen.
    feature_names_in_ : ndarray of str
    n_features_in_ : int

    Raises
    ------
    TypeError, ValueError
        From ``fit``, if an argument is bad.

    Examples
    --------
    >>> import pandas as pd, fastdl as fd
    >>> frame = pd.DataFrame({"age": [20.0, None, 40.0], "town": ["Oslo", "Rome", "Oslo"]})
    >>> encoder = fd.estimators.TableEncoder().fit(frame)
    >>> encoder.get_feature_names_out().tolist()
    ['age', 'age=missing', 'town=Oslo', 'town=Rome']
    >>> encoder.transform(frame)
    array([[-1.,  0.,  1.,  0.],
           [ 0.,  1.,  0.,  1.],
           [ 1.,  0.,  1.,  0.]])
    """

    def __init__(self, categories: str = "auto", max_onehot: int = 10) -> None:
        self.categories, self.max_onehot = categories, max_onehot

    def fit(self, X: Any, y: Any = None) -> "TableEncoder":
        """Find what each column is.

        Parameters
        ----------
        X : frame, mapping of columns, or array (N, F)
            The table.
        y : default None
            Not used.

        Returns
        -------
        TableEncoder
            This one.

        Raises
        ------
        TypeError, ValueError
            If `X` is no table, or a column holds what is no number, text or date.
        """
        choice("categories", self.categories, ("auto", "onehot", "embed"))
        frame = as_frame("X", X)
        columns = [self._learnt(name, frame[name]) for name in frame.columns]
        if all(one["kind"] == "left out" for one in columns):
            told = "; ".join(f"{shown(one['name'])} {one['why']}" for one in columns)
            raise ValueError(f"X: got no column that tells anything (n_samples={len(frame)}): {told}")
        self.columns_ = columns
        self.levels_ = [len(one["levels"]) + 1 for one in columns if one.get("embed")]
        self.feature_names_in_, self.n_features_in_ = np.array(list(frame.columns), object), len(columns)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The columns as numbers.

        Parameters
        ----------
        X : frame, mapping of columns, or array (N, F)
            A table with the columns that ``fit`` saw, in any order; others are not read.

        Returns
        -------
        ndarray of float64 (N, features)
            Columns of codes come last.

        Raises
        ------
        ValueError
            If a column is missing, or holds something else than it did.
        """
        check_is_fitted(self)
        frame = as_frame("X", X)
        if not (hasattr(X, "columns") or isinstance(X, Mapping)) and frame.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {frame.shape[1]} features, but TableEncoder is expecting {self.n_features_in_} features as "
                "input"
            )
        frame = self._in_order(frame)
        parts = [_encoded(one, frame[one["name"]]) for one in self._used()]
        return np.ascontiguousarray(np.column_stack(parts), np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : default None
            Not used.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        return np.array([name for one in self._used() for name in _names(one)], object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _used(self) -> list[dict[str, Any]]:
        used = [one for one in self.columns_ if one["kind"] != "left out"]
        return sorted(used, key=lambda one: bool(one.get("embed")))

    def _in_order(self, frame: Any) -> Any:
        wanted = [one["name"] for one in self._used()]
        for name in wanted:
            if name not in frame.columns:
                near = difflib.get_close_matches(name, list(frame.columns), 1)
                hint = f"; did it become {shown(near[0])}?" if near else ""
                raise ValueError(f"X: has no column {shown(name)}, expected {shown(', '.join(wanted))}{hint}")
        return frame[wanted]

    # ---- one column ----

    def _learnt(self, name: str, column: Any) -> dict[str, Any]:
        """What a column is, and what is known of it."""
        kind, values = _read(name, column)
        missing = bool(values.isna().any())
        found: dict[str, Any] = {"name": name, "kind": kind, "missing": missing}
        counts = values.value_counts()
        if len(counts) == 0 or (len(counts) == 1 and not missing):
            return {"name": name, "kind": "left out", "why": "has one value"}
        if kind == "category":
            if len(counts) == len(values) > 20:
                return {"name": name, "kind": "left out", "why": "differs in every row"}
            return found | self._categories(counts)
        if kind == "date":
            seconds = _seconds(values)
            mean, spread = float(np.nanmean(seconds)), float(np.nanstd(seconds))
            return found | {"mean": mean, "scale": spread or 1.0, "hours": bool((values.dropna().dt.hour != 0).any())}
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        spread = float(np.nanstd(numbers))
        return found | {"mean": float(np.nanmean(numbers)), "scale": spread or 1.0}

    def _categories(self, counts: Any) -> dict[str, Any]:
        few = len(counts) <= integer("max_onehot", self.max_onehot, 1)
        embed = self.categories == "embed" or (self.categories == "auto" and not few)
        if embed and (counts > 1).any():  # what occurs once stands for what was not seen
            counts = counts[counts > 1]
        return {"levels": sorted(map(str, counts.index)), "embed": embed}


def _read(name: str, column: Any) -> tuple[str, Any]:
    """Number, category or date; and the values as such, missing ones as pandas has them."""
    import pandas as pd

    types = pd.api.types
    if types.is_bool_dtype(column.dtype):
        return "number", column.astype("Float64")
    if types.is_numeric_dtype(column.dtype):
        if types.is_complex_dtype(column.dtype):
            raise ValueError(f"X: the column {shown(name)} holds complex numbers. Complex data not supported")
        return "number", _finite(name, column)
    if types.is_datetime64_any_dtype(column.dtype):
        return "date", column.dt.tz_localize(None) if column.dt.tz is not None else column
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    there = column.dropna()
    if len(there) and there.map(lambda one: isinstance(one, (int, float, np.number))).all():
        return "number", _finite(name, pd.to_numeric(column))
    texts = column.map(str, na_action="ignore")
    if len(there) and texts.dropna().str.fullmatch(_DATE).all():
        dates = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None)
        if dates.notna().sum() == len(there):
            return "date", dates
    return "category", texts


def _finite(name: str, column: Any) -> Any:
    values = column.to_numpy(np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise ValueError(f"X: the column {shown(name)} holds infinity in row {row}, expected finite numbers or none")
    return column


def _encoded(plan: dict[str, Any], column: Any) -> np.ndarray:
    """A column as numbers, (N, k)."""
    name, wanted = plan["name"], plan["kind"]
    kind, values = _read(name, column)
    if wanted == "category":
        texts = column.map(str, na_action="ignore") if kind != "category" else values
        return _codes(plan, texts)
    gone = values.isna().to_numpy()
    if kind != wanted and not gone.all():
        raise ValueError(f"X: the column {shown(name)} holds a {kind}, expected a {wanted} as before")
    if gone.all():
        parts = [np.zeros(len(values))] * (len(_names(plan)) - plan["missing"])
    elif wanted == "date":
        parts = _parts_of_dates(plan, values)
    else:
        parts = [(values.to_numpy(np.float64, na_value=np.nan) - plan["mean"]) / plan["scale"]]
    parts = [np.where(gone, 0.0, one) for one in parts]
    return np.column_stack([*parts, gone] if plan["missing"] else parts)


def _codes(plan: dict[str, Any], texts: Any) -> np.ndarray:
    import pandas as pd

    places = pd.Index(plan["levels"]).get_indexer(texts)  # -1 where it is none of them
    places = np.where(texts.isna(), -1, places)
    if plan["embed"]:
        return places[:, None] + 1.0
    columns = places[:, None] == np.arange(len(plan["levels"]))
    return np.column_stack([columns, texts.isna()]) if plan["missing"] else columns


def _seconds(values: Any) -> np.ndarray:
    found = values.to_numpy("datetime64[s]")
    return np.where(np.isnat(found), np.nan, found.astype(np.int64).astype(np.float64))


def _parts_of_dates(plan: dict[str, Any], values: Any) -> list[np.ndarray]:
    parts = [(_seconds(values) - plan["mean"]) / plan["scale"]]
    for cycle, period in _CYCLES.items():
        if cycle == "hour" and not plan["hours"]:
            continue
        angle = getattr(values.dt, cycle).to_numpy(np.float64, na_value=np.nan) * (2 * np.pi / period)
        parts += [np.sin(angle), np.cos(angle)]
    return parts


def _names(plan: dict[str, Any]) -> Sequence[str]:
    """Names of the columns that a column becomes."""
    name = plan["name"]
    gone = [f"{name}=missing"] if plan["missing"] else []
    if plan["kind"] == "category":
        return [name] if plan["embed"] else [*(f"{name}={level}" for level in plan["levels"]), *gone]
    if plan["kind"] == "number":
        return [name, *gone]
    cycles = [one for one in _CYCLES if one != "hour" or plan["hours"]]
    return [f"{name}.time", *(f"{name}.{one}.{side}" for one in cycles for side in ("sin", "cos")), *gone]
