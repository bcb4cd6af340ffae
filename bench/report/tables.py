"""The tables of the report, as Markdown."""

import statistics
from collections.abc import Iterable, Sequence

from .reasons import NONE_GIVEN, of_limit, of_peer, of_sweep
from .records import Record, best_build, builds, counts, kind, limits_of, threads
from .sweeps import growth, points_of

ENOUGH, FASTER = 0.8, 1.1  # of the limit; times the best peer
UNITS = {"copy": "copying", "read": "reading", "multiply_adds": "multiply-adds"}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table whose last columns, as many as `numbers`, are numbers and the others text."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) - numbers) + "--:|" * numbers]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows]) + "\n"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds / 1e-9)} ns"


def _three(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


# ---- the machine ----------------------------------------------------------------------------------------
def limits(records: list[Record]) -> str:
    """What was measured as the most this machine does, the median over the topics."""
    groups: dict[tuple, list[Record]] = {}
    for row in kind(records, "row"):
        groups.setdefault((row["build"], row["threads"]), []).append(row)
    lines = []
    for build in builds(records):
        for number in threads(records):
            own = groups.get((build, number), [])
            peaks = [limits_of([row for row in own if row["dtype"] == dtype]) for dtype in ("float32", "float64")]
            if all(peaks):
                memory = limits_of(own)
                cells = [memory["copy"] / 1e9, memory["read"] / 1e9, *(2 * one["multiply_adds"] / 1e9 for one in peaks)]
                lines.append([build, str(number), *map(_three, cells)])
    heads = ("build", "threads", "copying, GB/s", "reading, GB/s", "float32, GFLOP/s", "float64, GFLOP/s")
    return table(heads, lines, numbers=5)


def topics(records: list[Record]) -> str:
    """A line a topic: the geometric mean of the shares that count, on each build and number of threads."""
    rows = [row for row in kind(records, "row") if counts(row)]
    columns = _columns(records)
    names = dict.fromkeys(row["topic"] for row in rows)
    lines = []
    for topic in names:
        own = [row for row in rows if row["topic"] == topic]
        shares = [[row["share"] for row in own if (row["build"], row["threads"]) == column] for column in columns]
        cells = [f"{statistics.geometric_mean(values):.2f}" if values else "" for values in shares]
        ratios = [
            row["reference_ratio"] for row in kind(records, "row") if row["topic"] == topic and row["reference_ratio"]
        ]
        against = f"{statistics.geometric_mean(ratios):.1f}" if ratios else ""
        cases = len({row["case"] for row in kind(records, "row") if row["topic"] == topic})
        lines.append([f"[{topic}](performance/{topic}.md)", str(cases), *cells, against])
    heads = ["topic", "cases", *(f"{build}, {number}" for build, number in columns), "x reference"]
    return table(heads, lines, numbers=len(heads) - 1)


def _columns(records: list[Record]) -> list[tuple[str, int]]:
    """Build and threads: one thread, two, and the most."""
    several = threads(records)
    shown = sorted({number for number in several if number <= 2} | {several[-1]})
    return [(build, number) for build in builds(records) for number in shown]


def topic(records: list[Record], name: str) -> str:
    """Every case of a topic: on each build and number of threads the time, the rate and the share of the limit."""
    groups: dict[tuple, dict[tuple, Record]] = {}
    for row in kind(records, "row"):
        if row["topic"] == name:
            own = groups.setdefault((row["case"], row["dtype"]), {})
            own[row["size"], row["build"], row["threads"]] = row
    columns = [("large", *column) for column in _columns(records)] + [("medium", *_fastest(records))]
    lines = []
    for (case, dtype), own in groups.items():
        cells = [_cell(own[column]) if column in own else "" for column in columns]
        ratio = own.get(columns[-1], {}).get("reference_ratio")
        lines.append([case.partition(".")[2], dtype, *cells, f"{ratio:.1f}" if ratio else ""])
    heads = [", ".join(map(str, column[1:] if column[0] == "large" else column)) for column in columns]
    return table(["case", "dtype", *heads, "x reference"], lines, numbers=len(heads) + 1)


def _fastest(records: list[Record]) -> tuple[str, int]:
    """The build and threads on which the middle size and the reference are measured."""
    return best_build(records), threads(records)[-1]


def _cell(row: Record) -> str:
    """Time, rate in the unit of what limits the row, and the share where it says something."""
    rate = f"{_three(row['gflops'])} GF" if row["limit"] == "multiply_adds" else f"{_three(row['gbytes_s'])} GB"
    text = f"{duration(row['seconds'])}, {rate}" if row["gbytes_s"] or row["gflops"] else duration(row["seconds"])
    return text + (f", **{row['share']:.2f}**" if counts(row) else "")


# ---- sizes and peers ------------------------------------------------------------------------------------
def growths(records: list[Record]) -> str:
    """Whether the cost of each sweep is linear, over which range, and why not elsewhere."""
    lines = []
    for (sweep, axis), points in points_of(kind(records, "sweep")).items():
        found = growth(points)
        ends = f"{points[0][0]:,} to {points[-1][0]:,}"
        linear = "nowhere" if found.linear is None else f"{found.linear[0]:,} to {found.linear[1]:,}"
        linear = "everywhere" if linear == ends else linear
        reason = "" if linear == "everywhere" else of_sweep(sweep, axis, points, found)
        slopes = [f"{slope:.2f}" for slope in (found.slope, found.first, found.last)]
        lines.append([sweep, axis, ends, linear, reason, *slopes])
    heads = ("cost of", "against", "measured", "linear", "why not elsewhere", "slope", "small end", "large end")
    return table(heads, lines, numbers=3)


def against_peers(rows: list[Record]) -> str:
    """A line for each work and peer: the geometric mean of the ratios, the least and the greatest."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        groups.setdefault((row["work"], f"{row['peer']} {row['version']}"), []).append(row["ratio"])
    lines = []
    for (work, peer), ratios in groups.items():
        lost = sum(ratio < 1 for ratio in ratios)
        cells = (statistics.geometric_mean(ratios), min(ratios), max(ratios))
        lines.append([work, peer, str(len(ratios)), f"**{lost}**" if lost else "0", *(f"{one:.2f}" for one in cells)])
    return table(("work", "peer", "rows", "lost", "geometric mean", "least", "greatest"), lines, numbers=5)


def notes(rows: list[Record]) -> list[str]:
    """Where a peer does not do quite the same work, each note once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row["note"]:
            found.setdefault((row["peer"], row["note"]), {})[row["work"]] = None
    return [f"* {peer}, {', '.join(works)}: {note}\n" for (peer, note), works in found.items()]


# ---- where it falls short ---------------------------------------------------------------------------------
def below_peers(rows: list[Record]) -> tuple[str, int]:
    """The rows in which the best peer is not clearly slower, the worst first; how many have no reason."""
    groups: dict[tuple, list[Record]] = {}
    for row in rows:
        groups.setdefault((row["work"], row["shape"], row["dtype"], row["threads"]), []).append(row)
    best = [min(own, key=lambda row: row["ratio"]) for own in groups.values()]
    short = sorted((row for row in best if row["ratio"] < FASTER), key=lambda row: row["ratio"])
    reasons = [of_peer(row) for row in short]
    lines = []
    for row, text in zip(short, reasons, strict=True):
        own = duration(row["seconds"]) if "seconds" in row else f"{_three(row['bytes'] / 1e6)} MB"
        numbers = (str(row["threads"]), own, f"{row['ratio']:.2f}")
        lines.append([row["work"], row["shape"], row["dtype"], row["peer"], _reason(text), *numbers])
    heads = ("work", "shape", "dtype", "best peer", "why", "threads", "fastdl", "peer over fastdl")
    return (table(heads, lines, numbers=3) if lines else "None.\n"), reasons.count(None)


def below_limits(records: list[Record]) -> tuple[str, int]:
    """A line for each case and reason: the shares below the limit on each build; how many have no reason."""
    columns = builds(kind(records, "row"))
    rows = [row for row in kind(records, "row") if counts(row)]
    groups: dict[tuple, list[Record]] = {}
    for row in rows:
        if row["share"] < ENOUGH:
            groups.setdefault((row["case"], row["limit"], of_limit(row)), []).append(row)
    lines = []
    for (case, limit, reason), own in groups.items():
        cells = [_span([row["share"] for row in own if row["build"] == build]) for build in columns]
        lines.append([case, UNITS[limit], _reason(reason), *cells])
    text = table(("case", "limit", "why", *columns), lines, numbers=len(columns)) if lines else "None.\n"
    return text, sum(reason is None for *_, reason in groups)


def _span(shares: list[float]) -> str:
    """From the least share to the greatest."""
    if not shares:
        return ""
    low, high = f"{min(shares):.2f}", f"{max(shares):.2f}"
    return low if low == high else f"{low} to {high}"


def _reason(text: str | None) -> str:
    return text or f"**{NONE_GIVEN}**"
