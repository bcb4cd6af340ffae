"""Writes docs/performance.md, its pictures, beside it a page a topic and the list of open work, and the README's rows.

``python -m report.pages RECORDS --page PAGE --readme README``
"""

import argparse
import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from measure import UNITS
from records import RECORDS, ROOT

from . import draw
from .data import NONE_GIVEN, Machine, amount, duration, growth, load, mean, reason, reason_of_sweep, three

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

NO_PEERS = "There are no records of other libraries here: `make bench-peers`, then `make bench-report`.\n"
TEXT = Path(__file__).with_name("text")  # the pages' prose


def write(machines: list[Machine], page: Path = PAGE, readme: Path | None = None) -> list[Path]:
    """Write the pages; the files written."""
    folder = page.with_suffix("")
    texts = {page: performance(machines, page.stem), folder / "open.md": open_work(machines)}
    for name in dict.fromkeys(name for one in machines for name in one.rows.topic):
        parts = (f"## {one.label}\n\n{topic(one, name)}" for one in machines)
        texts[folder / f"{name}.md"] = _text("topic", name=name) + "\n".join(parts)
    if readme:
        before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        texts[readme] = before + speed(machines[0]) + rest.partition(END)[2]
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _text(page: str, **given: Any) -> str:
    return (TEXT / f"{page}.md").read_text(encoding="utf-8").format(**given)


def performance(machines: list[Machine], pictures: str = "performance") -> str:
    """The page, with its pictures in the folder of that name."""
    labels, month = " and ".join(one.label for one in machines), f"{datetime.date.today():%B %Y}"
    parts = [_text("performance", machines=labels, month=month, speed=speed(machines[0]))]
    for number, one in enumerate(machines, 1):
        parts += [f"# {one.label}\n\n"] if len(machines) > 1 else []
        parts += _machine(one, f"{pictures}/", draw.suffix(number))
    return "".join(parts)


def speed(machine: Machine) -> str:
    """The rows of the README, the same in docs/performance.md, between their markers: one number a row."""
    lines = []
    for case, text in SPEED.items():
        ratios = machine.peers.ratio[(machine.peers.case == case) & (machine.peers.peer == FIRST)]
        if len(ratios):
            lines.append([text + (f", {len(ratios)} shapes" if len(ratios) > 1 else ""), f"{mean(ratios):.1f}"])
    rows = table(pd.DataFrame(lines, columns=["", f"times as fast as {FIRST}"]), numbers=1) if lines else NO_PEERS
    where = f"Geometric means on {machine.label} ({machine.best} build, float32), taken in turn in one process:"
    return f"{BEGIN}\n{where}\n\n{rows}\n{END}"


def _machine(one: Machine, folder: str, suffix: str) -> list[str]:
    """The sections of one machine that there are records for."""
    others = ", ".join(f"[{build}]({folder}roofline-{build}{suffix}.svg)" for build in one.builds[:-1])
    text = _text(
        "machine", folder=folder, suffix=suffix, best=one.best, commit=one.commit, others=others or "none",
        versions=", ".join(f"{name} {version}" for name, version in one.versions.items()),
        peers_commit=next(iter(one.peers.of), ""), peers="\n".join([against_peers(one.peers), *notes(one.peers)]),
        lost=lost(one.peers), topics=topics(one), limits=limits(one), growths=growths(one),
    )  # fmt: skip
    peers, _, *rest = sections = [f"## {section}" for section in text.split("## ")[1:]]
    _, threads, sweeps = rest
    left_out = [threads] if len(one.threads) == 1 else []
    left_out += [] if len(one.sweeps) else [sweeps]
    if one.peers.empty:
        sections = [f"{peers.partition(chr(10))[0]}\n\n{NO_PEERS}\n", *rest]
    return [section for section in sections if section not in left_out]


def table(cells: pd.DataFrame, numbers: int = 0) -> str:
    """In Markdown; the last columns, as many as `numbers`, are numbers and the others text; "None." without rows."""
    if cells.empty:
        return "None.\n"
    lines = [f"| {' | '.join(map(str, line))} |" for line in [cells.columns, *cells.itertuples(index=False)]]
    lines.insert(1, "|" + "---|" * (cells.shape[1] - numbers) + "--:|" * numbers)
    return "\n".join(lines) + "\n"


