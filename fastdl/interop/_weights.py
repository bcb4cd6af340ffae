"""What one layer of a stack is in evaluation, for those that write it down elsewhere."""

from typing import Any, NamedTuple

import numpy as np

from ..nn._layer import Layer
from ..nn._stack import Stack


class Cell(NamedTuple):
    """A layer in one direction: its function, the function's options, and its weights (fastdl.recurrent)."""

    function: str
    options: dict[str, Any]
    hidden: int
    outputs: int  # width of h
    gates: int
    states: int
    backwards: bool
    W_x: np.ndarray
    W_h: Any  # None for a cell that multiplies h by nothing
    b: np.ndarray
    projection: Any
    peepholes: Any
    gains: Any
    clip: float | None
    cell_clip: float | None
    zone_h: float
    zone_c: float
    first: tuple[np.ndarray, ...]  # the learned initial states; empty for zeros

    @property
    def plain(self) -> bool:
        """Whether it is the cell as every framework has it: without what fastdl has beside."""
        extra = (self.projection, self.gains, self.cell_clip)
        return all(one is None for one in extra) and not (self.zone_h or self.zone_c)


def cells_of(stack: Stack) -> list[Cell]:
    """The layers of a stack, by layer and direction."""
    return [_cell(stack, layer) for layer in stack._layers]


def _cell(stack: Stack, layer: Layer) -> Cell:
    settings, weights = layer.settings, layer.weights()
    return Cell(
        settings.cell.function, dict(settings.cell.own), settings.hidden, settings.outputs, settings.cell.gates,
        settings.cell.states, layer.backwards, *weights,
        stack.clip, stack.cell_clip, stack.rates["zone_h"], stack.rates["zone_c"],
        tuple(one.data for one in layer.first_states),
    )  # fmt: skip
