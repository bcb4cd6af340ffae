"""The timing gate: the working tree against another commit, each in a process of its own, case by case in turn.

``python bench/compare.py --base REF``: see ``docs/tracking.md``.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from cases import SIZES, Case, counted
from tracking import trees
from tracking.ratios import Ratio, ratio, suspected, verdict

LIMIT = 1.10  # of new / base, beyond which its bound must be too
TURNS = (16, 32, 64)  # of each side at the first look at a case, and at the further ones if it seems changed
SECONDS = 0.01  # of a turn


class Row(NamedTuple):
    """What is measured of a case."""

    case: str
    dtype: str
    size: str

    def __str__(self) -> str:
        return f"{self.case} {self.dtype} {self.size}"


class Look(NamedTuple):
    """Seconds a call of both sides, and their ratio."""

    base: float
    new: float
    ratio: Ratio


class Side:
    """A process that imports one commit's fastdl."""

    def __init__(self, tree: Path, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, trees.BENCH / "tracking" / "worker.py"],
            env=trees.environment(tree, OMP_NUM_THREADS=str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        found = Path(self._answer()["fastdl"])
        if not found.is_relative_to(tree):
            raise SystemExit(f"{found} was imported in place of the fastdl in {tree}")

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def time(self, row: Row, seconds: float) -> float | None:
        self._process.stdin.write(json.dumps({**row._asdict(), "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        return self._answer()["seconds"]

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a worker ended early")
        return json.loads(line)


def look(base: Side, new: Side, row: Row, turns: int) -> Look | None:
    """Let both take turns, A B B A and so on; None where one of them cannot run the case."""
    times: dict[Side, list[float]] = {base: [], new: []}
    for turn in range(turns):
        for side in (base, new) if turn % 2 == 0 else (new, base):
            taken = side.time(row, SECONDS)
            if taken is None:
                return None
            times[side].append(taken)
    best = min(times[base]), min(times[new])
    return Look(*best, ratio(times[base], times[new]).held_to(best[1] / best[0]))


def compare(base: Path, rows: list[Row], threads: int) -> dict[Row, list[Look]]:
    """Look at every row; then again, by fresh processes and for longer, at those that seem changed."""
    found: dict[Row, list[Look]] = {row: [] for row in rows}
    for turns in TURNS:
        with ExitStack() as stack:
            sides = [stack.enter_context(Side(tree, threads)) for tree in (base, trees.ROOT)]
            for row in rows:
                if (seen := look(*sides, row, turns)) is not None:
                    found[row].append(seen)
        rows = [row for row in rows if suspected(_ratios(found[row]), LIMIT)]
    return found


def report(found: dict[Row, list[Look]]) -> bool:
    """Print the table; whether nothing is slower."""
    told = dict.fromkeys(("slower", "faster", "same", "new"), 0)
    print(f"{'base us':>12} {'new us':>12} {'new/base':>9} {'bounds':>14}")
    for row, looks in found.items():
        what = verdict(_ratios(looks), LIMIT)
        told[what] += 1
        if looks:
            last = looks[-1]
            bounds = f"{last.ratio.low:.3f} to {last.ratio.high:.3f}"
            times = f"{1e6 * last.base:12.2f} {1e6 * last.new:12.2f} {last.ratio.middle:9.3f} {bounds:>14}"
        else:
            times = " " * 50
        print(f"{times}  {what:6}  {row}")
    print(", ".join(f"{count} {what}" for what, count in told.items()))
    return told["slower"] == 0


def _ratios(looks: list[Look]) -> list[Ratio]:
    return [look.ratio for look in looks]


def _rows(cases: list[Case], part: str, size: str) -> list[Row]:
    rows = [Row(case.name, dtype.name, size) for case in cases for dtype in case.dtypes]
    return [row for row in rows if part in str(row)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Time the working tree against another commit.")
    parser.add_argument("--base", default="HEAD", metavar="REF", help="the commit compared with (default: HEAD)")
    parser.add_argument("--cases", default="", metavar="PART", help="only cases whose name and type contain this")
    parser.add_argument("--size", default="medium", choices=SIZES)
    parser.add_argument("--threads", type=int, default=1, help="1: processor time; more: time of day")
    arguments = parser.parse_args(argv)
    rows = _rows(counted(), arguments.cases, arguments.size)
    if not rows:
        raise SystemExit(f"no case contains {arguments.cases!r}")
    print(
        f"{trees.commit(arguments.base)[:12]} (base) against the working tree (new): {len(rows)} cases, "
        f"build {os.environ.get('FASTDL_ISA', 'of this processor')}, {arguments.threads} threads"
    )
    return 0 if report(compare(trees.built(arguments.base), rows, arguments.threads)) else 1


if __name__ == "__main__":
    sys.exit(main())
