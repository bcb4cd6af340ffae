"""GlobalForecaster as a forecaster of sktime. Needs sktime, which is imported with this module."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone
from sktime.forecasting.base import BaseForecaster

from .._adapters import Set
from . import _forecaster
from ._grid import Grid, grid_of
from ._intervals import quantile_name
from ._settings import NAME

_ID, _TIME, _TARGET = "series", "time", "value"


class GlobalForecaster(Set, BaseForecaster, ours=_forecaster.GlobalForecaster):
    """:class:`fastdl.estimators.GlobalForecaster` as an sktime forecaster: of one series, or of all of a panel.

    Its settings are the same, but for columns: X has what is known in advance. Times are counted, so that `calendar`
    stays out. With `val_size` or `quantiles` there are ``predict_interval`` and ``predict_quantiles``.

    Attributes
    ----------
    estimator_ : fastdl.estimators.GlobalForecaster
        The forecaster that was fitted.

    Examples
    --------
    >>> import fastdl as fd
    >>> from sktime.datasets import load_airline
    >>> model = fd.estimators.sktime.GlobalForecaster(h=12, season_length=12, epochs=5, random_state=0)
    >>> model.fit(load_airline(), fh=[1, 12]).predict().shape
    (2,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "fastdl developers",
        "maintainers": "fastdl developers",
        "scitype:y": "univariate",
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:exogenous": True,
        "requires-fh-in-fit": False,
        "X-y-must-have-same-index": True,
        "enforce_index_type": None,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:update": True,
        "capability:non_contiguous_X": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:random_state": True,
        "property:randomness": "derandomized",
    }

    def __post_init__(self) -> None:
        if not self.val_size and not self.quantiles:
            self.set_tags(**{"capability:pred_int": False})

    def _fit(self, y: Any, X: Any = None, fh: Any = None) -> Any:
        settings = self.get_params(deep=False)
        given = {"id_col": _ID, "time_col": _TIME, "target_col": _TARGET, "freq": 1, "calendar": None}
        if X is not None:
            given["futr_exog_list"] = [f"x{i}" for i in range(X.shape[1])]
        self._grid = _grid(y.index.get_level_values(-1))
        self._series = _series(y.index)
        self._names, self._columns = y.index.names, y.columns[:1]
        self._rows = self._long(y, X)
        self.estimator_ = self._ours(**{**settings, **given}).fit(self._rows)
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> Any:
        self._series = self._series.append(_series(y.index).difference(self._series))
        rows = pd.concat([self._rows, self._long(y, X)])
        self._rows = rows.drop_duplicates([_ID, _TIME], keep="last", ignore_index=True)
        if update_params:
            self.estimator_ = clone(self.estimator_).fit(self._rows)
        return self

    def _predict(self, fh: Any, X: Any = None) -> Any:
        return self._found(fh, X, [NAME], {})

    def _predict_quantiles(self, fh: Any, X: Any, alpha: Any) -> Any:
        names = [quantile_name(one) for one in alpha]
        found = self._found(fh, X, names, {"quantiles": list(alpha)})
        variable = self._get_varnames()[0]
        found.columns = pd.MultiIndex.from_product([[variable], alpha])
        return found

    def _found(self, fh: Any, X: Any, names: list[str], asked: dict[str, Any]) -> Any:
        """Columns of forecasts at the horizon's times, by series where there are several."""
        ahead = np.asarray(fh.to_relative(self.cutoff)).astype(np.int64)
        index = fh.to_absolute_index(self.cutoff)
        last = self._rows.groupby(_ID)[_TIME].max()
        steps = int(ahead.max()) + int((last.max() - last).max())
        future = None if X is None else self._long(None, X)
        rows = self.estimator_.predict(self._rows, h=steps, futr_df=future, **asked)
        wanted = rows[rows[_TIME].isin(last.max() + ahead)]
        columns = self._columns if len(names) == 1 else names
        if len(self._names) == 1:
            return pd.DataFrame(wanted[names].to_numpy(), index=index, columns=columns)
        parts = [wanted[wanted[_ID] == place][names].to_numpy() for place in range(len(self._series))]
        rows_of = [(*(key if isinstance(key, tuple) else (key,)), when) for key in self._series for when in index]
        labels = pd.MultiIndex.from_tuples(rows_of, names=self._names)
        return pd.DataFrame(np.concatenate(parts), index=labels, columns=columns)

    def _places(self, index: Any) -> np.ndarray:
        """Times as numbers."""
        times = index.get_level_values(-1)
        if isinstance(times, pd.PeriodIndex):
            return np.asarray(times.asi8)
        return np.asarray(times, np.int64) if self._grid is None else self._grid.places("y", times)

    def _long(self, y: Any, X: Any) -> Any:
        """A long frame whose series and times are numbers; without y what is known of the future."""
        index = X.index if y is None else y.index
        whose = np.zeros(len(index), np.int64)
        if index.nlevels > 1:
            whose = self._series.get_indexer(index.droplevel(-1))
        found = pd.DataFrame({_ID: whose, _TIME: self._places(index)})
        if y is not None:
            found[_TARGET] = y.iloc[:, 0].to_numpy()
        if X is not None:
            found = found.assign(**{f"x{i}": X.iloc[:, i].to_numpy() for i in range(X.shape[1])})
        return found

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's checks."""
        common = {"h": 3, "epochs": 1, "hidden_size": 4, "head_size": 0, "random_state": 0}
        return [{**common, "val_size": 3}, {**common, "cell": "gru", "strategy": "recursive", "input_size": 3}]


def _grid(times: Any) -> Grid | None:
    """Of dates the axis that they lie on."""
    if not isinstance(times, pd.DatetimeIndex):
        return None
    return grid_of("y", times, None if times.freq is None else times.freq.freqstr, times.unique())


def _series(index: Any) -> Any:
    """The names of series, as they come."""
    return index.droplevel(-1).unique() if index.nlevels > 1 else pd.Index([0])
