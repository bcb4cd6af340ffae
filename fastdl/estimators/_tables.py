"""Estimators on tables as they come: texts, dates and gaps among the columns."""

from typing import Any

import numpy as np

from .. import nn
from .._validate import choice, float_array, integer
from ._encoder import TableEncoder, as_frame
from ._perceptron import Perceptron, Rows
from ._settings import CLASS_WEIGHT, LAYERS, REGULARIZATION, TRAINING, Setting
from ._targets import LOSS, QUANTILE, Classifying, Regressing

ENCODING = {
    "categories": Setting(
        "auto", lambda name, value: choice(name, value, ("auto", "onehot", "embed")), '{"auto", "onehot", "embed"}',
        "What becomes of categories, see :class:`TableEncoder`.",
    ),
    "max_onehot": Setting(
        10, lambda name, value: integer(name, value, 1), "int",
        'So many categories at most become a column each, with categories="auto".',
    ),
}  # fmt: skip


class CodedColumns(nn.Module):
    """Columns of numbers, and columns of codes that become vectors: the first layer of a network on tables.

    Parameters
    ----------
    numbers : int
        Columns of numbers, which come first and stay as they are.
    levels : sequence of int
        Of each column of codes, how many there are.
    sizes : sequence of int
        Of each column of codes, the length of its vectors.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values.
    dtype : float32 (default) or float64

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.estimators.CodedColumns(1, [5], [2], rng=0)
    >>> layer.forward(np.array([[0.5, 3.0], [1.5, 0.0]], np.float32)).shape
    (2, 3)
    """

    def __init__(self, numbers: int, levels: Any, sizes: Any, *, rng: Any = None, dtype: Any = np.float32) -> None:
        super().__init__()
        self.numbers = integer("numbers", numbers, 0)
        levels, sizes = list(levels), list(sizes)
        if len(levels) != len(sizes):
            raise ValueError(f"sizes: got {len(sizes)}, expected {len(levels)}, one for each column of codes")
        self.sizes = [integer(f"sizes[{place}]", one, 1) for place, one in enumerate(sizes)]
        tables = [nn.Embedding(rows, size, rng=rng, dtype=dtype) for rows, size in zip(levels, sizes, strict=True)]
        self.tables = nn.ModuleList(tables)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The numbers, and behind them the vector of each code.

        Parameters
        ----------
        x : ndarray (N, numbers + codes)
            Codes are whole numbers below their column's `levels`.

        Returns
        -------
        ndarray (N, numbers + sum of sizes)

        Raises
        ------
        TypeError, ValueError
            If `x` is no such array, or a code is out of range.
        """
        x = float_array("x", x, (None, self.numbers + len(self.tables)))
        codes = x[:, self.numbers :].astype(np.int64)
        vectors = [table.forward(np.ascontiguousarray(codes[:, k])) for k, table in enumerate(self.tables)]
        return np.concatenate([x[:, : self.numbers], *vectors], axis=1)

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> None:
        """Add to the gradients of the vectors that the last forward read.

        Parameters
        ----------
        dy : ndarray (N, numbers + sum of sizes)
            Gradient with respect to the output.
        input_gradient : bool, default True
            Ignored: codes have no gradient, and nothing comes before this layer.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        dy = float_array("dy", dy, (None, end := self.numbers + sum(self.sizes)))
        for table, size in zip(reversed(list(self.tables)), reversed(self.sizes), strict=True):
            first = end - size
            table.backward(np.ascontiguousarray(dy[:, first:end]))
            end = first


