"""``python -m peers.compare PEER``: time one peer in turn with fastdl, in one process of the peer's environment.

Every row's results are compared before it is timed; ``--check`` does that alone, at tiny shapes.
"""

import argparse
import importlib
import importlib.metadata
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from alternate import Sample, alternate

import fastdl as fd

from . import PEERS, processes
from .records import WIDTH, Record, heading, label, line, notes, record, summary
from .works import Contender, Missing, Work, table, tiny


def main() -> int:
    arguments = _arguments()
    peer, build = PEERS[arguments.peer], fd.show_config(mode="dicts")["build"]
    version = importlib.metadata.version(peer.distributions[0])
    about = {"peer": arguments.peer, "version": version, "threads": arguments.threads}
    print(f"\n{peer.title} {version} and fastdl, {build} build, {arguments.threads} threads", flush=True)
    found = Found(about, None if arguments.check else arguments.seconds)
    print(heading(peer.title), flush=True)
    ours, theirs = importlib.import_module("peers.ours"), importlib.import_module(f"peers.{peer.module}")
    for module in (ours, theirs):
        module.set_threads(arguments.threads)
    if not arguments.check:
        of_processes(found, theirs)
    for work in tiny() if arguments.check else table():
        found.attempt(label(work.name, work.shape), lambda work=work: of_work(found, work, ours, theirs))
    print("\n".join([*notes(found.rows), *found.gaps(peer.title), summary(peer.title, found.rows)]))
    if arguments.json:
        arguments.json.write_text(json.dumps(found.told(), indent=1) + "\n")
    return 1 if found.failed else 0


class Found:
    """The rows so far, what the peer does not offer, and what went wrong."""

    def __init__(self, about: dict[str, Any], seconds: float | None) -> None:
        self.about, self.seconds = about, seconds  # of the timing of a row; None: compare the results alone
        self.rows: list[Record] = []
        self.missing: dict[str, list[str]] = {}
        self.failed: dict[str, str] = {}

    def attempt(self, name: str, measure: Callable[[], None]) -> None:
        """One row must not take the others with it."""
        try:
            measure()
        except Missing as what:
            self.missing.setdefault(str(what), []).append(name)
        except Exception as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
            print(f"{name:{WIDTH}}FAILED  {self.failed[name]}", flush=True)

    def add(self, work: str, shape: dict[str, int], unit: str, taken: dict[str, Sample], **more: Any) -> None:
        self.rows.append(record(self.about, work, shape, unit, taken, **more))
        print(line(self.rows[-1]), flush=True)

    def told(self) -> dict[str, Any]:
        """All of it, as the file has it."""
        config = fd.show_config(mode="dicts")
        names = ("processor", "cores", "platform", "Python", "NumPy", "OpenMP", "builds this processor runs")
        return {
            "machine": {name: config[name] for name in names},
            "commit": commit(),
            "build": config["build"],
            "seconds": self.seconds,
            "missing": self.missing,
            "failed": self.failed,
            "records": [row._asdict() for row in self.rows],
        }

    def gaps(self, title: str) -> list[str]:
        lines = [f"{title} does not offer: {', '.join(self.missing)}"] if self.missing else []
        return lines + ([f"{len(self.failed)} rows FAILED"] if self.failed else [])


def of_processes(found: Found, theirs: ModuleType) -> None:
    """Rows about whole processes and installations."""
    name, threads = found.about["peer"], found.about["threads"]
    peer = PEERS[name]
    found.attempt("import", lambda: found.add("import", {}, "s", processes.import_times(peer)))
    found.attempt("installed size", lambda: found.add("installed size", {}, "B", processes.installed_sizes(peer)))
    for work in table():
        if work.name in processes.MODELS and hasattr(theirs, work.function):
            row = f"peak memory, {work.name}"
            found.attempt(
                row,
                lambda row=row, work=work.name: found.add(row, {}, "B", processes.peak_memories(name, work, threads)),
            )


def of_work(found: Found, work: Work, ours: ModuleType, theirs: ModuleType) -> None:
    """Build both contenders, assert that they agree, and only then time them in turn."""
    if not hasattr(theirs, work.function):
        raise Missing(work.function.replace("_", " "))
    problem = work.problem(**work.shape)
    contenders = {
        side: getattr(module, work.function)(**problem) for side, module in (("fastdl", ours), ("peer", theirs))
    }
    firsts = agree(work, contenders)
    note = contenders["peer"].note
    if found.seconds is None:
        print(f"{label(work.name, work.shape):{WIDTH}}agrees{f', but {note}' if note else ''}")
        return
    least = 5 if found.seconds >= 1 else 2  # less than a second is for a look, not for figures
    taken = alternate({side: contender.run for side, contender in contenders.items()}, found.seconds, least)
    found.add(work.name, work.shape, "s", taken, **firsts, dtype="float32", note=note)


def agree(work: Work, contenders: dict[str, Contender]) -> dict[str, float]:
    """Assert that the results of the first calls agree; the seconds of each side's first call."""
    firsts = {}
    for _ in range(work.calls):
        found = {}
        for side, contender in contenders.items():
            start = time.perf_counter()
            out = contender.run()
            firsts.setdefault(f"{side}_first", contender.first or time.perf_counter() - start)
            found[side] = contender.arrays(out)
        for name, theirs in found["peer"].items():
            mine = found["fastdl"][name]
            assert mine.shape == theirs.shape, f"{name}: shapes {mine.shape} and {theirs.shape}"
            assert np.isfinite(mine).all(), f"{name}: fastdl's is not finite"
            assert np.isfinite(theirs).all(), f"{name}: the peer's is not finite"
            if name not in contenders["peer"].loose:
                apart, bound = np.abs(mine - theirs).max(), work.tolerance * max(1, np.abs(mine).max())
                assert apart <= bound, f"{name}: {apart:.2g} apart, with a tolerance of {bound:.2g}"
    return firsts


def commit() -> str:
    """The checkout's, marked where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers.compare", description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing a row")
    parser.add_argument("--threads", type=int, default=fd.get_num_threads(), help="of every library")
    parser.add_argument("--json", type=Path, help="file to write the records to")
    parser.add_argument("--check", action="store_true", help="compare the results at tiny shapes, time nothing")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
