"""The records as frames, a machine's each; and amounts in words."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import records
from measure import roofline

BUILDS = ("baseline", "avx2", "avx512")  # from the plainest
DTYPES = ("float32", "float64")
BEYOND_CACHES = 1 << 24  # bytes: less is moved at the speed of a cache
OF_PEERS = ["case", "peer", "version", "work", "shape", "dtype", "threads", "ratio", "seconds", "bytes", "note", "of"]


class Machine(NamedTuple):
    """What was measured on one machine at one commit. A frame is empty where nothing of its kind was."""

    label: str
    commit: str
    versions: dict[str, str]
    rows: pd.DataFrame
    sweeps: pd.DataFrame
    peers: pd.DataFrame

    @property
    def builds(self) -> list[str]:
        found = set(self.rows.build)
        return [build for build in BUILDS if build in found]

    @property
    def threads(self) -> list[int]:
        return sorted(set(self.rows.threads))

    @property
    def best(self) -> str:
        """The build that uses most of the processor."""
        return self.builds[-1]

    def points(self) -> Iterator[tuple[str, str, pd.Series]]:
        """Of every sweep its name, its axis, and the seconds by value, those of its cases summed."""
        for (name, axis), own in self.sweeps.groupby(["sweep", "axis"], sort=False) if len(self.sweeps) else ():
            points = own.groupby(own.value.astype(int)).seconds.sum()
            if len(points) >= 3:
                yield name, axis, points


def load(paths: list[Path]) -> list[Machine]:
    """The machines, in the order in which they first appear."""
    groups: dict[str, list[records.Record]] = {}
    for record in records.read(paths):
        groups.setdefault(f"{record['machine']}, {record['cores']} cores", []).append(record)
    return [machine(label, own) for label, own in groups.items()]


def machine(label: str, found: list[records.Record]) -> Machine:
    """Of one machine the records of the commit that was measured last: a page must not mix commits."""
    commit = found[-1]["commit"]
    of: dict[str, list[records.Record]] = {"machine": [], "peer": [], "row": [], "sweep": []}
    for record in found:
        if record["commit"] == commit:
            of[record["kind"]].append(record)
    rows = settled(pd.DataFrame([*of["row"], *of["sweep"]]))
    kinds = [rows[rows.kind == kind].reset_index(drop=True) for kind in ("row", "sweep")]
    peers = pd.DataFrame(of["peer"], columns=OF_PEERS)
    return Machine(label, commit, of["machine"][-1]["versions"], *kinds, peers.fillna({"seconds": math.inf}))


def settled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the limits of their build, threads and type made one, the best that were seen.

    What else a machine does only ever lowers a limit, and a moment's would flatter the rows beside it. A share counts
    where it says something: a limit of memory does only where the arrays do not fit a cache.
    """
    seen = pd.DataFrame(list(rows.limits), index=rows.index)
    best = seen.groupby([rows.build, rows.threads, rows.dtype]).transform("max")
    limit, share = roofline(rows, best)
    beyond = (rows["size"] == "large") & (rows.read + rows.written >= BEYOND_CACHES)
    return rows.assign(limit=limit, share=share, counts=(limit == "multiply_adds") | beyond, **best.add_prefix("most_"))


def mean(ratios: Any) -> float:
    """The geometric mean."""
    return float(np.exp(np.mean(np.log(ratios))))


# ---- in words ---------------------------------------------------------------------------------------
def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{three(seconds / size)} {unit}"
    return f"{three(seconds / 1e-9)} ns"


def amount(row: Any) -> str:
    """The time of a row against a peer, or its size."""
    return duration(row.seconds) if row.seconds < math.inf else f"{three(row.bytes / 1e6)} MB"


def three(value: float) -> str:
    """Three digits, but no powers of ten."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
