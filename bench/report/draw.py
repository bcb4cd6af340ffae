"""The pictures of the report, as small SVG files that come out the same for the same records."""

import argparse
import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from records import (
    DTYPES,
    RECORDS,
    ROOT,
    Record,
    best_build,
    builds,
    by_machine,
    counts,
    kind,
    latest,
    limits_of,
    read,
    threads,
)

from .sweeps import points_of

FOLDER = ROOT / "docs" / "performance"
# Okabe and Ito's colours, told apart by every kind of sight; the last ones are the palest.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
BLUE, ORANGE, BLACK = COLOURS[0], COLOURS[1], COLOURS[-1]
MARKERS = "osD^vP*X"
STYLE = {
    "svg.hashsalt": "fastdl",  # else the ids are random
    "svg.fonttype": "none",  # text stays text: a tenth of the size
    "font.size": 10,
    **{f"axes.spines.{side}": False for side in ("top", "right")},
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "figure.facecolor": "white",  # the page may be dark
    "savefig.facecolor": "white",
}
SCALED = (  # what the threads picture shows, by case
    *(f"recurrent.{name}" for name in ("lstm_forward", "lstm_backward", "gru_forward", "rnn_forward[tanh]")),
    *("sequence.ctc_loss", "sequence.dot_attention_forward", "dense.linear_forward", "dense.softmax_cross_entropy"),
    *(
        "dense.tanh",
        "dropout.dropout_forward[p=0.5]",
        "random.words_to_normal",
        "optim.adam_update",
        "norms.norm[ord=2]",
    ),
)


