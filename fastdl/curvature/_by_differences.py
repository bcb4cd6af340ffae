"""A module whose backward is derived, or any that has one: its tangents by differences of its own passes, in float64.

The gradients are exact. Products with the Jacobian are central differences of the output. Those with the Hessian are
central differences of the exact gradient, d/dh [J(theta + h v)^T (dy + h tdy)] at h = 0. Their error is about 1e-9 of
the result: the rounding of float64 to the power 2/3, and the third derivative's share.
"""

from typing import Any

import numpy as np

from ..nn import Module, Parameter
from ..nn._check import in_float64
from ._guard import Arrays, Linearization

_STEP = np.finfo(np.float64).eps ** (1 / 3)


class ByDifferences(Linearization):
    """A derived module at an input (docs/curvature.md)."""

    def __init__(self, layer: Module, x: np.ndarray) -> None:
        _refuse_draws(layer)
        self._model, self._x, self._dtype = in_float64(layer), x, _dtype_of(layer, x)
        self._model.train()
        seen: dict[Parameter, Parameter] = {}
        for own, copy in zip(layer.modules(), self._model.modules(), strict=True):
            for name, one in own._parameters.items():
                seen[one] = copy._parameters[name]
        self._twins = seen
        self._at = {one: twin._data.copy() for one, twin in seen.items()}
        self._at_x = x.astype(np.float64) if x.dtype.kind == "f" else x
        self._dy: np.ndarray | None = None
        self._tangents: tuple[Any, Any] = None, None
        self.y = self._forward(0.0, None, None).astype(self._dtype)
        self._forget()

    def _forward(self, h: float, tx: np.ndarray | None, direction: Arrays | None) -> np.ndarray:
        """The output at h times the direction from here, recorded for a backward."""
        for one, twin in self._twins.items():
            along = None if direction is None else direction.get(one)
            twin._data[...] = self._at[one] if along is None else self._at[one] + h * along
        y = self._model.forward(self._at_x if tx is None else self._at_x + h * tx)
        if not isinstance(y, np.ndarray):
            raise TypeError(f"model: {type(self._model).__name__} returns {type(y).__name__}, expected one array")
        return y

    def _forget(self) -> None:
        self._model.train()
        self._model.zero_grad()

    def _gradients(
        self, h: float, tx: Any, direction: Any, dy: np.ndarray
    ) -> tuple[dict[Parameter, np.ndarray], np.ndarray | None]:
        """The exact gradients at h times the direction from here."""
        self._forward(h, tx, direction)
        dx = self._model.backward(dy)
        found = {one: twin.grad.copy() for one, twin in self._twins.items()}
        self._forget()
        return found, dx

    def jvp(self, tx: np.ndarray | None, direction: Arrays | None) -> np.ndarray | None:
        self._tangents = tx, direction
        if tx is None and direction is None:
            return None
        h = self._step(tx, direction)
        up, down = self._forward(h, tx, direction), self._forward(-h, tx, direction)
        self._forget()
        return ((up - down) / (2 * h)).astype(self._dtype)

    def backward(self, dy: np.ndarray, out: Arrays | None, need_input: bool) -> np.ndarray | None:
        self._dy = dy.astype(np.float64)
        found, dx = self._gradients(0.0, None, None, self._dy)
        return self._given(found, dx, out, need_input)

    def jvp_backward(
        self, tdy: np.ndarray | None, direction: Arrays | None, out: Arrays | None, need_input: bool
    ) -> np.ndarray | None:
        tx = self._tangents[0]
        h, dy = self._step(tx, direction), self._dy
        assert dy is not None  # the guard lets no jvp_backward come before backward
        along = 0.0 if tdy is None else tdy.astype(np.float64)
        up, up_x = self._gradients(h, tx, direction, dy + h * along)
        down, down_x = self._gradients(-h, tx, direction, dy - h * along)
        found = {one: (up[one] - down[one]) / (2 * h) for one in up}
        dx = None if up_x is None or down_x is None else (up_x - down_x) / (2 * h)
        return self._given(found, dx, out, need_input)

    def check_axis(self, axis: int) -> None:
        raise TypeError(
            f"model: {type(self._model).__name__} has no gradients by sample, since its backward is derived"
        )

    def _given(self, found: Any, dx: np.ndarray | None, out: Arrays | None, need_input: bool) -> np.ndarray | None:
        for one, gradient in found.items():
            if out is not None and one in out:
                out[one][...] += gradient.astype(self._dtype)
        return dx.astype(self._dtype) if need_input and dx is not None else None

    def _step(self, tx: np.ndarray | None, direction: Arrays | None) -> float:
        """A step that moves the largest of what moves by about the cube root of the rounding, in units of its size."""
        length = max([float(np.abs(one).max(initial=0)) for one in (direction or {}).values()], default=0.0)
        length = max(length, 0.0 if tx is None else float(np.abs(tx).max(initial=0)))
        size = max([1.0, *[float(np.abs(one).max(initial=0)) for one in self._at.values()]])
        return _STEP * size / length if length else _STEP


def _dtype_of(layer: Module, x: np.ndarray) -> np.dtype:
    found = [one.dtype for _, one in layer.named_parameters()]
    return found[0] if found else x.dtype


def _refuse_draws(layer: Module) -> None:
    """Refuse what is another function in evaluation mode than in training mode, where alone a backward is derived."""
    for one in layer.modules():
        if one._own_random_state() or one._buffers:
            raise TypeError(
                f"model: {type(layer).__name__} has no jvp: its backward is derived, and {type(one).__name__} in it "
                "does something else in evaluation mode"
            )
