"""Code whose calls are valid, by name: examples of docstrings, cases of the benchmarks, and extra.py."""

import contextlib
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import fastdl as fd

from . import extra, extra_layers, extra_metrics
from .subjects import methods

Recipe = Callable[[], None]
_LEAVE = ("__init__", "__setattr__", "fit", "generate", "plot", "save", "to_csv", "load", "stop")


def exercise(made: list[Any]) -> None:
    """What every object has: its methods without arguments, and loading what it saved."""
    for one in {type(one): one for one in made}.values():  # of every type the last
        with contextlib.suppress(ValueError, TypeError, RuntimeError, NotImplementedError):
            _exercise(one)


def _exercise(one: Any) -> None:
    if hasattr(one, "register_buffer"):
        one.register_buffer("kept", 1.0)
    if hasattr(one, "set_rates"):
        one.set_rates([group.lr for group in one.groups])
    for save, load in (("state_dict", "load_state_dict"), ("random_state", "load_random_state")):
        if hasattr(one, save) and hasattr(one, load):
            getattr(one, load)(getattr(one, save)())
    for name in methods(type(one)):
        held = inspect.getattr_static(one, name)
        if isinstance(held, property):
            setattr(one, name, getattr(one, name))
        if name in _LEAVE or name.startswith(("__", "load", "on_", "step")):
            continue
        if callable(getattr(type(one), name, None)) and not _required(getattr(type(one), name)):
            getattr(one, name)()


def _required(function: Any) -> bool:
    own = inspect.unwrap(function)
    return own.__code__.co_argcount - len(own.__defaults__ or ()) > 1 or own.__code__.co_kwonlyargcount > 0


# No public part of fastdl, or nothing without a peer.
_ELSEWHERE = (
    ".kernels", "_bench", "__main__", "reference", "_aeon", "_sktime", "interop.torch", "interop.onnx", "interop.keras",
)  # fmt: skip


def _examples() -> Iterator[tuple[str, Recipe]]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for info in pkgutil.walk_packages(fd.__path__, "fastdl."):
        if any(part in info.name for part in _ELSEWHERE):
            continue
        module = importlib.import_module(info.name)
        for test in finder.find(module):
            runs = [one for one in test.examples if not one.options.get(doctest.SKIP)]
            if runs:
                codes = [(compile(one.source, f"<example of {test.name}>", "exec"), bool(one.exc_msg)) for one in runs]
                yield f"example:{test.name}", _example(codes, vars(module))


def _example(codes: list[tuple[Any, bool]], names: dict[str, Any]) -> Recipe:
    def run() -> None:
        space = dict(names)
        for code, raises in codes:
            try:
                exec(code, space)
            except Exception:
                if not raises:
                    raise

    return run


def _cases() -> Iterator[tuple[str, Recipe]]:
    import cases

    for case in cases.table():
        for dtype in case.dtypes:
            yield f"case:{case.name},{dtype}", lambda case=case, dtype=dtype: case.work("small", dtype).run()


def _extras() -> Iterator[tuple[str, Recipe]]:
    assert extra_layers.recipe is extra_metrics.recipe is extra.recipe  # which enters in one table
    for name, recipe in extra.TABLE.items():
        yield f"extra:{name}", recipe


def recipes() -> dict[str, Recipe]:
    """Every recipe, in an order that does not change."""
    return dict(sorted([*_examples(), *_cases(), *_extras()]))
