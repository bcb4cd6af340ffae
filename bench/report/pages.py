"""Writes docs/performance.md, beside it a page a topic and the list of open work, and the README's rows of speed."""

import argparse
import datetime
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from measure import UNITS
from records import (
    RECORDS,
    ROOT,
    Record,
    best_build,
    builds,
    by_machine,
    counts,
    duration,
    kind,
    latest,
    limits_of,
    machine,
    megabytes,
    read,
    threads,
    three,
)

from .reasons import NONE_GIVEN, of_limit, of_peer, of_sweep
from .sweeps import growth, points_of

PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
BEGIN, END = "<!-- speed: written by make bench-report -->\n", "<!-- end of speed -->\n"
ENOUGH, FASTER = 0.8, 1.1  # of the limit; times the best peer: below is open work
SPEED = {  # the rows of the README, by case
    "recurrent.LSTM": "LSTM layers, forward and backward",
    "recurrent.GRU": "GRU layers, forward and backward",
    "recurrent.LSTM[ragged]": "an LSTM layer over a ragged batch, half filled",
    "training.language_model[characters]": "a training step of the character model",
    "training.Adam": "a step of Adam",
    "training.dropout": "dropout, forward and backward",
}
FIRST = "PyTorch"  # what they are against

HOW = """\
**What.** Every work that another library has too, at sizes from one step of one sample to what fills both cores for a
second: recurrent layers (also those of twelve programs that people use), training steps, optimizers, norms, dropout,
losses, attention. And every public function with a kernel, against the NumPy reference and against the machine.

**How.** fastdl and one other library in one process, in turn, on equally many threads, from the same arrays; results
are compared before anything is timed, and numbers are medians. A limit of the machine (copying, reading, multiply-adds
in registers) is measured in the same run, on the same build and threads; the share of the limit is the least time in
which the machine could have done the work over the time it took. Where memory is the limit only large arrays count:
what fits a cache may be faster than memory. `make bench-peers` and then `make bench-report` measure and write this
page; `fastdl bench` takes a minute for some of it. How to add a row: [Contribute](contribute/index.md).
"""
NO_PEERS = "There are no records of other libraries here: `make bench-peers`, then `make bench-report`.\n"
RATIOS = """\
How many times as long as fastdl each takes (time, memory or size), the geometric mean over the shapes of a work;
**bold** where fastdl loses one of them. Commit {commit}. The picture has every row, those that fastdl loses in orange.
"""
LOSES = "Every row in which another library is faster, or takes less, the worst first.\n"
SHARES = """\
The geometric means of the shares of the limit that count, by build and threads, and of how many times as long the
NumPy reference takes at the middle size:
"""
SWEEPS = """\
One thread, float32. LSTM, GRU and RNN forward and backward at T 64, B 16, I = H = 64 with one of them varied; N
elements of an array. The slope is that of the logarithms, 1 where twice the size takes twice the time; a range counts
as linear where its slope is within 0.1 of 1 and no point is 15 % off the line.
"""
OPEN = """\
# Open work

For who works on fastdl: every row less than {faster} times as fast as the best other library, and every one below
{enough} of the machine's limit, with what is known about it (`bench/report/reasons.py`). **{none}** is work to be
done: {count} here. Written by `make bench-report`; the page for readers is [performance.md](../performance.md).
"""
TOPIC = """\
By build and threads, at the large size unless the head says otherwise: the median time, what moves (GB/s) or is
computed (GFLOP/s), whichever limits the case, and **the share of the machine's limit** where it says something. The
last column is how many times as long the NumPy reference takes. The summary is in
[performance.md](../performance.md), the cases are in `bench/cases/`.
"""


def write(records: list[Record], page: Path = PAGE, readme: Path | None = None) -> list[Path]:
    """Write the pages; the files written."""
    folder, machines = page.with_suffix(""), list(by_machine(records).items())
    texts = {page: performance(machines, page.stem), folder / "open.md": open_work(machines)}
    for name in dict.fromkeys(row["topic"] for row in kind(records, "row")):
        parts = [f"# Performance: {name}\n", TOPIC, *(f"## {label}\n\n{topic(own, name)}" for label, own in machines)]
        texts[folder / f"{name}.md"] = "\n".join(parts)
    if readme:
        before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        texts[readme] = before + speed(machines[0][1]) + rest.partition(END)[2]
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def performance(machines: list[tuple[str, list[Record]]], pictures: str = "performance") -> str:
    """The page, with its pictures in the folder of that name."""
    labels = [label for label, _ in machines]
    parts = [f"# Performance\n\nMeasured on {' and '.join(labels)}, {datetime.date.today():%B %Y}.\n"]
    parts += [speed(machines[0][1]), "## What was compared, and how\n", HOW]
    for number, (label, own) in enumerate(machines, 1):
        title = [f"# {label}\n"] if len(machines) > 1 else []
        parts += [*title, *_machine(own, f"{pictures}/", f"-{number}" if number > 1 else "")]
    return "\n".join(parts)


