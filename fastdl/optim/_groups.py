"""The memory an optimizer works on: an arena or a list of arrays, cut into groups of contiguous runs."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._memory import aligned_zeros
from .._validate import (
    FLOATS,
    is_one_of,
    mapping,
    number,
    out_array,
    plain_number,
    real_values,
    same_names,
    shown,
    written_as,
)
from ._pieces import pieces_of
from ._rule import LARGEST, Rule, check_scalars, check_settings, options_of

Pair = tuple[np.ndarray, np.ndarray]
Choice = Callable[[str, Any], bool] | Collection[str | int]


class Piece(NamedTuple):
    """Where a contiguous piece of parameters and gradients lies: in an arena, or in one pair of arrays.

    It outlasts copying and pickling, which views of the memory do not.
    """

    source: Any  # the arena, or the pair
    start: int = 0
    stop: int = 0
    members: tuple[tuple[Any, int, int], ...] = ()  # of an arena: the parameters, and where they begin and end
    table: Any = None  # the parameter, where it is updated by rows

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Parameters and gradients, flat."""
        if not self.members:
            param, grad = self.source
            return param.reshape(-1), grad.reshape(-1)
        place = slice(self.start, self.stop)
        return self.source._data[place], self.source._grad[place]

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


class Run:
    """Flat views of one contiguous piece of parameters and gradients, and its state.

    `table` is the parameter it belongs to where only rows that were written to are updated, otherwise None.
    """

    def __init__(self, piece: Piece, states: Mapping[str, np.ndarray]) -> None:
        self.piece, self.table = piece, piece.table
        self.param, self.grad = piece.arrays()
        self.states = dict(states)
        self.arrays = (self.param, self.grad, *self.states.values())  # as the kernels take them

    def __reduce__(self) -> tuple[Any, ...]:
        return Run, (self.piece, self.states)  # a copy's views are of the copied memory

    def parts(self) -> list["Run"]:
        """This run; of one that holds frozen parameters, the stretches between them."""
        bounds = self.piece.trained()
        return [self] if bounds == [(0, self.param.size)] else [_Part(self, slice(*one)) for one in bounds]


class _Part(Run):
    """A stretch of a run."""

    def __init__(self, run: Run, place: slice) -> None:
        self.piece, self.table = run.piece, run.table
        self.param, self.grad = run.param[place], run.grad[place]
        self.states = {name: array[place] for name, array in run.states.items()}
        self.arrays = (self.param, self.grad, *self.states.values())


