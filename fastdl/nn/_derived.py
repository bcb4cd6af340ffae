"""Forwards from which the backward is derived: they run on stand-ins that record what happens to them.

A class is derived where its ``forward`` is defined further down than its nearest ``backward``: it wrote a forward
alone, or another forward than the one its backward undoes.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _tracing
from .._validate import plain_array
from ._backward import backward_of
from ._links import is_float, leaves, refilled, template
from ._node import Node
from ._trace import Call, Trace
from ._traced import DETACHED, Traced, check_here, traced_in
from ._whole import tapes_of, whole


class Derived(NamedTuple):
    """What a derived forward leaves on its tape: the record, and the numbers of what went in and came out."""

    trace: Trace
    inputs: list[Any]  # by argument, each as it was given, with a number in the place of an array of floats
    outputs: Any


def prepare(cls: type[Any], base: type[Any], alone: bool) -> None:
    """Make a new class's forward all or nothing, recorded where another forward calls it, and derive its backward."""
    at, forward = _nearest(cls, "forward", base)
    if at is None:
        return
    above, _ = _nearest(cls, "backward", base)
    cls._derived = above is None or at < above
    cls._forwards = cls.__mro__[at]
    if (at == 0 or not issubclass(cls.__mro__[at], base)) and callable(forward):
        cls._forwards = cls
        cls.forward = _called(cls, forward, alone)
    if cls._derived and above is not None:
        cls.backward = base.backward


def _nearest(cls: type, name: str, base: type) -> tuple[int | None, Any]:
    """Where in the order of resolution a method is written by hand, and the method; None where it is the base's."""
    for at, one in enumerate(cls.__mro__):
        found = vars(one).get(name)
        if found is not None and found is not vars(base)[name]:
            return at, found
    return None, None


def _called(cls: type[Any], forward: Callable[..., Any], alone: bool) -> Callable[..., Any]:
    """`forward` as it is called: `alone` says that it calls no other layers."""
    derived = whole(functools.wraps(forward)(lambda self, *args, **kwargs: _derive(self, forward, args, kwargs)))
    by_hand = whole(forward)

    @functools.wraps(forward)
    def call(self: Node, *args: Any, **kwargs: Any) -> Any:
        if _tracing.running:
            trace = _tracing.current()
            if trace is not None:
                return _record(trace, self, call, args, kwargs)
        if cls._derived and self.training and type(self)._forwards is cls:
            return derived(self, *args, **kwargs)
        return (forward if alone or not self._children else by_hand)(self, *args, **kwargs)

    call._of = cls  # type: ignore[attr-defined]
    return call


