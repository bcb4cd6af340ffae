"""``fastdl bench``: a tour of the kernels, against their references and every peer that is installed."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import fastdl as fd

from ..._files import replacing, try_replacing
from .._shared import bad_input, use_threads
from . import _fastdl
from ._peers import PEERS, Peer, installed
from ._rows import Row, rows

SECONDS = 50.0  # for all rows together
REST, TURN = 0.02, 0.05  # seconds before, and of, a contender's turn
OWN, REFERENCE = "fastdl", "reference"
Work = Callable[[], Any]
Times = dict[str, float | None]  # seconds; None where the result differs from the reference's


def run(arguments: argparse.Namespace) -> int:
    """Print the table, a row when it is measured; 1 if a result of fastdl's is wrong."""
    use_threads(arguments.threads)
    if arguments.json:
        with bad_input():  # now, not after a minute
            try_replacing(arguments.json)
    config = fd.show_config(mode="dicts") or {}
    peers = installed(fd.get_num_threads())
    _print_head(config, peers)
    measured: dict[str, Times] = {}
    tour = rows()
    for row in tour:
        times = _measure(_contenders(row, peers), SECONDS / len(tour))
        measured[row.name] = times
        print(_line(row.name, times, peers))
        sys.stdout.flush()
    _print_foot(measured, peers)
    if arguments.json:
        versions = {peer.name: peer.version for peer in peers}
        found = [{"work": name, "seconds": times} for name, times in measured.items()]
        with replacing(arguments.json) as file:
            file.write(json.dumps({"config": config, "peers": versions, "rows": found}, indent=1).encode())
    return int(any(times[OWN] is None for times in measured.values()))


def _contenders(row: Row, peers: list[Peer]) -> dict[str, Work]:
    """The row's work by whoever has it."""
    work = getattr(_fastdl, row.kind)(*row.arguments)
    works: dict[str, Work] = {OWN: work, REFERENCE: _on_reference(work)}
    for peer in peers:
        build = getattr(peer.works, row.kind, None)
        if build:
            works[peer.name] = build(*row.arguments)
    return works


def _on_reference(work: Work) -> Work:
    def on_reference() -> Any:
        with fd.backend("reference"):
            return work()

    return on_reference


def _measure(works: dict[str, Work], seconds: float) -> Times:
    """Median seconds of each whose result is right, run in turn so that a slow moment of the machine hits all.

    A turn begins with a rest and a run that does not count: whoever came before has filled the caches, and its
    threads spin for some milliseconds after their work.
    """
    expected = works[REFERENCE]()
    right = [name for name, work in works.items() if _agrees(work(), expected)]
    taken: dict[str, list[float]] = {name: [] for name in right}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken[REFERENCE]) < 3:
        for name in right:
            time.sleep(REST)
            works[name]()
            turn = time.perf_counter() + TURN
            started = time.perf_counter()
            while started < turn:
                works[name]()
                done = time.perf_counter()
                taken[name].append(done - started)
                started = done
    return {name: median(taken[name]) if name in right else None for name in works}


def _agrees(found: Any, expected: Any) -> bool:
    """Whether a result is the reference's. What draws its own numbers, or works in place, returns none."""
    return found is None or np.allclose(np.asarray(found), expected, rtol=1e-3, atol=1e-4)


# ---- the table --------------------------------------------------------------------------------------
def _print_head(config: dict[str, Any], peers: list[Peer]) -> None:
    print(f"fastdl {config['fastdl']}, build {config['build']}, {config['threads']} threads, {config['processor']}")
    print(", ".join([f"NumPy {config['NumPy']}", *(f"{peer.name} {peer.version}" for peer in peers)]))
    absent = [name for name in PEERS if name not in [peer.name for peer in peers]]
    print(f"Not installed: {', '.join(absent)}" if absent else "All peers are installed")
    print("Medians in milliseconds of runs in turn; x: how many times as long as fastdl, < where fastdl loses.\n")
    print(f"{'':58}{OWN:>9}" + "".join(f"{name:>13} {'x':>7} " for name in _others(peers)))


def _line(name: str, times: Times, peers: list[Peer]) -> str:
    return f"{name:58}{_cell(times[OWN]):>9}" + "".join(_cells(times, other) for other in _others(peers))


def _cells(times: Times, other: str) -> str:
    if other not in times:
        return f"{'-':>13} {'':>8}"
    taken, own = times[other], times[OWN]
    factor = f"{taken / own:.2f}{'<' if taken < own else ' '}" if taken and own else ""
    return f"{_cell(taken):>13} {factor:>8}"


def _cell(seconds: float | None) -> str:
    return "differs" if seconds is None else f"{1e3 * seconds:.3f}"


def _others(peers: list[Peer]) -> list[str]:
    return [REFERENCE, *(peer.name for peer in peers)]


def _print_foot(measured: dict[str, Times], peers: list[Peer]) -> None:
    print("\n-: has no such work, or none that is the same.")
    for other in _others(peers):
        pairs = [(times.get(other), times[OWN]) for times in measured.values()]
        factors = [taken / own for taken, own in pairs if taken and own]
        lost = sum(factor < 1 for factor in factors)
        if factors:
            mean = float(np.exp(np.log(factors).mean()))
            print(f"{other}: {mean:.2f} x as long in geometric mean of {len(factors)} rows; fastdl loses {lost}.")
    for peer in peers:
        if peer.note:
            print(f"{peer.name}: {peer.note}")
