"""What a reader gives: parts, their columns, names, licence and source; a readable repr."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Data as its reader gives it: ``x, y = data.train``.

    Attributes
    ----------
    title : str
        What it is.
    parts : dict of str to tuple
        "train", "valid", "test", or "all" where its makers did not split it. Each is an attribute too.
    columns : tuple of str
        What the entries of every part are, such as ("x", "y").
    names : tuple of str
        What the numbers of the last column stand for: classes, words, letters; empty where they are numbers.
    facts : dict
        What else is known, such as a sampling rate.
    licence : str
        What its makers allow, as far as its package says so.
    source : str
        The package with its release, and where it was found.

    Raises
    ------
    ValueError
        If a part has not as many entries as there are columns.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.datasets.Dataset("two points", {"all": (np.zeros((2, 3)), ["a", "b"])}, ("x", "y"))
    two points
      all      x (2, 3) float64, y 2 texts
    """

    title: str
    parts: Mapping[str, tuple[Any, ...]]
    columns: tuple[str, ...]
    names: tuple[str, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for name, part in self.parts.items():
            if len(part) != len(self.columns):
                raise ValueError(f"parts[{name!r}]: got {len(part)} entries, expected {', '.join(self.columns)}")

    def __getattr__(self, name: str) -> tuple[Any, ...]:
        parts = self.__dict__.get("parts", {})  # empty while a copy is being made
        if name in parts:
            return parts[name]
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"Dataset has no part {name!r}, only {', '.join(parts)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.parts]

    def __repr__(self) -> str:
        lines = [self.title]
        for name, part in self.parts.items():
            told = (f"{column} {_extent(value)}" for column, value in zip(self.columns, part, strict=True))
            lines.append(f"  {name:8} {', '.join(told)}")
        if self.names:
            some = self.names if len(self.names) <= 12 else (*self.names[:8], "...", self.names[-1])
            lines.append(f"  names    {len(self.names)}: {', '.join(map(str, some))}")
        lines += [f"  {name:8} {value}" for name, value in self.facts.items()]
        lines += [f"  {name:8} {value}" for name in ("licence", "source") if (value := getattr(self, name))]
        return "\n".join(lines)


def _extent(value: Any) -> str:
    """The size of a column in words."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    if not value:
        return "none"
    if isinstance(value[0], str):
        return f"{len(value)} texts"
    if not hasattr(value[0], "__len__"):
        return f"{len(value)} of {type(value[0]).__name__}"
    lengths = [len(one) for one in value]
    low, high = min(lengths), max(lengths)
    span = f"{low}" if low == high else f"{low} to {high}"
    if isinstance(value[0], np.ndarray):
        return f"{len(value)} of ({', '.join([span, *map(str, value[0].shape[1:])])}) {value[0].dtype}"
    return f"{len(value)} lists of {span}"
