"""A gradient that is still to be taken."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ._parameter import Parameter


class Pull:
    """What is left to do for the gradient of a number that has been computed."""

    def __call__(self, factor: float = 1.0) -> Any:
        """The gradient of `factor` times the number; that of the parameters which it read is added to theirs."""
        raise NotImplementedError

    def drop(self) -> None:
        """Nobody wants it: what layers have left for it is taken back."""


class Part(NamedTuple):
    """The gradient of a parameter, or of some of its rows or columns alone, each once."""

    parameter: Parameter
    gradient: np.ndarray
    some: np.ndarray | None = None  # which; the gradient has a row for each
    columns: bool = False  # whether they are columns of the parameter


class Computed(Pull):
    """Of a number whose gradients have been computed along with it."""

    def __init__(self, dx: np.ndarray, parts: Sequence[Part]) -> None:
        self._found: Any = dx, parts

    def __call__(self, factor: float = 1.0) -> Any:
        if self._found is None:
            raise RuntimeError("gradient: it was taken before: a loss has one, for one backward")
        (dx, parts), self._found = self._found, None
        for part in parts:
            _add(part, factor)
        return dx if factor == 1 else dx * dx.dtype.type(factor)

    def drop(self) -> None:
        self._found = None


def _add(part: Part, factor: float) -> None:
    parameter, gradient, some, columns = part
    if factor != 1:
        gradient = gradient * gradient.dtype.type(factor)
    place, accumulate = parameter.claim_grad(None if some is None or columns else some)
    if some is None:
        place[...] = place + gradient if accumulate else gradient
        return
    if not accumulate:
        place[...] = 0
    (place.T if columns else place)[some] += gradient
