"""How a layer's arguments and results are tied to its backward, and what is nested in tuples, lists and dicts."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._backward import names_input_gradient
from ._node import Node
from ._trace import Undo
from ._traced import Traced, with_values


def refilled(value: Any, function: Callable[..., Any], *others: Any) -> Any:
    """The same tuples, lists and dicts with function(leaf) in the place of each leaf; `others` have the same form."""
    kind = value.__class__
    if kind is tuple or kind is list:
        return kind(refilled(*_swapped(parts, function)) for parts in zip(value, *others, strict=True))
    if isinstance(value, dict):
        found = {name: refilled(one, function, *[other[name] for other in others]) for name, one in value.items()}
        return found if kind is dict else with_values(value, found)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*[refilled(*_swapped(parts, function)) for parts in zip(value, *others, strict=True)])
    return function(value, *others)


def _swapped(parts: Sequence[Any], function: Callable[..., Any]) -> tuple[Any, ...]:
    return parts[0], function, *parts[1:]


def is_float(value: Any) -> bool:
    """Whether a value is an array that has a gradient."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def is_output(value: Any) -> bool:
    """Whether a result has a gradient: NumPy's numbers are results, too."""
    return isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f"


def template(value: Any, number: Callable[[Any], Any], counts: Callable[[Any], bool] = is_float) -> Any:
    """The form of what was given, with a number for each array of floats and None for all else."""
    return refilled(value, lambda one: number(one) if counts(one) else None)