def speed(records: list[Record]) -> str:
    """The rows of the README, the same in docs/performance.md, between their markers: one number a row."""
    lines = []
    for case, text in SPEED.items():
        own = [row["ratio"] for row in kind(records, "peer") if (row["case"], row["peer"]) == (case, FIRST)]
        if own:
            shapes = f", {len(own)} shapes" if len(own) > 1 else ""
            lines.append([text + shapes, f"{statistics.geometric_mean(own):.1f}"])
    rows = table(("", f"times as fast as {FIRST}"), lines, numbers=1) if lines else NO_PEERS
    where = f"On {machine(records[0])} ({best_build(records)} build, float32), in turn in one process, geometric means:"
    return f"{BEGIN}\n{where}\n\n{rows}\n{END}"


def _machine(records: list[Record], folder: str, suffix: str) -> list[str]:
    """The sections of one machine."""
    peers, sweeps, best = kind(records, "peer"), kind(records, "sweep"), best_build(records)

    def picture(name: str, text: str) -> str:
        return f"![{text}]({folder}{name}{suffix}.svg)\n"

    parts = ["## Against other libraries\n"]
    if peers:
        parts += [picture("peers", "Speed against other libraries"), RATIOS.format(commit=peers[0]["of"])]
        parts += [against_peers(peers), *notes(peers)]
    parts += ["## Where fastdl loses, and why\n", LOSES, lost(peers)] if peers else [NO_PEERS]
    parts += ["## Against the machine\n", picture(f"roofline-{best}", f"Build {best} against the machine's limits")]
    versions = ", ".join(f"{name} {version}" for name, version in kind(records, "machine")[-1]["versions"].items())
    parts += [f"{versions}; commit {records[0]['commit']}.\n", SHARES, topics(records)]
    others = ", ".join(f"[{one}]({folder}roofline-{one}{suffix}.svg)" for one in builds(records) if one != best)
    parts += [f"The other builds: {others}.\n"] if others else []
    parts += [
        "The limits:\n",
        limits(records),
        f"What is below them, and is open work: [{folder}open.md]({folder}open.md).\n",
    ]
    if len(threads(records)) > 1:
        parts += ["## Threads\n", picture("threads", "Speed by number of threads")]
    if sweeps:
        parts += ["## Is the cost linear?\n", picture("cost", "Cost against T, B, H and N"), SWEEPS, growths(records)]
    return parts


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table whose last columns, as many as `numbers`, are numbers and the others text; "None." without rows."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) - numbers) + "--:|" * numbers]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines) + "\n" if len(lines) > 2 else "None.\n"


# ---- against other libraries ------------------------------------------------------------------------------
def against_peers(rows: list[Record]) -> str:
    """A line for each work, a column for each peer."""
    peers = list(dict.fromkeys(f"{row['peer']} {row['version']}" for row in rows))
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        groups.setdefault(row["work"], {}).setdefault(f"{row['peer']} {row['version']}", []).append(row["ratio"])
    lines = [[work, str(max(map(len, own.values()))), *(_mean(own.get(peer, [])) for peer in peers)]
             for work, own in groups.items()]  # fmt: skip
    return table(["work", "shapes", *peers], lines, numbers=1 + len(peers))


def _mean(ratios: list[float]) -> str:
    text = f"{statistics.geometric_mean(ratios):.2f}" if ratios else ""
    return f"**{text}**" if ratios and min(ratios) < 1 else text


