"""What runs under callgrind: every case once, with counting on for that one call alone.

``python counted.py MARKS [PART]``: the library made of ``marks.c``, and a part of the names of the cases wanted.
"""

import ctypes
import gc
import sys

import numpy as np
from cases import Case, table

SIZE = "small"


def main(library: str, part: str = "") -> None:
    marks = ctypes.CDLL(library)
    gc.disable()
    for case in table():
        for dtype in case.dtypes:
            if part in (name := f"{case.name} {dtype}"):
                _count(marks, name, case, dtype)


def _count(marks: ctypes.CDLL, name: str, case: Case, dtype: np.dtype) -> None:
    """Dump what one call executes under the name; what this fastdl cannot run is told and left out."""
    try:
        work = case.work(SIZE, dtype)
        work.run()  # what is imported late or allocated once belongs to no call
    except Exception as error:
        print(f"{name} does not run: {error!r}", file=sys.stderr)
        return
    marks.toggle()
    work.run()
    marks.toggle()
    marks.dump(name.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
