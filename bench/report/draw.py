"""The pictures of the report, as small SVG files that come out the same for the same records."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .data import DTYPES, Machine, mean

# Okabe and Ito's colours, told apart by every kind of sight; the last ones are the palest.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
BLUE, ORANGE, BLACK = COLOURS[0], COLOURS[1], COLOURS[-1]
MARKERS = "osD^vP*X"
STYLE = Path(__file__).with_name("style.mplstyle")
SCALED = (  # what the threads picture shows, by case
    "recurrent.lstm_forward", "recurrent.lstm_backward", "recurrent.gru_forward", "recurrent.rnn_forward[tanh]",
    "sequence.ctc_loss", "sequence.dot_attention_forward", "dense.linear_forward", "dense.softmax_cross_entropy",
    "dense.tanh", "dropout.dropout_forward[p=0.5]", "random.words_to_normal", "optim.adam_update", "norms.norm[ord=2]",
)  # fmt: skip


def draw(machines: list[Machine], folder: Path) -> list[Path]:
    """Draw what there are records for; the files written."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ImportError("the pictures of the report need matplotlib: pip install 'fastdl[bench]'") from error
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(fname=STYLE):
        for number, machine in enumerate(machines, 1):
            for name, figure in _figures(machine):
                written.append(folder / f"{name}{suffix(number)}.svg")
                figure.savefig(written[-1], metadata={"Date": None})
    return written


def suffix(number: int) -> str:
    """What the names of the second machine's pictures and on end in."""
    return f"-{number}" if number > 1 else ""


def _figures(machine: Machine) -> Iterator[tuple[str, Any]]:
    for build in machine.builds:
        yield f"roofline-{build}", _roofline(machine, build)
    if len(machine.threads) > 1:
        yield "threads", _threads(machine)
    if len(machine.sweeps):
        yield "cost", _cost(machine)
    if len(machine.peers):
        yield "peers", _peers(machine.peers)


# ---- how near the limits ------------------------------------------------------------------------------
def _roofline(machine: Machine, build: str) -> Any:
    rows, most = machine.rows, machine.threads[-1]
    rows = rows[(rows.build == build) & (rows.threads == most) & rows.counts]
    figure, (left, right) = _figure(11, 4.6, 2)
    title = "a disc (float32) or square (float64) for each kernel, lines for what the machine can do"
    figure.suptitle(f"Build {build}, {_threads_text(most)}: {title}", fontsize=11)
    _bandwidths(left, rows[rows.limit != "multiply_adds"])
    _intensities(right, rows[rows.limit == "multiply_adds"], rows.groupby("dtype").first())
    return figure


def _bandwidths(axes: Any, rows: pd.DataFrame) -> None:
    """GB/s of what memory limits, a line of dots for each topic."""
    topics = list(rows.topic.unique())[::-1]
    for name, text, colour in (("copy", "copying", BLUE), ("read", "reading", ORANGE)):
        for dtype, marker in zip(DTYPES, MARKERS, strict=False):
            own = rows[(rows.limit == name) & (rows.dtype == dtype)].sort_values(["gbytes_s"])
            # Dots of one line are set one above the other, in turn, so that none hides another.
            lines = own.topic.map(topics.index) + 0.12 * (np.arange(len(own)) % 5 - 2)
            axes.plot(own.gbytes_s, lines, marker, color=colour, alpha=0.6, markersize=5)
        if len(rows):
            limit = rows[f"most_{name}"].min() / 1e9
            axes.axvline(limit, color=colour, linewidth=1.5)
            axes.text(limit, len(topics) - 0.4, f" {text}", color=colour, rotation=45, va="bottom", fontsize=9)
    axes.set(xlabel="GB/s, of arrays that do not fit a cache")
    _lines_of(axes, topics)
    axes.set_xlim(left=0)


def _intensities(axes: Any, rows: pd.DataFrame, most: pd.DataFrame) -> None:
    """GFLOP/s against operations a byte, under the roof of memory and arithmetic."""
    rows = rows.assign(intensity=2 * rows.multiply_adds / (rows.read + rows.written))
    ends = (0.5 * rows.intensity.min(), 2 * rows.intensity.max()) if len(rows) else (0.5, 200.0)
    for dtype, style in zip(DTYPES, ("-", "--"), strict=False):
        if dtype in most.index:
            top, slope = 2e-9 * most.most_multiply_adds[dtype], 1e-9 * most.most_copy[dtype]
            x = np.array([ends[0], np.clip(top / slope, *ends), ends[1]])
            axes.plot(x, np.minimum(top, slope * x), style, color=BLACK, linewidth=1.2, label=f"limit, {dtype}")
    for (topic, own), colour in zip(rows.groupby("topic", sort=False), COLOURS, strict=False):
        for dtype, marker in zip(DTYPES, MARKERS, strict=False):
            part, label = own[own.dtype == dtype], topic if dtype == DTYPES[0] else None
            axes.plot(part.intensity, part.gflops, marker, color=colour, alpha=0.7, label=label)
    _round_numbers(axes.xaxis, ends)
    _round_numbers(axes.yaxis, [*rows.gflops, *(2e-9 * most.most_multiply_adds)])
    axes.set(xlabel="operations a byte", ylabel="GFLOP/s")
    axes.figure.legend(loc="outside right center", fontsize=8)


