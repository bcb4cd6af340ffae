"""What of a model lasts: its arrays, read and loaded as one; and the generators it draws from."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._validate import check_shape, mapping, number, plain_array, real_values, same_names
from ..random import Generator
from ._node import Node
from ._tape import Tape

Buffer = np.ndarray | float


def drawing() -> tuple[type, ...]:
    """Kinds of generators that decide what comes next; NumPy's and Python's only where somebody imported them."""
    numpys, pythons = sys.modules.get("numpy.random"), sys.modules.get("random")
    found: tuple[type, ...] = (Generator,)
    if numpys is not None:
        found += (numpys.Generator, numpys.RandomState, numpys.BitGenerator)
    return found if pythons is None else (*found, pythons.Random)


# ---- buffers --------------------------------------------------------------------------------------------------
def new_buffer(value: Any) -> Buffer:
    """What a module keeps of an array or number given as a buffer: a copy."""
    if isinstance(value, (float, np.floating)):
        return float(value)  # NaN too
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return number("value", value)
    array = real_values("value", plain_array("value", value, "an array or a number"), "fiub")
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def changed_buffer(name: str, value: Any, like: Buffer) -> Buffer:
    """A buffer after an assignment: an array takes the values in, so it stays where it is."""
    array = fitting_buffer(name, value, like)
    if isinstance(like, float):
        return float(array)
    like[...] = array
    return like


def fitting_buffer(name: str, value: Any, like: Buffer) -> np.ndarray:
    """`value` as an array that may be copied into the buffer `like`."""
    own = np.asarray(like)
    array = real_values(name, value, "fiub")
    check_shape(name, array, own.shape)
    if not np.can_cast(array.dtype, own.dtype, "same_kind"):
        raise TypeError(f"{name}: got dtype {array.dtype}, expected what fits {own.dtype}")
    return array


# ---- arrays by name -------------------------------------------------------------------------------------------
def load_arrays(model: Node, state: Any) -> None:
    """The body of :meth:`Module.load_state_dict`: everything is checked first, and a failure undoes what was done."""
    arrays = _fitting(model, mapping("state", state, "names to arrays"))
    _check_ties(model, arrays)
    with all_or_none(model):
        _take(model, arrays)


def fill_arrays(
    model: Node, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]], read: Callable[[str], np.ndarray]
) -> None:
    """The body of :meth:`Module._fill_from`."""
    _fitting(model, {name: np.broadcast_to(np.zeros((), dtype), shape) for name, (shape, dtype) in shapes.items()})
    arrays = _Read(shapes, read)
    _check_ties(model, arrays)
    _take(model, arrays)


class _Read(Mapping[str, np.ndarray]):
    """Arrays that are read when somebody asks for one."""

    def __init__(self, names: Iterable[str], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = dict.fromkeys(names), read

    def __getitem__(self, name: str) -> np.ndarray:
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _fitting(model: Node, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a state, which are those that a model has."""
    expected = model._arrays()
    same_names("state", state, expected)
    arrays = {name: real_values(f"state[{name!r}]", value, "fiub") for name, value in state.items()}
    for name, array in arrays.items():
        if array.dtype.kind == "b" != expected[name].dtype.kind:
            raise TypeError(f"state[{name!r}]: got dtype bool, expected real numbers")
        check_shape(f"state[{name!r}]", array, expected[name].shape)
    for path, module in model.named_modules():
        for name in module._buffers:
            full = _joined(path, name)
            fitting_buffer(f"state[{full!r}]", arrays[full], getattr(module, name))
    return arrays


def _take(model: Node, arrays: Mapping[str, np.ndarray]) -> None:
    for path, module in model.named_modules():
        named = {name: arrays[_joined(path, name)] for name in module._export()}
        if named:
            module._import(named)
        for name in module._buffers:
            setattr(module, name, arrays[_joined(path, name)])


@contextlib.contextmanager
def all_or_none(model: Node) -> Iterator[None]:
    """What fails inside (an overflow made an error, a layer's own method) leaves parameters and buffers alone."""
    parameters = [(one, one._data.copy()) for _, one in model.named_parameters()]
    buffers = [
        (module, name, np.array(getattr(module, name))) for module in model.modules() for name in module._buffers
    ]
    try:
        yield
    except BaseException:
        for one, values in parameters:
            one._data[...] = values
        for module, name, values in buffers:
            setattr(module, name, values)
        raise


