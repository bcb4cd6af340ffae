"""Layers over windows of steps: convolution and pools, with what true lengths make of their edges."""

from typing import Any

import numpy as np

from ... import nn
from ...sequence._windows import Windows
from ._graph import Graph, Value


def conv(graph: Graph, layer: nn.Conv1d, x: Value, lengths: Value | None) -> tuple[Value, Value | None]:
    """The layer's output (T', B, C'), and the lengths behind it."""
    x = _time_first(layer, x)
    if lengths is not None:
        x = graph.where(graph.within(x, lengths, 3), x, 0.0)
    windows = layer._windows
    given = [layer.weight.data.transpose(2, 1, 0), *([layer.bias.data] if layer.has_bias else [])]
    y = graph.op(
        "Conv", x.transposed(1, 2, 0), *[graph.value(one, x.dtype) for one in given], strides=[windows.stride],
        dilations=[windows.dilation], pads=[windows.left, windows.right], group=layer.groups,
        kernel_shape=[windows.size],
    ).transposed(2, 0, 1)  # fmt: skip
    return _behind(graph, layer, y, lengths)


def pooled(graph: Graph, layer: Any, x: Value, lengths: Value | None) -> tuple[Value, Value | None]:
    """The same for a pool. Means are sums over counts, since what counts at the edges is said by the layer."""
    x, windows = _time_first(layer, x), layer._windows
    steps = x.sizes(0, 1)
    ends = steps if lengths is None else lengths
    largest = isinstance(layer, nn.MaxPool1d)
    within = graph.within(x, ends, 3)
    inside = graph.where(within, x, -np.inf if largest else 0.0)
    over = windows.stride - 1 if windows.ceil else 0
    pads = graph.integers(windows.left, 0, 0, windows.right + over, 0, 0)
    padded = graph.op("Pad", inside, pads, graph.value(-np.inf if largest else 0.0, x.dtype))
    y = _slid(graph, "MaxPool" if largest else "AveragePool", padded, windows)
    if not largest:
        counted = _counted(graph, windows, x, ends, steps, over, layer.count_include_pad)
        count = _slid(graph, "AveragePool", counted.cast(x.dtype), windows)
        y = graph.where(count > 0.0, y / graph.larger(count, 1e-9), 0.0)
    y = y.cut([0], steps_after(graph, windows, steps), 0)
    return _behind(graph, layer, y, lengths)


def _slid(graph: Graph, kind: str, padded: Value, windows: Windows) -> Value:
    """A pool over the first axis of (T, B, C)."""
    dilations: dict[str, Any] = {"dilations": [windows.dilation]} if kind == "MaxPool" else {}
    y = graph.op(
        kind, padded.transposed(1, 2, 0), kernel_shape=[windows.size], strides=[windows.stride],
        **dilations,
    )  # fmt: skip
    return y.transposed(2, 0, 1)


def _counted(
    graph: Graph, windows: Windows, x: Value, ends: Value, steps: Value, over: int, with_padding: bool
) -> Value:
    """Which of the padded steps count in a mean: (T + padding, B or 1, 1)."""
    places = graph.range(steps + (windows.left + windows.right + over)).unsqueezed(1, 2)
    ends = ends.unsqueezed(0, 2)
    if with_padding:
        return places < ends + (windows.left + windows.right)
    return graph.op("And", places >= windows.left, places < ends + windows.left)


def steps_after(graph: Graph, windows: Windows, before: Value) -> Value:
    """Windows over so many steps: Windows.steps."""
    reach = before + (windows.left + windows.right - windows.dilation * (windows.size - 1) - 1)
    after = (reach + (windows.stride - 1 if windows.ceil else 0)) / windows.stride + 1
    if windows.ceil:
        beyond = (after - 1) * windows.stride >= before + windows.left
        after = after - beyond.cast(np.int64)
    return graph.where(graph.op("And", reach >= (1 - windows.stride if windows.ceil else 0), before > 0), after, 0)


def _behind(graph: Graph, layer: Any, y: Value, lengths: Value | None) -> tuple[Value, Value | None]:
    if lengths is not None:
        lengths = steps_after(graph, layer._windows, lengths)
        y = graph.where(graph.within(y, lengths, 3), y, 0.0)
    return _time_first(layer, y), lengths


def _time_first(layer: Any, x: Value) -> Value:
    """Time-major from batch-first, or back."""
    return x.transposed(1, 0, 2) if layer.batch_first else x
