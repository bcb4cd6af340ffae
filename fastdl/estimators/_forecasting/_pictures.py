"""Pictures of forecasts."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ... import plots
from ..._validate import integer, members
from ...plots._canvas import several_axes
from ._frames import positions
from ._grid import Grid
from ._intervals import levels_of
from ._series import Panel
from ._settings import NAME

_MOST = 4


def plot(
    self: Any, ids: Any = None, *, h: int | None = None, level: Any = None, history: int | None = None,
    futr_df: Any = None, ax: Any = None,
) -> Any:  # fmt: skip
    """Draw forecasts of the series fitted to, with what came before and their intervals.

    Parameters
    ----------
    ids : sequence, optional
        Which series, by name (by number for arrays); by default the first four.
    h : int, optional
        Steps; by default the setting's.
    level : float or sequence of float, optional
        Levels of intervals in per cent; by default 80 and 95 where errors are known.
    history : int, optional
        Values before the forecasts that are drawn; by default four times as many as are forecast, and two seasons.
    futr_df : data frame, optional
        As for :meth:`predict`.
    ax : matplotlib axes or sequence of them, optional
        Where to draw, one for each series; default a figure of its own.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If there is no such series, or as :meth:`predict`.
    ImportError
        If matplotlib is not installed.
    """
    check_is_fitted(self)
    panel, grid = Panel.unpacked(self._panel), Grid.of_state(self._axis)
    which = _which(panel, ids)
    settings, reader = self._known()
    steps = settings.h if h is None else integer("h", h, 1)
    if level is None and self.errors_ is not None:
        level = (80, 95)
    levels = levels_of(level)
    some = reader.extended(panel.chosen(which), futr_df, steps)
    found = self._forecast(some, settings, steps, level=levels or None)
    before = max(4 * steps, 2 * settings.given["season_length"]) if history is None else integer("history", history, 1)
    axes = several_axes(ax, len(which), 8.0, 2.6 if len(which) > 1 else 4.0)
    for i, one in enumerate(axes):
        values, end = some.values[i][-before:], int(some.ends[i])
        known = ~np.isnan(values)
        past = grid.times(end - values.size, end)[known]
        times = np.concatenate([np.asarray(past), np.asarray(grid.times(end, end + steps))])
        bands = {k / 100: (found[f"{NAME}-lo-{k:g}"][i], found[f"{NAME}-hi-{k:g}"][i]) for k in levels}
        plots.forecast(found[NAME][i], past=values[known], intervals=bands or None, times=times, ax=one)
        one.set_title(str(some.ids[i]).replace("$", r"\$"))
    return axes


def _which(panel: Panel, ids: Any) -> np.ndarray:
    if ids is None:
        return np.arange(min(_MOST, len(panel.ids)))
    wanted = members("ids", [ids] if isinstance(ids, (str, int)) else list(ids), "names of series")
    found = positions(wanted, list(panel.ids))
    if not wanted or (found < 0).any():
        raise ValueError(f"ids: got {wanted[int(np.argmin(found))] if wanted else 'none'!r}, expected a known series")
    return found
