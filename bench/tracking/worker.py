"""One commit's side of a comparison: times cases as told, line by line.

A request is ``{"case", "dtype", "size", "seconds"}`` in JSON, the answer ``{"seconds"}`` of one call, or null where
this fastdl cannot run the case. The cases are those of the working tree, the fastdl that of PYTHONPATH.
"""

import gc
import json
import sys
import time
from collections.abc import Callable

import numpy as np
from cases import table

import fastdl as fd

READING = 1e-3  # seconds: the shortest stretch between two looks at the clock


class Timer:
    """The case at hand, kept between its turns.

    On one thread the clock is the processor time of this thread, which other load on the machine moves little;
    on more it is the time of day.
    """

    def __init__(self) -> None:
        self._cases = {case.name: case for case in table()}
        self._clock = time.thread_time if fd.get_num_threads() == 1 else time.perf_counter
        self._at: tuple[str, str, str] | None = None
        self._run: Callable[[], object] | None = None
        self._calls = 1

    def turn(self, case: str, dtype: str, size: str, seconds: float) -> float | None:
        """The best of as many readings as `seconds` hold: what others do to this machine only ever adds."""
        if self._at != (case, dtype, size):
            self._prepare(case, dtype, size)
        if self._run is None:
            return None
        end, best = time.perf_counter() + seconds, self._read()
        while time.perf_counter() < end:
            best = min(best, self._read())
        return best

    def _prepare(self, case: str, dtype: str, size: str) -> None:
        self._at, self._run, self._calls = (case, dtype, size), None, 1
        try:
            self._run = self._cases[case].work(size, np.dtype(dtype)).run
            while (once := self._read()) * self._calls < READING:
                self._calls = max(2 * self._calls, int(READING / max(once, 1e-9)))
        except Exception as error:  # an older commit lacks the function, or has it otherwise
            print(f"{case} {dtype} does not run in {fd.__file__}: {error!r}", file=sys.stderr)
            self._run = None

    def _read(self) -> float:
        """Seconds a call, over as many calls as make a reading."""
        run = self._run
        start = self._clock()
        for _ in range(self._calls):
            run()
        return (self._clock() - start) / self._calls


def main() -> None:
    gc.disable()
    timer = Timer()
    print(json.dumps({"fastdl": fd.__file__}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": timer.turn(**json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
