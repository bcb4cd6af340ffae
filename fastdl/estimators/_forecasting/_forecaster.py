"""GlobalForecaster: one model over many series."""

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ... import nn, random, training
from ..._validate import integer
from .._saved import as_module
from .._settings import Setting, constructor, described
from . import _evaluation, _intervals, _pictures
from ._covariates import Encoder
from ._frames import Table, labels, made
from ._grid import Grid, as_times
from ._learning import Learnt, learn
from ._predicting import Ahead, ahead
from ._series import Columns, Encoders, Panel, Reader, is_frame, panel_of_arrays
from ._settings import BY_NAME, FIXED, NAME, POSITIONAL, SETTINGS, Settings, settings_of
from ._training import Plan, prepared, shape_of
from ._transform import Transform, undone


class GlobalForecaster(BaseEstimator):
    """One recurrent network that forecasts many series (docs/forecasting.md).

    At each step it sees the window of the last `input_size` values, standardised by that window, and gives the next
    `h` values (forking sequences: Wen et al. 2017): every position of every series is an example.

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    model_ : fastdl.nn.ModuleList
        The networks.
    history_ : list of fastdl.training.History
        The learning curve of each.
    errors_ : ndarray (forecasts, h, Q) or None
        Of held-out forecasts, in units of the mean absolute step of the window before them.

    Raises
    ------
    TypeError, ValueError
        By ``fit``, if a setting is bad.

    Notes
    -----
    Data are long frames of pandas, polars or others that narwhals reads, with a row for each series and time, and
    forecasts come back as such. Or they are arrays: (T,) is one series, (N, T) are N, a list has some of any lengths;
    then forecasts are arrays (h,) or (N, h). NaN, or a row that is not there, is a missing value.

    References
    ----------
    R. Wen et al., "A multi-horizon quantile recurrent forecaster", 2017. H. Hewamalage, C. Bergmeir and K. Bandara,
    "Recurrent neural networks for time series forecasting", 2021.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> t = np.arange(60)
    >>> series = [20 + 5 * np.sin(2 * np.pi * t / 12), 300 + 40 * np.cos(2 * np.pi * t / 12)]
    >>> forecaster = fd.estimators.GlobalForecaster(h=6, season_length=12, epochs=5, random_state=0)
    >>> found = forecaster.fit(series).predict()
    >>> found.shape, bool(abs(found[0] - (20 + 5 * np.sin(2 * np.pi * np.arange(60, 66) / 12))).max() < 1)
    ((2, 6), True)
    """

    _settings: ClassVar[dict[str, Setting]] = SETTINGS
    __init__ = constructor(POSITIONAL, BY_NAME)
    model_: nn.ModuleList
    history_: list[training.History]
    errors_: np.ndarray | None

    if TYPE_CHECKING:  # settings, which no annotation lists twice

        def __getattr__(self, name: str) -> Any: ...

    # ---- learning -------------------------------------------------------------------------------------------------
    def fit(self, df: Any, static_df: Any = None) -> "GlobalForecaster":
        """Train on series, anew.

        Parameters
        ----------
        df : data frame, array (T,) or (N, T), or list of arrays
            The series.
        static_df : data frame, optional
            The columns of `stat_exog_list`, of which each series' first row counts; by default `df` has them.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a setting or the data are bad: with the column and the row. The forecaster is as it was.
        FloatingPointError
            If the loss is no longer finite; the forecaster is as it was.
        """
        panel, grid, encoders, settings = self._given(df, static_df)
        return self._take(learn(panel, grid, settings, self._seed()), panel, grid, encoders)

    def partial_fit(self, df: Any, static_df: Any = None) -> "GlobalForecaster":
        """Go on training on these series, for `epochs` epochs at a constant rate; the first call is :meth:`fit`.

        Parameters
        ----------
        df, static_df
            As for :meth:`fit`. What :meth:`predict` goes on from are these series.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As :meth:`fit`; the forecaster is as it was.
        """
        if not hasattr(self, "model_"):
            return self.fit(df, static_df)
        settings, reader = self._known()
        panel = _read(reader, "df", df, static_df, settings)
        networks = copy.deepcopy(list(self.model_))
        learnt = learn(panel, _axis(reader), settings, self._seed(), networks, Plan(**self._plan))
        return self._take(learnt, panel, _axis(reader), reader.encoders)

    def _seed(self) -> random.Generator:
        return random.Generator(self.random_state) if self.random_state is not None else random.Generator()

    def _given(self, df: Any, static_df: Any) -> tuple[Panel, Grid, Any, Settings]:
        """Series to learn from, their axis, how their covariates become numbers, and the settings."""
        settings = settings_of(self)
        reader = Reader(settings.columns, settings.given["freq"])
        panel = _read(reader, "df", df, static_df, settings)
        return panel, _axis(reader), reader.encoders, settings

    def _take(self, learnt: Learnt, panel: Panel, grid: Grid, encoders: Any) -> "GlobalForecaster":
        """Keep what was learnt, as plain data beside the networks, so that a file can hold it."""
        self.model_, self.history_ = nn.ModuleList(learnt.networks), learnt.histories
        self.errors_, self._plan = learnt.errors, learnt.plan._asdict()
        self._axis = grid.state()
        given = settings_of(self).given
        self._fixed = {name: given[name] for name in FIXED}
        self._encoders = None if encoders is None else [one.plan for one in encoders]
        self._panel = panel.packed()
        return self

    def _known(self) -> tuple[Settings, Reader]:
        """The settings, and how the series fitted to were read."""
        plans, settings = self._encoders, settings_of(self)
        for name, value in self._fixed.items():
            if settings.given[name] != value:
                raise ValueError(f"{name}: got {settings.given[name]!r}, expected {value!r} as in training: fit anew")
        encoders = None if plans is None else Encoders(*(Encoder(one) for one in plans))
        return settings, Reader(settings.columns, settings.given["freq"], Grid.of_state(self._axis), encoders)

    # ---- forecasts ------------------------------------------------------------------------------------------------
    def predict(
        self,
        df: Any = None,
        *,
        h: int | None = None,
        level: Any = None,
        quantiles: Any = None,
        n_samples: int | None = None,
        static_df: Any = None,
        futr_df: Any = None,
    ) -> Any:
        """Forecast what comes after series.

        Parameters
        ----------
        df : as for :meth:`fit`, optional
            Series to go on from, known ones or others; by default those fitted to.
        h : int, optional
            Steps; by default the setting's. Beyond it forecasts are fed with those before them.
        level : float or sequence of float, optional
            Levels of intervals in per cent, as ``[80, 95]``: of the network's quantiles where it has both ends, else of
            the errors of held-out forecasts (`val_size`); conformal where there are such.
        quantiles : float or sequence of float, optional
            Quantiles, above 0 and below 1.
        n_samples : int, optional
            Paths, each with the errors of one held-out forecast.
        static_df : data frame, optional
            Of the series in `df`.
        futr_df : data frame, optional
            The columns of `futr_exog_list` at the times that are forecast.

        Returns
        -------
        data frame, or ndarray (h,) or (N, h)
            Of frames one of the same library: series, time, ``GlobalForecaster``, and ``GlobalForecaster-lo-80``,
            ``-hi-80``, ``-q-0.1``, ``-sample-0`` where asked for. Of arrays an array, or a dict of these names to
            arrays where more than the point forecast was asked for.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or no errors are known that intervals could be made of.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        settings, reader = self._known()
        steps = settings.h if h is None else integer("h", h, 1)
        panel = Panel.unpacked(self._panel) if df is None else _read(reader, "df", df, static_df, settings)
        panel = reader.extended(panel, futr_df, steps)
        asked = {"level": level, "quantiles": quantiles, "n_samples": n_samples}
        return _as_given(panel, _axis(reader), steps, self._forecast(panel, settings, steps, **asked), settings)

    def predict_table(self, frame: Any) -> Any:
        """Forecasts with intervals, for series in one table: what ``fastdl predict`` writes.

        Parameters
        ----------
        frame : pandas.DataFrame
            Rows as for :meth:`fit`. Those after a series' last value say what is known of the future.

        Returns
        -------
        pandas.DataFrame
            As of :meth:`predict`; with intervals of 80 and 95 per cent where errors are known.

        Raises
        ------
        TypeError, ValueError
            As :meth:`predict`.
        """
        check_is_fitted(self)
        past, future = _parted(frame, settings_of(self).columns)
        return self.predict(past, futr_df=future, level=(80, 95) if self.errors_ is not None else None)

    def _forecast(
        self, panel: Panel, settings: Settings, steps: int, *, level: Any = None, quantiles: Any = None,
        n_samples: Any = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Arrays (N, steps) by the names of columns."""
        levels, wanted = _intervals.levels_of(level), _intervals.quantiles_of(quantiles)
        count = 0 if n_samples is None else integer("n_samples", n_samples, 1)
        plan, grid = Plan(**self._plan), Grid.of_state(self._axis)
        sizes = panel.ends - panel.starts
        series, transforms = prepared(panel, sizes, plan, settings, grid, steps)
        found = ahead(list(self.model_), series, sizes, shape_of(plan, settings), settings, steps)

        def back(z: np.ndarray) -> np.ndarray:
            return _on_their_scale(z, panel, transforms, plan)

        result = {NAME: back(found.outputs[:, :, settings.middle])}
        for one in levels:
            low, high = _intervals.interval(found, one, self.errors_, settings)
            result |= {f"{NAME}-lo-{one:g}": back(low), f"{NAME}-hi-{one:g}": back(high)}
        for q in wanted:
            result[_intervals.quantile_name(q)] = back(_intervals.quantile(found, q, self.errors_, settings))
        if count:
            paths = back(self._samples(found, count, settings))
            result |= {f"{NAME}-sample-{i}": paths[:, i] for i in range(count)}
        return result

    def _samples(self, found: Ahead, count: int, settings: Settings) -> np.ndarray:
        rng = np.random.default_rng(self.random_state)
        return _intervals.samples(found, count, self.errors_, settings, rng)

    # ---- how good they are ----------------------------------------------------------------------------------------
    cross_validation = _evaluation.cross_validation
    backtest = _evaluation.backtest
    plot = _pictures.plot

    @property
    def n_series_(self) -> int:
        """How many series it was fitted to."""
        return len(self._panel["ids"])

    def _as_module(self) -> nn.Module:
        """What fastdl.save writes."""
        return as_module(self)


