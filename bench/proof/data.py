"""Gets the packages of data that the runs need, by the commands of docs/datasets.md, into build/proof/data."""

import glob
import os
import shlex
import subprocess
import sys
from pathlib import Path

from records import ROOT

from .tasks import Package

DATA = ROOT / "build" / "proof" / "data"  # what FASTDL_DATA names in a run


def get(package: Package, folder: Path = DATA) -> str:
    """Download the package if it is not there; why it could not be had, else nothing."""
    pattern = os.path.join(folder, package.file)
    if glob.glob(pattern):
        return ""
    if package.get.startswith("by hand: "):
        return package.get
    folder.mkdir(parents=True, exist_ok=True)
    program, *rest = shlex.split(package.get)
    command = [sys.executable, "-m", "pip", *rest] if program == "pip" else [program, *rest]
    print(package.get, flush=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{package.get}: {error}"
    if glob.glob(pattern):
        return ""
    lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
    return f"{package.get}: {([line for line in lines if 'ERROR' in line or line.startswith('E:')] or lines)[-1]}"
