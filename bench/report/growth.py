"""Cost against one size at a time: which sizes, and whether the cost grows in proportion."""

from typing import NamedTuple

import numpy as np

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
        for cell, variant in (("lstm", ""), ("gru", ""), ("rnn", "[tanh]")):
            passes = tuple(f"recurrent.{cell}_{way}{variant}" for way in ("forward", "backward"))
            found.append(Sweep(cell.upper(), passes, base, axis, name, values))
    for case in ("dense.tanh", "dropout.dropout_forward[p=0.5]", "optim.adam_update", "norms.norm[ord=2]"):
        found.append(Sweep(case.partition(".")[2], (case,), {}, "N", "n", elements))
    return found


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
