"""What the optimizers share: torch's arguments, parameter groups and states, and another step."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from ._bunch import KINDS, Bunch, Move, Values, check_move, is_dense


class Fused(torch.optim.Optimizer):
    """Base of all, before torch's own class of the same name."""

    _counters: ClassVar[tuple[str, ...]] = ("step",)
    _step_supports_amp_scaling = property(lambda self: False, lambda self, value: None)  # a scaler unscales by itself

    def _keys(self, group: dict[str, Any], param: Any) -> tuple[str, ...]:
        """What the states are called in torch, in the order of the kernel's arguments."""
        raise NotImplementedError

    def _fresh(self, group: dict[str, Any], param: Any, name: str) -> Any:
        """A state, or a counter, to begin with."""
        return 0.0 if name in self._counters else torch.zeros_like(param)

    def _move(self, group: dict[str, Any], values: Values) -> Move:
        """The next step, from the counters as they are."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, as torch's optimizers do.

        Parameters
        ----------
        param_group : dict
            "params", a parameter or several, and the settings that differ from the defaults.

        Raises
        ------
        TypeError, ValueError
            If a parameter is not float32 or float64 on the CPU, or ``capturable`` or ``differentiable`` is asked for;
            there is no such group then.
        """
        super().add_param_group(param_group)
        added, name = self.param_groups[-1], type(self).__name__
        try:
            for param in added["params"]:
                if param.dtype not in KINDS:
                    raise TypeError(
                        f"{name}: got a parameter of {param.dtype}, expected torch.float32 or torch.float64"
                    )
                if not param.is_cpu:
                    raise ValueError(f"{name}: got a parameter on {param.device}, expected all on the CPU")
            for flag in ("capturable", "differentiable"):
                if added.get(flag):
                    raise ValueError(f"{flag}: got True, expected False, since one kernel call makes the step")
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient, those of a group in one pass over memory.

        Parameters
        ----------
        closure : callable, optional
            Called first: it computes the loss anew, and its gradients.

        Returns
        -------
        loss
            What `closure` gave, otherwise None.

        Raises
        ------
        TypeError, ValueError
            If a gradient is sparse, of another type or elsewhere, or a setting leaves the type's range; nothing is
            written then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work: list[tuple[Bunch, list[Any]]] = []
        for at, group in enumerate(self.param_groups):
            work += self._found(at, group)
        moves = [self._move(bunch.group, bunch.values()) for bunch, _ in work]
        for (bunch, _), move in zip(work, moves, strict=True):
            check_move(move, bunch.dtype)
        for (bunch, grads), move in zip(work, moves, strict=True):
            bunch.run(move, grads)
        return loss

    def _found(self, at: int, group: dict[str, Any]) -> list[tuple[Bunch, list[Any]]]:
        """The bunches of a group, with their gradients; made anew where something has moved."""
        made: dict[int, Bunch] = self.__dict__.setdefault("_made", {})
        held = made.pop(at, None)
        if held is not None and held.group is group:
            grads = held.gradients(group["params"], self.state, self._keys(group, held.params[0]))
            if grads is not None:
                made[at] = held
                return [(held, grads)]
        found = {one: self._as_laid(one, one.grad) for one in group["params"] if one.grad is not None}
        for dtype in {KINDS[one.dtype] for one in found}:  # before a state is made
            check_move(self._move(group, (1.0,) * len(self._counters)), dtype)
        apart: dict[Any, tuple[list[Any], list[Any]]] = {}
        for param in found:
            keys = self._keys(group, param)
            entry = self.state[param] if keys or self._counters else {}
            self._prepare(group, param, entry, keys)
            together = (param.dtype, keys, *[float(entry[name]) for name in self._counters])
            for of, one in zip(apart.setdefault(together, ([], [])), (param, entry), strict=True):
                of.append(one)
        bunches = [Bunch(group, *of, together[1], self._counters) for together, of in apart.items()]
        if len(bunches) == 1:
            made[at] = bunches[0]
        return [(one, [found[param] for param in one.params]) for one in bunches]

    def _as_laid(self, param: Any, grad: Any) -> Any:
        name = type(self).__name__
        if grad.layout is not torch.strided or grad.dtype is not param.dtype or not grad.is_cpu:
            kind = "a sparse gradient" if grad.layout is not torch.strided else f"one of {grad.dtype}"
            raise TypeError(f"{name}: got {kind} on {grad.device}, expected a dense one of {param.dtype} on the CPU")
        if not (param.is_contiguous() or is_dense(param)):
            wanted = "expected one whose elements fill a stretch of memory"
            raise ValueError(f"{name}: got a parameter of strides {param.stride()}, {wanted}")
        if grad.stride() == param.stride() or (grad.is_contiguous() and param.is_contiguous()):
            return grad
        return torch.empty_like(param).copy_(grad)

    def _prepare(self, group: dict[str, Any], param: Any, entry: dict[str, Any], keys: tuple[str, ...]) -> None:
        """Make what a parameter's state lacks, and lay what lies otherwise than the parameter."""
        for name in (*self._counters, *keys):
            if entry.get(name) is None:
                entry[name] = self._fresh(group, param, name)
        for key in keys:
            if entry[key].shape == param.shape and entry[key].stride() != param.stride():
                entry[key] = torch.empty_like(param).copy_(entry[key])
