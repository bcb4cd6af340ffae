"""``python -m peers.compare PEER``: time one peer in turn with fastdl, in one process of the peer's environment.

Every row's results are compared before it is timed; ``--check`` does that alone, at tiny shapes.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
from records import Record, duration, megabytes, stamp

import fastdl as fd
from fastdl.cli._bench import _fastdl
from fastdl.cli._bench._clock import Sample, alternate
from fastdl.cli._bench._peers import PEERS, Peer, agree
from fastdl.cli._bench._table import Case, Missing, Sizes, label

from . import processes

WIDTH = 72  # of a row's name


def main() -> int:
    arguments = _arguments()
    peer = PEERS[arguments.peer]
    found = Found(peer, arguments.threads, None if arguments.check else arguments.seconds)
    print(f"\n{peer.title} {peer.version} and fastdl, {found.about['build']} build, {arguments.threads} threads")
    print(
        f"{'median (quartiles)':{WIDTH}}{'fastdl':>34}{peer.title:>34}{'ratio':>9}  {'':5}  its first call", flush=True
    )
    for module in (_fastdl, peer.adapter):
        module.set_threads(arguments.threads)
    if not arguments.check:
        of_processes(found, arguments.peer)
    for case in cases.table():
        for sizes in [case.sizes["small"]][: len(case.shapes)] if arguments.check else case.shapes:
            found.attempt(label(case.title, sizes), lambda case=case, sizes=sizes: of_case(found, case, sizes))
    print("\n".join(found.summary()))
    if arguments.out:
        arguments.out.write_text("".join(json.dumps(row) + "\n" for row in found.rows))
    return 1 if found.failed else 0


class Found:
    """The rows so far, what the peer does not offer, and what went wrong."""

    def __init__(self, peer: Peer, threads: int, seconds: float | None) -> None:
        self.peer, self.seconds = peer, seconds  # of the timing of a row; None: compare the results alone
        here = stamp()
        self.about = {"kind": "peer", "peer": peer.title, "version": peer.version, "threads": threads, **here,
                      "build": fd.show_config(mode="dicts")["build"], "of": here["commit"]}  # fmt: skip
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

    def add(
        self, name: str, title: str, sizes: Sizes, taken: dict[str, Sample], unit: str = "seconds", **more: Any
    ) -> None:
        """A record of the samples "fastdl" and "peer"; the ratio is above 1 where fastdl wins."""
        ours, theirs = taken["fastdl"], taken["peer"]
        self.rows.append({
            **self.about, "case": name, "work": title, "sizes": sizes, "unit": unit, unit: ours.median,
            "shape": ", ".join(f"{key} {size:,}" for key, size in sizes.items()), "dtype": "float32" if sizes else "",
            "ours": ours, "theirs": theirs, "ratio": theirs.median / ours.median, "first": None, "note": "", **more,
        })  # fmt: skip
        print(line(self.rows[-1]), flush=True)

    def summary(self) -> list[str]:
        """Notes, what is missing, how many rows fastdl wins and loses, with the losing rows by name."""
        noted: dict[str, dict[str, None]] = {}
        for row in self.rows:
            if row["note"]:
                noted.setdefault(row["note"], {})[row["work"]] = None
        told = [f"{', '.join(works)}: {note}" for note, works in noted.items()]
        told += [f"{self.peer.title} does not offer: {', '.join(self.missing)}"] if self.missing else []
        told += [f"{len(self.failed)} rows FAILED"] if self.failed else []
        if not self.rows:
            return [*told, f"{self.peer.title}: nothing was compared"]
        lost = [row for row in self.rows if row["ratio"] < 1]
        mean = statistics.geometric_mean([row["ratio"] for row in self.rows if row["unit"] == "seconds"] or [1.0])
        told.append(f"{self.peer.title}: fastdl wins {len(self.rows) - len(lost)} rows and loses {len(lost)}; "
                    f"geometric mean of the times {mean:.2f} x")  # fmt: skip
        return told + [f"  loses {row['ratio']:.2f} x  {label(row['work'], row['sizes'])}" for row in lost]


def line(row: Record) -> str:
    """A row of the printed table, in which a loss stands out as a win does."""
    amount = duration if row["unit"] == "seconds" else megabytes
    sides = [
        " ".join((amount(one[0]), f"({amount(one[1])} to {amount(one[2])})")) for one in (row["ours"], row["theirs"])
    ]
    first = f"  {duration(row['first'])}" if row["first"] else ""
    name, won = label(row["work"], row["sizes"]), "wins" if row["ratio"] >= 1 else "LOSES"
    return f"{name:{WIDTH}}{sides[0]:>34}{sides[1]:>34}{row['ratio']:7.2f} x  {won:5}{first}"


def of_processes(found: Found, name: str) -> None:
    """Rows about whole processes and installations."""
    peer, threads = found.peer, found.about["threads"]
    found.attempt("import", lambda: found.add("import", "import", {}, processes.import_times(peer)))
    found.attempt("size", lambda: found.add("size", "installed size", {}, processes.installed_sizes(peer), "bytes"))
    for case in cases.table():
        if case.name in processes.MODELS and hasattr(peer.adapter, case.kind):
            title = f"peak memory, {case.title}"
            found.attempt(title, lambda case=case, title=title: found.add(
                f"memory of {case.name}", title, {}, processes.peak_memories(name, case.name, threads), "bytes"
            ))  # fmt: skip


def of_case(found: Found, case: Case, sizes: Sizes) -> None:
    """Build both works, assert that they agree, and only then time them in turn."""
    works = {side: case.by(adapter, sizes) for side, adapter in (("peer", found.peer.adapter), ("fastdl", _fastdl))}
    told, firsts = agree(case, works, "fastdl")
    assert not any(told.values()), "; ".join(f"{side}: {text}" for side, text in told.items() if text)
    note, name = works["peer"].note, label(case.title, sizes)
    if found.seconds is None:
        print(f"{name:{WIDTH}}agrees{f', but {note}' if note else ''}")
        return
    least = 5 if found.seconds >= 1 else 2  # less than a second is for a look, not for figures
    taken = alternate({side: work.run for side, work in works.items()}, found.seconds, least)
    found.add(case.name, case.title, sizes, taken, first=firsts["peer"], note=note)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers.compare", description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing a row")
    parser.add_argument("--threads", type=int, default=fd.get_num_threads(), help="of every library")
    parser.add_argument("--out", type=Path, help="file to write the records to, a line each")
    parser.add_argument("--check", action="store_true", help="compare the results at tiny shapes, time nothing")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
