"""Sequences in every form that people have them in, as one: arrays (T, F) of numbers, or lists of tokens."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import validate_data

from .._validate import shown
from ..training._examples import padded

TEXT = "expected a list of tokens: text.split() gives words, list(text) characters"


class Sequences:
    """Checked sequences of one type: an array (N, T, F), or a list of arrays (T, F) of numbers or (T,) of tokens."""

    def __init__(self, values: Any, dtype: np.dtype) -> None:
        self.values, self.dtype = values, dtype

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each."""
        return np.array([len(one) for one in self.values], np.int64)

    def part(self, chosen: Any) -> "Sequences":
        """Some of the sequences."""
        return Sequences(self._some(chosen), self.dtype)

    def _some(self, chosen: Any) -> Any:
        if isinstance(self.values, np.ndarray) or isinstance(chosen, slice):
            return self.values[chosen]
        return [self.values[place] for place in chosen]

    def batch(self, chosen: Any) -> Any:
        """Some of the sequences, time first: an array (T, B, ...), or that with the lengths where they differ."""
        some = self._some(chosen)
        if isinstance(some, np.ndarray):
            return np.ascontiguousarray(some.swapaxes(0, 1), self.dtype)
        values, lengths = padded(some)
        if values.dtype.kind == "f":
            values = values.astype(self.dtype, copy=False)
        return values if (lengths == len(values)).all() else (values, lengths)

    def statistics(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each feature over all steps, 1 where it is constant."""
        counts = None if weights is None else np.repeat(weights, self.lengths)
        if isinstance(self.values, np.ndarray):
            steps = self.values.reshape(-1, self.values.shape[-1])
        else:
            steps = np.concatenate(self.values)
        return moments(steps.astype(np.float64), counts)


def moments(rows: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column; 1 where it varies by rounding alone."""
    mean = np.average(rows, axis=0, weights=weights)
    deviation = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights))
    varies = deviation > 10 * np.finfo(np.float64).eps * np.abs(rows).max(0)
    return mean, np.where(varies, deviation, 1.0)


# ---- what it is -----------------------------------------------------------------------------------------------
def is_frame(X: Any) -> bool:
    """Whether it has named columns."""
    return hasattr(X, "columns") and hasattr(X, "to_numpy")


def entries(X: Any) -> list[Any] | None:
    """The sequences, where X holds one an entry; None of tables and of what has no entries."""
    if is_frame(X):
        cells = X.to_numpy()
        nested = cells.dtype == object and cells.size and _holds_steps(cells.flat[0])
        return [_row(cells[place], place) for place in range(len(cells))] if nested else None
    if isinstance(X, np.ndarray) or not (isinstance(X, (list, tuple)) or hasattr(X, "to_list")):
        single = isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
        return list(X) if single and any(map(_holds_steps, X)) else None
    found = list(X)
    return found if any(map(_holds_steps, found)) else None


def _holds_steps(one: Any) -> bool:
    return isinstance(one, Iterable) and getattr(one, "ndim", 1) > 0  # an array of no axes is no sequence


def _row(cells: np.ndarray, place: int) -> Any:
    """The sequence of a frame's row: a cell has all steps of its feature, or is a list of tokens."""
    if len(cells) == 1:
        return cells[0]
    columns = [np.asarray(one) for one in cells]
    sizes = {one.shape for one in columns}
    if len(sizes) > 1 or columns[0].ndim != 1:
        raise ValueError(f"X: got cells of the shapes {sorted(sizes)} in row {place}, expected (T,) in each")
    return np.stack(columns, axis=1)


def holds_tokens(X: Any) -> bool:
    """Whether the sequences are of texts."""
    if isinstance(X, np.ndarray) and X.ndim == 2:
        return X.size > 0 and all(isinstance(one, str) for one in X.flat)
    found = entries(X)
    return found is not None and any(
        isinstance(one, str) or (hasattr(one, "__len__") and len(one) > 0 and isinstance(next(iter(one)), str))
        for one in found
    )


