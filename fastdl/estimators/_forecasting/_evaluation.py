"""Forecasts of what is known already, from rolling origins: cross-validation, and the report of a backtest."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from ..._validate import flag, integer
from ._baselines import chosen
from ._frames import made
from ._intervals import levels_of
from ._learning import learn
from ._series import Panel
from ._settings import NAME

_LEAST = 2  # values before an origin


class Windows(NamedTuple):
    """Forecasts of one origin of each series, by the columns' names, (N, h) each; and what came true."""

    panel: Panel  # up to the origin
    true: np.ndarray
    found: dict[str, np.ndarray]


def cross_validation(
    self: Any,
    df: Any,
    *,
    n_windows: int = 1,
    step_size: int | None = None,
    h: int | None = None,
    level: Any = None,
    refit: bool = False,
    static_df: Any = None,
    baselines: Any = (),
) -> Any:
    """Forecast the ends of series from what was known before: `n_windows` origins, `step_size` steps apart.

    Parameters
    ----------
    df, static_df
        As for ``fit``. Columns known in advance are read from `df`.
    n_windows : int, default 1
        Origins; the last one is h steps before the end.
    step_size : int, optional
        Steps between origins, by default h.
    h : int, optional
        Steps that are forecast; by default the setting's.
    level : float or sequence of float, optional
        Levels of intervals in per cent.
    refit : bool, default False
        Whether to train at every origin, or on what is known before the first one only.
    baselines : sequence of str or "auto", default ()
        Forecasts beside it: "Naive", "SeasonalNaive", "ETS", "Theta" (the last two by statsmodels).

    Returns
    -------
    data frame
        Of the library of `df`, pandas for arrays: series, time, ``cutoff`` (the last time that was known), the value,
        ``GlobalForecaster`` and what was asked for beside it. The forecaster itself is as it was.

    Raises
    ------
    TypeError, ValueError
        As ``fit`` and ``predict``; also if no series is long enough.
    ImportError
        For ETS without statsmodels.
    """
    windows, grid, columns = rolled(
        self, df, static_df, n_windows=n_windows, step_size=step_size, h=h, level=level, refit=refit,
        baselines=baselines,
    )  # fmt: skip
    library = windows[0].panel.library
    parts: dict[str, list[Any]] = {}
    for one in windows:
        n, steps = one.true.shape
        ends = [int(end) for end in one.panel.ends]
        rows = {columns.id: np.repeat(one.panel.ids, steps)} if columns.id is not None else {}
        rows[columns.time] = grid.joined([(end, end + steps) for end in ends])
        rows["cutoff"] = grid.joined([(end - 1, end) for end in ends])[np.repeat(np.arange(n), steps)]
        rows |= {columns.target: one.true.ravel()} | {name: array.ravel() for name, array in one.found.items()}
        for name, row in rows.items():
            parts.setdefault(name, []).append(row)
    joined = {name: _joined(rows) for name, rows in parts.items()}
    return made(joined, None if library in ("one", "array") else library)


def _joined(rows: list[Any]) -> Any:
    return np.concatenate(rows) if isinstance(rows[0], np.ndarray) else rows[0].append(rows[1:])


def rolled(
    forecaster: Any, df: Any, static: Any, *, n_windows: Any, step_size: Any, h: Any, level: Any, refit: Any,
    baselines: Any,
) -> tuple[list[Windows], Any, Any]:  # fmt: skip
    """The windows, the time axis and the names of columns."""
    n_windows, refit = integer("n_windows", n_windows, 1), flag("refit", refit)
    panel, grid, encoders, settings = forecaster._given(df, static)
    h = settings.h if h is None else integer("h", h, 1)
    step_size = h if step_size is None else integer("step_size", step_size, 1)
    others, levels = chosen(baselines, settings.given["season_length"]), levels_of(level)
    windows, model = [], None
    for window in range(n_windows):
        cuts = panel.ends - h - (n_windows - 1 - window) * step_size
        which = np.flatnonzero(cuts - panel.starts >= _LEAST)
        which = np.array([i for i in which if not np.isnan(panel.values[i][: cuts[i] - panel.starts[i]]).all()], int)
        if not which.size:
            least = _LEAST + h + (n_windows - 1 - window) * step_size
            raise ValueError(f"df: no series has {least} values, expected one for {n_windows} windows of {h} steps")
        past = panel.chosen(which).before(cuts[which])
        if model is None or refit:
            model = clone(forecaster)
            model._take(learn(past, grid, settings, model._seed()), past, grid, encoders)
        true = np.stack(
            [panel.values[i][cut - panel.starts[i] :][:h] for i, cut in zip(which, cuts[which], strict=True)]
        )
        found = model._forecast(past, settings, h, level=levels or None)
        season = settings.given["season_length"]
        for name, baseline in others.items():
            found[name] = np.stack([baseline(values, h, season) for values in past.values])
        windows.append(Windows(past, true, found))
    return windows, grid, settings.columns


# ---- the report ---------------------------------------------------------------------------------------------------