def _digits(values: Any, digits: int) -> Any:
    """As text, which is empty where nothing was measured."""
    return values.map(lambda value: "" if pd.isna(value) else f"{value:.{digits}f}").astype(object)


# ---- against other libraries ------------------------------------------------------------------------------
def against_peers(peers: pd.DataFrame) -> str:
    """A line for each work, a column for each peer."""
    if peers.empty:
        return ""
    groups = peers.groupby(["work", peers.peer + " " + peers.version], sort=False).ratio
    cells = groups.agg(lambda ratios: f"**{mean(ratios):.2f}**" if ratios.min() < 1 else f"{mean(ratios):.2f}")
    shapes = groups.size().groupby("work", sort=False).max().rename("shapes")
    found = cells.unstack(fill_value="", sort=False)
    return table(pd.concat([shapes, found], axis=1).reset_index(names="work"), numbers=1 + found.shape[1])


def notes(peers: pd.DataFrame) -> list[str]:
    """Where a peer does not do quite the same work, each note once."""
    groups = peers[peers.note.astype(bool)].groupby(["peer", "note"], sort=False).work.unique()
    return [f"* {peer}, {', '.join(works)}: {note}\n" for (peer, note), works in groups.items()]


def lost(peers: pd.DataFrame) -> str:
    """The rows that fastdl loses, against whom and why."""
    found = _lines(peers[peers.ratio < 1], "not known: [open work](performance/open.md)")
    return table(found.drop(columns="threads").rename(columns={"best peer": "against"}), numbers=2)


def _lines(peers: pd.DataFrame, unknown: str) -> pd.DataFrame:
    """The worst first."""
    heads = ("work", "shape", "best peer", "why", "threads", "fastdl", "peer over fastdl")
    lines = [
        [row.work, row["shape"], row.peer, reason("peer", row).replace(NONE_GIVEN, unknown), row.threads, amount(row),
         f"{row.ratio:.2f}"]
        for _, row in peers.sort_values("ratio", kind="stable").iterrows()
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=heads)


# ---- against the machine ----------------------------------------------------------------------------------
def limits(one: Machine) -> str:
    """What was measured as the most this machine does."""
    most = one.rows.groupby(["build", "threads"], sort=False)[["most_copy", "most_read"]].max() / 1e9
    peaks = 2e-9 * one.rows.groupby(["build", "threads", "dtype"]).most_multiply_adds.first().unstack()
    found = most.join(peaks.dropna(), how="inner").sort_index(key=lambda level: level.map(_rank(one)))
    heads = ["build", "threads", "copying, GB/s", "reading, GB/s", *(f"{dtype}, GFLOP/s" for dtype in peaks)]
    return table(found.map(three).reset_index().set_axis(heads, axis=1), numbers=len(heads) - 1)


def _rank(one: Machine) -> dict:
    """By which builds and numbers of threads are sorted: the plainest, the fewest first."""
    return {**{build: at for at, build in enumerate(one.builds)}, **{number: number for number in one.threads}}


def topics(one: Machine) -> str:
    """A line a topic: the geometric mean of the shares that count, on each build and number of threads."""
    rows = one.rows
    shares = rows[rows.counts].groupby(["topic", "build", "threads"]).share.agg(mean).unstack(["build", "threads"])
    found = shares.reindex(index=rows.topic.unique(), columns=_columns(one))
    found = _digits(found, 2).set_axis([f"{build}, {number}" for build, number in _columns(one)], axis=1)
    ratios = rows.dropna(subset="reference_ratio").groupby("topic").reference_ratio.agg(mean)
    found["x reference"] = _digits(ratios.reindex(found.index), 1)
    found.insert(0, "cases", rows.groupby("topic")["case"].nunique())
    names = [f"[{name}](performance/{name}.md)" for name in found.index]
    return table(found.set_axis(names).reset_index(names="topic"), numbers=found.shape[1])


def _columns(one: Machine) -> list[tuple[str, int]]:
    """Build and threads: one thread, two, and the most."""
    shown = sorted({number for number in one.threads if number <= 2} | {one.threads[-1]})
    return [(build, number) for build in one.builds for number in shown]


