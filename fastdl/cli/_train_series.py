"""``fastdl train series``."""

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import saving
from .._files import replacing, save_picture, shown, try_replacing
from ._frames import column_of, installed, read_frame, write_frame
from ._shared import CommandError, bad_input, use_threads
from ._streams import note

MODEL, CURVE, REPORT, PICTURE, FORECASTS = (
    "model.safetensors", "history.csv", "report.md", "report.png", "forecasts.csv",
)  # fmt: skip
_LEVELS = (80, 95)


class Result(NamedTuple):
    """What was trained and measured."""

    model: Any
    measured: Any  # a Backtest
    facts: dict[str, str]


def run(arguments: argparse.Namespace) -> int:
    """Measure, train, and report."""
    use_threads(arguments.threads)
    frame = read_frame(arguments.file, arguments.encoding, arguments.separator, arguments.decimal)
    given = [("--time", arguments.time), ("--target", arguments.target), ("--series", arguments.series)]
    given += [(f"--{kind}", name) for kind in ("past", "future", "static") for name in getattr(arguments, kind)]
    for option, name in given:
        if name is not None:
            column_of(frame, name, option, arguments.file)
    folder = Path(arguments.out)
    with bad_input():
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, CURVE, REPORT, PICTURE, FORECASTS):
            try_replacing(folder / name)
    result = _result(arguments, frame)
    saving.save(result.model, folder / MODEL, metadata={"command": "train series", "target": arguments.target})
    return _write(folder, arguments, result)


def _result(arguments: argparse.Namespace, frame: Any) -> Result:
    with installed():
        from ..estimators._forecasting import GlobalForecaster, axis_of, season_of
    try:
        grid = axis_of(frame, arguments.time, arguments.series, arguments.freq)
        season = arguments.season or season_of(grid)
        model = GlobalForecaster(
            h=arguments.horizon, freq=grid.freq, season_length=season, cell=arguments.cell,
            hidden_size=arguments.hidden, dropout=arguments.dropout, epochs=arguments.epochs,
            input_size=arguments.input, learning_rate=arguments.lr, n_models=arguments.models,
            val_size=_held_out(frame, arguments), random_state=arguments.seed, verbose=not arguments.quiet,
            id_col=arguments.series, time_col=arguments.time, target_col=arguments.target,
            hist_exog_list=arguments.past or None, futr_exog_list=arguments.future or None,
            stat_exog_list=arguments.static or None,
        )  # fmt: skip
        frame = _known(frame, arguments)
        if not arguments.quiet:
            note(f"measuring forecasts of the last {arguments.horizon} steps")
        measured = model.backtest(frame, n_windows=arguments.windows, level=_LEVELS)
        if not arguments.quiet:
            note("training on all values")
        model.fit(frame)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{shown(arguments.file)}: {str(error).removeprefix('df')}") from None
    return Result(model, measured, _facts(frame, arguments, grid, season))


def _held_out(frame: Any, arguments: argparse.Namespace) -> int:
    """Values that errors are measured on: twice the horizon where series are long enough, as there are more origins."""
    longest = len(frame) if arguments.series is None else int(frame.groupby(arguments.series).size().max())
    h: int = arguments.horizon
    return 2 * h if longest >= 8 * h else h


def _known(frame: Any, arguments: argparse.Namespace) -> Any:
    """Without the rows after a series' last value: there the target is to be found."""
    known = frame[arguments.target].notna()
    if known.all():
        return frame
    if not known.any():
        raise CommandError(f"--target {shown(arguments.target)}: has no value")
    times = frame[arguments.time].where(known)
    last = times.max() if arguments.series is None else times.groupby(frame[arguments.series]).transform("max")
    return frame[frame[arguments.time] <= last]


