"""The records as frames, a machine's each; why a row falls short (``reasons.toml``); amounts in words."""

import math
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import records
from measure import roofline

BUILDS = ("baseline", "avx2", "avx512")  # from the plainest
DTYPES = ("float32", "float64")
BEYOND_CACHES = 1 << 24  # bytes: less is moved at the speed of a cache
MARGIN = 0.1  # of the slope of a cost that is linear, around 1
RESIDUAL = 0.15  # the farthest a point may lie from the line of its range, as a part of it
NONE_GIVEN = "no reason given"
REASONS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("reasons.toml").read_text(encoding="utf-8"))
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


# ---- whether a cost grows in proportion to a size ---------------------------------------------------------
class Growth(NamedTuple):
    """The slope over all values, at both ends, and the longest range in which the cost is linear (None: nowhere)."""

    slope: float
    first: float
    last: float
    linear: tuple[int, int] | None


def growth(values: np.ndarray, seconds: np.ndarray) -> Growth:
    """How the seconds grow with the value, over three points or more in order."""
    x, y = np.log(values), np.log(seconds)
    slopes = (np.polyfit(x[part], y[part], 1)[0] for part in (slice(None), slice(2), slice(-2, None)))
    return Growth(*slopes, _linear_range(values, x, y))


def _linear_range(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[int, int] | None:
    """The longest range of at least three points on a line of slope 1; of two as long the upper one."""
    for length in range(len(x), 2, -1):
        for start in range(len(x) - length, -1, -1):
            part = slice(start, start + length)
            line = np.polyfit(x[part], y[part], 1)
            if abs(line[0] - 1) <= MARGIN and np.abs(y[part] - np.polyval(line, x[part])).max() <= RESIDUAL:
                return int(values[start]), int(values[start + length - 1])
    return None


# ---- why a row falls short ------------------------------------------------------------------------------
def reason(kind: str, row: Any) -> str:
    """Why a case stays below the machine's "limit", or a "peer" is as fast or faster at a work, if that is known."""
    what = row["case" if kind == "limit" else "work"]
    for one in REASONS[kind]:
        if (
            any(fnmatchcase(what, pattern) for pattern in one.get("what", ["*"]))
            and all(fnmatchcase(row.get(name, ""), one.get(name, "*")) for name in ("build", "limit", "size", "shape"))
            and row["seconds"] <= one.get("shorter", math.inf)
            and all(row.get(name, math.inf) >= one.get(name, 0) for name in ("ratio", "share"))
        ):
            return one["text"]
    return NONE_GIVEN


def reason_of_sweep(axis: str, found: Growth) -> str:
    """Why the cost is linear in a part of the range alone, as the slopes at its ends tell."""
    ends, texts = REASONS["sweep"], []
    if found.first < 1 - MARGIN:
        texts.append("small: " + ends["small"][axis])
    if abs(found.last - 1) > MARGIN:
        texts.append("large: " + ends["steeper" if found.last > 1 else "flatter"][axis])
    return "; ".join(texts) or f"**{NONE_GIVEN}**"


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
