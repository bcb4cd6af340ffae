"""What a checkpoint would not hold: schedulers, generators and averages kept where no state_dict gives them."""

import functools
import io
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

from .. import nn, optim
from ..nn._state import drawing

_STATEFUL: tuple[type, ...] = (
    optim.Optimizer,
    optim.Scheduler,
    optim.ReduceOnPlateau,
    optim.ExponentialAverage,
    optim.StochasticAverage,
)


def refuse_held(
    name: str, holder: Any, base: type | None, saved: set[int], way: str = "define state_dict and load_state_dict"
) -> None:
    """Refuse an object that holds what decides the next step and has no state for a checkpoint.

    Looked through are its attributes, its class's, what a function closes over, and the containers there. `base`
    is the class whose own methods are no state, `saved` has the ids of what the checkpoint holds anyway, and `way`
    says what to do.

    Raises
    ------
    ValueError
        With the holder's class and the attribute.
    """
    own = getattr(type(holder), "state_dict", None)
    if own is not None and own is not getattr(base, "state_dict", None):
        return
    for path, found in _inside(holder, "", {id(holder)}, base):
        if id(found) not in saved:
            who = "" if isinstance(holder, FunctionType) else f"{type(holder).__name__}, which holds "
            if isinstance(found, (optim.Scheduler, optim.ReduceOnPlateau)):
                way += ", or give the schedule to fit as schedule="
            raise ValueError(
                f"{name}: got {who}{_article(type(found).__name__)} ({path}) that the checkpoint would not: {way}"
            )


def _inside(one: Any, path: str, seen: set[int], base: type | None) -> Iterator[tuple[str, Any]]:
    for step, child in _parts(one, base):
        here = f"{path}{step}".lstrip(".")
        if isinstance(child, (*_STATEFUL, *drawing())) or _is_iterator(child) or _has_state(child, base):
            yield here, child
        elif id(child) not in seen and isinstance(child, (Mapping, list, tuple, set, frozenset, *_CALLABLE)):
            seen.add(id(child))
            yield from _inside(child, here, seen, base)


_CALLABLE = (FunctionType, MethodType, functools.partial)


def _parts(one: Any, base: type | None) -> Iterator[tuple[str, Any]]:
    if isinstance(one, Mapping):
        yield from ((f"[{key!r}]", child) for key, child in one.items())
    elif isinstance(one, (list, tuple)):
        yield from ((f"[{index}]", child) for index, child in enumerate(one))
    elif isinstance(one, (set, frozenset)):
        yield from (("{...}", child) for child in one)
    elif isinstance(one, functools.partial):
        yield from ((".func", one.func), (".args", one.args), (".keywords", one.keywords))
    elif isinstance(one, MethodType):
        yield ".__self__", one.__self__
        if not isinstance(one.__self__, (nn.Module, *_STATEFUL, *drawing())):
            yield from ((f".{key}", child) for key, child in _attributes(one.__self__))
    elif isinstance(one, FunctionType):
        names, cells = one.__code__.co_freevars, one.__closure__ or ()
        for name, cell in zip(names, cells, strict=True):
            try:
                yield f".{name}", cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        yield ".defaults", (one.__defaults__, one.__kwdefaults__)
    else:
        yield from ((f".{key}", child) for key, child in _attributes(one))
        for kind in type(one).__mro__:
            if kind in (base, object):
                break
            yield from ((f".{key}", child) for key, child in vars(kind).items() if not isinstance(child, FunctionType))


def _attributes(one: Any) -> list[tuple[str, Any]]:
    found = dict(getattr(one, "__dict__", {}))
    for kind in type(one).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if hasattr(one, name):
                found[name] = getattr(one, name)
    return list(found.items())


def _is_iterator(one: Any) -> bool:
    return hasattr(type(one), "__next__") and not isinstance(one, io.IOBase)


def _has_state(one: Any, base: type | None) -> bool:
    """Whether it is a callback inside another one, with a state that nobody asks it for."""
    if base is None or not isinstance(one, base):
        return False
    return getattr(type(one), "state_dict", None) is not getattr(base, "state_dict", None)


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'AEIOaeio' else 'a'} {word}"
