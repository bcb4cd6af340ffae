"""Writes docs/performance.md, and beside it a page for each topic with every case."""

import argparse
import datetime
import sys
from pathlib import Path

from . import tables
from .records import RECORDS, ROOT, Record, best_build, by_machine, kind, latest, read

PAGE = ROOT / "docs" / "performance.md"

HOW = """\
`make bench-report` measures and writes this page; nothing on it is written by hand but the reasons
(`bench/report/reasons.py`). `make bench-peers` before it measures the other libraries. On another machine
`python -m report.gather --out FILE` (in `bench/`) measures, and `make bench-report RECORDS="FILE FILE"` makes the page
from the files of several machines.

Times are medians. A limit (copying, reading, multiply-adds in registers) is measured in the same run, on the same
build and threads; the share of the limit is the least time in which the machine could have done the work over the
time it took. Where memory is the limit only large arrays count: what fits a cache may be faster than memory. The
cases and their sizes: `bench/cases/`.
"""
PEERS_INTRO = """\
What the peer takes over what fastdl takes, time, memory or size, each pair in turn in one process on equally many
threads (commit {commit}). The picture has every row, those that fastdl loses in orange.
"""
NO_PEERS = "There are no records of other libraries here: `make bench-peers`, then `make bench-report`.\n"
SHORT_INTRO = """\
Every row that is less than {faster} times as fast as the best peer, and every one below {enough} of the machine's
limit. A row with **{none}** is work to be done: {count} of them here.
"""
SHARES = """\
The geometric means of the shares of the limit that count, by build and threads, and of how many times as long the
NumPy reference takes at the middle size:
"""
SWEEPS = """\
One thread, float32. LSTM, GRU and RNN forward and backward at T 64, B 16, I = H = 64 with one of them varied; N
elements of an array. The slope is that of the logarithms, 1 where twice the size takes twice the time; a range counts
as linear where its slope is within 0.1 of 1 and no point is 15 % off the line.
"""
TOPIC = """\
By build and threads, at the large size unless the head says otherwise: the median time, what moves (GB/s) or is
computed (GFLOP/s), whichever limits the case, and **the share of the machine's limit** where it says something. The
last column is how many times as long the NumPy reference takes. The summary is in
[performance.md](../performance.md), the cases are in `bench/cases/`.
"""


def write(records: list[Record], page: Path = PAGE) -> list[Path]:
    """Write the pages; the files written."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(performance(records, page.stem), encoding="utf-8")
    written = [page]
    for topic in dict.fromkeys(row["topic"] for row in kind(records, "row")):
        path = page.with_suffix("") / f"{topic}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(topic_page(records, topic), encoding="utf-8")
        written.append(path)
    return written


def performance(records: list[Record], pictures: str = "performance") -> str:
    """The page, with its pictures in the folder of that name."""
    machines = list(by_machine(records).items())
    names = _listing([label for label, _ in machines])
    parts = [f"# Performance\n\nMeasured on {names}, {datetime.date.today():%B %Y}.\n\n{HOW}"]
    for number, (label, own) in enumerate(machines, 1):
        suffix = f"-{number}" if number > 1 else ""
        title = f"\n# {label}\n" if len(machines) > 1 else ""
        parts += [title, *_machine(own, f"{pictures}/", suffix)]
    return "\n".join(part for part in parts if part)


def _machine(records: list[Record], folder: str, suffix: str) -> list[str]:
    """The sections of one machine."""
    peers, sweeps, best = kind(records, "peer"), kind(records, "sweep"), best_build(records)

    def picture(name: str, text: str) -> str:
        return f"![{text}]({folder}{name}{suffix}.svg)\n"

    parts = ["## Against other libraries\n"]
    if peers:
        parts += [picture("peers", "Speed against other libraries"), PEERS_INTRO.format(commit=peers[0]["of"])]
        parts += [tables.against_peers(peers), *tables.notes(peers)]
    else:
        parts += [NO_PEERS]
    parts += ["## Against the machine\n", picture(f"roofline-{best}", f"Build {best} against the machine's limits")]
    parts += [_about(records), SHARES, tables.topics(records)]
    others = [build for build in tables.builds(records) if build != best]
    if others:
        parts += [
            "The other builds: " + ", ".join(f"[{one}]({folder}roofline-{one}{suffix}.svg)" for one in others) + ".\n"
        ]
    parts += ["The limits:\n", tables.limits(records)]
    if len(tables.threads(records)) > 1:
        parts += ["## Threads\n", picture("threads", "Speed by number of threads")]
    if sweeps:
        parts += [
            "## Is the cost linear?\n",
            picture("cost", "Cost against T, B, H and N"),
            SWEEPS,
            tables.growths(records),
        ]
    return parts + _short(records, peers)


def _short(records: list[Record], peers: list[Record]) -> list[str]:
    """Where fastdl falls short: a section that is never left out."""
    (of_peers, without), (of_limits, more) = tables.below_peers(peers), tables.below_limits(records)
    values = {"faster": tables.FASTER, "enough": tables.ENOUGH, "none": tables.NONE_GIVEN, "count": without + more}
    parts = ["## Where fastdl falls short\n", SHORT_INTRO.format(**values)]
    parts += [f"### Less than {tables.FASTER} times as fast as the best peer\n", of_peers if peers else NO_PEERS]
    return [*parts, f"### Below {tables.ENOUGH} of the machine's limit\n", of_limits]


def _about(records: list[Record]) -> str:
    """Versions and commit."""
    versions = kind(records, "machine")[-1]["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{named}; commit {records[0]['commit']}.\n"


def _listing(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def topic_page(records: list[Record], topic: str) -> str:
    """Every case of a topic, a table for each machine."""
    parts = [f"# Performance: {topic}\n", TOPIC]
    for label, own in by_machine(records).items():
        parts += [f"## {label}\n", tables.topic(own, topic)]
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m report.write", description=__doc__)
    parser.add_argument("records", nargs="*", type=Path, default=[RECORDS])
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    for path in write(latest(read(arguments.records)), arguments.page):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
