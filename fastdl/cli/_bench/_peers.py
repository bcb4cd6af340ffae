"""Which peers are here: each is imported only where it is installed."""

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

from .._streams import note

PEERS = {  # name: the package that must be there, and the module here with its works
    "PyTorch": ("torch", "_torch"),
    "JAX": ("jax", "_jax"),
    "Keras": ("tensorflow", "_keras"),
    "thinc": ("thinc", "_thinc"),
    "scikit-learn": ("sklearn", "_sklearn"),
}


class Peer(NamedTuple):
    name: str
    version: str
    works: ModuleType  # with a function for each kind of work that the peer has
    note: str  # on its threads, where they are not the number asked for


def installed(threads: int) -> list[Peer]:
    """Those installed, held to as many threads where they can be."""
    found = []
    for name, (package, module) in PEERS.items():
        if find_spec(package):
            try:
                works = import_module(f".{module}", __package__)
                remark = works.set_threads(threads) or ""
                found.append(Peer(name, version(works.DISTRIBUTION), works, remark))
            except Exception as error:  # an installation may be broken in any way
                note(f"{name} is left out: {type(error).__name__}: {error}")
    return found


def limit_blas(threads: int) -> str:
    """For peers that compute by BLAS: a note if its threads could not be set."""
    if find_spec("threadpoolctl") is None:
        return "its BLAS takes the threads that OMP_NUM_THREADS gives it (threadpoolctl is not installed)"
    import_module("threadpoolctl").threadpool_limits(threads)
    return ""
