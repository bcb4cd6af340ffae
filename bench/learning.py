"""What is learnt from which first values: ``make learning``, which goes on where an earlier run was stopped.

Each lesson of ``lessons.py`` is learnt from a number of seeds, by each cell, with each `init=` it knows, and by
PyTorch where that is installed. A finished run is a line of JSON in the file of records: see
``docs/initial-weights.md``.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lessons import lessons, run_lesson
from peers.__main__ import ROOT, installed, variables

import fastdl as fd

RECORDS = ROOT / "build" / "learning.jsonl"
INITS = {"LSTM": ("torch", "keras", "gers"), "GRU": ("torch", "keras")}
COLUMNS = [("fastdl", "torch"), ("fastdl", "keras"), ("fastdl", "gers"), ("PyTorch", "torch")]


class Run(NamedTuple):
    """One training from the beginning."""

    library: str
    task: str
    cell: str
    init: str
    seed: int


class Records:
    """The file of finished runs, a line each, and those of it that are of today's lessons."""

    def __init__(self, path: Path, limits: dict[str, int]) -> None:
        self.path, self._limits = path, limits
        lines = path.read_text().splitlines() if path.exists() else []
        every = {task: self._lesson(task) for task in limits}
        kept = [record for record in map(json.loads, lines) if every.get(record["task"]) == record["lesson"]]
        self.of = {Run(*(record[name] for name in Run._fields)): record for record in kept}

    def add(self, run: Run, found: dict[str, Any]) -> None:
        record = {**run._asdict(), "lesson": self._lesson(run.task), **found}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.of[run] = record

    def _lesson(self, task: str) -> dict[str, Any]:
        told = lessons()[task]._replace(limit=self._limits[task]).told()
        return json.loads(json.dumps(told))  # as it is read


def planned(tasks: list[str], libraries: list[str], seeds: range) -> Iterator[Run]:
    """Every run: of a library the first seed of all, then the second, so that what is stopped has as many of each."""
    for library in libraries:
        for seed in seeds:
            for task in tasks:
                for cell in lessons()[task].cells:
                    for init in INITS[cell] if library == "fastdl" else ("torch",):
                        yield Run(library, task, cell, init, seed)


def work_through(runs: list[Run], records: Records, limits: dict[str, int], jobs: int, minutes: float) -> None:
    """Learn until all is done or the time is up, `jobs` runs at once, each in a process that has one thread."""
    end, context = time.time() + 60 * minutes, multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        asked = {pool.submit(run_lesson, *run, limits[run.task], end): run for run in runs}
        for done in as_completed(asked):
            if (found := done.result()) is not None:
                records.add(asked[done], found)
                print(f"{' '.join(map(str, asked[done]))}: {told(found)}", flush=True)


def told(found: dict[str, Any]) -> str:
    return f"{'learnt in' if found['learnt'] else 'not in'} {found['steps']} steps, loss {found['loss']:.4f}"


def table(records: Records) -> Iterator[str]:
    """In Markdown: how many runs learnt, of how many, and the median of their steps."""
    heads = [f"{library}, `{init}`" if library == "fastdl" else library for library, init in COLUMNS]
    yield f"| lesson | cell | {' | '.join(heads)} |"
    yield "|---" * (2 + len(heads)) + "|"
    for task, lesson in lessons().items():
        for cell in lesson.cells:
            found = [cell_of(records, task, cell, *column) for column in COLUMNS]
            if any(found):
                yield f"| {task} | {cell} | {' | '.join(found)} |"


def cell_of(records: Records, task: str, cell: str, library: str, init: str) -> str:
    """A run that did not learn takes longer than any that did, so a median of more than all steps is a dash."""
    group = [record for run, record in records.of.items() if run[:4] == (library, task, cell, init)]
    if not group:
        return ""
    median = statistics.median(record["steps"] if record["learnt"] else np.inf for record in group)
    learnt = sum(record["learnt"] for record in group)
    return f"{learnt}/{len(group)} ({f'{median:.0f}' if np.isfinite(median) else '-'})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/learning.py", description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=[], metavar="TASK", help="some of them (default: all)")
    parser.add_argument("--seeds", type=int, default=12, help="of each (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="after which it stops (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=min(2, fd.get_num_threads()), help="runs at once, a thread each")
    parser.add_argument("--steps", type=int, help="at most of a run, to see whether it works")
    parser.add_argument("--out", type=Path, default=RECORDS, help="file of records, added to")
    parser.add_argument("--without-peer", action="store_true", help="leave PyTorch out")
    given = parser.parse_args(arguments)
    if unknown := set(given.tasks) - set(lessons()):
        raise SystemExit(f"--tasks: got {', '.join(sorted(unknown))}, expected some of {', '.join(lessons())}")
    limits = {task: min(lesson.limit, given.steps or lesson.limit) for task, lesson in lessons().items()}
    records = Records(given.out, limits)
    python = None if given.without_peer or find_spec("torch") else installed("pytorch")
    if python and python != Path(sys.executable):
        os.execve(python, [python, __file__, *sys.argv[1:]], variables(1))  # where both libraries are
    libraries = ["fastdl"] if given.without_peer or find_spec("torch") is None else ["fastdl", "PyTorch"]
    seeds = range(given.first, given.first + given.seeds)
    runs = list(planned(given.tasks or list(lessons()), libraries, seeds))
    left = [run for run in runs if run not in records.of]
    print(f"{len(runs) - len(left)} of {len(runs)} runs are in {given.out}", flush=True)
    work_through(left, records, limits, given.jobs, given.minutes)
    missing = sum(run not in records.of for run in runs)
    print("\n".join(["", *table(records), "", "Runs that learnt, of how many, and the median of their steps."]))
    if libraries == ["fastdl"] and not given.without_peer:
        print("PyTorch is not installed: make bench-peers PEERS=pytorch installs it.")
    print(f"{missing} runs are left: the same command goes on." if missing else "All runs are done.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