class Backtest:
    """What :meth:`GlobalForecaster.backtest` found; it prints as a table.

    Parameters
    ----------
    windows : list
        Forecasts and what came true, of each origin.
    season_length : int
        Steps of a season.
    levels : list of float
        Levels of intervals in per cent.

    Attributes
    ----------
    scores : dict of str to dict of str to float
        By method: "mae", "rmse", "smape" in per cent, "mase", and "coverage-80" of intervals where there are such.
    by_step : dict of str to ndarray (h,)
        By method, the mean absolute error of each step ahead, in units of the series' mean absolute seasonal step.
    forecasts, series : int
        How many forecasts, and of how many series.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y = 10 + np.sin(np.arange(60.0))
    >>> forecaster = fd.estimators.GlobalForecaster(h=3, epochs=2, random_state=0)
    >>> found = forecaster.backtest(y, n_windows=2, baselines=["Naive"])
    >>> sorted(found.scores), found.forecasts
    (['GlobalForecaster', 'Naive'], 2)
    """

    def __init__(self, windows: list[Windows], season_length: int, levels: list[float]) -> None:
        self.forecasts = sum(len(one.true) for one in windows)
        self.series = len({str(i) for one in windows for i in one.panel.ids})
        methods = [one for one in windows[0].found if "-lo-" not in one and "-hi-" not in one]
        scales = np.concatenate([[_scale(values, season_length) for values in one.panel.values] for one in windows])
        true = np.concatenate([one.true for one in windows])
        self.scores: dict[str, dict[str, float]] = {}
        self.by_step: dict[str, np.ndarray] = {}
        for method in methods:
            found = np.concatenate([one.found[method] for one in windows])
            self.scores[method] = _scores(true, found, scales)
            with np.errstate(invalid="ignore", divide="ignore"):
                self.by_step[method] = np.nanmean(np.abs(true - found) / scales[:, None], axis=0)
        for level in levels:
            low, high = (
                np.concatenate([one.found[f"{NAME}-{end}-{level:g}"] for one in windows]) for end in ("lo", "hi")
            )
            inside = ((true >= low) & (true <= high))[~np.isnan(true)]
            self.scores[NAME][f"coverage-{level:g}"] = float(inside.mean())

    def __repr__(self) -> str:
        columns = list(dict.fromkeys(key for row in self.scores.values() for key in row))
        width = max(len(name) for name in self.scores)
        lines = [" " * width + "".join(f"{key:>14}" for key in columns)]
        for name, row in self.scores.items():
            lines.append(
                f"{name:<{width}}" + "".join(f"{row[key]:>14.5g}" if key in row else " " * 14 for key in columns)
            )
        return "\n".join(lines) + f"\n{self.forecasts} forecasts of {self.series} series"


def _scale(values: np.ndarray, season_length: int) -> float:
    """The mean absolute seasonal step, of which MASE is a multiple; NaN where there is none."""
    period = season_length if values.size > season_length else 1
    steps = np.abs(values[period:] - values[:-period])
    known = steps[~np.isnan(steps)]
    return float(known.mean()) if known.size and known.mean() > 0 else np.nan


def _scores(true: np.ndarray, found: np.ndarray, scales: np.ndarray) -> dict[str, float]:
    """Means over all values that are known; of MASE over series that move."""
    known = ~np.isnan(true)
    errors = np.abs(true - found)
    size = np.abs(true) + np.abs(found)
    shares = np.divide(200 * errors, size, out=np.zeros(size.shape), where=known & (size > 0))
    scaled = (errors / scales[:, None])[known & ~np.isnan(scales)[:, None]]
    return {
        "mae": float(errors[known].mean()),
        "rmse": float(np.sqrt((errors[known] ** 2).mean())),
        "smape": float(shares[known].mean()),
        "mase": float(scaled.mean()) if scaled.size else float("nan"),
    }


def backtest(
    self: Any,
    df: Any,
    *,
    n_windows: int = 3,
    step_size: int | None = None,
    h: int | None = None,
    level: Any = None,
    refit: bool = False,
    static_df: Any = None,
    baselines: Any = "auto",
) -> Backtest:
    """Score forecasts from rolling origins, beside baselines: :meth:`cross_validation` in numbers.

    Parameters
    ----------
    df, n_windows, step_size, h, level, refit, static_df
        As of :meth:`cross_validation`; three windows by default.
    baselines : sequence of str or "auto", default "auto"
        "Naive", "SeasonalNaive", "ETS", "Theta"; "auto" is the first three as far as they apply, ETS where
        statsmodels is installed.

    Returns
    -------
    Backtest
        It prints as a table; ``scores`` and ``by_step`` have the numbers.

    Raises
    ------
    TypeError, ValueError, ImportError
        As :meth:`cross_validation`.
    """
    windows, _, _ = rolled(
        self, df, static_df, n_windows=n_windows, step_size=step_size, h=h, level=level, refit=refit,
        baselines=baselines,
    )  # fmt: skip
    return Backtest(windows, self.season_length, levels_of(level))
