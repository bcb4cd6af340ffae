"""Instructions of each case's one call, executed inside the kernels of the AVX2 build, as callgrind counts them.

``python -m callgrind MARKS DTYPE [PART]`` is what runs under callgrind, with the library made of ``marks.c``:
every case once, with counting on for that one call alone.
"""

import ctypes
import gc
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trees import environment

MARKS = Path(__file__).with_name("marks.c")
LEVEL = "avx2"  # valgrind knows no AVX-512
SIZE = "medium"  # in a small call, taking the arguments can be nine tenths of the count
_CASE = "desc: Trigger: Client Request: "
_NAME = re.compile(r"(c?ob)=\((\d+)\)(?: (.*))?")


def available() -> bool:
    return shutil.which("valgrind") is not None


def count(tree: Path, part: str = "") -> dict[str, int]:
    """Instructions by "case dtype", of the fastdl built in `tree`, for the names that contain `part`."""
    # Once without valgrind: to compile what is imported later would lay out memory otherwise.
    subprocess.run([sys.executable, "-c", "import cases"], check=True, cwd=tree, env=environment(tree))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        marks = Path(folder) / "marks.so"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", marks, MARKS], check=True)
        parts = list(pool.map(lambda dtype: _run(tree, Path(folder), dtype, part), ("float32", "float64")))
    counts = {name: count for counts in parts for name, count in counts.items()}
    return {name: counts[name] for name in sorted(counts) if counts[name]}  # the rest is NumPy's work alone


def _run(tree: Path, folder: Path, dtype: str, part: str) -> dict[str, int]:
    """The counts of one type, by a process of its own."""
    out = folder / dtype
    options = ["-q", "--tool=callgrind", "--collect-atstart=no", "--combine-dumps=yes", f"--callgrind-out-file={out}"]
    command = ["valgrind", *options, sys.executable, "-m", "callgrind", folder / "marks.so", dtype, part]
    subprocess.run(command, check=True, cwd=tree, env=environment(tree, FASTDL_ISA=LEVEL))
    with out.open() as lines:
        return parse(lines, f"/fastdl/kernels/{LEVEL}/")


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


def main(library: str, wanted: str, part: str = "") -> None:
    """Dump what one call of each case executes, under its name; what this fastdl cannot run is told and left out."""
    from cases import calls

    marks = ctypes.CDLL(library)
    gc.disable()
    for name, (case, dtype) in calls(part).items():
        if dtype.name != wanted:
            continue
        try:
            case.work("small", dtype).run()  # what is imported late or looked up once belongs to no call
            work = case.work(SIZE, dtype)
        except Exception as error:
            print(f"{name} does not run: {error!r}", file=sys.stderr)
            continue
        marks.toggle()
        work.run()
        marks.toggle()
        marks.dump(name.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
