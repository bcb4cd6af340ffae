"""``python -m peers.compare PEER``: time one peer in turn with fastdl, in one process of the peer's environment.

Every row's results are compared before it is timed; ``--check`` does that alone, at tiny shapes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cases
from records import Record, stamp

import fastdl as fd
from fastdl.cli._bench import _fastdl
from fastdl.cli._bench._clock import Sample
from fastdl.cli._bench._peers import OWN, PEERS, Peer
from fastdl.cli._bench._table import Sizes, label
from fastdl.cli._bench._tour import line, print_foot, print_head, print_row

from . import processes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m peers.compare", description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing a row")
    parser.add_argument("--threads", type=int, default=fd.get_num_threads(), help="of every library")
    parser.add_argument("--out", type=Path, help="file to write the records to, a line each")
    parser.add_argument("--check", action="store_true", help="compare the results at tiny shapes, time nothing")
    arguments = parser.parse_args()
    _fastdl.set_threads(arguments.threads)
    peer = PEERS[arguments.peer].limited(arguments.threads)
    print_head([peer], f"All on {arguments.threads} threads, float32")
    found, wrong = [], 0
    for name, title, unit, taken in () if arguments.check else processes.rows(peer, arguments.peer, arguments.threads):
        words, size = (title, 1e-3) if unit == "seconds" else (f"{title}, MB", 1e6)
        print(line(words, {side: one.median for side, one in taken.items()}, [peer.title], size), flush=True)
        found.append(record(peer, name, title, {}, taken, unit))
    for case in cases.table():
        if case.shapes and (what := peer.lacks(case)):
            print(f"{case.title}: {peer.title} has no {what}", flush=True)
            continue
        for sizes in [case.sizes["small"]][: len(case.shapes)] if arguments.check else case.shapes:
            one = print_row(case, sizes, [peer], None if arguments.check else arguments.seconds)
            wrong += bool(one.wrong)
            if peer.title in one.taken:
                more = {"first": one.firsts[peer.title], "note": one.works[peer.title].note}
                found.append(record(peer, case.name, case.title, sizes, one.taken, **more))
    timed = [row for row in found if row["unit"] == "seconds"]
    times = {label(row["work"], row["sizes"]): {OWN: row["ours"][0], peer.title: row["theirs"][0]} for row in timed}
    print_foot(times, [peer])
    if arguments.out:
        arguments.out.write_text("".join(json.dumps(row) + "\n" for row in found))
    return int(wrong > 0)


def record(
    peer: Peer, name: str, title: str, sizes: Sizes, taken: dict[str, Sample], unit: str = "seconds", **more: Any
) -> Record:
    """Of the samples of both; the ratio is above 1 where fastdl wins."""
    ours, theirs, here = taken[OWN], taken[peer.title], stamp()
    return {
        "kind": "peer", "peer": peer.title, "version": peer.version, "threads": fd.get_num_threads(), **here,
        "build": fd.show_config(mode="dicts")["build"], "of": here["commit"], "case": name, "work": title,
        "sizes": sizes, "shape": ", ".join(f"{key} {size:,}" for key, size in sizes.items()),
        "dtype": "float32" if sizes else "", "unit": unit, unit: ours.median, "ours": ours, "theirs": theirs,
        "ratio": theirs.median / ours.median, "first": None, "note": "", **more,
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
