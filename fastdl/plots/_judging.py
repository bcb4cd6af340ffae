"""Pictures of how a model does: learning curve, confusion matrix, reliability diagram, forecasts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validate import choice, entry, integer, mapping, number, parts, real_values, text
from ._canvas import (
    MARKERS,
    SEQUENTIAL,
    axes_of,
    colour_bar,
    colours,
    drawable,
    heat_map,
    name_ticks,
    names_of,
    tidy,
    written_on,
)


def learning_curve(
    history: Any, metric: str = "loss", *, scale: float = 1.0, label: str | None = None, ax: Any = None
) -> Any:
    """Draw what a run has measured: every step, the epochs, and the validation data.

    Parameters
    ----------
    history : fastdl.training.History
    metric : str, default "loss"
        A column of the history; drawn beside it is its ``validation_`` twin, where there is one.
    scale : float, default 1.0
        Factor on the values, for example ``1 / math.log(2)`` for nats to bits.
    label : str, optional
        Name of the vertical axis, with its unit; default the metric's.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If there is no such column, or an argument is bad.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastdl as fd
    >>> history = fd.training.History()
    >>> history.losses += [2.0, 1.5, 1.2, 1.1]
    >>> history.epochs += [{"step": 2, "loss": 1.75, "validation_loss": 1.6},
    ...                    {"step": 4, "loss": 1.15, "validation_loss": 1.3}]
    >>> ax = fd.plots.learning_curve(history)
    >>> ax.get_xlabel(), len(ax.lines)
    ('step', 3)
    """
    rows, losses = _rows(history)
    columns = [name for name in (rows[0] if rows else ("step", "loss")) if name != "step"]
    choice("metric", metric, columns)
    most = float(np.finfo(np.float32).max)
    scale = number("scale", scale, -most, most)
    label = metric if label is None else text("label", label)
    steps = drawable("history.step", [entry("history", row, "step") for row in rows], (None,))
    ax = axes_of(ax)
    shown = colours(ax)
    if metric == "loss" and len(losses):
        each = drawable("history.losses", losses, (None,)) * scale
        ax.plot(
            np.arange(1, each.size + 1), each, color=shown.faint, alpha=0.6, linewidth=0.8, label="training, each step"
        )
    for i, (name, words) in enumerate(((metric, "training, epoch"), (f"validation_{metric}", "validation"))):
        there = [(step, row[name]) for step, row in zip(steps, rows, strict=True) if row.get(name) is not None]
        if there:
            x, y = np.array(there, np.float64).T
            marks = {"marker": MARKERS[i], "markersize": 5, "markevery": max(1, len(there) // 25)}
            ax.plot(x, y * scale, color=shown.lines[i], linewidth=2, label=words, **marks)
    tidy(ax, "step", label)
    if ax.lines:
        ax.legend(frameon=False)
    return ax


def _rows(history: Any) -> tuple[list[Mapping[str, Any]], Any]:
    if not isinstance(getattr(history, "epochs", None), list) or not hasattr(history, "losses"):
        raise TypeError(f"history: got {type(history).__name__}, expected a History")
    return [mapping("history", row, "an epoch's columns") for row in history.epochs], history.losses


def confusion_matrix(matrix: Any, labels: Any = None, *, ax: Any = None) -> Any:
    """Draw how often each class was taken for which: numbers are counts, colours the share of the true class.

    Parameters
    ----------
    matrix : array_like (C, C)
        Of :func:`fastdl.metrics.confusion_matrix`: rows are true, columns predicted; at least 0.
    labels : sequence (C,), optional
        Names of the classes; default their numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the matrix is none, has no class, or there are not as many names.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    Numbers are written in up to 20 classes.

    Examples
    --------
    >>> import fastdl as fd
    >>> table = fd.metrics.confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1])
    >>> ax = fd.plots.confusion_matrix(table, ["no", "yes"])
    >>> [one.get_text() for one in ax.texts]
    ['1', '1', '0', '2']
    """
    table = drawable("matrix", matrix, (None, None))
    size = len(table)
    if table.shape != (size, size) or not size or table.min() < 0:
        got = f"shape {table.shape}" if table.shape != (size, size) or not size else f"{table.min():g}"
        raise ValueError(f"matrix: got {got}, expected (C, C) numbers of at least 0")
    names = names_of("labels", labels, size, "class") or [str(i) for i in range(size)]
    ax = axes_of(ax, 2.6 + 0.5 * min(size, 16), 1.9 + 0.45 * min(size, 16))
    whole = table.sum(1, keepdims=True)
    share = np.divide(table, whole, out=np.zeros(table.shape), where=whole > 0)
    image = heat_map(ax, share, cmap=SEQUENTIAL, vmin=0, vmax=1)
    if size <= 20:
        for (row, column), value in np.ndenumerate(table):
            words = f"{value:.0f}" if value == round(value) and value < 1e6 else f"{value:.2g}"
            ax.text(column, row, words, ha="center", va="center", color=written_on(image, share[row, column]))
    name_ticks(ax.xaxis, names)
    name_ticks(ax.yaxis, names)
    if max(map(len, names)) > 3 and size > 4:
        ax.tick_params(axis="x", labelrotation=90)
    ax.set(xlabel="predicted", ylabel="true")
    colour_bar(image, ax, "share of the true class")
    return ax


def reliability_diagram(y_true: Any, y_proba: Any, *, bins: int = 10, ax: Any = None) -> Any:
    """Draw how often a model is right where it is so sure (docs/plots.md 8.21).

    Parameters
    ----------
    y_true : array_like (n,)
        The true classes: 0 or 1, or 0 to C - 1.
    y_proba : array_like (n,) or (n, C)
        Probabilities of class 1; or of all classes, of which the largest is looked at.
    bins : int, default 10
        Of equal width, at least 1 and at most 1,000.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or there is no sample.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    The expected calibration error in the title is the mean over samples of the distance of their bin from the
    diagonal. The area of a point grows with the samples in its bin.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks", 2017.

    Examples
    --------
    >>> import fastdl as fd
    >>> ax = fd.plots.reliability_diagram([0, 1, 1, 1], [0.2, 0.7, 0.7, 0.9], bins=5)
    >>> ax.get_title()
    'expected calibration error 0.225'
    """
    proba = drawable("y_proba", y_proba)
    if proba.ndim not in (1, 2) or not proba.size:
        raise ValueError(f"y_proba: got shape {proba.shape}, expected (n,) or (n, C), with one sample or more")
    if proba.min() < 0 or proba.max() > 1:
        raise ValueError(f"y_proba: got values from {proba.min():g} to {proba.max():g}, expected 0 to 1")
    classes = 2 if proba.ndim == 1 else proba.shape[1]
    true = drawable("y_true", real_values("y_true", y_true, "iub"))
    if true.shape != (len(proba),):
        raise ValueError(f"y_true: got shape {true.shape}, expected ({len(proba)},) as of y_proba")
    if true.min() < 0 or true.max() >= classes:
        raise ValueError(f"y_true: got values from {true.min():g} to {true.max():g}, expected 0 to {classes - 1}")
    bins = integer("bins", bins, 1, 1000)
    sure, right = (proba, true) if proba.ndim == 1 else (proba.max(1), (proba.argmax(1) == true).astype(float))
    place = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    there = count > 0
    x, y = (np.bincount(place, one, bins)[there] / count[there] for one in (sure, right))
    error = float((np.abs(x - y) * count[there]).sum() / len(sure))
    ax = axes_of(ax, 5.0, 4.6)
    shown = colours(ax)
    ax.plot([0, 1], [0, 1], "--", color=shown.faint, linewidth=1.2, label="as sure as right")
    ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=shown.lines[1], linewidth=2, label="gap")
    ax.plot(x, y, color=shown.lines[0], linewidth=1.5)
    sizes = 30 + 220 * count[there] / count.max()
    ax.scatter(x, y, s=sizes, color=shown.lines[0], alpha=0.85, zorder=3, label="samples in a bin")
    one = proba.ndim == 1
    tidy(
        ax, "probability" if one else "probability of the likeliest class", "share that is 1" if one else "share right"
    )
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=f"expected calibration error {error:.3g}")
    ax.legend(frameon=False, loc="upper left")
    return ax


def forecast(
    y_pred: Any, *, y_true: Any = None, past: Any = None, intervals: Any = None, times: Any = None, ax: Any = None
) -> Any:
    """Draw forecasts of a series, with intervals, what came before and what came true.

    Parameters
    ----------
    y_pred : array_like (n,)
        The forecasts.
    y_true : array_like (n,), optional
        What came true; NaN where nobody knows. Default not drawn.
    past : array_like (p,), optional
        What came before. Default not drawn.
    intervals : mapping of float to (lower, upper), optional
        By level between 0 and 1, both ends (n,). Default none.
    times : array_like (p + n,), optional
        Numbers or datetimes of all; default 1 - p to n, so that 1 is the first forecast's.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or lengths differ.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastdl as fd
    >>> ax = fd.plots.forecast([3.0, 4.0], past=[1.0, 2.0], intervals={0.8: ([2.5, 3.0], [3.5, 5.0])})
    >>> [one.get_text() for one in ax.get_legend().get_texts()]
    ['past', '80 %', 'forecast']
    """
    predicted = drawable("y_pred", y_pred, (None,))
    n = predicted.size
    if not n:
        raise ValueError("y_pred: got no forecast, expected one or more")
    before = drawable("past", [] if past is None else past, (None,))
    bands = _bands(intervals, n)
    true = None
    if y_true is not None:
        true = real_values("y_true", y_true, "fiub").astype(np.float64)
        drawable("y_true", np.where(np.isnan(true), 0, true), (n,))
    when = _times(times, before.size, n)
    ax = axes_of(ax, 8.0, 4.0)
    shown = colours(ax)
    if before.size:
        ax.plot(when[: before.size], before, color=shown.text, linewidth=1.4, label="past")
    x = when[before.size :]
    for i, (level, low, high) in enumerate(bands):
        alpha = min(0.22 + 0.18 * i, 0.8)
        ax.fill_between(x, low, high, color=shown.lines[0], alpha=alpha, linewidth=0, label=f"{100 * level:g} %")
    ax.plot(x, predicted, color=shown.lines[0], linewidth=2.2, label="forecast", marker="o" if n < 3 else None)
    if true is not None:
        ax.plot(x, true, color=shown.lines[1], linewidth=1.4, marker="o", markersize=3.5, label="came true")
    tidy(ax, "time" if times is not None else "steps ahead", "value")
    ax.legend(frameon=False)
    return ax


def _bands(intervals: Any, n: int) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Level and both ends, the widest first, so that narrower ones are drawn over it."""
    found = []
    for key, ends in mapping("intervals", {} if intervals is None else intervals, "levels to (lower, upper)").items():
        level = number("intervals", key, 0.0, 1.0)
        lower, upper = parts(f"intervals[{key!r}]", ends, "lower", "upper")
        low, high = (drawable(f"intervals[{key!r}]", one, (n,)) for one in (lower, upper))
        if (low > high).any():
            raise ValueError(f"intervals[{key!r}]: got lower ends above upper ones, expected (lower, upper)")
        found.append((level, low, high))
    return sorted(found, key=lambda one: -one[0])


def _times(times: Any, before: int, n: int) -> np.ndarray:
    if times is None:
        return np.arange(1 - before, n + 1)
    found = real_values("times", times, "fiubMO")
    if found.dtype.kind == "O":  # of datetime's
        try:
            found = found.astype("M8[us]")
        except (TypeError, ValueError, OverflowError):
            raise TypeError("times: got objects, expected numbers or datetimes") from None
    found = found if found.dtype.kind == "M" else drawable("times", found)
    if found.shape != (before + n,):
        raise ValueError(f"times: got shape {found.shape}, expected ({before + n},) as of the past and the forecasts")
    return found
