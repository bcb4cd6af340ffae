"""One commit's side of a comparison: times cases as told, line by line.

A request is ``{"case", "dtype", "size", "seconds"}`` in JSON, the answer ``{"seconds"}`` of one call, or null where
this fastdl cannot run the case. The cases are those of the working tree, the fastdl that of PYTHONPATH.
"""

import functools
import gc
import json
import sys
import time

import numpy as np
from cases import counted

import fastdl as fd
from fastdl.cli._bench._clock import Run, calls_of, turn

READING = 1e-3  # seconds: the shortest stretch between two looks at the clock


def clock() -> float:
    """On one thread its processor time, which other load on the machine moves little; on more the time of day."""
    return time.thread_time() if fd.get_num_threads() == 1 else time.perf_counter()


@functools.lru_cache(maxsize=1)  # the case at hand, kept between its turns
def prepared(name: str, dtype: str, size: str) -> tuple[Run, int] | None:
    """The case's call, and how many of them make a reading."""
    try:
        case = next(case for case in counted() if case.name == name)
        run = case.work(size, np.dtype(dtype)).run
        return run, calls_of(run, READING, clock)
    except Exception as error:  # an older commit lacks the function, or has it otherwise
        print(f"{name} {dtype} does not run in {fd.__file__}: {error!r}", file=sys.stderr)
        return None


def timed(case: str, dtype: str, size: str, seconds: float) -> float | None:
    """The best of as many readings as `seconds` hold: what others do to this machine only ever adds."""
    found = prepared(case, dtype, size)
    return min(turn(found[0], seconds, found[1], clock)) if found else None


def main() -> None:
    gc.disable()
    print(json.dumps({"fastdl": fd.__file__}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": timed(**json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