def draw(records: list[Record], folder: Path = FOLDER) -> list[Path]:
    """Draw what there are records for; the files written."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ImportError("the pictures of the report need matplotlib: pip install 'fastdl[plot]'") from error
    written = []
    with mpl.rc_context(STYLE):
        for name, figure in _figures(records):
            path = folder / f"{name}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={"Date": None})
            written.append(path)
    return written


def _figures(records: list[Record]) -> Iterable[tuple[str, Any]]:
    """Name and figure; those of a second machine and on end in its number."""
    for number, own in enumerate(by_machine(records).values(), 1):
        suffix = f"-{number}" if number > 1 else ""
        for build in builds(kind(own, "row")):
            yield f"roofline-{build}{suffix}", _roofline(own, build)
        if len(threads(own)) > 1:
            yield f"threads{suffix}", _threads(own)
        if kind(own, "sweep"):
            yield f"cost{suffix}", _cost(own)
        if kind(own, "peer"):
            yield f"peers{suffix}", _peers(kind(own, "peer"))


# ---- how near the limits ------------------------------------------------------------------------------
def _roofline(records: list[Record], build: str) -> Any:
    most = threads(records)[-1]
    rows = [row for row in kind(records, "row") if (row["build"], row["threads"]) == (build, most) and counts(row)]
    limits = {dtype: limits_of([row for row in rows if row["dtype"] == dtype]) for dtype in DTYPES}
    figure, (left, right) = _figure(11, 4.6, 2)
    title = "a disc (float32) or square (float64) for each kernel, lines for what the machine can do"
    figure.suptitle(f"Build {build}, {_threads_text(most)}: {title}", fontsize=11)
    _bandwidths(left, [row for row in rows if row["limit"] != "multiply_adds"], limits)
    _intensities(right, [row for row in rows if row["limit"] == "multiply_adds"], limits)
    return figure


def _bandwidths(axes: Any, rows: list[Record], limits: dict[str, Record]) -> None:
    """GB/s of what memory limits, a line of dots for each topic."""
    topics = list(dict.fromkeys(row["topic"] for row in rows))[::-1]
    for name, text, colour in (("copy", "copying", BLUE), ("read", "reading", ORANGE)):
        for dtype, marker in zip(DTYPES, MARKERS, strict=False):
            own = [row for row in rows if (row["limit"], row["dtype"]) == (name, dtype)]
            _dots(axes, _spread([(row["gbytes_s"], topics.index(row["topic"])) for row in own]), marker, colour,
                  alpha=0.6, markersize=5)  # fmt: skip
        for limit in sorted({one[name] / 1e9 for one in limits.values() if one})[:1]:
            axes.axvline(limit, color=colour, linewidth=1.5)
            axes.text(limit, len(topics) - 0.4, f" {text}", color=colour, rotation=45, va="bottom", fontsize=9)
    axes.set(xlabel="GB/s, of arrays that do not fit a cache")
    _lines_of(axes, topics)
    axes.set_xlim(left=0)


def _spread(places: list[tuple[float, int]]) -> list[tuple[float, float]]:
    """Dots of one line set one above the other, in turn, so that none hides another."""
    return [(x, y + 0.12 * (number % 5 - 2)) for number, (x, y) in enumerate(sorted(places))]


def _intensities(axes: Any, rows: list[Record], limits: dict[str, Record]) -> None:
    """GFLOP/s against operations a byte, under the roof of memory and arithmetic."""
    points = [(2 * row["multiply_adds"] / (row["read"] + row["written"]), row) for row in rows]
    ends = [0.5 * min((x for x, _ in points), default=1.0), 2 * max((x for x, _ in points), default=100.0)]
    for dtype, style in zip(DTYPES, ("-", "--"), strict=False):
        if limits[dtype]:
            top, slope = 2 * limits[dtype]["multiply_adds"] / 1e9, limits[dtype]["copy"] / 1e9
            corner = min(max(top / slope, ends[0]), ends[1])
            roof = [(x, min(top, slope * x)) for x in (ends[0], corner, ends[1])]
            axes.plot(*zip(*roof, strict=True), style, color=BLACK, linewidth=1.2, label=f"limit, {dtype}")
    topics = list(dict.fromkeys(row["topic"] for _, row in points))
    for topic, colour in zip(topics, COLOURS, strict=False):
        for dtype, marker in zip(DTYPES, MARKERS, strict=False):
            own = [(x, row["gflops"]) for x, row in points if (row["topic"], row["dtype"]) == (topic, dtype)]
            _dots(axes, own, marker, colour, alpha=0.7, label=topic if dtype == DTYPES[0] else None)
    _round_numbers(axes.xaxis, ends)
    _round_numbers(
        axes.yaxis, [row["gflops"] for row in rows] + [2e-9 * one["multiply_adds"] for one in limits.values() if one]
    )
    axes.set(xlabel="operations a byte", ylabel="GFLOP/s")
    axes.figure.legend(loc="outside right center", fontsize=8)


# ---- against others -------------------------------------------------------------------------------------
def _peers(rows: list[Record]) -> Any:
    """A line for each kind of work, a dot for each shape and peer; what fastdl loses has another colour."""
    works: dict[str, list[Record]] = {}
    for row in rows:
        works.setdefault(row["work"], []).append(row)
    order = sorted(works, key=lambda work: statistics.geometric_mean(row["ratio"] for row in works[work]))
    figure, (axes,) = _figure(9, 1.3 + 0.36 * len(order))
    markers = dict(zip(sorted({row["peer"] for row in rows}), MARKERS, strict=False))
    for place, work in enumerate(order):
        for row in works[work]:
            _dots(axes, [(row["ratio"], place)], markers[row["peer"]], BLUE if row["ratio"] >= 1 else ORANGE, alpha=0.6)
    for peer, marker in markers.items():
        axes.plot([], [], marker, color="0.4", label=peer, linestyle="none")
    axes.axvline(1, color=BLACK, linewidth=1.2)
    _round_numbers(axes.xaxis, [0.8, 2.0, *(row["ratio"] for row in rows)])
    axes.set(xlabel="what the peer takes over what fastdl takes: right of 1 fastdl wins")
    _lines_of(axes, order)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=len(markers))
    return figure


# ---- threads, and sizes -----------------------------------------------------------------------------------
def _threads(records: list[Record]) -> Any:
    """How many times as fast as on one thread: a line for each kernel, a dot for each number of threads."""
    chosen = (best_build(records), "large", "float32")
    rows = [row for row in kind(records, "row") if (row["build"], row["size"], row["dtype"]) == chosen]
    seconds = {(row["case"], row["threads"]): row["seconds"] for row in rows}
    names = [name for name in SCALED if (name, 1) in seconds][::-1]
    figure, (axes,) = _figure(9, 1.3 + 0.32 * len(names))
    several = threads(records)[1:]
    for number, colour in zip(several, COLOURS, strict=False):
        axes.axvline(number, color=colour, linewidth=1.2, linestyle="--")
        places = [
            (seconds[name, 1] / seconds[name, number], y) for y, name in enumerate(names) if (name, number) in seconds
        ]
        _dots(axes, places, "o", colour, label=_threads_text(number))
    axes.set(xlabel=f"speed over one thread ({best_build(records)}, float32, large); dashed: as many times as threads")
    axes.set_xticks([1, *several])
    axes.set_xlim(left=0)
    _lines_of(axes, names)
    figure.legend(loc="outside upper center", ncols=len(several))
    return figure


def _cost(records: list[Record]) -> Any:
    """Milliseconds against T, B, H and N, with the slope of proportion beside."""
    points = points_of(kind(records, "sweep"))
    axis_names = list(dict.fromkeys(axis for _, axis in points))
    figure, panels = _figure(11, 3.6, len(axis_names))
    for axes, axis in zip(panels, axis_names, strict=True):
        own = {name: [(x, 1e3 * y) for x, y in values] for (name, other), values in points.items() if other == axis}
        for (name, values), colour, marker in zip(own.items(), COLOURS, MARKERS, strict=False):
            axes.plot(*zip(*values, strict=True), marker + "-", color=colour, markersize=4, label=name)
        (first, _), *_, (last, top) = next(iter(own.values()))
        axes.plot([first, last], [top * first / last, top], ":", color="0.4", label="in proportion")
        for line, place in ((axes.xaxis, 0), (axes.yaxis, 1)):
            _round_numbers(line, [point[place] for values in own.values() for point in values])
        axes.set_xlabel(axis)
        axes.legend(fontsize=8)
    panels[0].set_ylabel("ms")
    return figure


# ---- axes -------------------------------------------------------------------------------------------------
def _dots(axes: Any, places: list[Any], marker: str, colour: str, **look: Any) -> None:
    if places:
        axes.plot(*zip(*places, strict=True), marker, color=colour, markeredgewidth=0, **look)


def _lines_of(axes: Any, names: list[str]) -> None:
    """A line for each name, from below."""
    axes.set(yticks=range(len(names)), yticklabels=names)
    axes.set_ylim(-0.6, len(names) - 0.4)


def _round_numbers(axis: Any, values: list[float]) -> None:
    """Make an axis logarithmic, with few round numbers on it and a little room at the ends."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = (min(values), max(values)) if len(set(values)) > 1 else (1.0, 100.0)
    decades = math.log10(high / low)
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_short))
    room = 10 ** (0.04 * max(decades, 1))
    getattr(axis.axes, f"set_{axis.axis_name}lim")(low / room, high * room)


def _short(value: float, _place: int) -> str:
    """2, 50, 1 k, 2 M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _threads_text(number: int) -> str:
    return f"{number} thread" + ("s" if number > 1 else "")


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)  # no window system is asked for
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06)  # the reader's letters may be wider than matplotlib's
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m report.draw", description=__doc__)
    parser.add_argument("records", nargs="*", type=Path, default=[RECORDS])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    for path in draw(latest(read(arguments.records)), arguments.folder):
        print(f"{path}: {path.stat().st_size // 1024} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
