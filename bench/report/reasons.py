"""Why a row falls short: what is known about it, for the list that the report makes from the measurements.

The first reason that fits a row is given. A row that none fits is listed with "no reason given": either something
is to be made faster, or a reason is to be written here.
"""

import math
from fnmatch import fnmatchcase
from typing import NamedTuple

from .records import Record
from .sweeps import MARGIN, Growth

NONE_GIVEN = "no reason given"


class Reason(NamedTuple):
    """A text, and the rows it is true of: those that fit every pattern (of the shell) that is named."""

    text: str
    what: tuple[str, ...] = ("*",)  # the case, or the work compared with a peer
    build: str = "*"
    limit: str = "*"  # copy, read or multiply_adds
    dtype: str = "*"
    peer: str = "*"
    shorter: float = math.inf  # seconds fastdl takes: for what is true of short calls alone

    def fits(self, what: str, row: Record) -> bool:
        named = ((self.build, "build"), (self.limit, "limit"), (self.dtype, "dtype"), (self.peer, "peer"))
        return (
            any(fnmatchcase(what, pattern) for pattern in self.what)
            and all(fnmatchcase(str(row.get(name, "")), pattern) for pattern, name in named)
            and row.get("seconds", math.inf) <= self.shorter
        )


OF_LIMIT: tuple[Reason, ...] = ()
OF_PEER: tuple[Reason, ...] = ()


def of_limit(row: Record) -> str | None:
    """Why a case stays below the machine's limit, if that is known."""
    return next((reason.text for reason in OF_LIMIT if reason.fits(row["case"], row)), None)


def of_peer(row: Record) -> str | None:
    """Why a peer is as fast or faster, if that is known."""
    return next((reason.text for reason in OF_PEER if reason.fits(row["work"], row)), None)


def of_sweep(sweep: str, axis: str, points: list[tuple[int, float]], found: Growth) -> str:
    """Why the cost is linear in a part of the range alone, as the slopes at its ends tell."""
    texts = []
    if found.first < 1 - MARGIN:
        texts.append("small: " + SMALL[axis])
    if abs(found.last - 1) > MARGIN:
        texts.append("large: " + (LARGE_STEEPER if found.last > 1 else LARGE_FLATTER)[axis])
    return "; ".join(texts) or f"**{NONE_GIVEN}**"


SMALL = {
    "T": "the call, packing the weights and the gradients of the weights cost the same for any T",
    "B": "a step reads all weights, however few rows there are",
    "H": "the call and the steps cost more than their arithmetic",
    "N": "the call costs the same for any N",
}
LARGE_STEEPER = {
    "T": "the tape outgrows a cache",
    "B": "the tape outgrows a cache",
    "H": "the products with W_h grow with H squared",
    "N": "the arrays outgrow a cache, and their pages are new to the process",
}
LARGE_FLATTER = {
    "T": "the last points are still those of the small end",
    "B": "more rows fill the tile of the product better",
    "H": "larger products run nearer the peak",
    "N": "several threads begin to share the work",
}
