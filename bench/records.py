"""What is measured, as records: where they lie, and what one measurement is known by.

Records are lines of JSON, one measurement each, with the machine and the commit it was taken on: so a run that was
stopped goes on, and a page can be made from the records of several machines.
"""

import functools
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fastdl as fd

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "build" / "report" / "records.jsonl"
PEERS = ROOT / "build" / "peers"  # where ``make bench-peers`` leaves a file for each peer
MEASURED = ("fastdl", "setup.py")  # what a measurement depends on: the commit of a record is the last that changed them

Record = dict[str, Any]


def read(paths: Iterable[Path]) -> list[Record]:
    """The records of the files; of two of the same measurement the later."""
    found: dict[tuple, Record] = {}
    for path in paths:
        for record in map(json.loads, Path(path).read_text(encoding="utf-8").splitlines()):
            found[key(record)] = record
    return list(found.values())


def append(path: Path, record: Record) -> None:
    """Add a line at once, so that a run that is stopped loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def key(record: Record) -> tuple:
    """What makes a record the same measurement as another."""
    names = "kind machine cores commit topic build threads case peer dtype size sweep axis"
    return (*(record.get(name) for name in names.split()), json.dumps(record.get("sizes")))


@functools.cache
def stamp() -> Record:
    """The machine and the commit, which every record carries."""
    found = fd.show_config(mode="dicts") or {}
    return {"machine": found["processor"], "cores": found["cores"], "commit": commit()}


def commit() -> str:
    """The last commit that changed what is measured, with a plus where the tree has changes of its own."""
    try:
        named = _git("log", "-1", "--format=%h", "--", *MEASURED)
        return named + ("+" if _git("status", "--porcelain", "--", *MEASURED) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
