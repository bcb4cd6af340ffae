"""What belongs to a process or an installation, not to a call: import time, peak memory, installed size.

Measured from inside a peer's environment.
"""

import importlib.metadata
import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from alternate import Sample
from packaging.requirements import Requirement

from . import PEERS, Peer

MODELS = ("character model, a step", "dense classifier, a step")  # what a process trains for its peak memory


def import_times(peer: Peer, runs: int = 5) -> dict[str, Sample]:
    """Seconds of each import in new interpreters, in turn, after one that does not count (it writes bytecode)."""
    statements = {"fastdl": "import fastdl", "peer": peer.import_statement}
    taken: dict[str, list[float]] = {name: [] for name in statements}
    for run in range(runs + 1):
        for name, statement in statements.items():
            seconds = _output(
                "-c", f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
            )
            if run:
                taken[name].append(seconds)
    return {name: Sample(statistics.median(times), min(times), max(times), runs) for name, times in taken.items()}


def installed_sizes(peer: Peer) -> dict[str, Sample]:
    """Bytes on disk of what is installed and of what that pulls in, without bytecode and installers."""
    ours = sum(_size(path) for path in _wheel_files()) + _closure(["numpy"])
    return {"fastdl": Sample(ours, ours, ours, 1), "peer": Sample(*[_closure(peer.distributions)] * 3, 1)}


def peak_memories(name: str, work: str, threads: int, runs: int = 3) -> dict[str, Sample]:
    """Bytes of a new process that trains a model for 20 steps, ours and the peer's in turn."""
    modules = {"fastdl": "ours", "peer": PEERS[name].module}
    taken: dict[str, list[float]] = {side: [] for side in modules}
    for _ in range(runs):
        for side, module in modules.items():
            taken[side].append(_output("-m", "peers.memory", module, work, str(threads)))
    return {side: Sample(statistics.median(found), min(found), max(found), runs) for side, found in taken.items()}


def _output(*arguments: str) -> float:
    """The number that a new interpreter prints last."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


def _wheel_files() -> Iterator[Path]:
    """The files of fastdl that a wheel would have; the checkout's translated C and bytecode are not among them."""
    folder = Path(importlib.util.find_spec("fastdl").origin).parent
    return (path for path in folder.rglob("*") if path.suffix in (".py", ".pyi", ".so", ".pyx", ".pxd", ".h", ".typed"))


def _closure(names: list[str] | tuple[str, ...]) -> int:
    """Bytes of distributions and of all they require."""
    found: dict[str, int] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            distribution = importlib.metadata.distribution(name)
            files = (file.locate() for file in distribution.files or [] if file.suffix != ".pyc")
            found[name] = sum(_size(Path(path)) for path in files)
            needed = map(Requirement, distribution.requires or [])
            waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return sum(found.values())


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
