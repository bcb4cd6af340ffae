"""How a row comes into the table."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._traced import MANY, TABLE, Function, plain, strange, traced_in

Rule = Callable[..., Any]


def derivative(function: Callable[..., Any], *rules: Rule | None) -> Callable[..., Any]:
    """Say how a function is differentiated where a derived forward calls it (docs/nn.md, A layer of your own).

    Parameters
    ----------
    function : callable
        A ufunc or function of NumPy (or what dispatches as these do: those of ``scipy.special``), or any function of
        arrays with one result.
    *rules : callable or None
        One for each argument from the first on: ``rule(dy, y, *args, **kwargs)`` gives the gradient with respect to it
        from `dy`, that with respect to the result `y`, and what the function was called with. None where there is none.
        What broadcasting has spread out is summed afterwards.

    Returns
    -------
    callable
        The function to call: `function` itself where NumPy dispatches it, otherwise one that does the same and is
        recorded.

    Raises
    ------
    TypeError, ValueError
        If `function` or a rule is not callable, or there are no rules.

    Notes
    -----
    A later row for the same function replaces the earlier one. A rule is right if <dy, df(x; v)> = <rule(dy), v> for
    all v: :meth:`fastdl.nn.Module.check_gradients` of a module that calls the function says whether it is.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> sinc = fd.nn.derivative(np.sinc, lambda dy, y, x: dy * (np.cos(np.pi * x) - y) / x)
    >>> fd.nn.value_and_grad(lambda x: np.sinc(x).sum())(np.array([0.5]))[1].round(4)
    array([-1.2732])
    """
    if not callable(function):
        raise TypeError(f"function: got {type(function).__name__}, expected a function")
    if not rules:
        raise ValueError("rules: got none, expected one for each argument that has a gradient")
    for place, rule in enumerate(rules):
        if rule is not None and not callable(rule):
            raise TypeError(f"rules[{place}]: got {type(rule).__name__}, expected a function or None")
    row(function, *rules)
    if isinstance(function, np.ufunc) or hasattr(function, "_implementation"):
        return function

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        if traced_in(args) is None and traced_in(kwargs) is None:
            return function(*args, **kwargs)
        return TABLE[function](*args, **kwargs)

    return recorded


def row(function: Callable[..., Any], *rules: Rule | None, linear: bool = False) -> Function:
    """Put a function into the table, with a derivative for each of its arguments."""
    rule = next(rule for rule in rules if rule is not None)
    names, own = _names(function), _names(rule)[2:]
    if isinstance(function, np.ufunc):
        names = own
    elif _takes_any(rule):
        own = names
    TABLE[function] = one = Function(function, rules, own, max(_alike(own, names), len(rules)), linear)
    return one


def composed(function: Callable[..., Any], replacement: Callable[..., Any]) -> None:
    """A row that does the same by functions which have one; an argument that it does not take is refused by name."""
    if isinstance(replacement, Function):  # which does so itself
        TABLE[function] = replacement
        return
    parameters = inspect.signature(replacement).parameters.values()
    own = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    known = frozenset(one.name for one in parameters)
    most = MANY if any(one.kind is one.VAR_POSITIONAL for one in parameters) else _alike(own, _names(function))

    def replaced(*args: Any, **options: Any) -> Any:
        if len(args) > most:
            raise strange(function, most)
        for name in options:
            if name not in known:
                raise strange(function, name)
        return replacement(*args, **options)

    TABLE[function] = replaced


def _alike(own: Sequence[str], names: Sequence[str]) -> int:
    """How many arguments may be given by their places: as far as both count alike."""
    apart = [at for at, (name, other) in enumerate(zip(own, names, strict=False)) if name != other]
    return apart[0] if apart else len(own)


def constant(*functions: Callable[..., Any]) -> None:
    """Functions that tell something of an array which has no gradient: plain in, plain out."""
    for function in functions:
        TABLE[function] = functools.partial(_plainly, function)


def _plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*plain(args), **plain(kwargs))


def _takes_any(rule: Rule) -> bool:
    """Whether a rule takes whatever the function was called with."""
    return any(one.kind is one.VAR_POSITIONAL for one in inspect.signature(rule).parameters.values())


def _names(function: Callable[..., Any]) -> list[str]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in found if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
