"""The waist of the hourglass: which kernel build runs, and whether the reference runs in its place.

``kernels.<topic>`` is the compiled module of the build chosen for this process. ``mirrored`` is the
decorator of every public function that has a twin in ``fastdl.reference``.
"""

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any, TypeVar

from .kernels.baseline import system as _system

LEVELS = ("baseline", "avx2", "avx512")
_F = TypeVar("_F", bound=Callable[..., Any])


def _choose_level() -> str:
    supported = _system.supported_levels()
    wanted = os.environ.get("FASTDL_ISA", "")
    if not wanted:
        return supported[-1]
    if wanted not in LEVELS:
        raise _refusal(f"FASTDL_ISA: got {wanted!r}, expected one of {', '.join(LEVELS)}")
    if wanted not in supported:
        raise _refusal(f"FASTDL_ISA: this processor does not run {wanted!r}; it runs {', '.join(supported)}")
    return wanted


def _refusal(message: str) -> BaseException:
    """A ValueError; in the command ``fastdl``, which imports this before its first line, what ends it with status 2."""
    name, words = os.path.basename(sys.argv[0] if sys.argv else ""), " ".join(sys.orig_argv)
    if name.split(".")[0] not in ("fastdl", "fastdl-script") and not (name == "-m" and "-m fastdl" in words):
        return ValueError(message)
    if sys.stderr is not None:
        sys.stderr.write(f"fastdl: error: {message}\n")
    return SystemExit(2)


class _Kernels:
    """The kernel modules of one build, imported when a topic first asks for its own."""

    def __init__(self, level: str) -> None:
        self.level = level

    def __getattr__(self, topic: str) -> ModuleType:
        if topic.startswith("_"):
            raise AttributeError(topic)
        module = importlib.import_module(f"fastdl.kernels.{self.level}.{topic}")
        if self.level != module.LEVEL:  # a build with the wrong flags must not pass for the right one
            raise ImportError(f"{module.__name__} was compiled as {module.LEVEL!r}: rebuild fastdl")
        setattr(self, topic, module)
        return module

    def switch(self, level: str) -> None:
        """Use another build from now on (for tests and benchmarks: users set FASTDL_ISA)."""
        if level not in _system.supported_levels():
            raise ValueError(f"level: got {level!r}, expected one of {', '.join(_system.supported_levels())}")
        self.__dict__.clear()
        self.level = level


kernels = _Kernels(_choose_level())

_reference: ContextVar[bool] = ContextVar("fastdl_reference", default=False)


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Run every fastdl function called inside on the named backend.

    Parameters
    ----------
    name : {"compiled", "reference"}
        "reference" is plain NumPy (:mod:`fastdl.reference`): slow, obvious, and what the kernels are tested
        against. A whole model or training run works on either. Applies to the current thread (context).

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> with fd.backend("reference"):
    ...     float(fd.sigmoid(np.zeros(1))[0])
    0.5
    """
    if name not in ("compiled", "reference"):
        raise ValueError(f"backend: got {name!r}, expected 'compiled' or 'reference'")
    token = _reference.set(name == "reference")
    try:
        yield
    finally:
        _reference.reset(token)


def get_backend() -> str:
    """The backend in force here, "compiled" or "reference"."""
    return "reference" if _reference.get() else "compiled"


def mirrored(function: _F) -> _F:
    """Give a public function its twin: the function of the same name in ``fastdl.reference.<topic>``."""
    topic = function.__module__.split(".")[1]

    @functools.wraps(function)
    def choose(*args: Any, **kwargs: Any) -> Any:
        if _reference.get():
            twin = getattr(importlib.import_module(f"fastdl.reference.{topic}"), function.__name__)
            return twin(*args, **kwargs)
        return function(*args, **kwargs)

    return choose  # type: ignore[return-value]
