"""The one table of shapes: every public function of the topics, with its work in bytes and multiply-adds.

``bench_functions.py`` makes its rows from it, and so do the instruction counts, the comparison of two commits
and the report. A function with a kernel behind it but without a case fails ``tests/test_bench.py``.
"""

from . import curvature, dense, dropout, norms, optim, random, recurrent, sequence
from ._case import DOUBLE, SINGLE, SIZES, Case, Work, case, table

__all__ = [
    "DOUBLE",
    "SINGLE",
    "SIZES",
    "Case",
    "Work",
    "case",
    "curvature",
    "dense",
    "dropout",
    "norms",
    "optim",
    "random",
    "recurrent",
    "sequence",
    "table",
]
