"""Measure what the report needs: ``python -m report.gather``, which goes on where an earlier run was stopped.

A case's arrays are made once for all builds and numbers of threads, which are measured one after the other: making
them takes longer than measuring, and a moment in which the machine is slow does not hit one build alone.
"""

import argparse
import functools
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cases
import numpy as np
import records
from cases import SINGLE, Case
from measure import Limits, limits, line, measure

import fastdl as fd
from fastdl._dispatch import LEVELS, kernels

STEPS = 8  # of a recurrent layer at most: more cost as much a step, and make the slow builds take an hour
QUICK_CASES, QUICK_POINTS = 2, 3  # of a topic, of a sweep


class Setting(NamedTuple):
    build: str
    threads: int


class Piece(NamedTuple):
    """A case at some sizes, to be measured in some settings, and what the records say beside the result."""

    case: Case
    sizes: dict[str, int]
    dtype: np.dtype
    settings: list[Setting]
    about: dict[str, Any]  # kind, size, and of a sweep which and where

    def told(self, setting: Setting) -> dict[str, Any]:
        """By what its record is known."""
        named = {"case": self.case.name, "topic": self.case.topic, "dtype": self.dtype.name, "sizes": self.sizes}
        return {**self.about, **setting._asdict(), **named}

    def keeping(self) -> Case:
        """The case with its work at these sizes made once. The assertion's, at the small size, is made anew."""
        build, sizes = self.case.build, self.sizes
        made = functools.cache(build)
        return self.case._replace(build=lambda dtype, **asked: (made if asked == sizes else build)(dtype, **asked))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m report.gather", description=__doc__)
    parser.add_argument("--out", type=Path, default=records.RECORDS, help="file of records, added to")
    parser.add_argument("--threads", type=lambda text: [int(part) for part in text.split(",")],
                        help="numbers of threads, as 1,2,4 (default: up to the cores)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=0.1, help="to time a row for (default: 0.1)")
    parser.add_argument("--fresh", action="store_true", help="measure anew what is already there")
    parser.add_argument("--quick", action="store_true", help="some cases on one build, to see whether it works")
    arguments = parser.parse_args()
    if arguments.fresh:
        arguments.out.unlink(missing_ok=True)
    here = records.stamp()
    versions = {"fastdl": fd.__version__, "NumPy": np.__version__, "Python": platform.python_version()}
    records.append(arguments.out, {"kind": "machine", **here, "versions": versions})
    known = {records.key(record) for record in records.read([arguments.out])}
    pieces = list(_pieces(_settings(arguments), arguments.quick))
    failures = 0
    for number, piece in enumerate(pieces, 1):
        left = [one for one in piece.settings if records.key({**here, **piece.told(one)}) not in known]
        if left:
            print(f"[{number}/{len(pieces)}]", flush=True)
            failures += not take(piece._replace(settings=left), here, arguments.out, arguments.seconds)
    for record in records.read(sorted(records.PEERS.glob("*.jsonl"))):
        records.append(arguments.out, {**record, **here})
    return min(failures, 1)


def take(piece: Piece, here: records.Record, out: Path, seconds: float) -> bool:
    """Measure a piece in its settings and keep the records; whether all results were right."""
    reference = piece.about["size"] == "medium"  # which is asserted at its own size
    case, good = piece.case if reference else piece.keeping(), True
    for setting in piece.settings:
        kernels.switch(setting.build)
        fd.set_num_threads(setting.threads)
        found = _limits(case.topic, setting, piece.dtype, seconds)
        try:
            row = measure(case, piece.sizes, piece.dtype, found, seconds, reference)
        except AssertionError as error:
            print(f"{case.name}, {piece.sizes}, {piece.dtype}, {setting.build}: WRONG RESULT, not timed\n{error}")
            good = False
            continue
        records.append(out, row | here | piece.told(setting))
        print(line(row), flush=True)
    return good


@functools.lru_cache(maxsize=32)
def _limits(topic: str, setting: Setting, dtype: np.dtype, seconds: float) -> Limits:
    """Of a setting in force, anew for each topic: a shared machine changes within the hour."""
    return limits(dtype, seconds)


# ---- what is to be measured -----------------------------------------------------------------------------
def _settings(arguments: argparse.Namespace) -> list[Setting]:
    """Builds and numbers of threads, the fastest first."""
    found = fd.show_config(mode="dicts") or {}
    builds = [build for build in reversed(LEVELS) if build in found["builds this processor runs"]]
    cores = found["cores"]
    counts = {min(2**power, cores) for power in range(cores.bit_length() + 1)}  # 1, 2, 4, ... and all
    threads = sorted(arguments.threads or counts, reverse=True)
    return [Setting(build, number) for build in builds[: 1 if arguments.quick else None] for number in threads]


def _pieces(settings: list[Setting], quick: bool) -> Iterator[Piece]:
    """Every case at the large size in every setting, at the middle one beside the reference; then the sweeps."""
    named = {case.name: case for case in cases.counted()}
    for topic in dict.fromkeys(case.topic for case in named.values()):
        own = [case for case in named.values() if case.topic == topic]
        for case in own[: QUICK_CASES if quick else None]:
            for dtype in case.dtypes:
                large, medium = _affordable(case.sizes["large"]), case.sizes["medium"]
                yield Piece(case, large, dtype, settings, {"kind": "row", "size": "large"})
                yield Piece(case, medium, dtype, settings[:1], {"kind": "row", "size": "medium"})
    alone = [setting for setting in settings if setting.threads == 1][:1]
    for name, axis, summed, points in _sweeps():
        for value, sizes in list(points.items())[: QUICK_POINTS if quick else None]:
            about = {"kind": "sweep", "size": "sweep", "sweep": name, "axis": axis, "value": value}
            for case in summed:
                yield Piece(named[case], sizes, SINGLE, alone, about)


def _sweeps() -> Iterator[tuple[str, str, list[str], dict[int, dict[str, int]]]]:
    """A name, the axis as the page calls it, the cases whose times are summed, and by value the sizes."""
    base = {"steps": 64, "batch": 16, "inputs": 64, "hidden": 64}
    for axis, name, powers in (("T", "steps", range(10)), ("B", "batch", range(9)), ("H", "hidden", range(4, 10))):
        for cell, variant in (("lstm", ""), ("gru", ""), ("rnn", "[tanh]")):
            both = [f"recurrent.{cell}_{way}{variant}" for way in ("forward", "backward")]
            yield cell.upper(), axis, both, {2**power: {**base, name: 2**power} for power in powers}
    for case in ("dense.tanh", "dropout.dropout_forward[p=0.5]", "optim.adam_update", "norms.norm[ord=2]"):
        yield case.partition(".")[2], "N", [case], {4**power: {"n": 4**power} for power in range(5, 13)}


def _affordable(sizes: dict[str, int]) -> dict[str, int]:
    """Fewer steps of a recurrent layer, by whichever name."""
    time = {"steps", "T"} & sizes.keys() if {"hidden", "H"} & sizes.keys() else set()
    return sizes | {name: min(sizes[name], STEPS) for name in time}


if __name__ == "__main__":
    sys.exit(main())
