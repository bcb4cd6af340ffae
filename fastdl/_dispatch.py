"""The waist of the hourglass: which kernel build runs, and whether the reference runs in its place.

``kernels.<topic>`` is the compiled module of the build chosen for this process. ``mirrored`` is the
decorator of every public function that has a twin in ``fastdl.reference``.
"""

import contextlib
import functools
import importlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from . import _tracing
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
        level = vars(self)["level"]
        module = importlib.import_module(f"fastdl.kernels.{level}.{topic}")
        if level != module.LEVEL:  # a build with the wrong flags must not pass for the right one
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
_checking: ContextVar[bool] = ContextVar("fastdl_checking", default=False)


class _Asked(BaseException):
    """What ends a function that runs only to check its arguments: it asked for a kernel, so they are right."""


class _Watched(_Kernels):
    """The kernels while some thread checks arguments for the reference: out of that thread's reach."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name in ("level", "switch", "system") or not _checking.get():
            return super().__getattribute__(name)
        return _Early(name)


class _Early:
    """Of one topic, what is asked for before all arguments are checked."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def __getattr__(self, name: str) -> Any:
        if name == "lay_out":  # of rows, by which masks are checked
            return kernels.__getattr__(self._topic).lay_out
        if name == "norm_small":  # the short way, whose checks are the kernel's: None leads to the long one
            return lambda *arguments: None
        raise _Asked


_watchers, _watching = 0, threading.Lock()


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Keep this context from the kernels. The class is changed, so that nothing is asked of whom none watches."""
    global _watchers
    with _watching:
        _watchers += 1
        kernels.__class__ = _Watched
    token = _checking.set(True)
    try:
        yield
    finally:
        _checking.reset(token)
        with _watching:
            _watchers -= 1
            if not _watchers:
                kernels.__class__ = _Kernels


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
    """The backend in force here.

    Returns
    -------
    str
        "compiled" or "reference": what :func:`backend` set in this thread (context), otherwise "compiled".

    Examples
    --------
    >>> import fastdl as fd
    >>> with fd.backend("reference"):
    ...     fd.get_backend()
    'reference'
    """
    return "reference" if _reference.get() else "compiled"


def mirrored(function: _F) -> _F:
    """Give a public function its twin: the function of the same name in ``fastdl.reference.<topic>``.

    The twins check nothing. So the function itself runs first, up to where it asks for a kernel: what it refuses is
    refused on either backend.
    """
    topic = function.__module__.split(".")[1]
    documented = function.__annotations__.get("return")
    # The reference imports nothing of fastdl: its plain tuples get the names that the function documents here.
    named = documented if isinstance(documented, type) and hasattr(documented, "_fields") else None
    places = list(inspect.signature(function).parameters)
    out = places.index("out") if "out" in places else len(places)

    def on_reference(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _checking.get():  # within another function's checks
            return function(*args, **kwargs)
        args = tuple(list(one) if isinstance(one, Iterator) else one for one in args)  # they are read twice
        kwargs = {name: list(one) if isinstance(one, Iterator) else one for name, one in kwargs.items()}
        with _watched():
            try:
                result = function(*args, **kwargs)
            except _Asked:
                pass
            else:  # what was written needs no kernel, and must not be written again
                into = args[out] if len(args) > out else kwargs.get("out")
                if result is None or into is not None or function.__name__.endswith("_"):
                    return result
        twin = getattr(importlib.import_module(f"fastdl.reference.{topic}"), function.__name__)
        with np.errstate(all="ignore"):  # as the kernels, which warn of no number
            result = twin(*args, **kwargs)
        return result if named is None else named(*result)

    @functools.wraps(function)
    def choose(*args: Any, **kwargs: Any) -> Any:
        if _tracing.running and _tracing.here.trace is not None and _tracing.call is not None:
            return _tracing.call(choose, args, kwargs)
        if _reference.get():
            return on_reference(args, kwargs)
        return function(*args, **kwargs)

    return choose  # type: ignore[return-value]
