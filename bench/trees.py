"""Another commit of fastdl, built beside the working tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
STORE = ROOT / "build" / "compare"


def commit(ref: str) -> str:
    """The full name of the commit that `ref` means."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], cwd=ROOT, capture_output=True, text=True
    )
    if found.returncode:
        raise SystemExit(f"BASE: {ref!r} names no commit here")
    return found.stdout.strip()


def built(ref: str) -> Path:
    """The folder of a commit with its extensions built in place: made once, then kept under ``build/compare``.

    It is taken from ``git archive``: a second working tree would have to be unregistered again. This interpreter
    builds it, with the flags of that commit's own ``setup.py``.
    """
    name = commit(ref)
    folder = STORE / f"{name[:12]}-{sys.implementation.cache_tag}"
    done = folder / ".built"
    if not done.exists():
        print(f"building {name[:12]} in {folder.relative_to(ROOT)} (once, some minutes)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", name], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x"], cwd=folder, check=True, input=archive)
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True)
        done.touch()
    return folder


def environment(tree: Path, **variables: str) -> dict[str, str]:
    """The variables of a process that imports the fastdl of `tree` and the cases of the working tree.

    Few of the caller's own: they lie on the stack, and where it begins moves some counts by a thousandth.
    """
    own = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "FASTDL_ISA") if name in os.environ}
    fixed = {"PYTHONPATH": os.pathsep.join([str(tree), str(BENCH)]), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    return {**own, **fixed, **variables}
