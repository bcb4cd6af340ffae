"""The libraries compared with: which there are, which are here, and what one of them takes against fastdl."""

import time
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from . import _table
from ._clock import Sample, alternate
from ._table import Arrays, Case, Sizes, Work

OWN, REFERENCE = "fastdl", "reference"


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

    def limited(self, threads: int) -> "Peer":
        """The peer held to so many threads, with a note where it cannot be."""
        return self._replace(note=self.adapter.set_threads(threads) or "")

    def lacks(self, case: Case) -> str:
        """What of a case the library does not offer, "" where it has it."""
        try:
            case.by(self.adapter, case.sizes["small"])
        except _table.Missing as what:
            return str(what)
        except Exception:
            return ""  # told where it is compared
        return ""


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


class Found(NamedTuple):
    """What came of a case at some sizes, by who did it: fastdl, the reference, peers."""

    taken: dict[str, Sample]  # seconds a call, of those whose result is right
    wrong: dict[str, str]  # what is wrong with the others
    missing: dict[str, str]  # what a library does not offer
    works: dict[str, Work]
    firsts: dict[str, float]  # seconds of the first call, which may compile

    @property
    def seconds(self) -> dict[str, float | None]:
        """The medians; None where the result is wrong."""
        return {name: one.median for name, one in self.taken.items()} | dict.fromkeys(self.wrong)


def compare(
    case: Case, sizes: Sizes, adapters: dict[str, Any], seconds: float | None, reference: bool = False
) -> Found:
    """Do the work by each adapter, assert that they agree, and only then time them in turn (None: not at all)."""
    works, missing, wrong = {}, {}, {}
    for name, adapter in adapters.items():
        try:
            works[name] = case.by(adapter, sizes)
        except _table.Missing as what:
            missing[name] = str(what)
        except Exception as error:  # one failing row must not take the others with it
            wrong[name] = f"{type(error).__name__}: {error}"
    if reference:
        works[REFERENCE] = _table.on_reference(case, sizes, _table.SINGLE)
    told, firsts = agree(case, works, REFERENCE if reference else OWN)
    wrong |= {name: text for name, text in told.items() if text}
    right = {name: work.run for name, work in works.items() if name not in wrong}
    taken = {} if seconds is None else alternate(right, seconds, least=5 if seconds >= 1 else 3)
    return Found(taken, wrong, missing, works, firsts)


def agree(case: Case, works: dict[str, Work], expected: str) -> tuple[dict[str, str], dict[str, float]]:
    """What tells the results of each contender's first calls from those of the expected one, "" where nothing does,
    and the seconds of each one's first call."""
    told, firsts = dict.fromkeys(works, ""), dict[str, float]()
    for _ in range(case.calls):
        found: dict[str, Arrays] = {}
        for name, work in works.items():
            try:
                start = time.perf_counter()
                out: Any = work.run()
                firsts.setdefault(name, work.first or time.perf_counter() - start)
                found[name] = work.named(out)
            except Exception as error:
                told[name] = f"{type(error).__name__}: {error}"
        for name in found:
            told[name] = told[name] or _table.difference(
                found[name], found.get(expected, {}), works[expected].tolerance, works[name].loose
            )
    return told, firsts
