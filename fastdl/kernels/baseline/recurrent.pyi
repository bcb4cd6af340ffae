from collections.abc import Sequence
from typing import Any

from numpy import ndarray

LEVEL: str

def cells() -> tuple[tuple[str, int, int, int], ...]: ...

class Plan:
    row: int
    forward_rows: int
    forward_size: int
    backward_size: int
    def __init__(self, tape: Any, num_threads: int) -> None: ...
    def forward(self, h0: ndarray, c0: ndarray | None, work: ndarray, keep: bool, all_c: bool) -> None: ...
    def backward(self, dy: ndarray, dc_above: ndarray | None, states: tuple[ndarray | None, ndarray, ndarray | None], parameters: Sequence[ndarray | None], add: bool, work: ndarray) -> None: ...

def lay_out(lengths: ndarray, order: ndarray, steps: int, backwards: bool, offsets: ndarray, places: ndarray) -> None: ...
