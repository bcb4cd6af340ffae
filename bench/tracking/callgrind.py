"""Instructions of each case's one call, executed inside the kernels of the AVX2 build, as callgrind counts them."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .trees import environment

HERE = Path(__file__).parent
LEVEL = "avx2"  # valgrind knows no AVX-512
_CASE = "desc: Trigger: Client Request: "
_NAME = re.compile(r"(c?ob)=\((\d+)\)(?: (.*))?")


def available() -> bool:
    return shutil.which("valgrind") is not None


def count(tree: Path, part: str = "") -> dict[str, int]:
    """Instructions by "case dtype", of the fastdl built in `tree`, for the names that contain `part`."""
    with tempfile.TemporaryDirectory() as folder:
        marks, out = Path(folder) / "marks.so", Path(folder) / "out"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", marks, HERE / "marks.c"], check=True)
        command = ["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no", "--dump-line=no"]
        command += ["--combine-dumps=yes", f"--callgrind-out-file={out}"]
        command += [sys.executable, HERE / "counted.py", marks, part]
        subprocess.run(command, check=True, cwd=tree, env=environment(tree, FASTDL_ISA=LEVEL))
        with out.open() as lines:
            counts = parse(lines, f"/fastdl/kernels/{LEVEL}/")
        return {name: count for name, count in counts.items() if count}  # the rest is NumPy's work alone


def parse(lines: Iterable[str], within: str) -> dict[str, int]:
    """The exclusive cost of the objects whose path contains `within`, by the name of the dump.

    The format (valgrind's manual, "Callgrind Format Specification"): ``ob=`` names the object that the following
    cost lines belong to, as ``(number) path`` the first time and ``(number)`` after; the line after a ``calls=``
    is the inclusive cost of the call, which is counted where it was spent.
    """
    counts: dict[str, int] = {}
    paths: dict[str, str] = {}
    case, inside, call = "", False, False
    for line in lines:
        if line[0] in "+-*0123456789":
            if inside and not call:
                counts[case] += int(line.split()[-1])
            call = False
        elif line.startswith("calls="):
            call = True
        elif named := _NAME.match(line):
            kind, number, path = named.groups()
            if path:
                paths[number] = path
            if kind == "ob":
                inside = within in paths[number]
        elif line.startswith(_CASE):
            case, inside = line.removeprefix(_CASE).strip(), False
            counts[case] = 0
        elif line.startswith("desc: Trigger: Program termination"):
            break
    return counts