def leaves(name: str, form: Any, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """The leaves of `form` with what `value`, of the same form, has in their places; refused where it has another."""
    if isinstance(form, (tuple, list)):
        if value is None:
            return
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{name}: got {type(value).__name__}, expected {len(form)} gradients, as forward's results")
        if len(value) != len(form):
            raise ValueError(f"{name}: got {len(value)} gradients, expected {len(form)}, as forward's results")
        for place, one in enumerate(form):
            yield from leaves(f"{name}[{place}]", one, value[place])
    elif isinstance(form, dict):
        if value is None:
            return
        if not isinstance(value, dict):
            raise TypeError(f"{name}: got {type(value).__name__}, expected a dict, as forward's results")
        strange = [key for key in value if key not in form]
        if strange:
            raise ValueError(f"{name}: got {strange[0]!r}, expected some of {', '.join(map(repr, form))}")
        for key, one in form.items():
            yield from leaves(f"{name}[{key!r}]", one, value.get(key))
    else:
        yield name, form, value


class Link(NamedTuple):
    """Of one call of a layer: the arguments and results that have gradients, and how the ones come from the others."""

    inputs: Sequence[Any]  # as they were given: stand-ins among them
    outputs: Sequence[np.ndarray]
    undo: Undo
    carried: Sequence[int] = ()  # results that mean nothing by themselves: they may only be handed on


def link(module: Node, args: Any, kwargs: Any, result: Any, backward: Callable[..., Any]) -> Link:
    """What holds where a layer says nothing else: ``backward`` takes gradients in the form of the results, and returns
    one for each argument that is an array of floats, in their order."""
    inputs, outputs = floats_of((args, kwargs)), outputs_of(result)
    form = template(result, lambda array: array.dtype, is_output)
    shapes = [array.shape for array in outputs]
    name = type(module).__name__

    def undo(gradients: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
        given = iter(zip(gradients, shapes, strict=True))

        def filled(dtype: Any) -> Any:
            if dtype is None:
                return None
            dy, shape = next(given)
            return np.zeros(shape, dtype) if dy is None else dy

        return spread(name, back(backward, refilled(form, filled), any(wanted)), wanted)

    return Link(inputs, outputs, undo)


def back(backward: Callable[..., Any], dy: Any, wanted: bool, **options: Any) -> Any:
    """Call a backward, without the input's gradient where nobody wants it and it can leave it out."""
    if not wanted and names_input_gradient(backward):
        return backward(dy, input_gradient=False, **options)
    return backward(dy, **options)


def spread(name: str, found: Any, wanted: Sequence[bool]) -> Sequence[Any]:
    """What a backward returned, by argument; refused where the gradient of one that is wanted is missing."""
    if not any(wanted):
        return [None] * len(wanted)
    gradients = gradients_of(found, len(wanted))
    if len(gradients) != len(wanted) or any(one is None and want for one, want in zip(gradients, wanted, strict=True)):
        raise TypeError(
            f"{name}.backward: got {sum(one is not None for one in gradients)} gradients of its {len(wanted)} inputs, "
            f"expected one for each that a derived forward has computed"
        )
    return gradients


def gradients_of(found: Any, count: int) -> list[Any]:
    """What a backward returned for so many inputs, in order; it may have None for what is no array of floats, too."""
    gradients = _leaves_that(found, lambda one: one is None or is_output(one))
    return gradients if len(gradients) == count else [one for one in gradients if one is not None]


def floats_of(value: Any) -> list[Any]:
    """The arrays of floats among the leaves, and what stands for them."""
    return _leaves_that(value, lambda one: one.__class__ is Traced or is_float(one))


def outputs_of(value: Any) -> list[Any]:
    """The results among the leaves that have a gradient."""
    return _leaves_that(value, is_output)


def _leaves_that(value: Any, counts: Callable[[Any], bool]) -> list[Any]:
    found: list[Any] = []

    def look(one: Any) -> None:
        if counts(one):
            found.append(one)

    refilled(value, look)
    return found


def link_recurrent(states: int, args: Any, kwargs: Any, result: Any, backward: Callable[..., Any]) -> Link:
    """Of a stack of recurrent layers: x and the initial states; y, the final states and the cells, where they are asked
    for. Of four states the last, m, has no gradient: it is a constant that scales the others."""
    given, asked = _recurrent(*args, **kwargs)
    initial = _states(given, states)
    parts = list(result) if isinstance(result, tuple) and any(asked) else [result]
    given_state = bool(initial)  # undo holds no stand-in, which would hold the trace that holds it
    final = _states(parts[1], states) if asked[0] else []
    cells = parts[-1:] if asked[1] else []

    def undo(gradients: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
        dy, dstates, dcells = gradients[0], gradients[1 : 1 + len(final)], gradients[1 + len(final) :]
        dy = np.zeros(y_shape, dtype) if dy is None else np.ascontiguousarray(dy)
        dstate: Any = None
        if any(one is not None for one in dstates):
            dstate = [np.zeros(shape, dtype) if one is None else np.ascontiguousarray(one)
                      for one, shape in zip(dstates, shapes, strict=True)]  # fmt: skip
            dstate = dstate[0] if states == 1 else tuple(dstate)
        dcell = np.ascontiguousarray(dcells[0]) if cells and dcells[0] is not None else None
        found = backward(dy, dstate, dcell, return_state=given_state, input_gradient=wanted[0])
        if not given_state:
            return [found]
        return [found[0], *([found[1]] if states == 1 else found[1])]

    y_shape, dtype, shapes = parts[0].shape, parts[0].dtype, [one.shape for one in final]
    carried = (2, 3) if states == 4 and final else ()  # c and n, whose scale is m's
    return Link([_x_of(*args, **kwargs), *initial], [parts[0], *final, *cells], undo, carried)


def _recurrent(
    x: Any, state: Any = None, *, lengths: Any = None, return_state: bool = False, return_cells: bool = False
) -> tuple[Any, tuple[bool, bool]]:
    """The initial states, and whether states and cells are returned, of a call's arguments."""
    return state, (return_state, return_cells)


def _x_of(x: Any, *others: Any, **options: Any) -> Any:
    return x


def _states(state: Any, count: int) -> list[Any]:
    """Those that have a gradient."""
    if state is None:
        return []
    return [state] if count == 1 else list(state[:3])


def link_without_weights(
    module: Node, args: Any, kwargs: Any, result: Any, backward: Callable[..., Any]
) -> Link:  # fmt: skip
    """Of attention: the context alone has a gradient, its weights, where they are asked for, have none."""
    context = result[0] if isinstance(result, tuple) else result
    whole = link(module, args, kwargs, context, backward)
    if context is result:
        return whole
    through = whole.undo

    def undo(gradients: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
        if gradients[1] is not None:
            raise TypeError(
                f"{type(module).__name__}: the context alone has a gradient, its weights are for reading: "
                "fd.nn.detach(weights) says so"
            )
        return through(gradients[:1], wanted)

    return Link(whole.inputs, [*whole.outputs, result[1]], undo)