class Batch:
    """Runs of one type, none of them empty, that one kernel call updates."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.arrays = runs[0].arrays
        self.pieces = pieces_of([run.arrays for run in runs])
        self.size = sum(run.param.size for run in runs)


class Group:
    """Parameters that share settings.

    Attributes
    ----------
    settings : mapping
        What the rule takes; assigning to an entry checks it.
    lr : float
        The learning rate, one of the settings.
    names, shapes : list
        Of its parameters.
    """

    def __init__(self, part: "Part", owner: Any, settings: dict[str, Any], kind: np.dtype) -> None:
        self.names, self.shapes = part.names, part.shapes
        self._owner, self._kind, self._values = owner, kind, settings  # the owner is a class, so it can be pickled
        self._values = self.checked(settings)
        self.runs = []
        for piece in part.pieces:
            param = piece.arrays()[0]
            states = {name: aligned_zeros(param.size, param.dtype) for name in self._rule.states(settings)}
            self.runs.append(Run(piece, states))
        self.gather()

    def gather(self) -> None:
        """Make the batches: at first, after a copy, and when a parameter was frozen or unfrozen."""
        parts = [part for run in self.runs for part in run.parts() if part.param.size]
        whole = [part for part in parts if part.table is None]
        of_a_type = [[part for part in whole if part.param.dtype == kind] for kind in FLOATS]
        self.batches = [Batch(runs) for runs in of_a_type if runs]
        self.tables = [Batch([part]) for part in parts if part.table is not None]

    def __getstate__(self) -> dict[str, Any]:
        derived = ("batches", "tables")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.gather()

    def copy(self) -> "Group":
        """The same parameters, with copies of state and settings."""
        twin = object.__new__(Group)
        runs = [Run(run.piece, {name: array.copy() for name, array in run.states.items()}) for run in self.runs]
        twin.__setstate__(self.__getstate__() | {"runs": runs, "_values": dict(self._values)})
        return twin

    @property
    def _rule(self) -> Rule:
        return self._owner.rule

    @property
    def settings(self) -> "Settings":
        """The settings as a mapping; whatever is assigned is checked as at the making."""
        return Settings(self)

    @property
    def lr(self) -> float:
        return self._values["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        self._values["lr"] = self.checked_lr("lr", value)

    def checked_lr(self, name: str, value: Any) -> float:
        """The rate as a plain number, refused under that name where the rule cannot take it."""
        rate = number(name, value, 0, LARGEST[self._kind])
        if rate > 1:  # up to 1, nothing that the rule makes of it leaves the range
            with written_as(lr=name):
                self.checked(self._values | {"lr": rate})
        return rate

    def checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """`values` in plain numbers, refused where the rule cannot take them or they need other states than these."""
        values = {key: plain_number(value) for key, value in values.items()}
        check_settings(self._rule, values, self._kind)
        check_scalars(self._rule.plan(1, values)[1] + options_of(values, 1.0), self._kind)
        if self._rule.states(values) != self._rule.states(self._values):
            raise ValueError(
                f"settings: got some that need the state {list(self._rule.states(values))}, "
                f"expected {list(self._rule.states(self._values))} as at the making"
            )
        return values

    def state_dict(self) -> dict[str, Any]:
        settings = {name: list(one) if isinstance(one, tuple) else one for name, one in self._values.items()}
        runs = [{name: array.copy() for name, array in run.states.items()} for run in self.runs]
        return {
            "settings": settings,
            "names": list(self.names),
            "shapes": [list(shape) for shape in self.shapes],
            "runs": runs,
        }

    def check_state(self, name: str, saved: Any) -> dict[str, Any]:
        """Refuse a saved state that is not of these parameters; its settings."""
        check_keys(name, saved, ("settings", "names", "shapes", "runs"))
        check_members(name, saved, self.names, self.shapes)
        settings = mapping(f"{name}['settings']", saved["settings"], "settings")
        same_names(f"{name}['settings']", settings, self._values)
        given = {key: tuple(one) if isinstance(one, list) else one for key, one in settings.items()}
        if not is_one_of(given["variant"], (self._values["variant"],)):
            raise ValueError(f"{name}: got variant {shown(given['variant'])}, expected {self._values['variant']!r}")
        with written_as(settings=name, **{key: f"{name}['settings'][{key!r}]" for key in given}):
            values = self.checked(given)
        runs = saved["runs"]
        if not isinstance(runs, (list, tuple)):
            raise TypeError(f"{name}['runs']: got {type(runs).__name__}, expected a list")
        if len(runs) != len(self.runs):
            raise ValueError(f"{name}: got {len(runs)} runs of parameters, expected {len(self.runs)}")
        for i, (run, arrays) in enumerate(zip(self.runs, runs, strict=True)):
            check_keys(f"{name}['runs'][{i}]", arrays, tuple(run.states))
            for key, own in run.states.items():
                check_array(f"{name}['runs'][{i}][{key!r}]", arrays[key], own)
        return values

    def load(self, saved: Mapping[str, Any], values: dict[str, Any]) -> None:
        self._values = values
        for run, arrays in zip(self.runs, saved["runs"], strict=True):
            for name, own in run.states.items():
                own[...] = arrays[name]


class Settings(MutableMapping[str, Any]):
    """A group's settings: reads as a dict; assigning checks first, nothing can be added or deleted."""

    def __init__(self, group: Group) -> None:
        self._group = group

    def __getitem__(self, name: str) -> Any:
        return self._group._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        values = self._group._values
        if name not in values:
            raise ValueError(f"settings: got {name!r}, expected one of {', '.join(values)}")
        self._group._values = self._group.checked(values | {name: value})

    def __delitem__(self, name: str) -> None:
        raise TypeError("settings: got a deletion, expected an assignment")

    def __iter__(self) -> Iterator[str]:
        return iter(self._group._values)

    def __len__(self) -> int:
        return len(self._group._values)

    def __repr__(self) -> str:
        return repr(self._group._values)


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

    def split(self, choices: Sequence[Choice], lazy: bool = False) -> list[Part]:
        """The parameters no choice takes, then those of each choice; neighbours are joined.

        If `lazy`, parameters whose gradients are written by rows stay by themselves.
        """
        if self._arena is None:
            named: list[tuple[str, Any]] = [(str(i), param) for i, (param, _) in enumerate(self._pairs)]
        else:
            named = list(zip(self._arena.names, self._arena, strict=True))
        takes = [_chooser(i, choice, named) for i, choice in enumerate(choices)]
        owner = [
            next((k + 1 for k, take in enumerate(takes) if take(i, name, one)), 0)
            for i, (name, one) in enumerate(named)
        ]
        parts = [Part([], [], []) for _ in range(len(choices) + 1)]
        for group, (name, one) in zip(owner, named, strict=True):
            parts[group].names.append(name)
            parts[group].shapes.append(one.shape)
        if self._arena is None:
            if lazy:
                raise ValueError("lazy: got True with a list of arrays, expected a model's parameters()")
            for group, pair in zip(owner, self._pairs, strict=True):
                parts[group].pieces.append(Piece(pair))
            return parts
        tables = [one if lazy and one.by_rows else None for one in self._arena]
        bounds = [*self._arena.starts, self._arena._data.size]
        members = list(zip(self._arena, bounds, bounds[1:], strict=False))
        for (group, table), same in itertools.groupby(range(len(owner)), lambda i: (owner[i], tables[i])):
            of = tuple(members[i] for i in same)
            stop = of[-1][2] if table is None else of[0][1] + table.size
            parts[group].pieces.append(Piece(self._arena, of[0][1], stop, of, table))
        return parts

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


