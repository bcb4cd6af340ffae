"""Forwards that leave nothing where they fail: what the layers within pushed and drew on the way is taken back."""

import functools
from collections.abc import Callable
from typing import Any

from ._arena import Changes
from ._node import Node
from ._tape import Tape


def whole(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same forward, all or nothing.

    A layer pushes on its tape once nothing can be refused any more. One of several layers cannot keep to that: the
    second may refuse what the first has made. So their tapes, places in the random streams and running averages go
    back to where they were, whatever ended it.
    """

    @functools.wraps(forward)
    def all_or_nothing(self: Node, *args: Any, **kwargs: Any) -> Any:
        if not (self._children and self.training):
            return forward(self, *args, **kwargs)
        tapes, drawing, averaging = _below(self)
        lengths, drawn = [len(tape) for tape in tapes], [one._own_random_state() for one in drawing]
        averages = [one._averages() for one in averaging]
        own_length, own_drawn = len(self._tape), self._own_random_state()
        try:
            return forward(self, *args, **kwargs)
        except BaseException:
            for tape, length in zip((*tapes, self._tape), (*lengths, own_length), strict=True):
                del tape[length:]
            for one, state in zip((*drawing, self), (*drawn, own_drawn), strict=True):
                one._load_own_random_state(state)
            for one, before in zip(averaging, averages, strict=True):
                one._restore_averages(before)
            raise

    return all_or_nothing


def tapes_of(module: Node) -> list[Tape]:
    """The tapes of a module and of all below it."""
    return [module._tape, *_below(module)[0]] if module._children else [module._tape]


def _below(module: Node) -> tuple[list[Tape], list[Node], list[Any]]:
    """The tapes of all modules below one, which of these draw, and which keep averages of what goes through them; found
    anew after any change of any model.

    The module itself is left out: its tape keeps the answer, and would keep itself alive.
    """
    found = module._tape.below
    if found is None or found[0] != Changes.count:
        modules = [one for one in module.modules() if one is not module]
        drawing = [one for one in modules if one._own_random_state()]
        averaging = [one for one in modules if hasattr(one, "_averages")]
        found = module._tape.below = Changes.count, [one._tape for one in modules], drawing, averaging
    return found[1], found[2], found[3]
