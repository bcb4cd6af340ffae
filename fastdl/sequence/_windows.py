"""Windows over time, of convolutions and pools: which steps they reach, and how long sequences are after them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._validate import flag, integer, lengths_array

LONGEST = 2**31 - 1  # steps of a window, its stride or its padding: products of two of them fit an index


class Windows(NamedTuple):
    """Where the windows lie: window t has the steps t * stride - left + k * dilation, k from 0 to size - 1."""

    size: int
    stride: int
    dilation: int
    left: int
    right: int
    ceil: bool = False  # whether a last window may reach over the end

    def steps(self, before: Any) -> Any:
        """Windows over so many steps, a number or an array of them; 0 over none, where it has no padding of its own."""
        reach = before + self.left + self.right - self.dilation * (self.size - 1) - 1
        after = (reach + (self.stride - 1 if self.ceil else 0)) // self.stride + 1
        if self.ceil:  # the last begins within the sequence or its left padding
            after = after - ((after - 1) * self.stride >= before + self.left)
        return np.maximum(after, 0) * (before > 0)


def windows(
    kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any = False, named: bool = False
) -> Windows:
    """Checked settings. named: whether the padding may be "same" or "causal"; if not, at most half of a window."""
    size, dilation = integer("kernel_size", kernel_size, 1, LONGEST), integer("dilation", dilation, 1, LONGEST)
    stride, span = integer("stride", stride, 1, LONGEST), dilation * (size - 1)
    if named and isinstance(padding, str):
        if padding not in ("same", "causal"):
            raise ValueError(f"padding: got {padding!r}, expected an int, 'same' or 'causal'")
        if padding == "same" and stride != 1:
            raise ValueError(f"stride: got {stride}, expected 1 with padding='same'")
        left = span if padding == "causal" else span // 2
        return Windows(size, stride, dilation, left, span - left)
    padding = integer("padding", padding, 0, LONGEST)
    if not named and padding > size // 2:
        raise ValueError(f"padding: got {padding}, expected at most {size // 2}, half of kernel_size")
    return Windows(size, stride, dilation, padding, padding, flag("ceil_mode", ceil_mode))


def checked_lengths(lengths: Any, shape: tuple[int, ...], after: Callable[[Any], Any]) -> Any:
    """None, or the lengths (B,) before and after."""
    if lengths is None:
        return None
    before = lengths_array("lengths", lengths, shape[0], shape[1])
    return before, np.require(after(before), np.int64, ["C"])


def out_steps(shape: tuple[int, ...], over: Windows) -> int:
    """Windows over x of this shape; refused where it is too short for one."""
    steps = int(over.steps(shape[0]))
    if shape[0] and not steps:
        least = over.dilation * (over.size - 1) + 1 - over.left - over.right
        raise ValueError(f"x: got shape {shape}, expected at least {least} steps, of which one window is made")
    return steps
