"""``python -m peers.memory MODULE WORK THREADS``: train one model for 20 steps, print the process's peak in bytes."""

import importlib
import sys
from pathlib import Path

from .works import table

STEPS = 20


def main(name: str, work: str, threads: int) -> None:
    module = importlib.import_module(f"peers.{name}")
    module.set_threads(threads)
    module.FORMS = (False,)  # where a library is compiled in several forms, the others' memory does not count
    row = next(row for row in table() if row.name == work)
    contender = getattr(module, row.function)(**row.problem(**row.shape))
    for _ in range(STEPS):
        contender.run()
    print(peak())


def peak() -> int:
    """Bytes resident at most. From /proc, since getrusage's maximum counts the parent's memory before the exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
