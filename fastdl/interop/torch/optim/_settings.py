"""What the optimizers ask of torch's groups, and how their rules plan a step."""

from typing import Any

from ....optim._define import rule_of
from ._bunch import Move, Values

Group = dict[str, Any]


def settings_of(group: Group, *names: str, **own: Any) -> dict[str, Any]:
    """What a rule asks for, of a group's settings, in plain numbers."""
    found = {name: plain(group[name]) for name in ("lr", *names)}
    shared = {name: bool(group.get(name, False)) for name in ("maximize", "decoupled_weight_decay")}
    return {"variant": "torch", "l1": 0.0, "weight_decay": plain(group.get("weight_decay", 0.0))} | shared | found | own


def plain(value: Any) -> Any:
    """A number of a number or a tensor; of a pair, a pair."""
    if isinstance(value, (tuple, list)):
        return tuple([plain(one) for one in value])
    return value if value is None or isinstance(value, (bool, str)) else float(value)


def planned(update: Any, settings: dict[str, Any], values: Values) -> Move:
    """The next step as the rule itself plans it, where torch counts steps alone."""
    rule = rule_of(update)
    step = int(values[0]) + 1 if values else 1
    kernel, scalars = rule.plan(step, settings)
    return Move(rule, settings, kernel, scalars, tuple([float(step) for _ in values]))
