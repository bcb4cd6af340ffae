"""``fastdl bench``: some cases of the table, against the reference and every peer that is installed."""

import argparse
import json
from collections.abc import Iterable
from statistics import geometric_mean
from typing import Any

import fastdl as fd

from ..._files import replacing, try_replacing
from .._shared import bad_input, use_threads
from .._streams import note
from . import _fastdl, _table, _works
from ._peers import OWN, PEERS, REFERENCE, Found, Peer, compare, here
from ._table import Case, Sizes, label

SECONDS = 50.0  # for all rows together
WIDTH = 72  # of a row's name
Times = dict[str, float | None]  # seconds, or bytes; None where the result is wrong


def run(arguments: argparse.Namespace) -> int:
    """Print the table, a row when it is measured; 1 if a result of fastdl's is wrong."""
    use_threads(arguments.threads)
    if arguments.json:
        with bad_input():  # now, not after a minute
            try_replacing(arguments.json)
    peers, rows = installed(fd.get_num_threads()), tour()
    absent = [peer.title for peer in PEERS.values() if peer.title not in [one.title for one in peers]]
    told = f"Not installed: {', '.join(absent)}" if absent else "All peers are installed"
    config = print_head(peers, told, [REFERENCE])
    found = {label(case.title, sizes): print_row(case, sizes, peers, SECONDS / len(rows), True) for case, sizes in rows}
    times = {name: one.seconds for name, one in found.items()}
    print_foot(times, peers, [REFERENCE])
    if arguments.json:
        versions = {peer.title: peer.version for peer in peers}
        seconds = [{"work": name, "seconds": row} for name, row in times.items()]
        with replacing(arguments.json) as file:
            file.write(json.dumps({"config": config, "peers": versions, "rows": seconds}, indent=1).encode())
    return int(any(OWN in one.wrong for one in found.values()))


def tour() -> list[tuple[Case, Sizes]]:
    named = {case.name: case for case in _table.table()}
    return [(named[name], sizes) for name, shapes in _works.TOUR for sizes in shapes]


def installed(threads: int) -> list[Peer]:
    """The peers in this interpreter, held to as many threads where they can be."""
    found = []
    for peer in PEERS.values():
        if here(peer, every=False):
            try:
                found.append(peer.limited(threads))
            except Exception as error:  # an installation may be broken in any way
                note(f"{peer.title} is left out: {type(error).__name__}: {error}")
    return found


# ---- the printed table, for `make bench` and `make bench-peers` too -----------------------------------
def print_head(peers: list[Peer], told: str, others: Iterable[str] = ()) -> dict[str, Any]:
    """The machine, the versions and the heads of the columns; what is in force, as ``show_config`` has it."""
    config = fd.show_config(mode="dicts") or {}
    print(f"fastdl {config['fastdl']}, build {config['build']}, {config['threads']} threads, {config['processor']}")
    print(", ".join([f"NumPy {config['NumPy']}", *(f"{peer.title} {peer.version}" for peer in peers)]))
    print(told)
    print("Medians in milliseconds of runs in turn; x: how many times as long as fastdl, < where fastdl loses.\n")
    heads = [*others, *(peer.title for peer in peers)]
    print(f"{'':{WIDTH}}{OWN:>9}" + "".join(f"{name:>13} {'x':>7} " for name in heads))
    return config


def print_row(case: Case, sizes: Sizes, peers: list[Peer], seconds: float | None, reference: bool = False) -> Found:
    """Compare a case, and print its line."""
    name, adapters = label(case.title, sizes), {OWN: _fastdl, **{peer.title: peer.adapter for peer in peers}}
    found = compare(case, sizes, adapters, seconds, reference)
    if seconds is None:
        told = ["agrees" if len(found.works) > 1 else "-"]
        told += [f"but {work.note}" for work in found.works.values() if work.note]
        told += [f"{other} has no {what}" for other, what in found.missing.items()]
        print(f"{name:{WIDTH}}{', '.join(told)}", flush=True)
    else:
        print(line(name, found.seconds, [REFERENCE] * reference + [peer.title for peer in peers]), flush=True)
    for other, text in found.wrong.items():
        print(f"  {other}, {name}: {text}", flush=True)
    return found


def line(name: str, times: Times, others: Iterable[str], unit: float = 1e-3) -> str:
    """A row, in units of milliseconds or of as many bytes."""
    text = f"{name:{WIDTH}}{_cell(times.get(OWN), unit):>9}"
    for other in others:
        taken, own = times.get(other), times.get(OWN)
        factor = f"{taken / own:.2f}{'<' if taken < own else ' '}" if taken and own else ""
        text += f"{_cell(taken, unit) if other in times else '-':>13} {factor:>8}"
    return text


def _cell(amount: float | None, unit: float) -> str:
    return "differs" if amount is None else f"{amount / unit:.3f}"


def print_foot(times: dict[str, Times], peers: list[Peer], others: Iterable[str] = ()) -> None:
    """How much each of the others takes in the mean, notes on threads, and the rows that fastdl loses."""
    print("\n-: has no such work, or none that is the same.")
    lost = []
    for other in [*others, *(peer.title for peer in peers)]:
        pairs = {name: (row.get(other), row.get(OWN)) for name, row in times.items()}
        factors = {name: taken / own for name, (taken, own) in pairs.items() if taken and own}
        losses = [f"  {other} takes {factor:.2f} x  {name}\n" for name, factor in factors.items() if factor < 1]
        lost += losses
        if factors:
            mean = f"{geometric_mean(factors.values()):.2f} x as long in geometric mean of {len(factors)} rows"
            print(f"{other}: {mean}; fastdl loses {len(losses)}.")
    print("".join([*(f"{peer.title}: {peer.note}\n" for peer in peers if peer.note), *lost]), end="")
