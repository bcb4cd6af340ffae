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

import callgrind
import trees

KEPT = Path(__file__).with_suffix(".json")
LIMIT = 0.03  # of growth. Counts repeat; where memory lies and another Cython or Python move them by less than this


Kept = dict[str, dict[str, dict]]  # by compiler the "versions" of what else moves the "instructions" a little


def verdict(before: int | None, now: int | None) -> str:
    """Of the instructions of a case; None where it has no number."""
    if before is None or now is None:
        return "new" if before is None else "gone"
    growth = now / before - 1
    return "grew" if growth > LIMIT else "shrank" if growth < -LIMIT else "same"


def report(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """Print what changed, in the order of the table; how many of each verdict there are."""
    told = dict.fromkeys(("same", "grew", "shrank", "new", "gone"), 0)
    for name in dict.fromkeys([*now, *before]):
        old, new = before.get(name), now.get(name)
        what = verdict(old, new)
        told[what] += 1
        if what != "same":
            share = f"{100 * (new / old - 1):+8.2f} %" if old and new else " " * 10
            print(f"{what:6} {old or '-':>12} {new or '-':>12} {share}  {name}")
    counted = ", ".join(f"{count} {what}" for what, count in told.items())
    print(f"{sum(told.values())} cases, limit {LIMIT:.0%}: {counted}")
    return told


def check(kept: Kept, compiler: str, versions: dict[str, str], now: dict[str, int], part: str = "") -> int:
    """Compare counts with the numbers kept for their compiler: the exit code."""
    if compiler not in kept:
        print(f"NOT CHECKED: no instructions are kept for {compiler}, only for {', '.join(kept) or 'nothing'}.")
        print("Compare with a commit instead: make instructions BASE=main. Or keep them: make instructions-save")
        return 0
    before = kept[compiler]
    told = report({name: count for name, count in before["instructions"].items() if part in name}, now)
    if told["same"] < sum(told.values()):
        kept_with, with_ = (", ".join(map(" ".join, one.items())) for one in (before["versions"], versions))
        print(f"Kept with {kept_with}, counted with {with_}.")
        print("Where this is meant, keep the new numbers: make instructions-save")
    return int(told["grew"] + told["new"] + told["gone"] > 0)  # number and table go together


def made_by(binary: bytes) -> tuple[str, dict[str, str]]:
    """The compiler of a kernel module, by which numbers are kept, and what else moves them a little."""
    clang = re.search(rb"clang version ([\d.]+)", binary)  # its start-up files are of GCC
    gcc = re.search(rb"GCC: \([^)]*\) ([\d.]+)", binary)
    cython = re.search(rb"_cython_(\d+(?:_\d+)+)", binary)
    compiler = f"clang {clang[1].decode()}" if clang else f"GCC {gcc[1].decode()}" if gcc else "an unknown compiler"
    python = ".".join(platform.python_version_tuple()[:2])
    return compiler, {"Cython": cython[1].decode().replace("_", ".") if cython else "?", "Python": python}


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
        before, now = (callgrind.count(tree, arguments.cases) for tree in (trees.built(arguments.base), trees.ROOT))
        return int(report(before, now)["grew"] > 0)
    kernels = trees.ROOT / "fastdl" / "kernels" / callgrind.LEVEL
    compiler, versions = made_by(next(kernels.glob("dense.*.so")).read_bytes())
    kept: Kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    if not arguments.save:
        now = callgrind.count(trees.ROOT, arguments.cases) if compiler in kept else {}
        return check(kept, compiler, versions, now, arguments.cases)
    if arguments.cases:
        parser.error("--save keeps all cases")
    kept[compiler] = {"versions": versions, "instructions": callgrind.count(trees.ROOT)}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")  # a case a line: a change of one kernel is one of few lines
    print(f"{KEPT.name}: {len(kept[compiler]['instructions'])} numbers kept for {compiler}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
