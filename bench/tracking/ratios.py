"""Whether one of two commits is slower: from times taken in turn, by the sign test, whatever the noise is like."""

import math
import statistics
from typing import NamedTuple

CONFIDENCE = 0.95


class Ratio(NamedTuple):
    """New over base: the median of the turns' ratios, and a bound on either side of the true median."""

    low: float
    middle: float
    high: float


def ratio(base: list[float], new: list[float]) -> Ratio:
    """Of times whose pairs were taken one after the other.

    The chance that the true median lies below the k-th smallest of n values is that of fewer than k heads in n
    tosses. The bound is the largest k for which it is under 5 %: the fifth smallest of 16.
    """
    values = sorted(after / before for before, after in zip(base, new, strict=True))
    n = len(values)
    chances = [sum(math.comb(n, heads) for heads in range(k)) / 2**n for k in range(1, n // 2 + 1)]
    k = sum(chance < 1 - CONFIDENCE for chance in chances)
    if k == 0:
        return Ratio(0.0, statistics.median(values), math.inf)
    return Ratio(values[k - 1], statistics.median(values), values[n - k])


def verdict(looks: list[Ratio], limit: float) -> str:
    """What the looks at a case agree on: each came from fresh processes, which places memory anew."""
    if not looks:
        return "new"
    if all(look.low > limit for look in looks):
        return "slower"
    if all(look.high < 1 / limit for look in looks):
        return "faster"
    return "same"
