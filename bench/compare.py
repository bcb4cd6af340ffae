"""The timing gate: the working tree against another commit, case by case.

``python bench/compare.py --base REF``: see ``docs/tracking.md``.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import trees
from cases import calls

import fastdl as fd
from fastdl.cli._bench._clock import calls_of, turn

LIMIT = 1.10  # of new / base, which every look must be beyond
LOOKS = (0.02, 0.05, 0.05, 0.1)  # seconds a case: one look at all, the others at what seems changed
ROUND = 1e-3  # seconds: the shortest stretch between two looks at the clock

Times = dict[str, float]  # seconds a call, by case and type


def timed(tree: Path, names: list[str], seconds: float, threads: int) -> Times:
    """What `time_here` finds in a process that imports the tree's fastdl."""
    command = [sys.executable, "-c", f"import compare; compare.time_here({seconds}, {threads})"]
    done = subprocess.run(command, cwd=tree, env=trees.environment(tree, OMP_NUM_THREADS=str(threads)),
                          input=json.dumps(names), capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    origin, found = json.loads(done.stdout.splitlines()[-1])
    if not Path(origin).is_relative_to(tree):
        raise SystemExit(f"{origin} was imported in place of the fastdl in {tree}")
    return found


def time_here(seconds: float, threads: int) -> None:
    """Print which fastdl this is, and the best round of each call named on stdin: what others do here only ever adds.

    A call is made at the medium size and not asserted. On one thread its processor time counts, which other load on the
    machine moves little; on more the time of day.
    """
    clock, found = time.thread_time if threads == 1 else time.perf_counter, Times()
    gc.disable()
    for name in json.load(sys.stdin):
        case, dtype = calls()[name]
        try:
            run = case.work("medium", dtype).run
            run()
        except Exception:  # an older commit lacks the function, or has it otherwise
            continue
        found[name] = min(turn(run, seconds, calls_of(run, ROUND, clock), clock))
    print(json.dumps([fd.__file__, found]))


def verdict(ratios: list[float]) -> str:
    """What the looks at a case agree on: each came from fresh processes, which places memory anew."""
    if not ratios:
        return "new"
    return "slower" if min(ratios) > LIMIT else "faster" if max(ratios) < 1 / LIMIT else "same"


def compare(base: Path, names: list[str], threads: int) -> dict[str, list[float]]:
    """New over base, look by look: at every case, then again at those that seem changed."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for number, seconds in enumerate(LOOKS):
        sides = [base, trees.ROOT][:: -1 if number % 2 else 1]  # who begins changes
        taken = {tree: timed(tree, names, seconds, threads) for tree in sides}
        for name in names:
            if all(name in times for times in taken.values()):
                found[name].append(taken[trees.ROOT][name] / taken[base][name])
        names = [name for name in names if verdict(found[name]) in ("slower", "faster")]
        if not names:
            break
    return found


def report(found: dict[str, list[float]]) -> bool:
    """Print what changed; whether nothing is slower."""
    told = dict.fromkeys(("slower", "faster", "same", "new"), 0)
    for name, ratios in found.items():
        what = verdict(ratios)
        told[what] += 1
        if what != "same":
            looks = ", ".join(f"{ratio:.3f}" for ratio in ratios)
            print(f"{what:6} {statistics.median(ratios) if ratios else 0:6.3f}  {name}  ({looks})")
    print(", ".join(f"{count} {what}" for what, count in told.items()))
    return told["slower"] == 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Time the working tree against another commit.")
    parser.add_argument("--base", default="HEAD", metavar="REF", help="the commit compared with (default: HEAD)")
    parser.add_argument("--cases", default="", metavar="PART", help="only cases whose name or type contains this")
    parser.add_argument("--threads", type=int, default=1, help="1: processor time; more: time of day")
    arguments = parser.parse_args(argv)
    names = list(calls(arguments.cases))
    if not names:
        raise SystemExit(f"no case contains {arguments.cases!r}")
    build = os.environ.get("FASTDL_ISA", "of this processor")
    told = f"{len(names)} cases, build {build}, {arguments.threads} threads"
    print(f"{trees.commit(arguments.base)[:12]} (base) against the working tree (new): {told}")
    return 0 if report(compare(trees.built(arguments.base), names, arguments.threads)) else 1


if __name__ == "__main__":
    sys.exit(main())