def topic(one: Machine, name: str) -> str:
    """Every case of a topic: on each build and number of threads the time, the rate and the share of the limit."""
    rows = one.rows[one.rows.topic == name].assign(name=lambda rows: rows["case"].str.partition(".")[2])
    rows = rows.set_index(["name", "dtype", "size", "build", "threads"])
    columns = [*(("large", *column) for column in _columns(one)), ("medium", one.best, one.threads[-1])]
    cells = rows.apply(_cell, axis=1).unstack(["size", "build", "threads"], fill_value="", sort=False)
    heads = [", ".join(map(str, column[1:] if column[0] == "large" else column)) for column in columns]
    found = cells.reindex(columns=columns, fill_value="").set_axis(heads, axis=1)
    ratios = rows.reference_ratio.dropna().droplevel(["size", "build", "threads"])
    found["x reference"] = _digits(ratios.reindex(found.index), 1)
    return table(found.reset_index(names=["case", "dtype"]), numbers=found.shape[1])


def _cell(row: pd.Series) -> str:
    """Time, rate in the unit of what limits the row, and the share where it says something."""
    rate = f", {three(row.gflops)} GF" if row.limit == "multiply_adds" else f", {three(row.gbytes_s)} GB"
    text = duration(row.seconds) + (rate if row.gbytes_s or row.gflops else "")
    return text + (f", **{row.share:.2f}**" if row.counts else "")


def growths(one: Machine) -> str:
    """Whether the cost of each sweep is linear, over which range, and why not elsewhere."""
    lines = []
    for sweep, axis, points in one.points():
        found = growth(points.index, points)
        ends, linear = (f"{points.index[0]:,} to {points.index[-1]:,}", "nowhere")
        if found.linear is not None:
            linear = f"{found.linear[0]:,} to {found.linear[1]:,}"
        linear, reason = ("everywhere", "") if linear == ends else (linear, reason_of_sweep(axis, found))
        lines.append([sweep, axis, ends, linear, reason, *(f"{slope:.2f}" for slope in found[:3])])
    heads = ("cost of", "against", "measured", "linear", "why not elsewhere", "slope", "small end", "large end")
    return table(pd.DataFrame(lines, columns=heads), numbers=3)


# ---- open work ----------------------------------------------------------------------------------------------
def open_work(machines: list[Machine]) -> str:
    parts = []
    for one in machines:
        parts += [
            f"## {one.label}\n",
            f"### Less than {FASTER} times as fast as the best peer\n",
            below_peers(one.peers),
        ]
        parts += [f"### Below {ENOUGH} of the machine's limit\n", below_limits(one)]
    count = "".join(parts).count(f"**{NONE_GIVEN}**")
    return _text("open", faster=FASTER, enough=ENOUGH, none=NONE_GIVEN, count=count) + "\n".join(parts)


def below_peers(peers: pd.DataFrame) -> str:
    """The rows in which the best peer is not clearly slower."""
    best = peers.sort_values("ratio", kind="stable").drop_duplicates(["work", "shape", "dtype", "threads"])
    return table(_lines(best[best.ratio < FASTER], f"**{NONE_GIVEN}**"), numbers=3)


def below_limits(one: Machine) -> str:
    """A line for each case and reason: the shares below the limit on each build."""
    rows = one.rows[one.rows.counts & (one.rows.share < ENOUGH)]
    if rows.empty:
        return table(rows)
    whys = rows.apply(lambda row: reason("limit", row), axis=1).replace(NONE_GIVEN, f"**{NONE_GIVEN}**").rename("why")
    spans = rows.groupby(["case", rows.limit.map(UNITS), whys, "build"], sort=False).share.agg(_span)
    found = spans.unstack(fill_value="", sort=False).reindex(columns=one.builds, fill_value="")
    return table(found.reset_index(), numbers=len(one.builds))


def _span(shares: pd.Series) -> str:
    """From the least share to the greatest."""
    return " to ".join(dict.fromkeys(f"{end:.2f}" for end in (shares.min(), shares.max())))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m report.pages", description=__doc__)
    parser.add_argument("records", nargs="*", type=Path, default=[RECORDS])
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--readme", type=Path, help="whose rows of speed are written too")
    arguments = parser.parse_args()
    machines = load(arguments.records)
    print(*draw.draw(machines, arguments.page.with_suffix("")), sep="\n")
    print(*write(machines, arguments.page, arguments.readme), sep="\n")


if __name__ == "__main__":
    main()
