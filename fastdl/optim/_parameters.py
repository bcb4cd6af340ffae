"""The memory an optimizer works on: an arena or a list of arrays, and how it is cut into groups of contiguous runs."""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._validate import FLOATS, out_array, shown, written_as

Pair = tuple[np.ndarray, np.ndarray]
Choice = Callable[[str, Any], bool] | str | Collection[str | int]


class Piece(NamedTuple):
    """Where a contiguous piece of parameters and gradients lies: in an arena, or in one pair of arrays.

    It outlasts copying and pickling, which views of the memory do not.
    """

    source: Any  # the arena, or the pair
    start: int = 0
    stop: int = 0
    members: tuple[tuple[Any, int, int], ...] = ()  # of an arena: the parameters, and where they begin and end
    table: Any = None  # the parameter, where it is updated by rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the one parameter that it is."""
        return self.members[0][0].shape if self.members else self.source[0].shape

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Parameters and gradients, flat."""
        if not self.members:
            param, grad = self.source
            return param.reshape(-1), grad.reshape(-1)
        place = slice(self.start, self.stop)
        return self.source._data[place], self.source._grad[place]

    def holds(self, other: "Piece") -> bool:
        """Whether the other piece lies within this one."""
        return self.source is other.source and self.start <= other.start and other.stop <= self.stop

    def trained(self) -> list[tuple[int, int]]:
        """The stretches without frozen parameters, counted from `start`."""
        found: list[tuple[int, int]] = []
        for parameter, start, stop in self.members:
            if parameter.frozen:
                continue
            if found and found[-1][1] == start - self.start:
                found[-1] = (found[-1][0], stop - self.start)
            else:
                found.append((start - self.start, stop - self.start))
        return found if self.members else [(0, self.source[0].size)]


class Part(NamedTuple):
    """The parameters of one group: where they lie, and what they are called."""

    pieces: list[Piece]
    names: list[str]
    shapes: list[tuple[int, ...]]


class Memory:
    """The parameters and gradients themselves, and the arena's bookkeeping where there is one.

    An arena (see :class:`fastdl.nn.Arena`) is known by its `settle_gradients`.
    """

    def __init__(self, parameters: Any) -> None:
        self._arena, self._pairs = parameters_of(parameters)
        self.freezes = 0 if self._arena is None else self._arena.freezes
        self._forgotten = 0  # how often a list's gradients were set to 0
        self.keep()
        self.refuse_stale()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept_at": self._kept_at - self._renewals}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.freezes = 0 if self._arena is None else self._arena.freezes
        self._kept_at += self._renewals  # a copied arena counts from 0

    @property
    def gradients(self) -> np.ndarray | list[np.ndarray]:
        """All gradients, as the norms take them."""
        return [grad for _, grad in self._pairs] if self._arena is None else self._arena._grad

    def each(self) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """(parameter, gradient, whether it is frozen) of each parameter, where they lie now."""
        if self._arena is None:
            return [(param, grad, False) for param, grad in self._pairs]
        self.refuse_stale()
        return [(one._data, one._grad, one.frozen) for one in self._arena]

    @property
    def kind(self) -> np.dtype:
        """The narrowest type of a parameter: what has to hold the settings."""
        kinds = {param.dtype for param, _ in self._pairs} if self._arena is None else {self._arena.dtype}
        return min(kinds, key=lambda kind: kind.itemsize, default=FLOATS[0])

    def named(self) -> list[tuple[str, Any]]:
        """Names and parameters; those of a list are called by their positions."""
        if self._arena is None:
            return [(str(i), param) for i, (param, _) in enumerate(self._pairs)]
        return list(zip(self._arena.names, self._arena, strict=True))

    def owners(self, choices: Sequence[Choice]) -> list[int]:
        """For each parameter the number of its group: 0 where no choice takes it, 1 where the first does."""
        named = self.named()
        takes = [chooser(f"groups[{i}]['params']", choice, named) for i, choice in enumerate(choices)]
        return [
            next((k + 1 for k, take in enumerate(takes) if take(i, name, one)), 0)
            for i, (name, one) in enumerate(named)
        ]

    def split(self, owners: Sequence[int], apart: Sequence[bool], lazy: bool = False) -> list[Part]:
        """The parameters of each group. Neighbours are joined, but those of groups that keep theirs `apart`.

        If `lazy`, parameters whose gradients are written by rows stay by themselves too.
        """
        parts = [Part([], [], []) for _ in apart]
        for group, (name, one) in zip(owners, self.named(), strict=True):
            parts[group].names.append(name)
            parts[group].shapes.append(one.shape)
        if self._arena is None:
            if lazy:
                raise ValueError("lazy: got True with a list of arrays, expected a model's parameters()")
            for group, pair in zip(owners, self._pairs, strict=True):
                parts[group].pieces.append(Piece(pair))
            return parts
        bounds = [*self._arena.starts, self._arena._data.size]
        members = list(zip(self._arena, bounds, bounds[1:], strict=False))
        alone = [apart[group] or (lazy and one.by_rows) for group, one in zip(owners, self._arena, strict=True)]
        for (group, single), same in itertools.groupby(
            range(len(owners)), lambda i: (owners[i], i if alone[i] else None)
        ):
            of = [members[i] for i in same]
            table = None
            if single is not None:  # without the padding behind it
                ((one, start, _),) = of
                of, table = [(one, start, start + one.size)], one if lazy and one.by_rows else None
            parts[group].pieces.append(Piece(self._arena, of[0][1], of[-1][2], tuple(of), table))
        return parts

    def joined_by(self, pairs: Sequence[Any]) -> "Memory":
        """These parameters and further pairs of arrays."""
        if self._arena is not None:
            raise TypeError("group['params']: got pairs of arrays, expected names: the optimizer is that of a model")
        with written_as(parameters="pairs"):
            whole = Memory([*self._pairs, *pairs])
        whole._forgotten, whole._kept_at = self._forgotten, self._kept_at
        return whole

    def refrozen(self) -> bool:
        """Whether a parameter was frozen or unfrozen since this was last asked."""
        if self._arena is None or self._arena.freezes == self.freezes:
            return False
        self.freezes = self._arena.freezes
        return True

    def settle(self) -> None:
        """Make the gradients readable."""
        self.refuse_stale()
        if self._arena is not None:
            self._arena.settle_gradients()

    def renew(self) -> None:
        """After a step: let the next backward overwrite an arena's gradients, and free what no backward followed."""
        if self._arena is not None:
            self._arena.renew_gradients()
            self._arena.forget_forwards()

    def keep(self) -> None:
        """From now on the gradients wait for a later call of step."""
        self._kept_at = self._renewals

    def kept(self) -> bool:
        """Whether nobody has forgotten them since."""
        return self._kept_at == self._renewals

    @property
    def _renewals(self) -> int:
        return self._forgotten if self._arena is None else self._arena.renewals

    def forget(self) -> None:
        if self._arena is not None:
            self._arena.renew_gradients()
            return
        self._forgotten += 1
        for _, grad in self._pairs:
            grad.fill(0)

    def refuse_stale(self) -> None:
        """Refuse an arena whose parameters lie elsewhere by now, or whose model has others besides."""
        if self._arena is not None and not self._arena.is_current():
            raise ValueError("parameters: these moved into a larger model since; take that model's parameters()")
        if self._arena is not None and (names := self._arena.newcomers()):
            raise ValueError(
                f"parameters: {', '.join(names[:3])}{' and more' if names[3:] else ''} joined the model since these "
                "were taken and would be left out; take the model's parameters() anew"
            )


