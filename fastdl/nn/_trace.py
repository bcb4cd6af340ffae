"""What a forward did, recorded as it ran: the operations in order, and the way back through them.

A number of the record stands for each array: of an input, a parameter or a result. Backward goes through the operations
strictly in reverse, so that layers which were called several times find their forwards on their tapes in order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._parameter import Parameter

DETACHED = "fd.nn.detach(x) gives it as a constant"


# One call of a function with one result on the record: the derivatives by argument, the number of the result,
# (argument, number) of what is traced, all arguments, options, the result. A tuple, since most operations are such.
Operation = tuple[Any, int, Sequence[tuple[int, int]], Sequence[Any], Any, Any]


class Trace:
    """The record of one forward.

    Attributes
    ----------
    owner : Module or None
        Whose forward runs; None once it has ended.
    operations : list
        In the order in which they ran.
    """

    stand_in: Callable[..., Any]  # the class of _traced.py, which stands on this file

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name, self.open = owner, name, True
        self.operations: list[Any] = []
        # By number the shape, the type, and whether it depends on what is trained: then its gradient is always wanted.
        self.facts: list[tuple[tuple[int, ...], np.dtype, bool]] = []
        self.carried: dict[int, str] = {}  # what may only be handed on to a layer, with the layer it came from
        self._parameters: dict[int, tuple[Parameter, int]] = {}

    def number(self, value: Any, trains: bool) -> int:
        """A new number, for an array that is about to be known."""
        self.facts.append((value.shape, value.dtype, trains))
        return len(self.facts) - 1

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
                if isinstance(operation, Reader):
                    read |= numbers.intersection(operation.parents)
                numbers.difference_update(operation.results)
        return read

    def check_carried(self) -> None:
        """Refuse arithmetic with states that mean nothing by themselves."""
        if not self.carried:
            return
        for operation in self.operations:
            if isinstance(operation, Reader):
                continue
            for at in [at for _, at in operation[2]] if operation.__class__ is tuple else operation.parents:
                if at in self.carried:
                    raise TypeError(
                        f"{self.carried[at]}: its final c and n are scaled by m and mean nothing by themselves: hand "
                        f"them on as a state; {DETACHED}"
                    )

    def close(self) -> None:
        """The forward has ended: what still holds one of its stand-ins is told so."""
        self.owner, self.open = None, False

    def backward(self, seeds: Sequence[tuple[int, np.ndarray]], input_gradient: bool) -> "Walk":
        """Go back from the gradients of some numbers; add to the gradients of the parameters."""
        thawed = any(not one.frozen and not self.facts[at][2] for one, at in self._parameters.values())
        walk = Walk(self, input_gradient or thawed)
        for at, dy in seeds:
            walk.add(at, dy)
        gradients, needed, add, facts = walk.gradients, walk.needed, walk.add, self.facts
        for operation in reversed(self.operations):
            if operation.__class__ is not tuple:
                operation.back(walk)
                continue
            rows, at, parents, given, options, result = operation
            dy = gradients[at]
            if dy is None:
                continue
            gradients[at] = None
            for place, parent in parents:
                if needed[parent]:
                    found = rows[place](dy, result, *given, **options)
                    shape, dtype, _ = facts[parent]
                    # What add does with most gradients, here for speed.
                    if (
                        gradients[parent] is None
                        and found.__class__ is np.ndarray
                        and found.shape == shape
                        and found.dtype is dtype
                    ):
                        gradients[parent] = found
                    else:
                        add(parent, found)
        for parameter, at in self._parameters.values():
            gradient = walk.gradients[at]
            if gradient is not None and not parameter.frozen:
                place, accumulate = parameter.claim_grad()
                if accumulate:
                    place += gradient
                else:
                    place[...] = gradient
        return walk


class Walk:
    """One way back through a trace: the gradients found so far, by number."""

    def __init__(self, trace: Trace, input_gradient: bool) -> None:
        count = len(trace.facts)
        self.gradients: list[Any] = [None] * count
        self.needed: Sequence[bool] = [input_gradient or trains for _, _, trains in trace.facts]
        self.input_gradient = input_gradient
        self._facts = trace.facts
        self._own = bytearray(count)  # whether the gradient is an array that nobody else holds

    def add(self, at: int, gradient: Any) -> None:
        """Add to the gradient of a number; what was spread out by broadcasting is summed."""
        if gradient.__class__ is not np.ndarray:
            if gradient is None:
                return
            gradient = np.asarray(gradient)
        shape, dtype, _ = self._facts[at]
        if gradient.shape != shape:
            gradient = unbroadcast(gradient, shape)
        if gradient.dtype is not dtype:
            gradient = gradient.astype(dtype, copy=False)
        had = self.gradients[at]
        if had is None:
            self.gradients[at] = gradient
        elif self._own[at]:
            had += gradient
        else:
            self.gradients[at] = np.asarray(had + gradient)
            self._own[at] = True

    def shape(self, at: int) -> tuple[int, ...]:
        return self._facts[at][0]

    def place(self, at: int) -> np.ndarray:
        """The gradient of a number as an array to add to."""
        had = self.gradients[at]
        if had is None:
            had = self.gradients[at] = np.zeros(*self._facts[at][:2])
        elif not self._own[at]:
            had = self.gradients[at] = had.copy()
        self._own[at] = True
        return had


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sum over the axes along which an array of that shape was repeated."""
    extra = gradient.ndim - len(shape)
    if extra < 0:
        return np.broadcast_to(gradient, shape)
    axes = tuple(range(extra)) + tuple(
        extra + k for k, size in enumerate(shape) if size == 1 and gradient.shape[extra + k] != 1
    )
    total = gradient.sum(axis=axes, keepdims=True) if axes else gradient
    total = total.reshape(total.shape[extra:])
    return total if total.shape == shape else np.broadcast_to(total, shape)


Undo = Callable[[Sequence[Any], Sequence[bool]], Sequence[Any]]


class Reader:
    """An operation whose backward may read whatever it was given, as it was handed in: a layer's, or a function's."""

    __slots__ = ("parents", "results")
    parents: Sequence[Any]  # their numbers; None for what has none
    results: Sequence[int | None]


class Call(Reader):
    """A call of a layer on the record.

    `undo` takes the gradients of the results, None where there is none, and says which arguments' are wanted. Where
    no result has one it is not called: `drop` takes back what the call has left.
    """

    __slots__ = ("drop", "undo")

    def __init__(
        self, parents: Sequence[int | None], results: Sequence[int | None], undo: Undo,
        drop: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.parents, self.results, self.undo, self.drop = parents, results, undo, drop

    def back(self, walk: Walk) -> None:
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