def _derive(module: Node, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a forward on stand-ins; what it returns are plain arrays again."""
    trace = Trace(module, f"{type(module).__name__}.forward")
    kwargs = in_order(forward, kwargs)
    named = zip((*_names_of(forward, len(args)), *kwargs), (*args, *kwargs.values()), strict=True)
    values = [refilled(one, functools.partial(plain_float, name)) for name, one in named]
    inputs = [template(one, lambda array: trace.number(array, False)) for one in values]
    given = [stood_in(trace, one, numbers) for one, numbers in zip(values, inputs, strict=True)]
    try:
        with _tracing.recording(trace):
            result = forward(module, *given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
            outputs = refilled(result, _number)
        trace.check_carried()
    except BaseException:
        drop_calls(trace)
        raise
    finally:
        trace.close()
    module._tape.append(Derived(trace, inputs, outputs))
    return _as_outputs(trace, result)


def _as_outputs(trace: Trace, result: Any) -> Any:
    """Results as the caller gets them: copies of what backward reads, since the caller may write to them."""
    numbers: set[int] = set()
    refilled(result, lambda one: numbers.add(one._at) if one.__class__ is Traced else None)
    read = trace.read_among(numbers)

    def output(one: Any) -> Any:
        if one.__class__ is not Traced:
            return one
        value = one._value
        copied = value.__class__ is np.ndarray and (one._at in read or value.base is not None)
        return value.copy() if copied else value

    return refilled(result, output)


def _names_of(forward: Callable[..., Any], count: int) -> list[str]:
    """What forward calls its arguments, self left out."""
    code = getattr(forward, "__code__", None)
    names = list(code.co_varnames[1 : code.co_argcount]) if code else []
    return names[:count] + [f"args[{place}]" for place in range(len(names), count)]


def in_order(forward: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name in the order in which forward has them, which is that of their gradients."""
    if len(kwargs) < 2:
        return kwargs
    code = inspect.unwrap(forward).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {name: kwargs[name] for name in (*names, *kwargs) if name in kwargs}


def plain_float(name: str, one: Any) -> Any:
    """An array of floats as a plain one; matrices and masked arrays are refused."""
    return plain_array(name, one) if is_float(one) and one.__class__ is not np.ndarray else one


def stood_in(trace: Trace, value: Any, numbers: Any) -> Any:
    """What was given, with stand-ins in the place of the arrays that have a number."""
    return refilled(numbers, lambda at, array: array if at is None else Traced(trace, at, array), value)


def _number(one: Any) -> int | None:
    """The number of a stand-in, None for what is none."""
    if one.__class__ is not Traced:
        return None
    check_here(one._trace)
    return one._at


def drop_calls(trace: Trace) -> None:
    """Take back what the layers called so far have left on their tapes."""
    for operation in reversed(trace.operations):
        if operation.__class__ is Call and operation.drop is not None:
            operation.drop()


def derived_backward(module: Node, dy: Any, input_gradient: bool) -> Any:
    """The way back through the last derived forward."""
    entry = module._peek()
    if entry.__class__ is not Derived:
        raise RuntimeError(f"{type(module).__name__}.backward: the last forward was not derived")
    seeds = _seeds(dy, entry.outputs, entry.trace)
    module._pop()
    try:
        walk = entry.trace.backward(seeds, input_gradient)
    except BaseException:  # half of the gradients are written, half of the tapes are empty: none of it may stay
        for one in module.modules():
            one._tape.clear()
        module.zero_grad()
        raise
    if not input_gradient:
        return None
    found = [refilled(one, lambda at: None if at is None else walk.place(at)) for one in entry.inputs]
    return found[0] if len(found) == 1 else tuple(found)


def _seeds(dy: Any, outputs: Any, trace: Trace) -> list[tuple[int, np.ndarray]]:
    """The gradients by number; refused where they do not fit the outputs."""
    seeds = []
    for name, at, gradient in leaves("dy", outputs, dy):
        if at is None or gradient is None:
            continue
        shape, dtype, _ = trace.facts[at]
        gradient = plain_float(name, gradient)
        array = gradient if isinstance(gradient, (np.ndarray, np.generic)) else None
        if array is None and shape == () and isinstance(gradient, (int, float)):
            array = np.asarray(gradient, dtype)
        if array is None:
            raise TypeError(f"{name}: got {type(gradient).__name__}, expected an array of shape {shape}")
        if array.dtype != dtype:
            raise TypeError(f"{name}: got dtype {array.dtype}, expected {dtype}")
        if array.shape != shape:
            raise ValueError(f"{name}: got shape {array.shape}, expected {shape}")
        seeds.append((at, np.asarray(array)))
    return seeds


# ---- layers that a derived forward calls ------------------------------------------------------------------------
def _record(trace: Trace, module: Node, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One call of a layer's forward within a derived one, as one operation of its record."""
    forward, backward = call, module.backward
    if module is trace.owner and type(module)._forwards is not call._of:  # type: ignore[attr-defined]  # super()
        forward, own = call.__wrapped__, call._of  # type: ignore[attr-defined]
        if own._derived:
            return forward(module, *args, **kwargs)
        backward = backward_of(own).__get__(module)
    if module._inline and (kwargs.get("return_state") or len(args) > 1 or kwargs.get("state") is not None):
        return forward.__wrapped__(module, *args, **kwargs)  # type: ignore[attr-defined]
    if not module.training:
        if traced_in(args) is not None or traced_in(kwargs) is not None:
            raise TypeError(
                f"{type(module).__name__}: called in evaluation mode within {trace.name}, where it keeps nothing for a "
                f"backward: call train(), and freeze() what is not to be trained; {DETACHED}"
            )
        with _tracing.recording(None):
            return forward(module, *args, **kwargs)
    kwargs = in_order(forward, kwargs)
    given, named = refilled((args, kwargs), _as_array)
    tapes = tapes_of(module)
    lengths = [len(tape) for tape in tapes]
    with _tracing.recording(None):
        result = forward(module, *given, **named)
    if result.__class__ is float:  # of a loss, say
        result = np.float64(result)

    def drop() -> None:
        for tape, length in zip(tapes, lengths, strict=True):
            del tape[length:]

    left = [(tape, tape[-1]) for tape, length in zip(tapes, lengths, strict=True) if len(tape) > length]

    # What undo holds, the trace holds: neither the trace itself nor a stand-in, which would keep all of it until the
    # collector comes by.
    link, name = module._link(args, kwargs, result, backward), trace.name
    through = link.undo

    def undo(gradients: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
        if any(tape and tape[-1] is not top for tape, top in left):
            raise RuntimeError(
                f"{type(module).__name__}.backward: the layer has run again since {name} called it: go back "
                "through its forwards in reverse, or call it in evaluation mode"
            )
        return through(gradients, wanted)

    parents = [_number(one) for one in link.inputs]
    trains = any(at is not None and trace.facts[at][2] for at in parents)
    trains = trains or any(one._parameters for one in module.modules())
    numbers = [trace.number(array, trains) for array in link.outputs]
    trace.carried.update({numbers[place]: type(module).__name__ for place in link.carried})
    trace.operations.append(Call(parents, numbers, undo, drop))
    standing = {id(array): Traced(trace, at, array) for array, at in zip(link.outputs, numbers, strict=True)}

    def stand(one: Any) -> Any:
        if hasattr(one, "__dataclass_fields__"):
            raise TypeError(
                f"{type(module).__name__}.forward: gave {type(one).__name__}, expected arrays, or tuples, lists and "
                f"dicts of them: what a dataclass holds would be constant within {trace.name}"
            )
        return standing.get(id(one), one)

    return refilled(result, stand)


def _as_array(one: Any) -> Any:
    """What a layer is given for a stand-in: an array, of a number too, since that has a gradient."""
    return np.asarray(one._value) if one.__class__ is Traced else one


def detach(x: Any) -> Any:
    """An array as a constant: nothing that is computed from it has a gradient through it (docs/nn.md).

    Parameters
    ----------
    x : ndarray, or tuple, list or dict of them
        Within a forward that is derived, what stands for arrays there; anywhere else arrays.

    Returns
    -------
    ndarray, or the same of them
        Read-only views within a derived forward; outside it `x` as it is.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> class Normalized(fd.nn.Module):
    ...     def forward(self, x):
    ...         return x / fd.nn.detach(np.abs(x).max())
    >>> layer = Normalized()
    >>> layer.backward(np.ones_like(layer.forward(np.array([1.0, 4.0]))))
    array([0.25, 0.25])
    """
    return refilled(x, _constant)


def _constant(one: Any) -> Any:
    if one.__class__ is not Traced:
        return one
    if one._value.__class__ is not np.ndarray:
        return one._value
    view = one._value.view()
    view.flags.writeable = False
    return view
