"""The memory an optimizer works on: an arena or a list of arrays, cut into groups of contiguous runs."""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._memory import aligned_zeros
from .._validate import FLOATS, out_array
from ._pieces import pieces_of

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
    """Parameters that share settings: `settings`, a dict, and `lr`, its learning rate."""

    def __init__(self, pieces: Sequence[Piece], settings: dict[str, Any], states: Sequence[str]) -> None:
        self.runs = []
        for piece in pieces:
            param = piece.arrays()[0]
            self.runs.append(Run(piece, {name: aligned_zeros(param.size, param.dtype) for name in states}))
        self.settings = settings
        self.gather()

    def gather(self) -> None:
        """Make the batches: at first, after a copy, and when a parameter was frozen or unfrozen."""
        parts = [part for run in self.runs for part in run.parts() if part.param.size]
        whole = [part for part in parts if part.table is None]
        of_a_type = [[part for part in whole if part.param.dtype == kind] for kind in FLOATS]
        self.batches = [Batch(runs) for runs in of_a_type if runs]
        self.tables = [Batch([part]) for part in parts if part.table is not None]

    def __getstate__(self) -> dict[str, Any]:
        return {"runs": self.runs, "settings": self.settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.gather()

    @property
    def lr(self) -> float:
        return self.settings["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        self.settings["lr"] = float(value)

    def state_dict(self) -> dict[str, Any]:
        numeric = {k: v for k, v in self.settings.items() if isinstance(v, (int, float))}
        pairs = {k: list(v) for k, v in self.settings.items() if isinstance(v, (tuple, list))}
        runs = [{name: array.copy() for name, array in run.states.items()} for run in self.runs]
        return {"settings": numeric | pairs, "runs": runs}

    def check_state(self, saved: Mapping[str, Any]) -> None:
        """Refuse a saved state whose arrays are not those of this group."""
        check_keys("state['groups']", saved, ("settings", "runs"))
        if len(saved["runs"]) != len(self.runs):
            raise ValueError(f"state: got {len(saved['runs'])} runs of parameters, expected {len(self.runs)}")
        for run, arrays in zip(self.runs, saved["runs"], strict=True):
            if set(arrays) != set(run.states):
                raise ValueError(f"state: got arrays {sorted(arrays)}, expected {sorted(run.states)}")
            for name, own in run.states.items():
                got = np.asarray(arrays[name])
                if got.shape != own.shape or got.dtype != own.dtype:
                    raise ValueError(f"state: got {name} {got.dtype} {got.shape}, expected {own.dtype} {own.shape}")

    def load(self, saved: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.settings.update({k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
        for run, arrays in zip(self.runs, saved["runs"], strict=True):
            for name, own in run.states.items():
                own[...] = arrays[name]


class Memory:
    """The parameters and gradients themselves, and the arena's bookkeeping where there is one.

    An arena (see :class:`fastdl.nn.Arena`) is known by its `settle_gradients`.
    """

    def __init__(self, parameters: Any) -> None:
        self._arena = parameters if hasattr(parameters, "settle_gradients") else None
        self._pairs: list[Pair] = []
        self.freezes = 0 if self._arena is None else self._arena.freezes
        if self._arena is None:
            self._pairs = check_pairs(parameters)
        else:
            self.refuse_stale()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.freezes = 0 if self._arena is None else self._arena.freezes

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

    def split(self, choices: Sequence[Choice], lazy: bool = False) -> list[list[Piece]]:
        """The pieces of the parameters no choice takes, then those of each choice; neighbours are joined.

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
        pieces: list[list[Piece]] = [[] for _ in range(len(choices) + 1)]
        if self._arena is None:
            if lazy:
                raise ValueError("lazy: got True with a list of arrays, expected a model's parameters()")
            for group, pair in zip(owner, self._pairs, strict=True):
                pieces[group].append(Piece(pair))
            return pieces
        tables = [one if lazy and one.by_rows else None for one in self._arena]
        bounds = [*self._arena.starts, self._arena._data.size]
        members = list(zip(self._arena, bounds, bounds[1:], strict=False))
        for (group, table), same in itertools.groupby(range(len(owner)), lambda i: (owner[i], tables[i])):
            of = tuple(members[i] for i in same)
            stop = of[-1][2] if table is None else of[0][1] + table.size
            pieces[group].append(Piece(self._arena, of[0][1], stop, of, table))
        return pieces

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

    def forget(self) -> None:
        if self._arena is not None:
            self._arena.renew_gradients()
            return
        for _, grad in self._pairs:
            grad.fill(0)

    def refuse_stale(self) -> None:
        """Refuse an arena whose parameters lie elsewhere by now."""
        if self._arena is not None and not self._arena.is_current():
            raise ValueError("parameters: these moved into a larger model since; take that model's parameters()")


def check_keys(name: str, saved: Mapping[str, Any], expected: Sequence[str]) -> None:
    if set(saved) != set(expected):
        raise ValueError(f"{name}: got {', '.join(map(str, saved))}, expected {', '.join(expected)}")


def check_pairs(parameters: Iterable[Pair]) -> list[Pair]:
    """The (parameter, gradient) arrays of a list: each checked, none sharing memory with another."""
    checked: list[Pair] = []
    spans = []
    for i, pair in enumerate(parameters):
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise TypeError(f"parameters[{i}]: got {type(pair).__name__}, expected (parameter, gradient)")
        param, grad = pair
        kind = param.dtype if isinstance(param, np.ndarray) and param.dtype in FLOATS else FLOATS[0]
        out_array(f"parameters[{i}][0]", param, None, kind)
        out_array(f"parameters[{i}][1]", grad, param.shape, kind)
        checked.append((param, grad))
        spans += [(array.ctypes.data, array.nbytes, f"parameters[{i}][{j}]") for j, array in enumerate(pair)]
    # Contiguous arrays overlap only if neighbours in memory do.
    spans = sorted(span for span in spans if span[1])
    for (start, size, name), (following, _, other) in itertools.pairwise(spans):
        if start + size > following:
            raise ValueError(f"{name}: overlaps {other}, expected separate memory")
    return checked


def _chooser(number: int, choice: Choice, named: Sequence[tuple[str, Any]]) -> Callable[[int, str, Any], bool]:
    if callable(choice):
        return lambda i, name, one: bool(choice(name, one))
    if isinstance(choice, str) or not isinstance(choice, Collection):
        raise TypeError(f"groups[{number}]['params']: got {choice!r}, expected a function or a collection of names")
    known = {name for name, _ in named} | set(range(len(named)))
    unknown = [one for one in choice if one not in known]
    if unknown:
        raise ValueError(f"groups[{number}]['params']: got {unknown}, expected names or positions of parameters")
    return lambda i, name, one: i in choice or name in choice
