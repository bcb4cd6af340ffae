"""What an update rule is, and the one way in which functions and optimizers run it.

A rule turns its settings and the step number into the name of a kernel and the kernel's scalars; all
branching on options and variants happens there, once a step, and never in a loop over memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

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
Shape = tuple[int, ...]
Plan = tuple[str, tuple[float, ...]]  # a kernel's name and its scalars
Options = tuple[float, float, float, float]  # see `options_of`


class Shared(TypedDict, total=False):
    """What every update function takes by keyword besides its own arguments, with the defaults of `SHARED`."""

    weight_decay: float
    decoupled_weight_decay: bool
    l1: float
    maximize: bool
    grad_scale: float
    variant: str


SHARED: dict[str, Any] = {
    "weight_decay": 0.0,
    "decoupled_weight_decay": False,
    "l1": 0.0,
    "maximize": False,
    "grad_scale": 1.0,
    "variant": "torch",
}


@dataclass(frozen=True)
class Whole:
    """What a rule has whose change of an element depends on the others: it takes each parameter by itself.

    `shapes` gives the shapes of the states by name, for a parameter of this shape, and refuses one that the rule
    cannot take; `run(param, grad, states, step, settings, options)` is one step on arrays of their own shapes.
    """

    shapes: Callable[[Shape], Mapping[str, Shape]]
    run: Callable[[np.ndarray, np.ndarray, Mapping[str, np.ndarray], int, Settings, Options], None]


@dataclass(frozen=True)
class Rule:
    """One update rule, as :func:`fastdl.optim._define.rule` makes it of a function.

    `module` names the kernel module; `plan` gives the kernel's name and its scalars for one step; `check` refuses
    settings; `states` lists the state arrays that the settings ask for, in the order of the kernel's arguments;
    `arrays` and `settings` are the function's: its states' names, its settings with their defaults. `squares` says
    whether a state holds squares of the gradient, which leave the range sooner; `initial` gives the values that
    states begin with where these are not 0.
    """

    module: str
    plan: Callable[[int, Settings], Plan]
    check: Callable[[Settings], None]
    states: Callable[[Settings], tuple[str, ...]]
    arrays: tuple[str, ...]
    settings: Settings
    squares: bool
    variants: tuple[str, ...]
    initial: Callable[[Settings], Mapping[str, float]]
    whole: Whole | None

    def shapes(self, settings: Settings, shape: Shape) -> Mapping[str, Shape]:
        """The shapes of the states of a parameter of this shape, by name."""
        if self.whole is not None:
            return self.whole.shapes(shape)
        return dict.fromkeys(self.states(settings), shape)


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
    choice("variant", settings["variant"], rule.variants)
    rule.check(settings)


def check_scalars(scalars: tuple[float, ...], kind: np.dtype) -> None:
    """Refuse what a kernel would be given, where it is beyond the range of its type."""
    largest = LARGEST[kind]
    if not (max(scalars) <= largest and min(scalars) >= -largest):
        raise ValueError(
            f"lr: got settings from which the rule makes {max(scalars, key=abs):g}, expected numbers within {kind}"
        )


def options_of(settings: Settings, grad_scale: float) -> Options:
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


def apply_rule(rule: Rule, given: Mapping[str, Any]) -> None:
    """One validated update by a ``*_update`` function's arguments: what every such function does."""
    param = out_array("param", given["param"], None)
    dtype = param.dtype
    settings = {name: given[name] for name in rule.settings}
    step, grad_scale = check_call(rule, settings, given["step"], given["grad_scale"], dtype)
    shapes = rule.shapes(settings, param.shape)
    for name in rule.arrays:
        if (given[name] is None) is (name in shapes):
            got, expected = ("None", "an array") if given[name] is None else ("an array", "None")
            words = ", ".join(f"{key}={value!r}" for key, value in settings.items())
            words = words if rule.whole is None else f"a parameter of shape {param.shape}"
            raise (TypeError if got == "None" else ValueError)(f"{name}: got {got}, expected {expected} with {words}")
    states = {name: out_array(name, given[name], shape, dtype) for name, shape in shapes.items()}
    grad = float_array("grad", given["grad"], param.shape, dtype)
    check_apart(param=param, **states, grad=grad)
    kernel, scalars = rule.plan(step, settings)
    options = options_of(settings, grad_scale)
    check_scalars(scalars + options, dtype)
    if rule.whole is not None:
        rule.whole.run(param, grad, states, step, settings, options)
        return
    arrays: tuple[np.ndarray, ...] = (param, grad, *states.values())
    if param.ndim != 1:
        arrays = tuple([array.reshape(-1) for array in arrays])
    run_kernel(rule.module, kernel, arrays, pieces_of_one(param.size, len(arrays)), param.size, scalars, options)