# ---- numbers --------------------------------------------------------------------------------------------------
def read_numbers(estimator: Any, X: Any, *, fresh: bool) -> Any:
    """X as an array (N, T, F), or as a list of arrays (T, F) where lengths differ.

    Sets ``n_features_in_``, or compares with it: a table (N, T), whose columns are the steps of one feature, has T
    features for scikit-learn, and later tables have as many. Lists are of any lengths.
    """
    if isinstance(X, (list, tuple)) and not len(X):
        raise ValueError("X: got 0 sequences, expected one or more")
    found = entries(X)
    deep = found is None and getattr(X, "ndim", 0) == 3 and hasattr(X, "__array__")
    table = found is None and not deep
    if table and (fresh or estimator._table):
        values = validate_data(estimator, X, reset=fresh, dtype=(np.float64, np.float32))[..., None]
    elif table:
        values = check_array(X, dtype=(np.float64, np.float32), input_name="X", estimator=estimator)[..., None]
    elif deep:
        values = _real("X", np.asarray(X))
        if 0 in values.shape:
            raise ValueError(f"X: got shape {values.shape}, expected (N, T, F) with at least one of each")
    else:
        values = _alike(list(_arrays(found or [])))
    features = values.shape[2] if isinstance(values, np.ndarray) else values[0].shape[1]
    if fresh:
        rows = found is not None and features == 1 and all(isinstance(one, (list, tuple)) for one in found)
        estimator._table, estimator._features = table or (rows and isinstance(values, np.ndarray)), features
    elif features != estimator._features:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} is expecting {estimator._features} features as "
            "input at each step; a single sequence goes into a list, [x]"
        )
    if not table:
        _name(estimator, X, len(values[0]) if estimator._table else features, fresh)
    return values


def _name(estimator: Any, X: Any, features: int, fresh: bool) -> None:
    """Note how many features there are at each step, and their names; or compare the names."""
    names = np.asarray(X.columns, dtype=object) if is_frame(X) else None
    if names is not None and not all(isinstance(one, str) for one in names):
        names = None
    if fresh:
        estimator.n_features_in_ = features
        vars(estimator).pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = names
    elif names is not None and not np.array_equal(names, getattr(estimator, "feature_names_in_", names)):
        raise ValueError(f"X: got the features {list(names)}, expected {list(estimator.feature_names_in_)}, as in fit")


def _arrays(found: list[Any]) -> Iterator[np.ndarray]:
    """Each sequence as an array (T, F); of numbers alone (T, 1)."""
    features = None
    for place, one in enumerate(found):
        name = f"X[{place}]"
        try:
            array = np.asarray(one)
            if array.dtype == object and all(map(_holds_steps, array.flat)):  # vectors, each an object of its own
                array = np.stack([np.asarray(step) for step in one])
        except ValueError:
            raise ValueError(f"{name}: got steps of different sizes, expected (T, F)") from None
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"{name}: got shape {array.shape}, expected (T, F) with at least one step and one feature")
        if features not in (None, array.shape[1]):
            raise ValueError(f"{name}: got {array.shape[1]} features, expected {features}, as of X[0]")
        features = array.shape[1]
        yield _real(name, array)


def _real(name: str, array: np.ndarray) -> np.ndarray:
    """Finite numbers of float32 or float64."""
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: Complex data not supported, got {array.dtype}")
    if array.dtype.kind not in "fiub":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name}: got {shown(array.flat[0])}, expected numbers") from None
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    assert_all_finite(array, input_name=name)
    return array


def _alike(arrays: list[np.ndarray]) -> Any:
    """Arrays of one type; a single one where the lengths are the same."""
    kind = np.result_type(*{one.dtype for one in arrays})
    if len({len(one) for one in arrays}) == 1:
        return np.stack(arrays, dtype=kind)
    return [one.astype(kind, copy=False) for one in arrays]


# ---- tokens ---------------------------------------------------------------------------------------------------
def read_tokens(X: Any) -> list[list[Any]]:
    """X as lists of tokens, each with at least one."""
    found = list(X) if isinstance(X, np.ndarray) and X.ndim == 2 else entries(X)
    if found is None:
        raise ValueError(f"X: got {shown(X)}, expected a list of lists of tokens")
    sequences = []
    for place, one in enumerate(found):
        if isinstance(one, str):
            raise TypeError(f"X[{place}]: got {shown(one)}, {TEXT}")
        tokens = one.tolist() if hasattr(one, "tolist") else list(one) if isinstance(one, Iterable) else []
        if not tokens:
            raise ValueError(f"X[{place}]: got {shown(one)}, expected at least one token")
        sequences.append(tokens)
    return sequences


def vocabulary(sequences: list[list[Any]]) -> dict[Any, int]:
    """The tokens' numbers, from 1 on, in the order in which they are met; 0 is for others."""
    found: dict[Any, int] = {}
    for place, one in enumerate(sequences):
        for token in one:
            try:
                found.setdefault(token, len(found) + 1)
            except TypeError:
                raise TypeError(f"X[{place}]: got the token {shown(token)}, expected texts or numbers") from None
    return found


def numbered(sequences: list[list[Any]], known: dict[Any, int]) -> list[np.ndarray]:
    """Each sequence as the numbers of its tokens."""
    return [np.array([known.get(token, 0) for token in one], np.int64) for one in sequences]