def parameters_of(parameters: Any) -> tuple[Any, list[Pair]]:
    """The arena that `parameters` is, or whose parameters it lists; or None, and its pairs of arrays."""
    if hasattr(parameters, "settle_gradients"):
        return parameters, []
    what = type(parameters).__name__
    if callable(getattr(parameters, "parameters", None)):
        raise TypeError(f"parameters: got {what}, did you mean its parameters()?")
    if isinstance(parameters, (str, bytes, Mapping, np.ndarray)) or not isinstance(parameters, Iterable):
        raise TypeError(f"parameters: got {what}, expected model.parameters() or (parameter, gradient) pairs")
    given = list(parameters)
    if not given:
        raise ValueError("parameters: got none, expected model.parameters() or (parameter, gradient) pairs")
    if not all(hasattr(one, "claim_grad") for one in given):
        return None, check_pairs(given)
    arena = given[0]._arena
    if arena is None or len(arena) != len(given) or {id(one) for one in arena} != {id(one) for one in given}:
        raise TypeError("parameters: got some of a model's, expected model.parameters(); freeze() leaves some out")
    return arena, []


def check_pairs(parameters: Sequence[Pair]) -> list[Pair]:
    """The (parameter, gradient) arrays of a list: each checked, none sharing memory with another."""
    checked: list[Pair] = []
    spans = []
    for i, pair in enumerate(parameters):
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise TypeError(f"parameters[{i}]: got {type(pair).__name__}, expected (parameter, gradient)")
        param, grad = pair
        if isinstance(param, str):
            raise TypeError(f"parameters[{i}]: got a name and a parameter, did you mean model.parameters()?")
        out_array(f"parameters[{i}][0]", param, None)
        out_array(f"parameters[{i}][1]", grad, param.shape, param.dtype)
        checked.append(pair if type(pair) is tuple else (param, grad))  # a piece is known by it
        spans += [(array.ctypes.data, array.nbytes, f"parameters[{i}][{j}]") for j, array in enumerate(pair)]
    # Contiguous arrays overlap only if neighbours in memory do.
    spans = sorted(span for span in spans if span[1])
    for (start, size, name), (following, _, other) in itertools.pairwise(spans):
        if start + size > following:
            raise ValueError(f"{name}: overlaps {other}, expected separate memory")
    return checked


