"""What a forward did, recorded as it ran: the operations in order, and the way back through them.

A number of the record stands for each array: of an input, a parameter or a result. Backward goes through the operations
strictly in reverse, so that layers which were called several times find their forwards on their tapes in order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._tracing import here
from ._parameter import Parameter

DETACHED = "fd.nn.detach(x) gives it as a constant"


_Record: Any = kernels.record.Record  # as mypy, which knows no compiled class, takes it


class Trace(_Record):
    """The record of one forward.

    Attributes
    ----------
    owner : Module or None
        Whose forward runs; None once it has ended.
    operations : list
        In the order in which they ran.
    facts : list
        By number the shape, the type, and whether it depends on what is trained: then its gradient is always wanted.
    """

    kind: type  # the class of _traced.py, which stands on this file

    def __init__(self, owner: Any, name: str) -> None:
        super().__init__(here, self.kind)
        self.owner, self.name, self.open = owner, name, True
        self.carried: dict[int, str] = {}  # what may only be handed on to a layer, with the layer it came from
        self._parameters: dict[int, tuple[Parameter, int]] = {}

    def read(self, parameter: Parameter) -> Any:
        """The stand-in of a parameter's values: one number for all the places that read it."""
        found = self._parameters.get(id(parameter))
        if found is None:
            found = parameter, self.number(parameter._data, not parameter.frozen)
            self._parameters[id(parameter)] = found
        return self.stand_in(self, found[1], parameter._data)

    def has_read(self, parameter: Parameter) -> bool:
        """Whether the forward has used the values of a parameter so far."""
        return id(parameter) in self._parameters

    def read_among(self, numbers: set[int]) -> set[int]:
        """Those whose arrays backward may read: what a function computed that is not linear, or what one was given."""
        read: set[int] = set()
        for operation in reversed(self.operations):
            if not numbers:
                break
            if operation.__class__ is tuple:
                _, at, parents, _, _, result = operation
                if result is not None:
                    read.update(one for one in (at, *[parent for _, parent in parents]) if one in numbers)
                numbers.discard(at)
            else:
                if operation.reads:
                    read |= numbers.intersection(operation.parents)
                numbers.difference_update(operation.results)
        return read

    def check_carried(self) -> None:
        """Refuse arithmetic with states that mean nothing by themselves."""
        if not self.carried:
            return
        for operation in self.operations:
            row = operation.__class__ is tuple
            if not row and operation.reads:
                continue
            for at in [at for _, at in operation[2]] if row else operation.parents:
                if at in self.carried:
                    raise TypeError(
                        f"{self.carried[at]}: its final c and n are scaled by m and mean nothing by themselves: hand "
                        f"them on as a state; {DETACHED}"
                    )

    def close(self) -> None:
        """The forward has ended: what still holds one of its stand-ins is told so."""
        self.owner, self.open = None, False

    def backward(self, seeds: Sequence[tuple[int, np.ndarray]], input_gradient: bool) -> Any:
        """Go back from the gradients of some numbers; add to the gradients of the parameters."""
        thawed = any(not one.frozen and not self.facts[at][2] for one, at in self._parameters.values())
        walk = kernels.record.Walk(self, input_gradient or thawed)
        for at, dy in seeds:
            walk.add(at, dy)
        self.go_back(walk)
        for parameter, at in self._parameters.values():
            gradient = walk.gradients[at]
            if gradient is not None and not parameter.frozen:
                place, accumulate = parameter.claim_grad()
                if accumulate:
                    place += gradient
                else:
                    place[...] = gradient
        return walk


Undo = Callable[[Sequence[Any], Sequence[bool]], Sequence[Any]]


class Call:
    """A call of a layer on the record; its backward may read whatever it was given, as it was handed in.

    `undo` takes the gradients of the results, None where there is none, and says which arguments' are wanted. Where
    no result has one it is not called: `drop` takes back what the call has left.
    """

    __slots__ = ("drop", "parents", "results", "undo")
    reads = True

    def __init__(
        self, parents: Sequence[int | None], results: Sequence[int | None], undo: Undo,
        drop: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.parents, self.results, self.undo, self.drop = parents, results, undo, drop

    def back(self, walk: Any) -> None:
        gradients = [None if at is None else walk.gradients[at] for at in self.results]
        if all(one is None for one in gradients):
            if self.drop is not None:
                self.drop()
            return
        for at in self.results:
            if at is not None:
                walk.gradients[at] = None
        wanted = [at is not None and walk.needed[at] for at in self.parents]
        found = self.undo(gradients, wanted)
        for at, want, gradient in zip(self.parents, wanted, found, strict=True):
            if want and at is not None:
                walk.add(at, gradient)
