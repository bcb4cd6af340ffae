"""What a saved state is refused for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._validate import is_one_of, mapping, real_values, shown


def check_keys(name: str, saved: Any, expected: Sequence[str]) -> None:
    """Refuse what is not a mapping with exactly these keys."""
    mapping(name, saved, "what state_dict gave")
    if set(saved) != set(expected):
        raise ValueError(f"{name}: got {', '.join(map(str, saved)) or 'nothing'}, expected {', '.join(expected)}")


def check_kind(name: str, got: Any, expected: str) -> None:
    """Refuse a saved state of another class."""
    if not is_one_of(got, (expected,)):
        other = got if isinstance(got, str) else shown(got)
        raise ValueError(f"{name}: got the state of {other}, expected that of {expected}")


def check_members(name: str, saved: Mapping[str, Any], names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse a saved state of parameters with other names or shapes."""
    for key in ("names", "shapes"):
        if not isinstance(saved[key], (list, tuple)):
            raise TypeError(f"{name}[{key!r}]: got {type(saved[key]).__name__}, expected a list")
    got = [(one, _plain(shape)) for one, shape in zip(saved["names"], saved["shapes"], strict=False)]
    if len(got) != len(names) or len(got) != len(saved["shapes"]):
        others = [one for one in saved["names"] if one not in names]
        missing = [one for one in names if one not in saved["names"]]
        which = f": missing {missing or 'none'}, unknown {others or 'none'}" if others or missing else ""
        raise ValueError(f"{name}: got the state of {len(saved['names'])} parameters, expected {len(names)}{which}")
    for (other, shape), own, wanted in zip(got, names, shapes, strict=True):
        if not (is_one_of(other, (own,)) and is_one_of(shape, (tuple(wanted),))):
            named = other if isinstance(other, str) else shown(other)
            raise ValueError(f"{name}: got the state of {named} {shown(shape)}, expected that of {own} {tuple(wanted)}")


def _plain(shape: Any) -> Any:
    return tuple(shape) if isinstance(shape, (list, tuple)) else shape


def check_array(name: str, value: Any, own: np.ndarray) -> None:
    """Refuse a saved array of another shape or dtype."""
    got = real_values(name, value)
    if got.shape != own.shape or (isinstance(value, np.ndarray) and got.dtype != own.dtype):
        raise ValueError(f"{name}: got {got.dtype} {got.shape}, expected {own.dtype} {own.shape}")