def _truth(where: str, value: Any) -> bool:
    try:
        return bool(value)
    except ValueError:  # of several numbers
        raise TypeError(f"{where}: gave {shown(value)}, expected a function that gives True or False") from None


def chooser(where: str, choice: Choice, named: Sequence[tuple[str, Any]]) -> Callable[[int, str, Any], bool]:
    """Whether a choice takes a parameter, known by position, name and itself; `where` is what it is refused as."""
    if callable(choice):
        return lambda i, name, one: _truth(where, choice(name, one))
    if isinstance(choice, str):
        inside = choice if choice.endswith(".") else f"{choice}."
        if not any(name == choice or name.startswith(inside) for name, _ in named):
            raise ValueError(f"{where}: got {shown(choice)}, which begins no name; the names are {_listed(named)}")
        return lambda i, name, one: name == choice or name.startswith(inside)
    if isinstance(choice, (bytes, np.ndarray)) or not isinstance(choice, Collection):
        raise TypeError(f"{where}: got {shown(choice)}, expected a prefix, a function or a collection of names")
    places = {name: i for i, (name, _) in enumerate(named)}
    own = {id(one): i for i, (_, one) in enumerate(named)}
    taken = set()
    for one in choice:
        place = own.get(id(one))
        if isinstance(one, str):
            place = places.get(one)
        elif isinstance(one, (int, np.integer)) and not isinstance(one, bool) and 0 <= one < len(named):
            place = int(one)
        if place is None:
            raise ValueError(f"{where}: got {shown(one)}, expected names or positions of parameters: {_listed(named)}")
        taken.add(place)
    return lambda i, name, one: i in taken


def _listed(named: Sequence[tuple[str, Any]]) -> str:
    """The first names."""
    names = [name for name, _ in named]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
