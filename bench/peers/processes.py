"""What belongs to a process or an installation, not to a call: import time, peak memory, installed size.

Measured from inside a peer's environment. ``python -m peers.processes LIBRARY CASE THREADS`` trains one model for 20
steps and prints the process's peak in bytes.
"""

import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cases import table
from packaging.requirements import Requirement

from fastdl.cli._bench import _fastdl
from fastdl.cli._bench._clock import Sample, sample
from fastdl.cli._bench._peers import OWN, PEERS, Peer

MODELS = ("training.language_model[characters]", "training.classifier")  # what a process trains for its peak memory
STEPS = 20


def rows(peer: Peer, name: str, threads: int) -> Iterator[tuple[str, str, str, dict[str, Sample]]]:
    """The case, the title, the unit and samples of ours and the peer's, each in new processes in turn."""

    def importing(*names: str) -> float:
        statement = f"import {', '.join(names)}"
        return _output("-c", f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)")

    yield "import", "import", "seconds", _in_turn(
        {OWN: lambda: importing("fastdl"), peer.title: lambda: importing(*peer.imports)}, runs=5)  # fmt: skip
    ours = sum(_size(path) for path in _wheel_files()) + _closure(["numpy"])
    yield "size", "installed size", "bytes", {OWN: sample([ours]), peer.title: sample([_closure(peer.distributions)])}
    for case in table():
        if case.name in MODELS and not peer.lacks(case):
            training = {side: lambda of=of, case=case: _output("-m", "peers.processes", of, case.name, str(threads))
                        for side, of in ((OWN, OWN), (peer.title, name))}  # fmt: skip
            yield f"memory of {case.name}", f"peak memory, {case.title}", "bytes", _in_turn(training, runs=3)


def peak() -> int:
    """Bytes resident at most. From /proc, since getrusage's maximum counts the parent's memory before the exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def main(library: str, name: str, threads: int) -> None:
    module = _fastdl if library == OWN else PEERS[library].adapter
    module.set_threads(threads)
    module.FORMS = (False,)  # where a library is compiled in several forms, the others' memory does not count
    case = next(case for case in table() if case.name == name)
    work = case.by(module, case.shapes[0])
    for _ in range(STEPS):
        work.run()
    print(peak())


def _in_turn(sides: dict[str, Callable[[], float]], runs: int) -> dict[str, Sample]:
    """After a run that does not count: it writes bytecode."""
    rounds = [{side: measure() for side, measure in sides.items()} for _ in range(runs + 1)][1:]
    return {side: sample([taken[side] for taken in rounds]) for side in sides}


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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