GlobalForecaster.__doc__ = (GlobalForecaster.__doc__ or "").replace(
    "{settings}", described(SETTINGS).replace("\n", "\n    ")
)


def _axis(reader: Reader) -> Grid:
    return Grid(1, 0) if reader.grid is None else reader.grid


def _parted(frame: Any, own: Columns) -> tuple[Any, Any]:
    """The rows of a table up to each series' last value, and those after it."""
    table = Table("frame", frame)
    codes = np.zeros(table.rows, np.int64) if own.id is None else labels(f"frame[{own.id!r}]", table[own.id])[1]
    times = np.argsort(np.argsort(as_times(f"frame[{own.time!r}]", table[own.time]), kind="stable"), kind="stable")
    known = ~np.isnan(table.numbers(own.target))
    last = np.full(codes.max(initial=0) + 1, -1)
    np.maximum.at(last, codes[known], times[known])
    past = times <= last[codes]
    return frame[past], frame[~past]


def _read(reader: Reader, name: str, data: Any, static: Any, settings: Settings) -> Panel:
    """Series from frames or arrays."""
    own = settings.columns
    if is_frame(data):
        if reader.grid is not None and reader.encoders is None:
            raise TypeError(f"{name}: got a data frame, expected arrays, as the forecaster was fitted to")
        return reader.panel(name, data, static)
    if reader.encoders is not None:
        raise TypeError(f"{name}: got {type(data).__name__}, expected a data frame, as the forecaster was fitted to")
    if own.past or own.future or own.static or static is not None:
        raise TypeError(f"{name}: got {type(data).__name__}, expected a data frame, since there are covariates")
    return panel_of_arrays(name, data)


def _on_their_scale(z: np.ndarray, panel: Panel, transforms: list[Transform], plan: Plan) -> np.ndarray:
    """Forecasts (N, ..., steps) as the series were given."""
    rows = [undone(one, z[i], int(end)) for i, (one, end) in enumerate(zip(transforms, panel.ends, strict=True))]
    found = np.stack(rows)
    return np.maximum(found, 0.0) if plan.positive else found


def _as_given(panel: Panel, grid: Grid, steps: int, found: dict[str, np.ndarray], settings: Settings) -> Any:
    """Forecasts in the form in which the series came."""
    if panel.library in ("one", "array"):
        arrays = {name: one[0] if panel.library == "one" else one for name, one in found.items()}
        return arrays if len(arrays) > 1 else arrays[NAME]
    own = settings.columns
    columns: dict[str, Any] = {} if own.id is None else {own.id: np.repeat(panel.ids, steps)}
    columns[own.time] = grid.joined([(int(end), int(end) + steps) for end in panel.ends])
    return made(columns | {name: one.ravel() for name, one in found.items()}, panel.library)
