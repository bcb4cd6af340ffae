"""Cost against one size at a time: which sizes, and whether the cost grows in proportion."""

import math
import statistics
from typing import Any, NamedTuple

MARGIN = 0.1  # of the slope, around 1
RESIDUAL = 0.15  # the farthest a point may lie from the line of its range, as a part of it


class Sweep(NamedTuple):
    """The summed time of some cases at `base` sizes, with one of them taking several values."""

    name: str
    cases: tuple[str, ...]
    base: dict[str, int]
    axis: str  # as the page calls it: T, B, H or N
    axis_name: str  # as the case does
    values: tuple[int, ...]


class Line(NamedTuple):
    """A fit of log(seconds) against log(value)."""

    slope: float
    residual: float


class Growth(NamedTuple):
    """The slope over all values, at both ends, and the longest range in which the cost is linear (None: nowhere)."""

    slope: float
    first: float
    last: float
    linear: tuple[int, int] | None


def sweeps() -> list[Sweep]:
    base = {"steps": 64, "batch": 16, "inputs": 64, "hidden": 64}
    axes = {
        "T": ("steps", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)),
        "B": ("batch", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        "H": ("hidden", (16, 32, 64, 128, 256, 512)),
    }
    elements = tuple(4**power for power in range(5, 13))  # 1 k to 16 M
    found = []
    for axis, (name, values) in axes.items():
        for cell in ("lstm", "gru", "rnn"):
            variant = "[tanh]" if cell == "rnn" else ""
            passes = (f"recurrent.{cell}_forward{variant}", f"recurrent.{cell}_backward{variant}")
            found.append(Sweep(cell.upper(), passes, base, axis, name, values))
    for case in ("dense.tanh", "dropout.dropout_forward[p=0.5]", "optim.adam_update", "norms.norm[ord=2]"):
        found.append(Sweep(case.partition(".")[2], (case,), {}, "N", "n", elements))
    return found


def fit(points: list[tuple[int, float]]) -> Line:
    x, y = [math.log(value) for value, _ in points], [math.log(seconds) for _, seconds in points]
    slope, intercept = statistics.linear_regression(x, y)
    return Line(slope, max(abs(b - slope * a - intercept) for a, b in zip(x, y, strict=True)))


def growth(points: list[tuple[int, float]]) -> Growth:
    """How the seconds grow with the value, over three points or more."""
    points = sorted(points)
    ends = fit(points[:2]).slope, fit(points[-2:]).slope
    return Growth(fit(points).slope, *ends, _linear_range(points))


def _linear_range(points: list[tuple[int, float]]) -> tuple[int, int] | None:
    """The longest range of at least three points on a line of slope 1; of two as long the upper one."""
    for length in range(len(points), 2, -1):
        for start in range(len(points) - length, -1, -1):
            line = fit(points[start : start + length])
            if abs(line.slope - 1) <= MARGIN and line.residual <= RESIDUAL:
                return points[start][0], points[start + length - 1][0]
    return None


def points_of(records: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(sweep, axis) to (value, seconds), the cases of a sweep summed."""
    sums: dict[tuple[str, str], dict[int, float]] = {}
    for record in records:
        values = sums.setdefault((record["sweep"], record["axis"]), {})
        values[record["value"]] = values.get(record["value"], 0.0) + record["seconds"]
    return {name: sorted(values.items()) for name, values in sums.items() if len(values) >= 3}
