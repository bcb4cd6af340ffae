"""Time steps through layers one after the other, into places that a caller gives or new ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._validate import float_array, is_plain, out_array, parts, plain_array
from ._arena import Changes
from ._handing import accepts
from ._module import Module
from ._stack import Stack


class Known(NamedTuple):
    """What an earlier step into places has told: by it a caller's places are checked before anything is written."""

    batch: int
    changes: int  # to any model, until then
    y: np.ndarray  # such as the chain gives
    states: list[Any]
    several: bool  # whether more than one layer has states
    checked: tuple[Any, ...] = ()  # the places of the last step, y first: the same ones again need no question


class Stream:
    """What a chain's steps need beside its layers.

    The first step into a caller's places makes arrays of its own, which are copied once all has gone well: so a step
    that is refused half-way has written to nobody's. The next ones write to the places themselves.
    """

    def __init__(self) -> None:
        self._known: Known | None = None

    def step(self, layers: Sequence[Module], x: Any, states: Sequence[Any], out: Any) -> tuple[Any, list[Any]]:
        """y and the states after one step, in `out` (y, states) where that is given."""
        batch = len(plain_array("x", x))
        if out is None:
            return _through(layers, x, states)
        y, ends = parts("out", out, "y", "state")
        known = self._known
        if (
            known is None
            or known.batch != batch
            or known.changes != Changes.count
            or (known.several and states is not ends)
            or not is_plain(y, known.y.dtype, known.y.shape, True)
        ):
            return self._copied(layers, x, states, y, ends)
        if not same_objects(known.checked, y, ends):
            if not fits(ends, known.states):
                return self._copied(layers, x, states, y, ends)
            check_apart_all([y, *arrays_of(ends)])
            self._known = known._replace(checked=(y, *ends))
        last = layers[-1]
        for layer, before, after in zip(layers, states, ends, strict=True):
            x, _ = stepped(layer, x, before, y if layer is last else None, after)
        if x is not y:
            y[...] = x
        return y, ends

    def _copied(
        self, layers: Sequence[Module], x: Any, states: Sequence[Any], y: Any, ends: Any
    ) -> tuple[Any, list[Any]]:
        """A step by way of new arrays."""
        found, finals = _through(layers, x, states)
        check("out[1]", ends, finals)
        into = None if y is None else out_array("out[0]", y, found.shape, found.dtype)
        check_apart_all([*arrays_of(ends), *([] if into is None else [into])])
        if into is not None:
            into[...] = found
        copy(ends, finals)
        self._known = Known(len(x), Changes.count, found, finals, sum(one is not None for one in finals) > 1)
        return found if y is None else y, ends

    def __reduce__(self) -> tuple[Any, ...]:
        return Stream, ()


def _through(layers: Sequence[Module], x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    """A step into new arrays."""
    finals: list[Any] = []
    for layer, before in zip(layers, states, strict=True):
        x, after = stepped(layer, x, before, None, None)
        finals.append(after)
    return x, finals


def arrays_of(tree: Any) -> list[np.ndarray]:
    """The arrays of states, in their order."""
    if isinstance(tree, np.ndarray):
        return [tree]
    found: list[np.ndarray] = []
    for one in tree or ():
        if one is not None:
            found += arrays_of(one)
    return found


def same_objects(known: tuple[Any, ...], y: Any, ends: Any) -> bool:
    """Whether places are those of before: arrays, or tuples of them, which are not changed."""
    if ends.__class__ not in (list, tuple) or len(known) != len(ends) + 1 or known[0] is not y:
        return False
    return all(one is other and one.__class__ is not list for one, other in zip(known[1:], ends, strict=True))


def check_apart_all(places: Sequence[np.ndarray]) -> None:
    """Refuse places that share memory."""
    for at, one in enumerate(places):
        for other in places[at + 1 :]:
            if np.may_share_memory(one, other):
                raise ValueError("out: got arrays that overlap, expected separate memory")


def stepped(layer: Module, x: np.ndarray, state: Any, y: np.ndarray | None, after: Any) -> tuple[Any, Any]:
    """A layer's output and states after one step; y and after: where they go, None for new arrays."""
    if after is state is not None and isinstance(layer, Stack) and layer._steps_plainly():
        # The caller's own states, which were found to fit and to be apart.
        x = float_array("x", x, (None, layer.input_size), layer.dtype)
        arrays = after if after.__class__ is tuple else (after,)
        return layer._advance(x, arrays, arrays), after
    own = getattr(layer, "step", None)
    if callable(own):
        return own(x, state) if after is None else own(x, state, out=(y, after))
    if not layer._each_step:
        raise TypeError(
            f"step: got a chain with a {type(layer).__name__}, which has no step(x, state) and does not take each time "
            "step alone"
        )
    if y is None or not accepts(layer.forward, "out"):
        return layer.forward(x[None])[0], None
    layer.forward(x[None], out=y[None])
    return y, None


def fits(given: Any, like: Any) -> bool:
    """Whether all places for states are such as `like`: quick to tell, where :func:`check` tells what is wrong."""
    if like.__class__ is np.ndarray:
        return is_plain(given, like.dtype, like.shape, True)
    if like is None:
        return given is None
    if given.__class__ not in (tuple, list) or len(given) != len(like):
        return False
    return all(fits(one, other) for one, other in zip(given, like, strict=True))


def check(name: str, given: Any, like: Any) -> None:
    """Refuse places for states that are not such as `like`."""
    if isinstance(like, np.ndarray):
        out_array(name, given, like.shape, like.dtype)
    elif like is None:
        if given is not None:
            raise TypeError(f"{name}: got {type(given).__name__}, expected None, since the layer has no state")
    else:
        for place, (one, other) in enumerate(zip(parts(name, given, *map(str, range(len(like)))), like, strict=True)):
            check(f"{name}[{place}]", one, other)


def copy(given: Any, values: Any) -> None:
    """The values of states into their places."""
    if isinstance(values, np.ndarray):
        given[...] = values
    elif values is not None:
        for one, other in zip(given, values, strict=True):
            copy(one, other)
