"""Whether a module's backward is that of its forward: gradients beside differences, in float64."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from .._differences import GradientCheck, check_gradient
from .._validate import integer, mapping, number
from ..random import as_generator
from ._derived import plain_float
from ._links import gradients_of, is_float, is_output, leaves, outputs_of, refilled
from ._parameter import Parameter


class GradientChecks(Mapping[str, GradientCheck]):
    """What :meth:`fastdl.nn.Module.check_gradients` found: by parameter or input, in their order.

    It is true where all passed, and prints as a table (docs/nn.md).

    Parameters
    ----------
    found : mapping of str to fastdl.curvature.GradientCheck
        By name.

    Raises
    ------
    TypeError
        If `found` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> checks = fd.nn.Linear(2, 1, rng=0).check_gradients(np.ones((3, 2)))
    >>> bool(checks), list(checks), checks["bias"].passed
    (True, ['weight', 'bias', 'x'], True)
    """

    _found: Mapping[str, GradientCheck] = MappingProxyType({})

    def __init__(self, found: Mapping[str, GradientCheck]) -> None:
        checked = mapping("found", found, "names to fastdl.curvature.GradientCheck")
        for name, one in checked.items():
            if not isinstance(one, GradientCheck):
                raise TypeError(f"found[{name!r}]: got {type(one).__name__}, expected a fastdl.curvature.GradientCheck")
        self._found = dict(checked)

    def __getitem__(self, name: str) -> GradientCheck:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __bool__(self) -> bool:
        return all(one.passed for one in self._found.values())

    def __repr__(self) -> str:
        width = max((len(name) for name in self._found), default=0)
        return "\n".join(f"{name:<{width}}  {one}" for name, one in self._found.items())


def check_gradients(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], entries: int, rtol: float, rng: Any
) -> GradientChecks:
    """The body of :meth:`Module.check_gradients`."""
    entries, rtol, source = integer("entries", entries, 1), number("rtol", rtol, 0), as_generator(rng)
    model = in_float64(module)
    model.train()
    drawn, buffers = model.random_state(), {name: np.array(one) for name, one in model.named_buffers()}
    taken = [name for name in inspect.signature(model.forward).parameters if name not in kwargs]
    places = [taken[place] if place < len(taken) else f"args[{place}]" for place in range(len(args))]
    named = {**dict(zip(places, args, strict=True)), **kwargs}
    listed = [refilled(one, lambda part, name=name: _double(plain_float(name, part))) for name, one in named.items()]
    args, kwargs = tuple(listed[: len(args)]), dict(zip(kwargs, listed[len(args) :], strict=True))

    def run() -> Any:
        """A forward, with the masks and the running averages of the first."""
        model.train()
        model.load_random_state(drawn)
        for (_, own), kept in zip(model.named_buffers(), buffers.values(), strict=True):
            if isinstance(own, np.ndarray):
                own[...] = kept
        return model.forward(*args, **kwargs)

    outputs = run()
    if not all(np.isfinite(one).all() for one in outputs_of(outputs)):
        given = zip(named, (*args, *kwargs.values()), strict=True)
        guilty = (name for name, one in given if not all(np.isfinite(part).all() for part in outputs_of(one)))
        name = next(guilty, next(iter(named), "x"))
        raise ValueError(
            f"{name}: forward gives numbers that are not finite, expected finite ones, of which differences tell"
        )
    dy = refilled(
        outputs, lambda one: np.asarray(source.normal(0.0, 1.0, one.shape, np.float64)) if is_output(one) else None
    )
    dx = model.backward(dy)
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, parameter in model.named_parameters():
        pairs[name] = parameter._data, parameter.grad.copy()
    pairs |= _of_inputs((*args, *kwargs.values()), dx)

    def weighted() -> float:
        return sum(float((one * d).sum()) for one, d in zip(outputs_of(run()), outputs_of(dy), strict=True))

    found = {name: _checked(weighted, *pair, entries, rtol, source) for name, pair in pairs.items()}
    return GradientChecks(found)


def _checked(
    value: Callable[[], float], array: np.ndarray, gradient: np.ndarray, entries: int, rtol: float, source: Any
) -> GradientCheck:
    """The gradient of some entries of an array, drawn where there are more."""
    array, gradient = np.atleast_1d(array, gradient)  # of a number too, a view
    chosen = np.arange(array.size)
    if array.size > entries:
        chosen = np.sort(source.permutation(array.size)[:entries])
    at = np.unravel_index(chosen, array.shape)

    def along(entries: np.ndarray) -> float:
        before = array[at].copy()
        array[at] = entries
        try:
            return value()
        finally:
            array[at] = before

    found = check_gradient(along, gradient[at], array[at].copy(), rtol, "central")
    worst = tuple(int(axis[found.where[0]]) for axis in at) if found.where else ()
    return found._replace(where=worst)


def _of_inputs(args: tuple[Any, ...], dx: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The inputs that are arrays of floats, each with its gradient; none where backward returns none."""
    form = args[0] if len(args) == 1 else args
    named = [(name, one) for name, one, _ in leaves("x", form, form) if is_float(one)]
    gradients = gradients_of(dx, len(named))
    pairs = zip(named, gradients, strict=len(gradients) > 0)
    return {name: (array, gradient) for (name, array), gradient in pairs if gradient is not None}


def _double(one: Any) -> Any:
    return one.astype(np.float64) if isinstance(one, np.ndarray) and one.dtype.kind == "f" else one


def in_float64(module: Any) -> Any:
    """A copy whose parameters, buffers and other arrays are float64, nothing frozen."""
    model = copy.deepcopy(module)
    made: dict[int, Parameter] = {}
    for one in model.modules():
        one._arena = None
        for name, had in list(one._parameters.items()):
            if id(had) not in made:
                made[id(had)] = Parameter(
                    had.name, had._data.astype(np.float64), transposed=had.transposed, by_rows=had.by_rows
                )
            one._parameters[name] = one.__dict__[name] = made[id(had)]
        for name, value in list(vars(one).items()):
            one.__dict__[name] = _doubled(value)
        one._changed()
    return model


def _doubled(value: Any) -> Any:
    """An attribute of a module in float64: an array, a dtype, or what tells one."""
    if isinstance(value, np.dtype) and value.kind == "f":
        return np.dtype(np.float64)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_doubled(one) for one in value])
    return _double(value)
