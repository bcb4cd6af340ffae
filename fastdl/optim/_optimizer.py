"""Optimizers as objects: groups of parameters, their state, one kernel call per contiguous run of memory."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._dispatch import get_backend
from .._memory import aligned_zeros
from .._validate import check_apart, number, out_array
from ._rule import Rule, check_settings, run_kernel, shared_scalars


class Run:
    """Flat views of one contiguous piece of parameters, its gradients and its state."""

    def __init__(self, param: np.ndarray, grad: np.ndarray, states: Sequence[str]) -> None:
        self.param = param.reshape(-1)
        self.grad = grad.reshape(-1)
        self.states = {name: aligned_zeros(param.size, param.dtype) for name in states}
        self.arrays = (self.param, self.grad, *self.states.values())


class Group:
    """Parameters that share settings."""

    def __init__(self, runs: list[Run], settings: dict[str, Any]) -> None:
        self.runs = runs
        self.settings = settings


class Optimizer:
    """What every optimizer does; the rule and its settings come from the subclass.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        What `model.parameters()` returns, or arrays of float32 or float64, C-contiguous and writable, each
        gradient with its parameter's shape and dtype. They are updated in place.
    lr : float, optional
    **settings
        The keyword arguments of the rule's function (`update`), with its defaults unless the class says otherwise.
    """

    rule: ClassVar[Rule]
    update: ClassVar[Callable[..., None]]
    defaults: ClassVar[dict[str, Any]] = {}  # where the class differs from its function

    def __init__(self, parameters: Any, lr: float | None = None, **settings: Any) -> None:
        known = self._known_settings()
        unknown = set(settings) - set(known)
        if unknown:
            raise TypeError(f"{type(self).__name__}: got {sorted(unknown)}, expected some of {sorted(known)}")
        settings = known | settings | ({} if lr is None else {"lr": lr})
        check_settings(self.rule, settings)
        states = self.rule.states(settings)
        self._arena = parameters if hasattr(parameters, "settle_gradients") else None
        pairs = [(parameters.data, parameters.grad)] if self._arena is not None else _pairs(parameters)
        self.groups = [Group([Run(param, grad, states) for param, grad in pairs], settings)]
        self.steps = 0

    @classmethod
    def _known_settings(cls) -> dict[str, Any]:
        parameters = inspect.signature(cls.update).parameters.values()
        keywords = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
        return {
            name: keywords[name] for name in keywords if name not in ("step", "grad_scale")
        } | cls.defaults

    @property
    def lr(self) -> float:
        """The learning rate; setting it sets that of every group."""
        return self.groups[0].settings["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        number("lr", value, 0)
        for group in self.groups:
            group.settings["lr"] = value

    def step(self, *, grad_scale: float = 1.0) -> None:
        """Update the parameters from their gradients, in one pass over memory.

        Parameters
        ----------
        grad_scale : float, default 1.0
            Factor on the gradients, applied in the same pass: 1 / loss scale, or a clipping factor.
        """
        if self._arena is not None:
            self._arena.settle_gradients()
        self.steps += 1
        reference = get_backend() == "reference"
        for group in self.groups:
            settings = group.settings
            if reference:
                for run in group.runs:
                    self.update(
                        run.param, run.grad, **run.states, step=self.steps, grad_scale=grad_scale, **settings
                    )
                continue
            kernel, scalars = self.rule.plan(self.steps, settings)
            scalars += shared_scalars(settings, grad_scale)
            for run in group.runs:
                run_kernel(kernel, run.arrays, scalars)
        if self._arena is not None:
            self._arena.renew_gradients()

    def zero_grad(self) -> None:
        """Forget the gradients: an arena's next backward overwrites them, arrays of a list are set to 0."""
        if self._arena is not None:
            self._arena.renew_gradients()
            return
        for group in self.groups:
            for run in group.runs:
                run.grad.fill(0)

    def state_dict(self) -> dict[str, Any]:
        """Copies of the step count, the settings and the state: all that an exact resume needs."""
        groups = [
            {
                "settings": dict(group.settings),
                "runs": [{name: state.copy() for name, state in run.states.items()} for run in group.runs],
            }
            for group in self.groups
        ]
        return {"steps": self.steps, "groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; anything that does not fit is refused before anything is written."""
        groups = state["groups"]
        if len(groups) != len(self.groups):
            raise ValueError(f"state: got {len(groups)} groups, expected {len(self.groups)}")
        copies = []
        for group, saved in zip(self.groups, groups, strict=True):
            if set(saved["settings"]) != set(group.settings):
                raise ValueError(
                    f"state: got settings {sorted(saved['settings'])}, expected {sorted(group.settings)}"
                )
            check_settings(self.rule, saved["settings"])
            if len(saved["runs"]) != len(group.runs):
                raise ValueError(f"state: got {len(saved['runs'])} runs, expected {len(group.runs)}")
            for run, arrays in zip(group.runs, saved["runs"], strict=True):
                if set(arrays) != set(run.states):
                    raise ValueError(f"state: got arrays {sorted(arrays)}, expected {sorted(run.states)}")
                for name, own in run.states.items():
                    given = np.asarray(arrays[name])
                    if given.shape != own.shape or given.dtype != own.dtype:
                        raise ValueError(
                            f"state: got {name} of {given.shape} {given.dtype}, expected {own.shape} {own.dtype}"
                        )
                    copies.append((own, given))
        for own, given in copies:
            own[...] = given
        for group, saved in zip(self.groups, groups, strict=True):
            group.settings.update(saved["settings"])
        self.steps = int(state["steps"])


def _pairs(parameters: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (parameter, gradient) arrays of a list, each checked, none sharing memory with another."""
    checked = []
    for i, pair in enumerate(parameters):
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise TypeError(
                f"parameters[{i}]: got {type(pair).__name__}, expected a pair (parameter, gradient)"
            )
        param, grad = pair
        if not isinstance(param, np.ndarray):
            raise TypeError(f"parameters[{i}][0]: got {type(param).__name__}, expected a numpy array")
        dtype = np.dtype(np.float64) if param.dtype == np.float64 else np.dtype(np.float32)
        out_array(f"parameters[{i}][0]", param, None, dtype)
        out_array(f"parameters[{i}][1]", grad, param.shape, dtype)
        checked.append((param, grad))
    check_apart(**{f"parameters[{i}][{j}]": pair[j] for i, pair in enumerate(checked) for j in (0, 1)})
    return checked
