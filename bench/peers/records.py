"""What a comparison leaves: a JSON file for each peer, and a table in which a loss stands out as a win does."""

import math
import statistics
from typing import Any, NamedTuple

from alternate import Sample

SCALES = {"s": ((1, "s"), (1e-3, "ms"), (1e-6, "us")), "B": ((1e6, "MB"),)}
WIDTH = 66  # of a row's name


class Record(NamedTuple):
    """One row: what fastdl and the peer take for the same work, in seconds or bytes ("unit")."""

    peer: str
    version: str
    work: str
    shape: dict[str, int]
    threads: int
    unit: str
    fastdl_median: float
    fastdl_low: float
    fastdl_high: float
    peer_median: float
    peer_low: float
    peer_high: float
    ratio: float  # peer / fastdl: above 1 fastdl wins
    fastdl_first: float | None = None  # seconds of the first call, compilation and all
    peer_first: float | None = None
    dtype: str = ""  # where the row is about arrays
    note: str = ""


def record(
    about: dict[str, Any], work: str, shape: dict[str, int], unit: str, taken: dict[str, Sample], **more: Any
) -> Record:
    """A row of the samples "fastdl" and "peer"; `about` has the peer, its version and the threads."""
    ours, theirs = taken["fastdl"], taken["peer"]
    return Record(
        **about,
        work=work,
        shape=shape,
        unit=unit,
        fastdl_median=ours.median,
        fastdl_low=ours.low,
        fastdl_high=ours.high,
        peer_median=theirs.median,
        peer_low=theirs.low,
        peer_high=theirs.high,
        ratio=theirs.median / ours.median,
        **more,
    )


def heading(title: str) -> str:
    """Over the lines of the table."""
    return f"{'median (quartiles)':{WIDTH}}{'fastdl':>30}{title:>30}{'ratio':>9}  {'':5}  {title}'s first call"


def line(row: Record) -> str:
    """A row of the printed table."""
    sides = "".join(f"{_side(row, side):>30}" for side in ("fastdl", "peer"))
    first = "" if row.peer_first is None else f"  {_number(row.peer_first, 's')}"
    return f"{label(row.work, row.shape):{WIDTH}}{sides}{row.ratio:7.2f} x  {mark(row):5}{first}"


def mark(row: Record) -> str:
    return "wins" if row.ratio >= 1 else "LOSES"


def label(work: str, shape: dict[str, int]) -> str:
    return work + (f" ({' '.join(f'{key} {_short(size)}' for key, size in shape.items())})" if shape else "")


def summary(title: str, rows: list[Record]) -> str:
    """How many rows fastdl wins and loses, with the losing rows by name."""
    if not rows:
        return f"{title}: nothing was compared"
    lost = [row for row in rows if row.ratio < 1]
    mean = statistics.geometric_mean([row.ratio for row in rows if row.unit == "s"] or [math.nan])
    text = f"{title}: fastdl wins {len(rows) - len(lost)} rows and loses {len(lost)}"
    text += f"; geometric mean of the times {mean:.2f} x"
    return text + "".join(f"\n  loses {row.ratio:.2f} x  {label(row.work, row.shape)}" for row in lost)


def notes(rows: list[Record]) -> list[str]:
    """Every note once, with the works it is about."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.note and row.work not in found.setdefault(row.note, []):
            found[row.note].append(row.work)
    return [f"{', '.join(works)}: {note}" for note, works in found.items()]


def _side(row: Record, side: str) -> str:
    median, low, high = (getattr(row, f"{side}_{part}") for part in ("median", "low", "high"))
    scale = _scale(median, row.unit)
    return f" {_number(median, row.unit)} ({_digits(low / scale[0])}-{_digits(high / scale[0])})"


def _number(value: float, unit: str) -> str:
    scale, name = _scale(value, unit)
    return f"{_digits(value / scale)} {name}"


def _digits(value: float) -> str:
    """Three of them, but no powers of ten."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    return next((pair for pair in SCALES[unit] if value >= pair[0]), SCALES[unit][-1])


def _short(size: int) -> str:
    for unit, name in ((1 << 20, " Mi"), (1_000_000, " M")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)
