"""Groups of parameters that share settings, and the runs of memory that the kernels update."""

import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from .._memory import aligned_zeros
from .._validate import FLOATS, integer, is_one_of, mapping, number, plain_number, same_names, shown, written_as
from ._parameters import Part, Piece
from ._pieces import pieces_of
from ._rule import LARGEST, Rule, check_scalars, check_settings, options_of
from ._states import check_array, check_keys, check_members


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

    def shaped(self) -> tuple[np.ndarray, np.ndarray]:
        """Parameter and gradient in the shape of the one parameter that it is."""
        shape = self.piece.shape
        return self.param.reshape(shape), self.grad.reshape(shape)

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
    optimizer : type
        The class of optimizer whose rule moves them.
    settings : mapping
        What the rule takes; assigning to an entry checks it.
    lr : float
        The learning rate, one of the settings.
    names, shapes : list
        Of its parameters.
    since : int
        The optimizer's steps when the group was added: its own steps are counted from there.
    """

    def __init__(self, part: Part, optimizer: Any, settings: dict[str, Any], kind: np.dtype, since: int = 0) -> None:
        self.names, self.shapes, self.since = part.names, part.shapes, since
        self.optimizer, self._kind, self._values = optimizer, kind, settings
        self._values = self.checked(settings)
        first = self.rule.initial(self._values)
        self.runs = []
        for i, piece in enumerate(part.pieces):
            states = {}
            with written_as(param=f"parameters[{self.names[i]!r}]"):  # the rules that refuse shapes keep them apart
                shapes = self._shapes(piece)
            for name, shape in shapes.items():
                states[name] = aligned_zeros(shape, piece.arrays()[0].dtype)
                states[name][...] = first.get(name, 0)
            self.runs.append(Run(piece, states))
        self.gather()

    def _shapes(self, piece: Piece) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the states of a piece, by name."""
        return self.rule.shapes(self._values, piece.shape if self.rule.whole else piece.arrays()[0].shape)

    def recut(self, part: Part) -> "Group":
        """A group of these of its parameters, with their states."""
        twin = object.__new__(Group)
        runs = [Run(piece, self._states_of(piece)) for piece in part.pieces]
        own = {"runs": runs, "names": part.names, "shapes": part.shapes, "_values": dict(self._values)}
        twin.__setstate__(self.__getstate__() | own)
        return twin

    def _states_of(self, piece: Piece) -> dict[str, np.ndarray]:
        place = (piece.start, piece.stop)
        around = [run for run in self.runs if run.piece.holds(piece)]
        run = next((run for run in around if (run.piece.start, run.piece.stop) == place), None)
        if run is not None:
            return {name: array.copy() for name, array in run.states.items()}
        run = around[0]
        inside = slice(piece.start - run.piece.start, piece.stop - run.piece.start)
        return {name: array[inside].copy() for name, array in run.states.items()}

    def gather(self) -> None:
        """Make the batches: at first, after a copy, and when a parameter was frozen or unfrozen."""
        parts = [part for run in self.runs for part in run.parts() if part.param.size]
        whole = [part for part in parts if part.table is None]
        of_a_type = [[part for part in whole if part.param.dtype == kind] for kind in FLOATS]
        together = [[part] for part in whole] if self.rule.whole else of_a_type
        self.batches = [Batch(runs) for runs in together if runs]
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
    def rule(self) -> Rule:
        """The update rule of its class of optimizer."""
        return self.optimizer.rule

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
        check_settings(self.rule, values, self._kind)
        check_scalars(self.rule.plan(1, values)[1] + options_of(values, 1.0), self._kind)
        if self.rule.states(values) != self.rule.states(self._values):
            raise ValueError(
                f"settings: got some that need the state {list(self.rule.states(values))}, "
                f"expected {list(self.rule.states(self._values))} as at the making"
            )
        return values

    def state_dict(self) -> dict[str, Any]:
        settings = {name: list(one) if isinstance(one, tuple) else one for name, one in self._values.items()}
        runs = [{name: array.copy() for name, array in run.states.items()} for run in self.runs]
        return {
            "since": self.since,
            "settings": settings,
            "names": list(self.names),
            "shapes": [list(shape) for shape in self.shapes],
            "runs": runs,
        }

    def check_state(self, name: str, saved: Any, steps: int) -> dict[str, Any]:
        """Refuse a saved state that is not of these parameters, or not after so many steps; its settings."""
        if isinstance(saved, Mapping):  # before groups could be added, all were there from the start
            saved = {"since": 0, **saved}
        check_keys(name, saved, ("since", "settings", "names", "shapes", "runs"))
        integer(f"{name}['since']", saved["since"], 0, steps)
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
        self._values, self.since = values, int(saved.get("since", 0))
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


def check_groups(groups: Any) -> Sequence[Mapping[str, Any]]:
    """Refuse groups that are not a sequence of dicts with "params"."""
    if not isinstance(groups, (list, tuple)):
        raise TypeError(f"groups: got {type(groups).__name__}, expected a list of dicts")
    for i, one in enumerate(groups):
        check_group(f"groups[{i}]", one)
    return groups


def check_group(name: str, group: Any) -> None:
    if not isinstance(group, Mapping):
        raise TypeError(f"{name}: got {type(group).__name__}, expected a dict")
    if "params" not in group:
        raise ValueError(f'{name}: got {", ".join(map(str, group)) or "nothing"}, expected "params" too')


def are_pairs(choice: Any) -> bool:
    """Whether a group's "params" are pairs of arrays, and no choice."""
    return isinstance(choice, (list, tuple)) and bool(choice) and all(isinstance(one, (list, tuple)) for one in choice)


def described(optimizer: Any, groups: Sequence[Group], given: Mapping[str, Any]) -> str:
    """The text of an optimizer: its class, the settings that are not the defaults, what is `given`; and its groups."""
    first, *others = groups
    head = _listed({**_unusual(first), **given})
    if not others:
        return f"{optimizer.__name__}({head}, parameters={_size(first)})"
    lines = [f"  0: {_size(first)}{_named(first)}"]
    for i, group in enumerate(others, 1):
        own = _unusual(group)
        if group.optimizer is optimizer:
            names = [name for name, value in group.settings.items() if value != first.settings[name]]
            own = {name: group.settings[name] for name in names}
        kind = "" if group.optimizer is optimizer else f"{group.optimizer.__name__}, "
        lines.append(f"  {i}: {kind}{_size(group)}{', ' * bool(own)}{_listed(own)}{_named(group)}")
    return "\n".join([f"{optimizer.__name__}({head}), in groups:", *lines])


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _unusual(group: Group) -> dict[str, Any]:
    """The rate, and the settings that are not their class's defaults."""
    usual = group.optimizer._known_settings()
    return {name: value for name, value in group.settings.items() if name == "lr" or value != usual[name]}


def _size(group: Group) -> str:
    return f"{len(group.names)} ({sum(math.prod(shape) for shape in group.shapes):,} elements)"


def _named(group: Group) -> str:
    """The first names of a group's parameters."""
    return f": {', '.join(group.names[:3])}{', ...' * (len(group.names) > 3)}" if group.names else ""