# ---- against others -------------------------------------------------------------------------------------
def _peers(peers: pd.DataFrame) -> Any:
    """A line for each kind of work, a dot for each shape and peer; what fastdl loses has another colour."""
    order = list(peers.groupby("work").ratio.agg(mean).sort_values().index)
    figure, (axes,) = _figure(9, 1.3 + 0.36 * len(order))
    for (peer, own), marker in zip(peers.groupby("peer"), MARKERS, strict=False):
        for part, colour in ((own[own.ratio >= 1], BLUE), (own[own.ratio < 1], ORANGE)):
            if len(part):
                axes.plot(part.ratio, part.work.map(order.index), marker, color=colour, alpha=0.6)
        axes.plot([], [], marker, color="0.4", label=peer)
    axes.axvline(1, color=BLACK, linewidth=1.2)
    _round_numbers(axes.xaxis, [0.8, 2.0, *peers.ratio])
    axes.set(xlabel="what the peer takes over what fastdl takes: right of 1 fastdl wins")
    _lines_of(axes, order)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=peers.peer.nunique())
    return figure


# ---- threads, and sizes -----------------------------------------------------------------------------------
def _threads(machine: Machine) -> Any:
    """How many times as fast as on one thread: a line for each kernel, a dot for each number of threads."""
    rows = machine.rows.query("build == @machine.best and size == 'large' and dtype == 'float32'")
    seconds = rows.pivot(index="case", columns="threads", values="seconds")
    seconds = seconds.reindex([name for name in reversed(SCALED) if name in seconds.index])
    figure, (axes,) = _figure(9, 1.3 + 0.32 * len(seconds))
    for number, colour in zip(machine.threads[1:], COLOURS, strict=False):
        axes.axvline(number, color=colour, linewidth=1.2, linestyle="--")
        speed = seconds[1] / seconds[number]
        axes.plot(speed, range(len(speed)), "o", color=colour, label=_threads_text(number))
    axes.set(xlabel=f"speed over one thread ({machine.best}, float32, large); dashed: as many times as threads")
    axes.set_xticks(machine.threads)
    axes.set_xlim(left=0)
    _lines_of(axes, seconds.index)
    figure.legend(loc="outside upper center", ncols=len(machine.threads))
    return figure


def _cost(machine: Machine) -> Any:
    """Milliseconds against T, B, H and N, with the slope of proportion beside."""
    found = list(machine.points())
    names = list(dict.fromkeys(axis for _, axis, _ in found))
    figure, panels = _figure(11, 3.6, max(1, len(names)))
    for axes, axis in zip(panels, names, strict=False):
        own = pd.DataFrame({name: 1e3 * points for name, other, points in found if other == axis})
        own["in proportion"] = own.index * (own.iloc[-1, 0] / own.index[-1])
        styles = [*(f"{marker}-" for marker in MARKERS[: own.shape[1] - 1]), ":"]
        own.plot(ax=axes, style=styles, color=[*COLOURS[: own.shape[1] - 1], "0.4"], markersize=4)
        _round_numbers(axes.xaxis, own.index)
        _round_numbers(axes.yaxis, own.to_numpy().ravel())
        axes.set_xlabel(axis)
        axes.legend(fontsize=8)
    panels[0].set_ylabel("ms")
    return figure


# ---- axes -------------------------------------------------------------------------------------------------
def _lines_of(axes: Any, names: Iterable[str]) -> None:
    """A line for each name, from below."""
    axes.set_yticks(range(len(list(names))), names)
    axes.set_ylim(-0.6, len(list(names)) - 0.4)


def _round_numbers(axis: Any, values: Iterable[float]) -> None:
    """Make an axis logarithmic, with few round numbers on it and a little room at the ends."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    low, high = (min(values), max(values)) if len(set(values)) > 1 else (1.0, 100.0)
    decades = math.log10(high / low)
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(EngFormatter() if high >= 1000 else "{x:g}")
    room = 10 ** (0.04 * max(decades, 1))
    axis.axes.set(**{f"{axis.axis_name}lim": (low / room, high * room)})


def _threads_text(number: int) -> str:
    return f"{number} thread" + ("s" if number > 1 else "")


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)  # no window system is asked for
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06)  # the reader's letters may be wider than matplotlib's
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])
