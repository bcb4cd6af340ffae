"""From one function to a rule: its signature is the function's, the class's and the parameter group's.

A rule's function has a signature and a docstring, and no body: `rule` gives it the one that all have. In both, only
what is the rule's own is written; what all rules share (`Shared`) is added to what ``inspect.signature`` and ``help``
show.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .._dispatch import mirrored
from ._describe import describe_function
from ._rows import apply_rows
from ._rule import SHARED, VARIANTS, Plan, Rule, Settings, Shared, Whole, apply_rule

_F = TypeVar("_F", bound=Callable[..., None])
_KEYWORD, _VARIOUS = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD


def rule(
    plan: Callable[[int, Settings], Plan],
    *,
    module: str = "optim_adaptive",
    check: Callable[[Settings], None] = lambda settings: None,
    states: Callable[[Settings], tuple[str, ...]] | None = None,
    squares: bool = True,
    variants: tuple[str, ...] = VARIANTS,
    initial: Callable[[Settings], Mapping[str, float]] = lambda settings: {},
    whole: Whole | None = None,
) -> Callable[[_F], _F]:
    """Make a public ``*_update`` function of a signature and a docstring; see :class:`Rule` for what it takes.

    The arrays after `param` and `grad` are the rule's states, all of them needed unless `states` says otherwise; the
    keywords are `step` and the rule's own settings.
    """

    def define(function: _F) -> _F:
        signature = _whole_signature(function)
        given = signature.parameters.values()
        arrays = tuple(one.name for one in given if one.kind is not _KEYWORD)[2:]
        settings = {one.name: one.default for one in given if one.kind is _KEYWORD}
        settings = {name: settings[name] for name in settings if name not in ("step", "grad_scale")}
        made = Rule(
            module,
            plan,
            check,
            states or (lambda settings: arrays),
            arrays,
            settings,
            squares,
            variants,
            initial,
            whole,
        )
        update = _bound(function, signature, functools.partial(apply_rule, made))
        update.__doc__ = describe_function(update.__doc__, signature, variants)
        update.rule = made  # type: ignore[attr-defined]
        return mirrored(update)

    return define


def rows_of(dense: Callable[..., None]) -> Callable[[_F], _F]:
    """Make a public ``*_update_rows`` function, the rule of `dense` on some rows, as :func:`rule` does."""

    def define(function: _F) -> _F:
        signature = _whole_signature(function)
        update = _bound(function, signature, functools.partial(apply_rows, rule_of(dense)))
        update.__doc__ = describe_function(update.__doc__, signature, rule_of(dense).variants, dense.__name__)
        return mirrored(update)

    return define


def rule_of(update: Callable[..., None]) -> Rule:
    """The rule that `rule` made of an update function."""
    return update.rule  # type: ignore[attr-defined]


def _whole_signature(function: Callable[..., None]) -> inspect.Signature:
    """A function's signature, with what all rules share in the place of ``**shared``."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not _VARIOUS]
    kinds = Shared.__annotations__
    shared = [
        inspect.Parameter(name, _KEYWORD, default=value, annotation=kinds[name]) for name, value in SHARED.items()
    ]
    return signature.replace(parameters=own + shared)


def _bound(function: _F, signature: inspect.Signature, run: Callable[[Mapping[str, Any]], None]) -> _F:
    """`function`, which then calls `run` with all its arguments by name."""
    places = [one.name for one in signature.parameters.values() if one.kind is not _KEYWORD]
    defaults = {one.name: one.default for one in signature.parameters.values() if one.default is not one.empty}
    known = frozenset(signature.parameters)

    @functools.wraps(function)
    def update(*args: Any, **given: Any) -> None:
        function(*args, **given)  # Python refuses what does not fit the signature
        if not known.issuperset(given):
            raise TypeError(f"{min(given.keys() - known)}: got an argument that {function.__name__} does not have")
        given = defaults | given
        given.update(zip(places, args, strict=False))
        run(given)

    del update.__wrapped__  # its source has another signature
    update.__signature__ = signature  # type: ignore[attr-defined]
    return update  # type: ignore[return-value]