def notes(rows: list[Record]) -> list[str]:
    """Where a peer does not do quite the same work, each note once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row["note"]:
            found.setdefault((row["peer"], row["note"]), {})[row["work"]] = None
    return [f"* {peer}, {', '.join(works)}: {note}\n" for (peer, note), works in found.items()]


def lost(rows: list[Record]) -> str:
    """The rows that fastdl loses, against whom and why."""
    lines = [
        [row["work"], row["shape"], row["peer"], of_peer(row) or "not known: [open work](performance/open.md)",
         _amount(row), f"{row['ratio']:.2f}"]
        for row in sorted(rows, key=lambda row: row["ratio"]) if row["ratio"] < 1
    ]  # fmt: skip
    return table(("work", "shape", "against", "why", "fastdl", "peer over fastdl"), lines, numbers=2)


def _amount(row: Record) -> str:
    return duration(row["seconds"]) if "seconds" in row else megabytes(row["bytes"])


# ---- against the machine ----------------------------------------------------------------------------------
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
                lines.append([build, str(number), *map(three, cells)])
    heads = ("build", "threads", "copying, GB/s", "reading, GB/s", "float32, GFLOP/s", "float64, GFLOP/s")
    return table(heads, lines, numbers=5)


def topics(records: list[Record]) -> str:
    """A line a topic: the geometric mean of the shares that count, on each build and number of threads."""
    columns, lines = _columns(records), []
    for name in dict.fromkeys(row["topic"] for row in kind(records, "row")):
        rows = [row for row in kind(records, "row") if row["topic"] == name]
        shares = [[row["share"] for row in rows if counts(row) and (row["build"], row["threads"]) == column]
                  for column in columns]  # fmt: skip
        ratios = [row["reference_ratio"] for row in rows if row["reference_ratio"]]
        cells = [f"{statistics.geometric_mean(values):.2f}" if values else "" for values in shares]
        cells.append(f"{statistics.geometric_mean(ratios):.1f}" if ratios else "")
        lines.append([f"[{name}](performance/{name}.md)", str(len({row["case"] for row in rows})), *cells])
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
    middle = ("medium", best_build(records), threads(records)[-1])  # where the reference is measured too
    columns = [*(("large", *column) for column in _columns(records)), middle]
    lines = []
    for (case, dtype), own in groups.items():
        ratio = own.get(middle, {}).get("reference_ratio")
        cells = [_cell(own[column]) if column in own else "" for column in columns]
        lines.append([case.partition(".")[2], dtype, *cells, f"{ratio:.1f}" if ratio else ""])
    heads = [", ".join(map(str, column[1:] if column[0] == "large" else column)) for column in columns]
    return table(["case", "dtype", *heads, "x reference"], lines, numbers=len(heads) + 1)


def _cell(row: Record) -> str:
    """Time, rate in the unit of what limits the row, and the share where it says something."""
    rate = f"{three(row['gflops'])} GF" if row["limit"] == "multiply_adds" else f"{three(row['gbytes_s'])} GB"
    text = f"{duration(row['seconds'])}, {rate}" if row["gbytes_s"] or row["gflops"] else duration(row["seconds"])
    return text + (f", **{row['share']:.2f}**" if counts(row) else "")


def growths(records: list[Record]) -> str:
    """Whether the cost of each sweep is linear, over which range, and why not elsewhere."""
    lines = []
    for (sweep, axis), points in points_of(kind(records, "sweep")).items():
        found = growth(points)
        ends = f"{points[0][0]:,} to {points[-1][0]:,}"
        linear = "nowhere" if found.linear is None else f"{found.linear[0]:,} to {found.linear[1]:,}"
        linear = "everywhere" if linear == ends else linear
        reason = "" if linear == "everywhere" else of_sweep(axis, found)
        slopes = [f"{slope:.2f}" for slope in (found.slope, found.first, found.last)]
        lines.append([sweep, axis, ends, linear, reason, *slopes])
    heads = ("cost of", "against", "measured", "linear", "why not elsewhere", "slope", "small end", "large end")
    return table(heads, lines, numbers=3)


# ---- open work ----------------------------------------------------------------------------------------------
def open_work(machines: list[tuple[str, list[Record]]]) -> str:
    parts, count = [], 0
    for label, records in machines:
        (of_peers, without), (of_limits, more) = below_peers(kind(records, "peer")), below_limits(records)
        parts += [f"## {label}\n", f"### Less than {FASTER} times as fast as the best peer\n", of_peers]
        parts += [f"### Below {ENOUGH} of the machine's limit\n", of_limits]
        count += without + more
    return "\n".join([OPEN.format(faster=FASTER, enough=ENOUGH, none=NONE_GIVEN, count=count), *parts])


def below_peers(rows: list[Record]) -> tuple[str, int]:
    """The rows in which the best peer is not clearly slower, the worst first; how many have no reason."""
    groups: dict[tuple, list[Record]] = {}
    for row in rows:
        groups.setdefault((row["work"], row["shape"], row["dtype"], row["threads"]), []).append(row)
    best = [min(own, key=lambda row: row["ratio"]) for own in groups.values()]
    short = sorted((row for row in best if row["ratio"] < FASTER), key=lambda row: row["ratio"])
    lines = [
        [row["work"], row["shape"], row["peer"], _reason(of_peer(row)), str(row["threads"]), _amount(row),
         f"{row['ratio']:.2f}"] for row in short
    ]  # fmt: skip
    heads = ("work", "shape", "best peer", "why", "threads", "fastdl", "peer over fastdl")
    return table(heads, lines, numbers=3), sum(of_peer(row) is None for row in short)


def below_limits(records: list[Record]) -> tuple[str, int]:
    """A line for each case and reason: the shares below the limit on each build; how many have no reason."""
    columns = builds(kind(records, "row"))
    groups: dict[tuple, list[Record]] = {}
    for row in kind(records, "row"):
        if counts(row) and row["share"] < ENOUGH:
            groups.setdefault((row["case"], row["limit"], of_limit(row)), []).append(row)
    lines = [
        [case, UNITS[limit], _reason(reason),
         *(_span([row["share"] for row in own if row["build"] == build]) for build in columns)]
        for (case, limit, reason), own in groups.items()
    ]  # fmt: skip
    text = table(("case", "limit", "why", *columns), lines, numbers=len(columns))
    return text, sum(reason is None for *_, reason in groups)


def _span(shares: list[float]) -> str:
    """From the least share to the greatest."""
    ends = [f"{end:.2f}" for end in (min(shares), max(shares))] if shares else [""]
    return " to ".join(dict.fromkeys(ends))


def _reason(text: str | None) -> str:
    return text or f"**{NONE_GIVEN}**"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m report.pages", description=__doc__)
    parser.add_argument("records", nargs="*", type=Path, default=[RECORDS])
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--readme", type=Path, help="whose rows of speed are written too")
    arguments = parser.parse_args()
    for path in write(latest(read(arguments.records)), arguments.page, arguments.readme):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
