"""What optimizers that call a closure share: the parameters as one flat vector, counts, state."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from .._differences import NotFinite, check_finite
from .._validate import check_shape, function, integer, is_one_of, number, plain_array, shown
from ..optim._parameters import Memory
from ..optim._states import check_keys


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

    # What state_dict keeps besides the counts: numbers and how low each may be, and arrays with their shape ("N" for
    # the number of parameters, None for any).
    _scalars: ClassVar[Mapping[str, float]] = {}
    _vectors: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def __init__(self, parameters: Any, lr: float) -> None:
        self._memory = Memory(parameters)
        self.size = sum(array.size for array in self._arrays)
        self.lr = number("lr", lr, 0, math.inf, open_low=True, open_high=True)
        self.steps = 0
        self.stationary = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lr={self.lr}, parameters={self.size:,}, steps={self.steps})"

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._memory.forget()

    def state_dict(self) -> dict[str, Any]:
        """Copies of all that the next step depends on, besides the parameters; and whose state it is.

        Returns
        -------
        dict
            "rule", the class; "shapes" of the parameters; "lr" and "steps"; and the rule's own numbers and arrays.
        """
        values: dict[str, Any] = self._whose() | {name: getattr(self, name) for name in ("lr", "steps", *self._scalars)}
        return values | {name: np.array(getattr(self, name)) for name in self._vectors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        ValueError, TypeError
            If it does not fit, is another rule's or that of other parameters; nothing was changed then.
        """
        vars(self).update(self._checked(state))

    def _checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes a saved state gives."""
        if not isinstance(state, Mapping):
            raise TypeError(f"state: got {type(state).__name__}, expected what state_dict gave")
        own = self._whose()
        check_keys("state", state, (*own, "lr", "steps", *self._scalars, *self._vectors))
        for name, value in own.items():
            if not is_one_of(state[name], (value,)):
                raise ValueError(f"state[{name!r}]: got {shown(state[name])}, expected {value!r}")
        found: dict[str, Any] = {
            "lr": number("state['lr']", state["lr"], 0, math.inf, open_low=True, open_high=True),
            "steps": integer("state['steps']", state["steps"], 0),
        }
        for name, low in self._scalars.items():
            found[name] = number(f"state[{name!r}]", state[name], low, math.inf, open_high=True)
        for name, shape in self._vectors.items():
            found[name] = self._array(f"state[{name!r}]", state[name], shape)
        return found

    def _array(self, name: str, value: Any, shape: tuple[Any, ...]) -> np.ndarray:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise TypeError(
                f"{name}: got {getattr(value, 'dtype', type(value).__name__)}, expected an array of numbers"
            )
        value = plain_array(name, value)
        check_shape(name, value, tuple(self.size if extent == "N" else extent for extent in shape))
        check_finite(name, value)
        return np.array(value, np.float64)

    def _whose(self) -> dict[str, Any]:
        return {"rule": type(self).__name__, "shapes": [list(array.shape) for array in self._arrays]}

    @contextlib.contextmanager
    def _undone_if_it_fails(self) -> Iterator[None]:
        """Parameters and state as before, whatever ends the block early: a closure that raises, Ctrl-C, a refusal."""
        # Arrays of state are replaced, never written to; so are numbers.
        values, state = [array.copy() for array in self._arrays], vars(self).copy()
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(state)
            for array, value in zip(self._arrays, values, strict=True):
                array[...] = value
            raise

    @property
    def _arrays(self) -> list[np.ndarray]:
        return [param for param, *_ in self._memory.each()]

    # ---- the parameters as a flat float64 vector -----------------------------------------------------
    def _values(self) -> np.ndarray:
        return np.concatenate([array.reshape(-1) for array in self._arrays]).astype(np.float64)

    def _assign(self, flat: np.ndarray) -> None:
        start = 0
        for array, _, frozen in self._memory.each():
            if not frozen:
                array[...] = flat[start : start + array.size].reshape(array.shape)
            start += array.size

    def _gradient(self) -> np.ndarray:
        self._memory.settle()
        return self._trained(np.concatenate([grad.reshape(-1) for _, grad, _ in self._memory.each()]))

    def _trained(self, values: Any) -> np.ndarray:
        """`values` along the parameters, its last axis, as float64 with 0 for the frozen ones."""
        values = np.asarray(values, np.float64)
        fixed = [np.full(param.size, frozen) for param, _, frozen in self._memory.each()]
        return np.where(np.concatenate(fixed), 0.0, values) if any(one.any() for one in fixed) else values

    def _finish(self, before: np.ndarray, after: np.ndarray | None) -> None:
        """Keep the new values, or go back to the old where there is nothing better."""
        self._assign(before if after is None else after)
        self.stationary = after is None
        self.steps += 1
        self._memory.renew()


def loss_of(closure: Callable[[], Any]) -> float:
    """What a closure gives, as one number, finite or not."""
    value = function("closure", closure, "a function without arguments")()
    if isinstance(value, (bool, str, tuple, list)) or (np.ndim(value) != 0 and np.size(value) != 1):
        raise TypeError(f"closure: got {_described(value)}, expected the loss, one number")
    try:
        return float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        raise TypeError(f"closure: got {_described(value)}, expected the loss, one number") from None


def point_of(closure: Callable[[], Any]) -> Any:
    """What a closure gives, a point with a finite loss."""
    point = function("closure", closure, "a function without arguments")()
    for name in ("value", "gradient", "hvp", "hessian"):
        if not hasattr(type(point), name) and not hasattr(point, name):
            raise TypeError(f"closure: got {_described(point)}, expected a LossPoint or a FunctionPoint")
    check_finite("closure", point.value, "a loss")
    return point


def gradient_at(point: Any, size: int) -> np.ndarray:
    """A point's gradient, which is finite and has the optimizer's size."""
    gradient = np.asarray(point.gradient, np.float64)
    check_shape("closure's gradient", gradient, (size,))
    check_finite("closure", gradient, "a gradient")
    return gradient


def _described(value: Any) -> str:
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def backtrack(value: float, slope: float, at: Callable[[float], Any], first: float, size: int) -> float | None:
    """Length of a step that lowers the value by 1e-4 of what the slope promises (Armijo), halving from `first`.

    at: the point at a length. Where its loss or its gradient is not finite the step was too long. None where
    rounding is reached before.
    """
    length, met = first, False
    for halvings in range(60):
        try:
            with np.errstate(all="ignore"):
                point = at(length)
            new = float(point.value)
            if math.isfinite(new):
                met = met or halvings < 40  # what comes later is the start again, to rounding
                if new <= value + 1e-4 * length * slope and new < value:
                    gradient_at(point, size)
                    return length
        except NotFinite:
            pass
        length *= 0.5
    if not met:
        raise NotFinite("closure: got no finite loss anywhere along the direction, expected one")
    return None
