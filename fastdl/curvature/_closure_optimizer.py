"""What optimizers that call a closure share: the parameters as one flat vector, counts, state."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validate import integer, number
from ..optim._groups import Memory, check_keys


class ClosureOptimizer:
    """Base of the optimizers here. A step may look at several points, so ``step`` takes a closure.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for :class:`fastdl.optim.Optimizer`. Parameters are updated in place.
    lr : float
        Length of the first step tried along the direction, 1 for the whole.

    Attributes
    ----------
    steps : int
        Steps made.
    stationary : bool
        Whether the last step found nothing better within rounding, and left the parameters as they were.
    """

    _scalars: tuple[str, ...] = ()  # attributes that state_dict keeps, besides the counts
    _vectors: tuple[str, ...] = ()  # the same for arrays or lists of arrays

    def __init__(self, parameters: Any, lr: float) -> None:
        self._memory = Memory(parameters)
        self.size = sum(param.size for param, *_ in self._memory.each())
        self.lr = number("lr", lr, 0, open_low=True)
        self.steps = 0
        self.stationary = False

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._memory.forget()

    def state_dict(self) -> dict[str, Any]:
        """Copies of all that the next step depends on, besides the parameters."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ("lr", "steps", *self._scalars)}
        return values | {name: np.array(getattr(self, name)) for name in self._vectors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises
        ------
        ValueError
            If it does not fit; nothing was changed then.
        """
        check_keys("state", state, ("lr", "steps", *self._scalars, *self._vectors))
        for name in self._vectors:
            if np.shape(state[name])[-1:] not in ((), (0,), (self.size,)):
                raise ValueError(f"state[{name!r}]: got shape {np.shape(state[name])}, expected {self.size} columns")
        number("state['lr']", state["lr"], 0, open_low=True)
        integer("state['steps']", state["steps"], 0)
        for name in ("lr", "steps", *self._scalars):
            setattr(self, name, state[name])
        for name in self._vectors:
            setattr(self, name, np.array(state[name], np.float64))

    # ---- the parameters as a flat float64 vector -----------------------------------------------------
    def _values(self) -> np.ndarray:
        return np.concatenate([param.reshape(-1) for param, *_ in self._memory.each()]).astype(np.float64)

    def _assign(self, flat: np.ndarray) -> None:
        start = 0
        for param, _, frozen in self._memory.each():
            if not frozen:
                param[...] = flat[start : start + param.size].reshape(param.shape)
            start += param.size

    def _gradient(self) -> np.ndarray:
        self._memory.settle()
        return np.concatenate([grad.reshape(-1) for _, grad, _ in self._memory.each()]).astype(np.float64)

    def _trained(self, values: np.ndarray) -> np.ndarray:
        """`values` along the parameters, its last axis, with 0 for the frozen ones: what a step may use of them."""
        fixed = [np.full(param.size, frozen) for param, _, frozen in self._memory.each()]
        return np.where(np.concatenate(fixed), 0.0, values) if any(one.any() for one in fixed) else values

    def _finish(self, before: np.ndarray, after: np.ndarray | None) -> None:
        """Keep the new values, or go back to the old where there is nothing better."""
        self._assign(before if after is None else after)
        self.stationary = after is None
        self.steps += 1
        self._memory.renew()


def backtrack(value: float, slope: float, at: Any, first: float) -> float | None:
    """Length of a step that lowers the value by 1e-4 of what the slope promises (Armijo), halving from `first`.

    at: the value at a length. None where rounding is reached before.
    """
    length = first
    for _ in range(60):
        new = at(length)
        if np.isfinite(new) and new <= value + 1e-4 * length * slope and new < value:
            return length
        length *= 0.5
    return None