def _facts(frame: Any, arguments: argparse.Namespace, grid: Any, season: int) -> dict[str, str]:
    """What the series are like."""
    y = frame[arguments.target]
    sizes = [len(frame)] if arguments.series is None else frame.groupby(arguments.series).size().tolist()
    covariates = [*arguments.past, *arguments.future, *arguments.static]
    return {
        "series": f"{len(sizes):,}",
        "values": f"{int(y.notna().sum()):,}, {min(sizes):,} to {max(sizes):,} a series",
        "time": f"{frame[arguments.time].min()} to {frame[arguments.time].max()}, step {grid.freq}",
        "season": f"{season} steps" if season > 1 else "none",
        "missing": f"{int(y.isna().sum()):,} rows without a value",
        "zeros": f"{100 * float((y == 0).mean()):.3g} % of the values",
        "covariates": ", ".join(_plain(one) for one in covariates) or "none",
    }


def _verdict(scores: dict[str, dict[str, float]]) -> str:
    own, others = scores["GlobalForecaster"]["mae"], {k: v["mae"] for k, v in scores.items() if k != "GlobalForecaster"}
    best = min(others, key=lambda name: others[name])
    if own < others[best]:
        return f"The network's mean absolute error is {100 * (1 - own / others[best]):.3g} % below that of {best}."
    return f"The network is no better than {best}, which is the simpler one."


def _table(scores: dict[str, dict[str, float]]) -> str:
    """The scores, as columns of text that Markdown reads as a table."""
    names = list(scores["GlobalForecaster"])
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for method, row in scores.items():
        lines.append(f"| {method} | " + " | ".join(f"{row[one]:.4g}" if one in row else "" for one in names) + " |")
    return "\n".join(lines)


def _report(arguments: argparse.Namespace, result: Result, pictured: bool) -> str:
    measured = result.measured
    lines = [
        f"# {_plain(arguments.target)}", "",
        f"{_plain(arguments.file)}: forecasts of {arguments.horizon} steps, {measured.forecasts:,} of "
        f"{measured.series:,} series, of ends that no method had seen.", "",
        _table(measured.scores), "", _verdict(measured.scores), "",
        "mae and rmse are in units of the values, smape in per cent, mase in those of the seasonal naive forecast's "
        "errors in the past; coverage is the share of values inside the intervals.", "",
        "## Data", "", "| | |", "|---|---|",
    ]  # fmt: skip
    lines += [f"| {name} | {text} |" for name, text in result.facts.items()]
    lines += ["", "## Mean absolute error by step ahead", "", "| step | " + " | ".join(measured.by_step) + " |"]
    lines.append("|---:|" + "---:|" * len(measured.by_step))
    for step in range(arguments.horizon):
        row = " | ".join(f"{one[step]:.3g}" for one in measured.by_step.values())
        lines.append(f"| {step + 1} | {row} |")
    lines += ["", "Errors are in units of each series' mean absolute seasonal step.", ""]
    if pictured:
        lines += [f"![Forecasts]({PICTURE})", ""]
    return "\n".join(lines)


def _write(folder: Path, arguments: argparse.Namespace, result: Result) -> int:
    """All files but the model's; what cannot be written is worth a message, and status 1."""
    figure = None
    if not arguments.future:
        figure = _picture(result.model)
    text = _report(arguments, result, figure is not None)
    writing: dict[str, Callable[[Path], Any]] = {
        REPORT: functools.partial(_write_text, text),
        CURVE: result.model.history_[0].to_csv,
    }
    if not arguments.future:
        found = result.model.predict(level=_LEVELS)
        writing[FORECASTS] = lambda place: write_frame(found, str(place))
    if figure is not None:
        writing[PICTURE] = functools.partial(save_picture, figure)
    failed = False
    for name, write in writing.items():
        try:
            write(folder / name)
        except OSError as error:
            note(f"error: {folder / name}: {error.strerror}")
            failed = True
    sys.stdout.write(f"{result.measured}\nmodel in {folder / MODEL}, report in {folder / REPORT}\n")
    return 1 if failed else 0


def _picture(model: Any) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        note(f"no {PICTURE}: matplotlib is not installed")
        return None
    count = min(4, model.n_series_)
    figure = Figure(figsize=(8, 1.5 + 2.6 * count), layout="constrained")
    FigureCanvasAgg(figure)
    model.plot(ax=list(np.ravel(figure.subplots(count, 1))))
    return figure


def _write_text(text: str, path: Path) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def _plain(text: str) -> str:
    """Foreign text in Markdown."""
    return shown(text).replace("|", r"\|").replace("<", "&lt;")
