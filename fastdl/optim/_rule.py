"""What an update rule is, and the one way in which functions and optimizers run it.

A rule turns its settings and the step number into the name of a kernel and the kernel's scalars; all branching
on options and variants happens there, once a step, and never in a loop over memory.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._dispatch import kernels
from .._threads import threads_for
from .._validate import check_apart, choice, float_array, integer, number, out_array

VARIANTS = ("torch", "keras", "optax", "paper", "course")
GRAIN = 16384  # elements a thread should get at least: below, starting the team costs more than it saves

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One update rule.

    `states` lists the state arrays that the settings ask for, in the order of the kernel's arguments;
    `check` refuses settings; `plan` gives the kernel's name and its scalars for one step.
    """

    states: Callable[[Settings], tuple[str, ...]]
    check: Callable[[Settings], None]
    plan: Callable[[int, Settings], tuple[str, tuple[float, ...]]]


def check_settings(rule: Rule, settings: Settings) -> None:
    """Refuse settings, the rule's own and the ones all rules share."""
    number("lr", settings["lr"], 0)
    number("weight_decay", settings["weight_decay"], 0)
    number("l1", settings["l1"], 0)
    choice("decoupled_weight_decay", settings["decoupled_weight_decay"], (True, False))
    choice("maximize", settings["maximize"], (True, False))
    choice("variant", settings["variant"], VARIANTS)
    rule.check(settings)


def shared_scalars(settings: Settings, grad_scale: float) -> tuple[float, float, float, float]:
    """scale, l2, keep, shrink: the four scalars that end every kernel's list (see kernels/_update.pxd)."""
    lr, decay = settings["lr"], settings["weight_decay"]
    scale = -grad_scale if settings["maximize"] else grad_scale
    if settings["decoupled_weight_decay"]:
        return scale, 0.0, 1 - lr * decay, lr * settings["l1"]
    return scale, decay, 1.0, lr * settings["l1"]


@functools.cache
def _specialized(level: str, name: str, dtype: np.dtype) -> Callable[..., None]:
    # Asking a fused function for its specialization at every call costs more than a small step.
    return getattr(kernels.optim, name).__signatures__["float" if dtype == np.float32 else "double"]


def run_kernel(name: str, arrays: Sequence[np.ndarray], scalars: tuple[float, ...]) -> None:
    """Call kernels.optim.<name> on flat arrays that were validated."""
    first = arrays[0]
    _specialized(kernels.level, name, first.dtype)(*arrays, *scalars, threads_for(first.size, GRAIN))


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
    check_settings(rule, settings)
    integer("step", step, 1)
    number("grad_scale", grad_scale)
    needed = rule.states(settings)
    for name, state in states.items():
        if state is not None and name not in needed:
            raise ValueError(f"{name}: got an array, expected None with these settings")
    if not isinstance(param, np.ndarray):
        raise TypeError(f"param: got {type(param).__name__}, expected a numpy array to write into")
    dtype = np.dtype(np.float64) if param.dtype == np.float64 else np.dtype(np.float32)
    written = {"param": out_array("param", param, None, dtype)}
    for name in needed:
        written[name] = out_array(name, states[name], param.shape, dtype)
    read = float_array("grad", grad, param.shape, dtype)
    check_apart(**written, grad=read)
    arrays = [array.reshape(-1) for array in (written.pop("param"), read, *written.values())]
    kernel, scalars = rule.plan(step, settings)
    run_kernel(kernel, arrays, scalars + shared_scalars(settings, grad_scale))
