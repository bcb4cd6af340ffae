"""The rest of the table: every public function of the topics, with its work in bytes and multiply-adds.

The works that other libraries have too are in ``fastdl/cli/_bench/_works.py``, and ``table()`` gives both. A function
with a kernel behind it but without a case fails ``tests/test_bench.py``.
"""

from pathlib import Path

import numpy as np

import fastdl.cli

# The table is this tree's, whichever commit's fastdl is measured.
fastdl.cli.__path__.insert(0, str(Path(__file__).resolve().parents[2] / "fastdl" / "cli"))

from fastdl.cli._bench import _works  # noqa: E402, F401
from fastdl.cli._bench._table import DOUBLE, SINGLE, SIZES, Case, Work, counted, table  # noqa: E402, F401

from . import curvature, dense, dropout, metrics, norms, optim, random, recurrent, sequence  # noqa: E402, F401


def calls(part: str = "") -> dict[str, tuple[Case, np.dtype]]:
    """The cases at three sizes, each with each of its types, by "case dtype": those whose name contains `part`."""
    named = {f"{case.name} {dtype}": (case, dtype) for case in counted() for dtype in case.dtypes}
    return {name: call for name, call in named.items() if part in name}
