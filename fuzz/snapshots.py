"""What the arrays and objects of a call hold, to be compared before and after it."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_SIMPLE = (int, float, str, bytes, bool, type(None), complex, np.number)
_CACHES = (
    *("_arena", "_arena_at", "_known"),  # made when they are first asked for
    *("_below", "_complete_at"),  # made anew when a tree changed; when an arena was last found to be whole
    "_linear",  # of a point of fastdl.curvature: what its last pass left, instead of which the next leaves its own
)
_MOST = 3000  # places of one snapshot: more are not looked at


def take(named: Mapping[str, Any]) -> dict[str, Any]:
    """Place -> what is there, for everything that can be reached from the arguments."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for name, value in named.items():
        for place, held in _walk(name, value, seen, 0):
            found[place] = held
            if len(found) >= _MOST:
                return found
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Places that hold something else now. A place that is gone is none: a list's length tells, and what an arena was
    made for since is reached another way."""
    return [place for place, held in before.items() if place in after and after[place] != held and held != "None"]


def digest(array: np.ndarray) -> tuple[Any, ...]:
    if array.dtype.hasobject:
        return array.shape, repr(array.tolist())
    return array.shape, array.dtype.str, hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8).digest()


def _walk(place: str, value: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, np.ndarray):
        yield place, digest(value)
    elif isinstance(value, _SIMPLE):
        yield place, repr(value)
    elif depth > 8 or id(value) in seen:
        return
    elif isinstance(value, Mapping):
        seen.add(id(value))
        yield place + "{}", len(value)
        for key, inner in list(value.items()):
            yield from _walk(f"{place}[{key!r:.60}]", inner, seen, depth + 1)
    elif isinstance(value, (list, tuple)):
        seen.add(id(value))
        yield place + "[]", len(value)
        for i, inner in enumerate(value):
            yield from _walk(f"{place}[{i}]", inner, seen, depth + 1)
    elif type(value).__module__.startswith("fastdl"):
        seen.add(id(value))
        for name, inner in _attributes(value):
            if name in _CACHES:
                continue
            if name == "_grad" and not getattr(value, "written", True):
                inner = "unwritten"  # which reads as 0, whatever its memory holds
            yield from _walk(f"{place}.{name}", inner, seen, depth + 1)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from sorted(getattr(value, "__dict__", {}).items())
    for cls in type(value).__mro__:
        names = vars(cls).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                try:
                    yield name, object.__getattribute__(value, name)
                except AttributeError:
                    continue
