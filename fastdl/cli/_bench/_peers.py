"""The libraries compared with: which there are, which are here, and what one of them takes against fastdl."""

import time
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from . import _table
from ._table import Arrays, Case, Sizes, Work


class Peer(NamedTuple):
    """A library to compare with."""

    title: str
    module: str  # of this package
    distributions: tuple[str, ...]  # what a user installs, the first of which gives the version
    imports: tuple[str, ...]
    note: str = ""  # on its threads, where they are not the number asked for

    @property
    def version(self) -> str:
        return version(self.distributions[0])

    @property
    def adapter(self) -> ModuleType:
        return import_module(f".{self.module}", __package__)


PEERS = {
    "pytorch": Peer("PyTorch", "_torch", ("torch",), ("torch",)),
    "jax": Peer("JAX", "_jax", ("jax", "optax"), ("jax", "optax")),
    "keras": Peer("Keras", "_keras", ("keras", "tensorflow-cpu"), ("keras", "tensorflow")),
    "thinc": Peer("thinc", "_thinc", ("thinc",), ("thinc.api",)),
    "sklearn": Peer("scikit-learn", "_sklearn", ("scikit-learn",), ("sklearn.neural_network",)),
}


def here(peer: Peer, every: bool = True) -> bool:
    """Whether all that the peer's works import is in this interpreter, or the first of it."""
    return all(find_spec(name.partition(".")[0]) for name in peer.imports[: None if every else 1])


def limit_blas(threads: int) -> str:
    """For peers that compute by BLAS: a note if its threads could not be set."""
    if find_spec("threadpoolctl") is None:
        return "its BLAS takes the threads that OMP_NUM_THREADS gives it (threadpoolctl is not installed)"
    import_module("threadpoolctl").threadpool_limits(threads)
    return ""


def agree(case: Case, works: dict[str, Work], expected: str) -> tuple[dict[str, str], dict[str, float]]:
    """What tells the results of each contender's first calls from those of the expected one, "" where nothing does,
    and the seconds of each one's first call."""
    told = dict.fromkeys(works, "")
    firsts: dict[str, float] = {}
    tolerance = works[expected].tolerance
    for _ in range(case.calls):
        found: dict[str, Arrays] = {}
        for name, work in works.items():
            start = time.perf_counter()
            out: Any = work.run()
            firsts.setdefault(name, work.first or time.perf_counter() - start)
            try:
                found[name] = work.named(out)
            except AssertionError as error:
                told[name] = str(error)
        for name in found:
            told[name] = told[name] or _table.difference(
                found[name], found.get(expected, {}), tolerance, works[name].loose
            )
    return told, firsts


def against(case: Case, sizes: Sizes, adapters: dict[str, Any]) -> tuple[dict[str, Work], dict[str, str]]:
    """The work by each adapter that has it, and of the others what they do not offer."""
    works, missing = {}, {}
    for name, adapter in adapters.items():
        try:
            works[name] = case.by(adapter, sizes)
        except _table.Missing as what:
            missing[name] = str(what)
    return works, missing
