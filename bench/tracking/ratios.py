"""Whether one of two commits is slower: from times taken in turn, by the sign test, whatever the noise is like."""

import math
import statistics
from typing import NamedTuple

CONFIDENCE = 0.95
AGREEING = 2  # looks whose bound must be beyond the limit


class Ratio(NamedTuple):
    """New over base: the median of the turns' ratios, and a bound on either side of the true median."""

    low: float
    middle: float
    high: float

    @property
    def inverse(self) -> "Ratio":
        return Ratio(1 / self.high, 1 / self.middle, 1 / self.low if self.low else math.inf)

    def held_to(self, best: float) -> "Ratio":
        """The same, but no further from 1 than the ratio of the two best times: what others do only ever adds."""
        if self.middle >= 1:
            return Ratio(min(self.low, best), max(1.0, min(self.middle, best)), self.high)
        return Ratio(self.low, min(1.0, max(self.middle, best)), max(self.high, best))


def ratio(base: list[float], new: list[float]) -> Ratio:
    """Of times whose pairs were taken one after the other.

    For independent values the chance that the true median lies below the k-th smallest of n is that of fewer than
    k heads in n tosses. The bound is the largest k for which it is under 5 %: the fifth smallest of 16. Neighbours
    are not quite independent (a busy moment outlasts a turn), so a bound decides nothing alone.
    """
    values = sorted(after / before for before, after in zip(base, new, strict=True))
    n = len(values)
    chances = [sum(math.comb(n, heads) for heads in range(k)) / 2**n for k in range(1, n // 2 + 1)]
    k = sum(chance < 1 - CONFIDENCE for chance in chances)
    if k == 0:
        return Ratio(0.0, statistics.median(values), math.inf)
    return Ratio(values[k - 1], statistics.median(values), values[n - k])


def suspected(looks: list[Ratio], limit: float) -> bool:
    """Whether every look so far was beyond the limit, on the same side."""
    middles = [look.middle for look in looks]
    return bool(middles) and (min(middles) > limit or max(middles) < 1 / limit)


def verdict(looks: list[Ratio], limit: float) -> str:
    """What the looks at a case agree on: each came from fresh processes, which places memory anew.

    Every median must be beyond the limit, and the bounds of two looks: a single noisy look neither fails a case
    nor saves it.
    """
    if not looks:
        return "new"
    for name, seen in (("slower", looks), ("faster", [look.inverse for look in looks])):
        if all(one.middle > limit for one in seen) and sum(one.low > limit for one in seen) >= AGREEING:
            return name
    return "same"
