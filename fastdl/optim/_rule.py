"""What an update rule is, and the one way in which functions and optimizers run it.

A rule turns its settings and the step number into the name of a kernel and the kernel's scalars; all
branching on options and variants happens there, once a step, and never in a loop over memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._threads import threads_for
from .._validate import FLOATS, check_apart, choice, float_array, integer, number, out_array
from ._pieces import pieces_of_one

VARIANTS = ("torch", "keras", "optax", "paper", "course")
LARGEST = {kind: float(np.finfo(kind).max) for kind in FLOATS}
LEAST = {kind: float(np.finfo(kind).smallest_subnormal) for kind in FLOATS}
LAST_STEP = 2**63 - 1
NO_OPTIONS = (1.0, 0.0, 1.0, 0.0)  # as `options_of` gives them
GRAIN = 16384  # elements a thread should get at least (docs/profiling.md)

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One update rule.

    `module` names the kernel module; `states` lists the state arrays that the settings ask for, in the order
    of the kernel's arguments; `check` refuses settings; `plan` gives the kernel's name and its scalars for
    one step; `squares` says whether the state holds squares of the gradient, which leave the range sooner.
    """

    module: str
    states: Callable[[Settings], tuple[str, ...]]
    check: Callable[[Settings], None]
    plan: Callable[[int, Settings], tuple[str, tuple[float, ...]]]
    squares: bool = True


def check_betas(settings: Settings) -> None:
    betas = settings["betas"]
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas: got {betas!r}, expected a pair of numbers")
    number("betas[0]", betas[0], 0, 1, open_high=True)
    number("betas[1]", betas[1], 0, 1, open_high=True)


def adam_eps(settings: Settings) -> float:
    """eps, or the default that the variants of the Adam family share."""
    if settings["eps"] is None:
        return 1e-7 if settings["variant"] == "keras" else 1e-8
    return settings["eps"]


def check_settings(rule: Rule, settings: Settings, kind: np.dtype) -> None:
    """Refuse settings, the rule's own and the ones all rules share, for parameters of this type."""
    largest = LARGEST[kind]
    number("lr", settings["lr"], 0, largest)
    number("weight_decay", settings["weight_decay"], 0, largest)
    number("l1", settings["l1"], 0, largest)
    if settings.get("eps") is not None:
        # Not 0, nor what becomes 0: where gradient and state are 0, as in an arena's padding, the rules would divide
        # 0 by 0.
        number("eps", settings["eps"], LEAST[kind], largest)
    choice("decoupled_weight_decay", settings["decoupled_weight_decay"], (True, False))
    choice("maximize", settings["maximize"], (True, False))
    choice("variant", settings["variant"], VARIANTS)
    rule.check(settings)


def check_scalars(scalars: tuple[float, ...], kind: np.dtype) -> None:
    """Refuse what a kernel would be given, where it is beyond the range of its type."""
    largest = LARGEST[kind]
    if not (max(scalars) <= largest and min(scalars) >= -largest):
        raise ValueError(
            f"lr: got settings from which the rule makes {max(scalars, key=abs):g}, expected numbers within {kind}"
        )


def options_of(settings: Settings, grad_scale: float) -> tuple[float, float, float, float]:
    """scale, l2, keep, shrink: the four scalars that every kernel takes (see kernels/update/_update.pxd)."""
    lr, decay = settings["lr"], settings["weight_decay"]
    scale = -grad_scale if settings["maximize"] else grad_scale
    if settings["decoupled_weight_decay"]:
        return scale, 0.0, 1 - lr * decay, lr * settings["l1"]
    return scale, decay, 1.0, lr * settings["l1"]


def run_kernel(
    module: str,
    name: str,
    arrays: tuple[np.ndarray, ...],
    places: np.ndarray,
    size: int,
    scalars: tuple[float, ...],
    options: tuple[float, ...] = NO_OPTIONS,
) -> None:
    """Call kernels.<module>.<name> on arrays that were validated, for the pieces or rows, of this size together."""
    threads = threads_for(size, GRAIN) if size >= 2 * GRAIN else 1
    getattr(getattr(kernels, module), name)(arrays, places, scalars, options, threads)


def check_call(rule: Rule, settings: Settings, step: int, grad_scale: float, kind: np.dtype) -> tuple[int, float]:
    """Refuse what every update function takes besides arrays; the step and the factor, as plain numbers."""
    check_settings(rule, settings, kind)
    return integer("step", step, 1, LAST_STEP), number("grad_scale", grad_scale, -LARGEST[kind], LARGEST[kind])


def apply_rule(
    rule: Rule,
    param: np.ndarray,
    grad: np.ndarray,
    states: Mapping[str, np.ndarray | None],
    step: int,
    grad_scale: float,
    **settings: Any,
) -> None:
    """One validated update: the body of every public ``*_update`` function."""
    param = out_array("param", param, None)
    dtype = param.dtype
    step, grad_scale = check_call(rule, settings, step, grad_scale, dtype)
    needed = rule.states(settings)
    for name, state in states.items():
        if (state is None) == (name in needed):
            got, expected = ("None", "an array") if state is None else ("an array", "None")
            given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
            raise (TypeError if state is None else ValueError)(f"{name}: got {got}, expected {expected} with {given}")
    written = {"param": param}
    for name in needed:
        written[name] = out_array(name, states[name], param.shape, dtype)
    read = float_array("grad", grad, param.shape, dtype)
    check_apart(**written, grad=read)
    arrays = tuple(array.reshape(-1) for array in (written.pop("param"), read, *written.values()))
    kernel, scalars = rule.plan(step, settings)
    options = options_of(settings, grad_scale)
    check_scalars(scalars + options, dtype)
    run_kernel(rule.module, kernel, arrays, pieces_of_one(param.size, len(arrays)), param.size, scalars, options)
