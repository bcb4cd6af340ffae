"""``make proof``: every program of ``tasks.toml`` on real data, seed by seed, and the page of what it reached.

A finished run is a line of ``records.jsonl``, so that a run that was stopped goes on. ``--quick`` runs the quick forms
instead, keeps nothing, and fails when a figure is below its floor.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from peers.__main__ import environment, reason, variables
from records import ROOT, Record, append, stamp

import fastdl as fd

from . import pages, pictures
from .data import DATA, get
from .tasks import RECORDS, Package, Row, Run, load, number, read

RUNS = ROOT / "build" / "proof" / "runs"  # the pictures, and what a run printed


def call(run: Run, given: list[str], folder: Path, threads: int) -> Record | None:
    """What the run found, or None where it failed; what it printed lies in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = environment("pytorch") if run.library == "torch" else sys.executable
    module = f"proof.torch.{run.example}" if run.library == "torch" else run.example
    variable = variables(threads)
    paths = os.pathsep.join([variable["PYTHONPATH"], str(ROOT / "examples")])
    command = [python, "-m", "proof.one", module, str(folder / "found.json"), *run.arguments, *given]
    with (folder / "output.txt").open("w") as output:
        done = subprocess.run(
            [*command, "--out", str(folder)],
            env={**variable, "PYTHONPATH": paths, "FASTDL_DATA": str(DATA)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        print("\n".join((folder / "output.txt").read_text().splitlines()[-12:]), file=sys.stderr)
        return None
    return json.loads((folder / "found.json").read_text())


def obtainable(rows: list[Row], packages: dict[str, Package]) -> tuple[list[Row], dict[str, str]]:
    """The rows whose data are there now, and why the others are not run."""
    problems = {name: get(packages[name]) for name in dict.fromkeys(name for row in rows for name in row.packages)}
    missing = {row.name: "; ".join(filter(None, map(problems.get, row.packages))) for row in rows}
    return [row for row in rows if not missing[row.name]], {name: why for name, why in missing.items() if why}


def full(rows: list[Row], seeds: int | None, threads: int, fresh: bool, missing: dict[str, str]) -> int:
    """Run what there is no record of, one seed after the other, then each twin once; how many runs failed."""
    planned = {(row.run, seed): None for row in rows for seed in range(seeds or row.seeds)}
    planned |= {(row.twin, 0): None for row in rows if row.twin}
    kept, failed = read(), 0
    for run, seed in sorted(planned, key=lambda one: (one[0].library, one[1])):
        if not fresh and (run, seed) in kept and kept[run, seed]["program"] == run.program:
            continue
        told = f"{' '.join([run.example, *run.arguments])}, {run.library}, seed {seed}"
        print(told, flush=True)
        folder = RUNS / run.library / "-".join([run.example, *run.arguments, str(seed)])
        try:
            found = call(run, ["--seed", str(seed)], folder, threads)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"PyTorch cannot be installed: {reason(error)}", file=sys.stderr)
            continue
        if found is None:
            failed += 1
            continue
        about = {**run._asdict(), "seed": seed, "program": run.program, **stamp(), "load": round(os.getloadavg()[0], 1)}
        append(RECORDS, about | {"date": f"{datetime.date.today()}"} | found)
        print(f"  {found['seconds']:.0f} s: {', '.join(f'{k} {number(v)}' for k, v in found['figures'].items())}")
        if run.library == "fastdl" and seed == 0:
            pictures.keep(folder, run.example)
        pages.write(missing)
    return failed


def quick(rows: list[Row], threads: int) -> int:
    """How many of the quick runs failed or fell below their floor."""
    failed, seen = 0, dict[Run, Record | None]()
    for row in rows:
        run = row.run._replace(arguments=(*row.arguments, *row.quick))
        if run not in seen:
            seen[run] = call(run, [], RUNS / "quick" / row.name, threads)
        found = seen[run]
        assert row.floor is not None
        value = found["figures"][row.figure] if found else None
        good = value is not None and row.reached(value, row.floor)
        told = "failed" if found is None else f"{row.figure} {number(value)} in {found['seconds']:.1f} s"
        print(f"{'ok   ' if good else 'BELOW'} {row.name}: {told}; floor {number(row.floor)}", flush=True)
        failed += not good
    return failed


def main(arguments: list[str] | None = None) -> int:
    rows, packages = load()
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"some of {', '.join(rows)}; default all")
    parser.add_argument("--seeds", type=int, help="of every task, instead of what the table says")
    parser.add_argument("--threads", type=int, default=fd.get_num_threads(), help="of every run (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="run again what there are records of")
    parser.add_argument("--quick", action="store_true", help="the quick forms, against their floors")
    given = parser.parse_args(arguments)
    if unknown := set(given.tasks) - set(rows):
        parser.error(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(rows)}")
    chosen = [rows[name] for name in given.tasks or rows]
    if given.quick:
        chosen = [row for row in chosen if row.floor is not None]
    there, missing = obtainable(chosen, packages)
    for name, why in missing.items():
        print(f"{name} is not run: {why}", file=sys.stderr)
    if given.quick:
        return int(bool(quick(there, given.threads) or missing))
    failed = full(there, given.seeds, given.threads, given.fresh, missing)
    print(pages.write(missing))
    return int(bool(failed))


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit("stopped: the same command goes on") from None
