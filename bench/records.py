"""What is measured, as records: where they lie, what one measurement is known by, and which machine took it.

Records are lines of JSON, one measurement each, with the machine and the commit it was taken on: so a run that was
stopped goes on, and a page can be made from the records of several machines.
"""

import json
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from measure import Limits

import fastdl as fd
from fastdl.cli._bench._table import Work

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "build" / "report" / "records.jsonl"
PEERS = ROOT / "build" / "peers"
BUILDS = ("baseline", "avx2", "avx512")
DTYPES = ("float32", "float64")
MEASURED = ("fastdl", "setup.py")  # what a measurement depends on: the commit of a record is the last that changed them

BEYOND_CACHES = 1 << 24  # bytes: less is moved at the speed of a cache

Record = dict[str, Any]


def read(paths: Iterable[Path]) -> list[Record]:
    """The records of the files; of two of the same measurement the later."""
    found: dict[tuple, Record] = {}
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            found[key(record)] = record
    return list(found.values())


def latest(records: list[Record]) -> list[Record]:
    """Of each machine the records of the commit that was measured last: a page must not mix commits.

    Their shares are of the best limits that were seen in their setting: what else a machine does only ever lowers
    one, and a moment's limit would flatter the rows beside it.
    """
    last = {machine(record): record["commit"] for record in records}
    return settled([record for record in records if record["commit"] == last[machine(record)]])


def settled(records: list[Record]) -> list[Record]:
    """The records with every measured setting's limits, and the shares of them, made one."""
    best: dict[tuple, Limits] = {}
    for record in records:
        if "limits" in record:
            seen = Limits(**record["limits"])
            best[_setting(record)] = seen.or_more(best.get(_setting(record), seen))
    return [_held_to(record, best[_setting(record)]) if "limits" in record else record for record in records]


def _setting(record: Record) -> tuple:
    return machine(record), record["build"], record["threads"], record["dtype"]


def _held_to(record: Record, limits: Limits) -> Record:
    work = Work(int, record["read"], record["written"], record["multiply_adds"])
    return {**record, **limits.share(work, record["seconds"]), "limits": limits._asdict()}


def append(path: Path, record: Record) -> None:
    """Add a line at once, so that a run that is stopped loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def key(record: Record) -> tuple:
    """What makes a record the same measurement as another."""
    names = "kind machine cores commit topic build threads case peer dtype size sweep axis"
    return (*(record.get(name) for name in names.split()), json.dumps(record.get("sizes")))


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


def machine(record: Record) -> str:
    """The label of the machine a record is from."""
    return f"{record['machine']}, {record['cores']} cores"


def by_machine(records: list[Record]) -> dict[str, list[Record]]:
    """The records of each machine, in the order in which the machines first appear."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(machine(record), []).append(record)
    return groups


def kind(records: list[Record], name: str) -> list[Record]:
    return [record for record in records if record["kind"] == name]


def builds(records: list[Record]) -> list[str]:
    """The builds that were measured, from the plainest."""
    found = {record.get("build") for record in records}
    return [build for build in BUILDS if build in found]


def best_build(records: list[Record]) -> str:
    """The build that uses most of the processor."""
    return builds(kind(records, "row"))[-1]


def threads(records: list[Record]) -> list[int]:
    """The numbers of threads the cases were measured with."""
    return sorted({record["threads"] for record in kind(records, "row")})


def limits_of(rows: list[Record]) -> dict[str, float]:
    """The limits in force for these rows: the median of those measured beside them."""
    names = rows[0]["limits"] if rows else ()
    return {name: statistics.median(row["limits"][name] for row in rows) for name in names}


def peers(folder: Path = PEERS) -> list[Record]:
    """What ``make bench-peers`` left: a record for each peer, case and shape."""
    return [record for path in sorted(folder.glob("*.jsonl")) for record in read([path])]


def counts(record: Record) -> bool:
    """Whether the share of a row says something: a limit of memory does only where the arrays do not fit a cache."""
    moved = record["read"] + record["written"]
    return record["limit"] == "multiply_adds" or (record["size"] == "large" and moved >= BEYOND_CACHES)


# ---- in words ---------------------------------------------------------------------------------------
def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{three(seconds / size)} {unit}"
    return f"{three(seconds / 1e-9)} ns"


def megabytes(size: float) -> str:
    return f"{three(size / 1e6)} MB"


def three(value: float) -> str:
    """Three digits, but no powers of ten."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
