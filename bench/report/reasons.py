"""Why a row falls short, as far as ``reasons.toml`` knows: for the list that the report makes from the measurements."""

import math
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .growth import MARGIN, Growth

NONE_GIVEN = "no reason given"
REASONS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def fits(reason: dict[str, Any], what: str, row: Any) -> bool:
    return (
        any(fnmatchcase(what, pattern) for pattern in reason.get("what", ["*"]))
        and all(fnmatchcase(row.get(name, ""), reason.get(name, "*")) for name in ("build", "limit", "size", "shape"))
        and row["seconds"] <= reason.get("shorter", math.inf)
        and row.get("ratio", math.inf) >= reason.get("ratio", 0)
    )


def of_limit(row: Any) -> str:
    """Why a case stays below the machine's limit, if that is known."""
    return next((one["text"] for one in REASONS["limit"] if fits(one, row["case"], row)), NONE_GIVEN)


def of_peer(row: Any) -> str:
    """Why a peer is as fast or faster, if that is known."""
    return next((one["text"] for one in REASONS["peer"] if fits(one, row["work"], row)), NONE_GIVEN)


def of_sweep(axis: str, found: Growth) -> str:
    """Why the cost is linear in a part of the range alone, as the slopes at its ends tell."""
    ends, texts = REASONS["sweep"], []
    if found.first < 1 - MARGIN:
        texts.append("small: " + ends["small"][axis])
    if abs(found.last - 1) > MARGIN:
        texts.append("large: " + ends["steeper" if found.last > 1 else "flatter"][axis])
    return "; ".join(texts) or f"**{NONE_GIVEN}**"
