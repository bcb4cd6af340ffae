"""The noise-free gate: instructions per case against the numbers kept in ``instructions.json``.

``python bench/instructions.py`` compares, ``--save`` keeps new numbers, ``--base REF`` compares with another commit
built by the compiler at hand, ``--cases PART`` looks at some. See ``docs/tracking.md``.
"""

import argparse
import json
import platform
import re
import sys
from pathlib import Path
from typing import NamedTuple

from tracking import callgrind, trees

KEPT = Path(__file__).with_suffix(".json")
LIMIT = 0.03  # of growth. Counts repeat; where memory lies and another Cython or Python move them by less than this


class Kept(NamedTuple):
    """Numbers taken with one compiler."""

    versions: dict[str, str]
    instructions: dict[str, int]


class Change(NamedTuple):
    """Instructions of a case; None where it has no number."""

    name: str
    before: int | None
    now: int | None

    @property
    def verdict(self) -> str:
        if self.before is None or self.now is None:
            return "new" if self.before is None else "gone"
        growth = self.now / self.before - 1
        return "grew" if growth > LIMIT else "shrank" if growth < -LIMIT else "same"

    def __str__(self) -> str:
        share = f"{100 * (self.now / self.before - 1):+8.2f} %" if self.before and self.now else " " * 10
        return f"{self.verdict:6} {self.before or '-':>12} {self.now or '-':>12} {share}  {self.name}"


def changes(before: dict[str, int], now: dict[str, int]) -> list[Change]:
    """Every case of either, in the order of the table."""
    names = [*now, *(name for name in before if name not in now)]
    return [Change(name, before.get(name), now.get(name)) for name in names]


def report(found: list[Change], failing: tuple[str, ...]) -> bool:
    """Print what changed; whether nothing fails."""
    told = dict.fromkeys(("same", "grew", "shrank", "new", "gone"), 0)
    for change in found:
        told[change.verdict] += 1
        if change.verdict != "same":
            print(change)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in told.items())
    print(f"{len(found)} cases, limit {LIMIT:.0%}: {counted}")
    return not any(told[verdict] for verdict in failing)


def check(kept: dict[str, Kept], compiler: str, versions: dict[str, str], now: dict[str, int], part: str = "") -> int:
    """Compare counts with the numbers kept for their compiler: the exit code."""
    if compiler not in kept:
        print(f"NOT CHECKED: no instructions are kept for {compiler}, only for {', '.join(kept) or 'nothing'}.")
        print("Compare with a commit instead: make instructions BASE=main. Or keep them: make instructions-save")
        return 0
    before = {name: count for name, count in kept[compiler].instructions.items() if part in name}
    found = changes(before, now)
    good = report(found, failing=("grew", "new", "gone"))
    if any(change.verdict != "same" for change in found):
        print(f"Kept with {_words(kept[compiler].versions)}, counted with {_words(versions)}.")
        print("Where this is meant, keep the new numbers: make instructions-save")
    return 0 if good else 1


def made_by(binary: bytes) -> tuple[str, dict[str, str]]:
    """The compiler of a kernel module, by which numbers are kept, and what else moves them a little."""
    clang = re.search(rb"clang version ([\d.]+)", binary)  # its start-up files are of GCC
    gcc = re.search(rb"GCC: \([^)]*\) ([\d.]+)", binary)
    cython = re.search(rb"_cython_(\d+(?:_\d+)+)", binary)
    compiler = f"clang {clang[1].decode()}" if clang else f"GCC {gcc[1].decode()}" if gcc else "an unknown compiler"
    python = ".".join(platform.python_version_tuple()[:2])
    return compiler, {"Cython": cython[1].decode().replace("_", ".") if cython else "?", "Python": python}


def read(path: Path) -> dict[str, Kept]:
    return {name: Kept(**numbers) for name, numbers in json.loads(path.read_text()).items()} if path.exists() else {}


def write(path: Path, kept: dict[str, Kept]) -> None:
    path.write_text(json.dumps({name: numbers._asdict() for name, numbers in kept.items()}, indent=1) + "\n")


def _words(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Count the instructions of every kernel.")
    parser.add_argument("--save", action="store_true", help="keep the numbers of this tree")
    parser.add_argument("--base", default="", metavar="REF", help="compare with this commit, not with the kept numbers")
    parser.add_argument("--cases", default="", metavar="PART", help="only cases whose name contains this")
    arguments = parser.parse_args(argv)
    if not callgrind.available():
        print("valgrind is not installed: instructions are not counted")
        return 1 if arguments.save else 0
    if arguments.base:
        before = callgrind.count(trees.built(arguments.base), arguments.cases)
        found = changes(before, callgrind.count(trees.ROOT, arguments.cases))
        return 0 if report(found, failing=("grew",)) else 1
    kernels = trees.ROOT / "fastdl" / "kernels" / callgrind.LEVEL
    compiler, versions = made_by(next(kernels.glob("dense.*.so")).read_bytes())
    kept = read(KEPT)
    if not arguments.save:
        now = callgrind.count(trees.ROOT, arguments.cases) if compiler in kept else {}
        return check(kept, compiler, versions, now, arguments.cases)
    if arguments.cases:
        parser.error("--save keeps all cases")
    kept[compiler] = Kept(versions, callgrind.count(trees.ROOT))
    write(KEPT, kept)
    print(f"{KEPT.name}: {len(kept[compiler].instructions)} numbers kept for {compiler}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
