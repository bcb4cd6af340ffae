"""Whether a cost grows in proportion to a size."""

from typing import NamedTuple

import numpy as np

MARGIN = 0.1  # of the slope, around 1
RESIDUAL = 0.15  # the farthest a point may lie from the line of its range, as a part of it


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
