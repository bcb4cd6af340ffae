"""``fastdl bench``: some cases of the table, against the reference and every peer that is installed."""

import argparse
import json
import sys
from statistics import geometric_mean
from typing import Any

import fastdl as fd

from ..._files import replacing, try_replacing
from .._shared import bad_input, use_threads
from .._streams import note
from . import _fastdl, _table, _works
from ._clock import alternate
from ._peers import PEERS, Peer, against, agree, here
from ._table import Case, Sizes, label

SECONDS = 50.0  # for all rows together
OWN, REFERENCE = "fastdl", "reference"
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
    rows = tour()
    for case, sizes in rows:
        name = label(case.title, sizes)
        measured[name] = _measure(case, sizes, peers, SECONDS / len(rows))
        print(_line(name, measured[name], peers))
        sys.stdout.flush()
    _print_foot(measured, peers)
    if arguments.json:
        versions = {peer.title: peer.version for peer in peers}
        found = [{"work": name, "seconds": times} for name, times in measured.items()]
        with replacing(arguments.json) as file:
            file.write(json.dumps({"config": config, "peers": versions, "rows": found}, indent=1).encode())
    return int(any(times[OWN] is None for times in measured.values()))


def tour() -> list[tuple[Case, Sizes]]:
    named = {case.name: case for case in _table.table()}
    return [(named[name], sizes) for name, shapes in _works.TOUR for sizes in shapes]


def installed(threads: int) -> list[Peer]:
    """The peers in this interpreter, held to as many threads where they can be."""
    found = []
    for peer in PEERS.values():
        if here(peer, every=False):
            try:
                found.append(peer._replace(note=peer.adapter.set_threads(threads) or ""))
            except Exception as error:  # an installation may be broken in any way
                note(f"{peer.title} is left out: {type(error).__name__}: {error}")
    return found


def _measure(case: Case, sizes: Sizes, peers: list[Peer], seconds: float) -> Times:
    """Median seconds of each whose result is right; no entry for who does not have the work."""
    works, _ = against(case, sizes, {OWN: _fastdl} | {peer.title: peer.adapter for peer in peers})
    works[REFERENCE] = _table.on_reference(case, sizes, _table.SINGLE)
    told, _ = agree(case, works, REFERENCE)
    taken = alternate({name: work.run for name, work in works.items() if not told[name]}, seconds, least=3)
    return {name: taken[name].median if name in taken else None for name in works}


# ---- the table --------------------------------------------------------------------------------------
def _print_head(config: dict[str, Any], peers: list[Peer]) -> None:
    print(f"fastdl {config['fastdl']}, build {config['build']}, {config['threads']} threads, {config['processor']}")
    print(", ".join([f"NumPy {config['NumPy']}", *(f"{peer.title} {peer.version}" for peer in peers)]))
    absent = [peer.title for peer in PEERS.values() if peer.title not in [one.title for one in peers]]
    print(f"Not installed: {', '.join(absent)}" if absent else "All peers are installed")
    print("Medians in milliseconds of runs in turn; x: how many times as long as fastdl, < where fastdl loses.\n")
    print(f"{'':66}{OWN:>9}" + "".join(f"{name:>13} {'x':>7} " for name in _others(peers)))


def _line(name: str, times: Times, peers: list[Peer]) -> str:
    return f"{name:66}{_cell(times[OWN]):>9}" + "".join(_cells(times, other) for other in _others(peers))


def _cells(times: Times, other: str) -> str:
    if other not in times:
        return f"{'-':>13} {'':>8}"
    taken, own = times[other], times[OWN]
    factor = f"{taken / own:.2f}{'<' if taken < own else ' '}" if taken and own else ""
    return f"{_cell(taken):>13} {factor:>8}"


def _cell(seconds: float | None) -> str:
    return "differs" if seconds is None else f"{1e3 * seconds:.3f}"


def _others(peers: list[Peer]) -> list[str]:
    return [REFERENCE, *(peer.title for peer in peers)]


def _print_foot(measured: dict[str, Times], peers: list[Peer]) -> None:
    print("\n-: has no such work, or none that is the same.")
    for other in _others(peers):
        pairs = [(times.get(other), times[OWN]) for times in measured.values()]
        factors = [taken / own for taken, own in pairs if taken and own]
        lost = sum(factor < 1 for factor in factors)
        if factors:
            mean = geometric_mean(factors)
            print(f"{other}: {mean:.2f} x as long in geometric mean of {len(factors)} rows; fastdl loses {lost}.")
    for peer in peers:
        if peer.note:
            print(f"{peer.title}: {peer.note}")