class Table(Perceptron):
    """A perceptron behind a TableEncoder."""

    def _inputs(self, X: Any, *, fresh: bool) -> Rows:
        if fresh:
            encoder = TableEncoder(self.categories, self.max_onehot).fit(X)
            self.columns_, self.levels_ = encoder.columns_, encoder.levels_
            self.feature_names_in_, self.n_features_in_ = encoder.feature_names_in_, encoder.n_features_in_
        kind = (self.dtype or np.float32) if fresh else self._dtype
        return Rows(self.encoder_.transform(X), np.dtype(kind))

    @property
    def encoder_(self) -> TableEncoder:
        """What makes numbers of the columns."""
        encoder = TableEncoder(self.categories, self.max_onehot)
        learnt = ("columns_", "levels_", "feature_names_in_", "n_features_in_")
        for name in learnt:
            setattr(encoder, name, getattr(self, name))
        return encoder

    def _network(self, inputs: Rows, random_state: np.random.RandomState) -> nn.Module:
        levels, numbers = self.levels_, int(inputs.X.shape[1]) - len(self.levels_)
        if not levels:
            return super()._network(inputs, random_state)
        sizes = [min(50, round(1.6 * rows**0.56)) for rows in levels]  # fastai's rule of thumb
        first = CodedColumns(numbers, levels, sizes, rng=int(random_state.randint(2**31)), dtype=self._dtype)
        for _, table in first.named_parameters():
            table.data *= table.dtype.type(0.1)  # N(0, 1) is loud beside standardised numbers
        return nn.Sequential(first, *self._layers(numbers + sum(sizes), random_state))

    def _targets(self, y: Any, inputs: Any, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        if how["fresh"]:
            self.target_name_ = str(getattr(y, "name", None) or "target")
        return super()._targets(y, inputs, **how)

    def predict_table(self, X: Any) -> Any:
        """Predictions as a frame, as ``fastdl predict`` writes them.

        Parameters
        ----------
        X : frame, mapping of columns, or array (N, F)
            A table with the columns that ``fit`` saw; others are not read.

        Returns
        -------
        pandas.DataFrame (N, ...)
            A column of the target's name; of classes also the probability of each.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If `X` does not fit.
        """
        import pandas as pd

        found = np.asarray(self.predict(X))
        name = self.target_name_ if hasattr(self, "target_name_") else "target"
        names = [name] if found.ndim == 1 else [f"{name}_{place}" for place in range(found.shape[1])]
        columns = dict(zip(names, found.reshape(len(found), -1).T, strict=True))
        if hasattr(self, "classes_") and found.ndim == 1:
            chances = self.predict_proba(X).T
            columns |= {f"probability_{one}": chance for one, chance in zip(self.classes_, chances, strict=True)}
        frame = as_frame("X", X)
        return pd.DataFrame(columns, index=frame.index)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


class TableClassifier(
    Classifying, Table, positional=LAYERS, by_name={**TRAINING, **REGULARIZATION, **CLASS_WEIGHT, **ENCODING}
):
    """A multi-layer perceptron that classifies the rows of a table with columns of any kind (docs/estimators.md).

    Numbers, texts, dates and gaps become numbers by a :class:`TableEncoder`; codes of categories become vectors that
    are learnt. Otherwise it is :class:`MLPClassifier`, in float32 unless `dtype` says otherwise.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    columns_ : list of dict
        What each column is, see :class:`TableEncoder`.
    encoder_ : TableEncoder
        What makes numbers of the columns.
    target_name_ : str
        The name of the targets, "target" where they have none.

    Raises
    ------
    TypeError, ValueError
        From ``fit``, if a setting or an argument is bad.

    Examples
    --------
    >>> import pandas as pd, fastdl as fd
    >>> frame = pd.DataFrame({"town": ["Oslo", "Rome"] * 20, "age": [20.0, None, 40.0, 60.0] * 10})
    >>> model = fd.estimators.TableClassifier(solver="lbfgs", random_state=0).fit(frame, ["cold", "warm"] * 20)
    >>> model.predict(frame[:2]).tolist()
    ['cold', 'warm']
    """


class TableRegressor(
    Regressing,
    Table,
    positional={**LOSS, **LAYERS},
    by_name={**TRAINING, **REGULARIZATION, **QUANTILE, **ENCODING},
):
    """A multi-layer perceptron that predicts numbers for the rows of a table of any columns (docs/estimators.md).

    Columns as of :class:`TableClassifier`. Targets are standardised for the training, but for `loss` "poisson".
    Otherwise it is :class:`MLPRegressor`, in float32 unless `dtype` says otherwise.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    columns_ : list of dict
        What each column is, see :class:`TableEncoder`.
    encoder_ : TableEncoder
        What makes numbers of the columns.
    target_name_ : str
        The name of the targets, "target" where they have none.

    Raises
    ------
    TypeError, ValueError
        From ``fit``, if a setting or an argument is bad.

    Examples
    --------
    >>> import pandas as pd, fastdl as fd
    >>> frame = pd.DataFrame({"town": ["Oslo", "Rome"] * 20, "age": [20.0, None, 40.0, 60.0] * 10})
    >>> model = fd.estimators.TableRegressor(solver="lbfgs", random_state=0).fit(frame, [-5.0, 15.0] * 20)
    >>> model.predict(frame[:2]).round().tolist()
    [-5.0, 15.0]
    """

    def _encoded(self, y: Any, count: int, *, fresh: bool, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        _, labels = super()._encoded(y, count, fresh=fresh, **how)
        if fresh:
            scaled = self.loss != "poisson" and count > 1
            wide = labels.reshape(count, -1).astype(np.float64)
            spread = wide.std(0)
            self._target_mean = wide.mean(0) if scaled else np.zeros(wide.shape[1])
            self._target_scale = np.where(spread > 0, spread, 1.0) if scaled else np.ones(wide.shape[1])
        wide = labels.reshape(count, -1)
        return np.ascontiguousarray((wide - self._target_mean) / self._target_scale, self._dtype), labels

    def _decided(self, outputs: np.ndarray) -> np.ndarray:
        return super()._decided(outputs * self._target_scale + self._target_mean)
