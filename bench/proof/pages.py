"""Writes docs/proof.md from the rows and the records."""

import statistics
from collections.abc import Mapping
from pathlib import Path

from records import ROOT, Record

from .tasks import HERE, RECORDS, Row, Run, load, number, of, read, span, spread, values

PAGE = ROOT / "docs" / "proof.md"
HEADS = ("task", "data", "parameters", "published", "goal", "ours", "seconds", "torch", "its seconds")
Records = dict[tuple[Run, int], Record]


def write(missing: Mapping[str, str], records: Path = RECORDS, page: Path = PAGE) -> Path:
    """The page; `missing` says of which rows the data could not be had, and why."""
    rows, kept = load()[0].values(), read(records)
    lines = ["| " + " | ".join(HEADS) + " |", "|---|---|--:|---|---|---|--:|--:|--:|"]
    lines += [f"| {' | '.join(cells(row, kept))} |" for row in rows]
    found = [record for row in rows for record in of(row.run, kept)]
    machines = span(f"{one['machine']} with {one['cores']} cores" for one in found)
    where = f"Machines: {machines}." if found else ""
    sections = "\n".join(section(row, kept, missing.get(row.name, "")) for row in rows)
    text = (HERE / "page.md").read_text(encoding="utf-8").format(table="\n".join(lines), where=where, rows=sections)
    page.write_text(text.rstrip() + "\n", encoding="utf-8")
    return page


def cells(row: Row, kept: Records) -> list[str]:
    """A line of the table."""
    ours, theirs = of(row.run, kept), of(row.twin, kept)
    task = f"[{row.application}](gallery/{row.example}.md)"
    return [task, row.data, size(ours), row.claim, bar(row, ours), figures(row, ours) or "not run", seconds(ours),
            figures(row, theirs), seconds(theirs)]  # fmt: skip


def figures(row: Row, records: list[Record]) -> str:
    """Mean and range, how many seeds, and whether the program is another by now."""
    found = values(records, row.figure)
    if not found:
        return ""
    run = row.run._replace(library=records[0]["library"])
    old = " †" * any(record["program"] != run.program for record in records)
    seeds = f", {len(found)} seed{'s' * (len(found) > 1)}"
    return f"{spread(found)}{old}" if run != row.run else f"**{spread(found)}**{seeds}{old}"


def bar(row: Row, records: list[Record]) -> str:
    """The goal, and whether the mean reaches it."""
    if row.goal is None:
        return ""
    found = values(records, row.figure)
    told = f"{'at most' if row.lower else 'at least'} {number(row.goal)}"
    return told + (": missed" if found and not row.reached(statistics.mean(found), row.goal) else "")


def size(records: list[Record]) -> str:
    return f"{records[-1]['parameters']:,}" if records and records[-1]["parameters"] else ""


def seconds(records: list[Record]) -> str:
    """The median on the clock, or of the processor where others used the machine; threads where they were not two."""
    if not records:
        return ""
    busy = statistics.median(one["load"] - one["cores"] for one in records) > 1
    # On one thread the clock's seconds are the processor's, but for what waited, or was stopped for a while.
    busy |= any(one["threads"] == 1 and one["seconds"] > 1.25 * one["processor_seconds"] + 10 for one in records)
    told = (
        f"{statistics.median(one['processor_seconds' if busy else 'seconds'] for one in records):.3g}" + " cpu" * busy
    )
    threads = span(one["threads"] for one in records)
    return told if threads == "2" else f"{told} ({threads} thread{'s' * (threads != '1')})"


def section(row: Row, kept: Records, missing: str) -> str:
    """What the table has no room for."""
    records = of(row.run, kept)
    command = " ".join(["python", f"examples/{row.example}.py", *row.arguments])
    lines = [f"### {row.name}", "", f"`{command}`: {row.figure}."]
    lines += [f"Published: {row.published}. {row.source}{' Unsure, from memory.' * row.unsure}"] * bool(row.published)
    lines += [f"Settings: {row.settings}"] + [row.note] * bool(row.note)
    if found := values(records, row.figure):
        seeds = ", ".join(map(number, found))
        beside = [f"{one} {spread(them)}" for one in row.beside if (them := values(records, one))]
        lines += [f"Found: {'; '.join([seeds, *beside])}.", told(records)]
    else:
        lines += [f"Not run: {missing or 'there is no record yet'}."]
    return "\n".join([*lines[:2], *(f"- {line}" for line in lines[2:]), ""])


def told(records: list[Record]) -> str:
    """When and on what the runs were made."""
    dates, builds = span(one["date"] for one in records), span(one["build"] for one in records)
    commits, loads = span(one["commit"] for one in records), [one["load"] for one in records]
    processor = statistics.median(one["processor_seconds"] for one in records)
    load = span(sorted({min(loads), max(loads)})).replace(", ", " to ")
    return f"{dates}, commit {commits}, build {builds}, {processor:.3g} seconds of the processor, load {load}."