def check_keys(name: str, saved: Any, expected: Sequence[str]) -> None:
    """Refuse what is not a mapping with exactly these keys."""
    mapping(name, saved, "what state_dict gave")
    if set(saved) != set(expected):
        raise ValueError(f"{name}: got {', '.join(map(str, saved)) or 'nothing'}, expected {', '.join(expected)}")


def check_kind(name: str, got: Any, expected: str) -> None:
    """Refuse a saved state of another class."""
    if not is_one_of(got, (expected,)):
        other = got if isinstance(got, str) else shown(got)
        raise ValueError(f"{name}: got the state of {other}, expected that of {expected}")


def check_members(name: str, saved: Mapping[str, Any], names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse a saved state of parameters with other names or shapes."""
    for key in ("names", "shapes"):
        if not isinstance(saved[key], (list, tuple)):
            raise TypeError(f"{name}[{key!r}]: got {type(saved[key]).__name__}, expected a list")
    got = [(one, _plain(shape)) for one, shape in zip(saved["names"], saved["shapes"], strict=False)]
    if len(got) != len(names) or len(got) != len(saved["shapes"]):
        others = [one for one in saved["names"] if one not in names]
        missing = [one for one in names if one not in saved["names"]]
        which = f": missing {missing or 'none'}, unknown {others or 'none'}" if others or missing else ""
        raise ValueError(f"{name}: got the state of {len(saved['names'])} parameters, expected {len(names)}{which}")
    for (other, shape), own, wanted in zip(got, names, shapes, strict=True):
        if not (is_one_of(other, (own,)) and is_one_of(shape, (tuple(wanted),))):
            named = other if isinstance(other, str) else shown(other)
            raise ValueError(f"{name}: got the state of {named} {shown(shape)}, expected that of {own} {tuple(wanted)}")


def _plain(shape: Any) -> Any:
    return tuple(shape) if isinstance(shape, (list, tuple)) else shape


def check_array(name: str, value: Any, own: np.ndarray) -> None:
    """Refuse a saved array of another shape or dtype."""
    got = real_values(name, value)
    if got.shape != own.shape or (isinstance(value, np.ndarray) and got.dtype != own.dtype):
        raise ValueError(f"{name}: got {got.dtype} {got.shape}, expected {own.dtype} {own.shape}")


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
        checked.append((param, grad))
        spans += [(array.ctypes.data, array.nbytes, f"parameters[{i}][{j}]") for j, array in enumerate(pair)]
    # Contiguous arrays overlap only if neighbours in memory do.
    spans = sorted(span for span in spans if span[1])
    for (start, size, name), (following, _, other) in itertools.pairwise(spans):
        if start + size > following:
            raise ValueError(f"{name}: overlaps {other}, expected separate memory")
    return checked


def _chooser(number: int, choice: Choice, named: Sequence[tuple[str, Any]]) -> Callable[[int, str, Any], bool]:
    """Whether a choice takes a parameter, known by position, name and itself."""
    if callable(choice):
        return lambda i, name, one: bool(choice(name, one))
    where = f"groups[{number}]['params']"
    if isinstance(choice, (str, bytes, np.ndarray)) or not isinstance(choice, Collection):
        raise TypeError(f"{where}: got {shown(choice)}, expected a function or a collection of names")
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
            raise ValueError(f"{where}: got {shown(one)}, expected names or positions of parameters")
        taken.add(place)
    return lambda i, name, one: i in taken
