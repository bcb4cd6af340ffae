"""Parameters as one flat vector, in the order of ``model.parameters()`` and without the arena's padding."""

from collections.abc import Collection
from typing import Any

import numpy as np

from .._validate import float_array, members, shown
from ..nn import Module, Parameter


class Layout:
    """Where each parameter of a model lies in a flat vector."""

    def __init__(self, model: Module) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"model: got {type(model).__name__}, expected a fastdl.nn layer")
        arena = model.parameters()
        self.names, self.parameters = arena.names, list(arena)
        self.dtype = arena.dtype
        bounds = np.cumsum([0, *(one.size for one in self.parameters)])
        self.bounds = [int(one) for one in bounds]
        self.size = self.bounds[-1]

    def views(self, flat: np.ndarray) -> dict[Parameter, np.ndarray]:
        """Each parameter's part of a flat vector, in its shape."""
        return {
            one: flat[start : start + one.size].reshape(one.shape)
            for one, start in zip(self.parameters, self.bounds, strict=False)
        }

    def values(self) -> np.ndarray:
        """The parameters now, as a flat vector."""
        flat = np.empty(self.size, self.dtype)
        for one, view in self.views(flat).items():
            view[...] = one.data
        return flat

    def assign(self, flat: np.ndarray) -> None:
        """Give the parameters the values of a flat vector."""
        for one, view in self.views(flat).items():
            one.data = view

    def vector(self, name: str, value: Any) -> np.ndarray:
        """A direction given by a user: finite or not, but of the right length and type."""
        return float_array(name, value, (self.size,), self.dtype)

    def places(self, names: Collection[str] | None) -> np.ndarray | None:
        """Positions in the flat vector of the parameters named, or of all whose name begins so; None for all."""
        if names is None:
            return None
        if isinstance(names, str):
            names = [names]
        names, chosen = members("parameters", names, "names"), []
        if not names:
            raise ValueError(f"parameters: got none, expected some of {', '.join(self.names)}")
        for wanted in names:
            named = isinstance(wanted, str)
            found = [k for k, name in enumerate(self.names) if named and f"{name}.".startswith(f"{wanted}.")]
            if not found:
                raise ValueError(f"parameters: got {shown(wanted)}, expected some of {', '.join(self.names)}")
            chosen += found
        return np.concatenate([np.arange(self.bounds[k], self.bounds[k + 1]) for k in sorted(set(chosen))])
