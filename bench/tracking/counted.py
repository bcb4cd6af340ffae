"""What runs under callgrind: every case once, with counting on for that one call alone.

``python counted.py MARKS DTYPE [PART]``: the library made of ``marks.c``, and what to count.
"""

import ctypes
import gc
import sys

import numpy as np
from cases import Case, table

SIZE = "medium"  # in a small call, taking the arguments can be nine tenths of the count


def main(library: str, wanted: str, part: str = "") -> None:
    marks = ctypes.CDLL(library)
    gc.disable()
    for case in table():
        for dtype in case.dtypes:
            if dtype == wanted and part in (name := f"{case.name} {dtype}"):
                _count(marks, name, case, dtype)


def _count(marks: ctypes.CDLL, name: str, case: Case, dtype: np.dtype) -> None:
    """Dump what one call executes under the name; what this fastdl cannot run is told and left out."""
    try:
        case.work("small", dtype).run()  # what is imported late or looked up once belongs to no call
        work = case.work(SIZE, dtype)
    except Exception as error:
        print(f"{name} does not run: {error!r}", file=sys.stderr)
        return
    marks.toggle()
    work.run()
    marks.toggle()
    marks.dump(name.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