def _check_ties(model: Node, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse other values for one name of a parameter than for its other names."""
    first: dict[int, str] = {}
    for path, module in model.named_modules():
        for name, parameter in module._parameters.items():
            full = _joined(path, name)
            if full not in arrays:  # a layer that exports it under another name
                continue
            known = first.setdefault(id(parameter), full)
            if known != full and not np.array_equal(arrays[known], arrays[full], equal_nan=True):
                raise ValueError(f"state[{full!r}]: got other values than {known!r}, to which it is tied")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# ---- generators -----------------------------------------------------------------------------------------------
def random_state(module: Node, seen: set[int]) -> dict[str, Any]:
    """States of a module's generators by attribute, its children's by name, its own; `seen` are left out."""
    states: dict[str, Any] = {name: _state_of(one) for name, one in _generators(module, seen)}
    for name, child in module._children.items():
        one = random_state(child, seen) if child._gathers_random() else child.random_state()
        if one:
            states[name] = one
    return states | module._own_random_state()


def load_random_state(module: Node, state: Any) -> None:
    """The body of :meth:`Module.load_random_state`: where anything does not fit, all stays as it was."""
    before = random_state(module, set())
    _check_fits("state", state, before, module)
    try:
        _load_random(module, state, set())
    except BaseException:
        _load_random(module, before, set())
        raise


def _load_random(module: Node, state: Mapping[str, Any], seen: set[int]) -> None:
    for name, one in _generators(module, seen):
        _load_one(one, state[name])
    for name, child in module._children.items():
        if not child._gathers_random():
            if name in state:
                child.load_random_state(state[name])
        else:
            _load_random(child, state.get(name, {}), seen)
    module._load_own_random_state(state)


def _check_fits(name: str, state: Any, like: Mapping[str, Any], module: Node) -> None:
    """Refuse a state without exactly these keys, down to the leaves."""
    given = mapping(name, state, "names to states")
    if given.keys() != like.keys():
        raise ValueError(f"{name}: got keys {sorted(map(str, given))}, expected {sorted(like)}")
    for key, one in like.items():
        child = module._children.get(key)
        if child is not None and child._gathers_random():
            _check_fits(f"{name}[{key!r}]", given[key], one, child)


def _generators(module: Node, seen: set[int]) -> list[tuple[str, Any]]:
    """A module's generators by attribute and place in a container; those in `seen` are left out, and added to it."""
    held = ((name, one) for name, one in vars(module).items() if name != "_given")  # nobody draws from arguments
    return [found for name, one in held for found in _within(name, one, seen)]


def _within(name: str, one: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(one, (list, tuple, dict)) and not isinstance(one, Tape) and id(one) not in seen:
        seen.add(id(one))
        for key, child in one.items() if isinstance(one, dict) else enumerate(one):
            yield from _within(f"{name}[{key!r}]", child, seen)
    elif isinstance(one, drawing()) and id(one) not in seen and not _has_no_state(one):
        seen.add(id(one))
        yield name, one


def _has_no_state(one: Any) -> bool:
    """Whether numbers come from the system (random.SystemRandom), so that there is nothing to keep."""
    pythons = sys.modules.get("random")
    return pythons is not None and isinstance(one, pythons.SystemRandom)


def _state_of(one: Any) -> dict[str, Any]:
    if isinstance(one, Generator):
        return one.state_dict()
    if hasattr(one, "getstate"):
        return {"state": one.getstate()}
    state: dict[str, Any] = one.get_state(legacy=False) if isinstance(one, np.random.RandomState) else _bits(one).state
    return state


def _load_one(one: Any, state: Any) -> None:
    if isinstance(one, Generator):
        one.load_state_dict(state)
    elif hasattr(one, "setstate"):
        one.setstate(state["state"])
    elif isinstance(one, np.random.RandomState):
        one.set_state(state)
    else:
        _bits(one).state = state


def _bits(one: Any) -> Any:
    return one.bit_generator if isinstance(one, np.random.Generator) else one
