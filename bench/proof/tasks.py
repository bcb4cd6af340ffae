"""The rows of docs/proof.md as ``tasks.toml`` has them, the runs that give their figures, and the records of those.

A row is one figure of a run, and a run is a program of ``examples/`` with its arguments. Rows of the same run share it.
"""

import ast
import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from records import ROOT, Record

HERE = Path(__file__).parent
TABLE, RECORDS = HERE / "tasks.toml", HERE / "records.jsonl"


class Package(NamedTuple):
    """Data that a registry delivers."""

    get: str  # the command, of docs/datasets.md
    file: str  # a pattern of what it brings, in the folder of downloads or from the root


class Run(NamedTuple):
    """A program with its arguments, in fastdl or by its twin in torch."""

    example: str
    arguments: tuple[str, ...] = ()
    library: str = "fastdl"

    @property
    def source(self) -> Path:
        return HERE / f"torch/{self.example}.py" if self.library == "torch" else ROOT / f"examples/{self.example}.py"

    @property
    def program(self) -> str:
        """What its code is known by, comments and the docstring left out."""
        tree = ast.parse(self.source.read_text(encoding="utf-8"))
        tree.body = tree.body[ast.get_docstring(tree) is not None :]
        return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Row:
    """A block of ``tasks.toml``, whose head says what each key means."""

    name: str
    application: str
    data: str
    example: str
    figure: str
    settings: str
    arguments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    lower: bool = False
    goal: float | None = None
    published: str = ""
    source: str = ""
    unsure: bool = False
    seeds: int = 5
    floor: float | None = None
    quick: tuple[str, ...] = ("--quick",)
    note: str = ""

    @property
    def run(self) -> Run:
        return Run(self.example, tuple(self.arguments))

    @property
    def twin(self) -> Run | None:
        """The same in torch, where that is written."""
        found = self.run._replace(library="torch")
        return found if found.source.exists() else None

    @property
    def claim(self) -> str:
        """The published number, and whether it was looked up."""
        return self.published + " (*unsure*)" * self.unsure

    def reached(self, value: float, bar: float) -> bool:
        return value <= bar if self.lower else value >= bar


def load(path: Path = TABLE) -> tuple[dict[str, Row], dict[str, Package]]:
    """The rows and the packages, by their names."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = {name: Package(**block) for name, block in table.pop("package").items()}
    return {name: Row(name, **block) for name, block in table.items()}, packages


def read(path: Path = RECORDS) -> dict[tuple[Run, int], Record]:
    """The last record of every run and seed."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = map(json.loads, lines)
    return {(Run(one["example"], tuple(one["arguments"]), one["library"]), one["seed"]): one for one in found}


def of(run: Run | None, records: dict[tuple[Run, int], Record]) -> list[Record]:
    """The records of a run, by seed: of the program as it is now, or where there are none of an earlier one."""
    found = [record for (which, _), record in sorted(records.items()) if which == run]
    now = [record for record in found if run and record["program"] == run.program]
    return now or found


def values(records: Iterable[Record], figure: str) -> list[float]:
    return [record["figures"][figure] for record in records if figure in record["figures"]]


def spread(found: list[float]) -> str:
    """The mean, and the least and greatest where they differ."""
    mean, least, greatest = map(number, (sum(found) / len(found), min(found), max(found)))
    return mean if least == greatest else f"{mean} ({least} to {greatest})"


def number(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= 0.01 else f"{value:.2g}"


def span(found: Iterable[Any]) -> str:
    """Each that there is, once."""
    return ", ".join(dict.fromkeys(map(str, found)))
