"""Recurrent layers: ONNX's RNN, LSTM and GRU where these say the same, else a Scan over the cell's equations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...nn._formats import ORDERS, weights_in
from ...nn._stack import Stack
from .._weights import Cell, cells_of
from ._cells import STEPS, entering
from ._graph import Graph, Value

NAMES = ("h", "c", "n", "m")
_KINDS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def stack(
    graph: Graph, layer: Stack, x: Value, states: Sequence[Value] | None, lengths: Value | None
) -> tuple[Value, list[Value]]:
    """The layer's output, and its final states."""
    x = x.transposed(1, 0, 2) if layer.batch_first else x
    cells, D = cells_of(layer), len(layer.directions)
    native = all(_is_native(layer, cell) for cell in cells)
    finals: list[list[Value]] = []
    for k in range(layer.num_layers):
        own = slice(k * D, (k + 1) * D)
        first = [_first(graph, x, cells[own], states, i, k * D) for i in range(cells[0].states)]
        if native:
            y, last = _by_operator(graph, layer, cells[own], k, x, first, lengths)
        else:
            y, last = _by_scans(graph, cells[own], x, first, lengths)
        finals.append(last)
        x = _merged(graph, layer, y)
    ends = [graph.joined(parts, 0) if len(parts) > 1 else parts[0] for parts in zip(*finals, strict=True)]
    if layer.output == "last":
        x = _merged_ends(graph, layer, finals[-1][0])
    elif layer.batch_first:
        x = x.transposed(1, 0, 2)
    return x, ends


def _is_native(layer: Stack, cell: Cell) -> bool:
    """Whether an operator of ONNX, of float32 alone in its runtimes, says the same."""
    apart = cell.clip is not None and cell.function == "lstm" and (layer.peepholes or cell.options["coupled"])
    return cell.function in _KINDS and cell.plain and cell.W_x.dtype == np.float32 and not apart


def _first(graph: Graph, x: Value, cells: list[Cell], states: Sequence[Value] | None, i: int, at: int) -> Value:
    """The initial states (D, B, width) of one layer."""
    D = len(cells)
    if states is not None:
        whole = states[i]
        return whole.cut([at], [at + D], 0)
    width = cells[0].outputs if i == 0 else cells[0].hidden
    learned = [cell.first[i] if cell.first else np.zeros(width) for cell in cells]
    shape = graph.joined([graph.integers(D), x.sizes(1, 2), graph.integers(width)], 0)
    return graph.op("Expand", graph.value(np.stack(learned)[:, None], x.dtype), shape)


# ---- by an operator -----------------------------------------------------------------------------------------------


def _by_operator(
    graph: Graph, layer: Stack, cells: list[Cell], k: int, x: Value, first: list[Value], lengths: Value | None
) -> tuple[Value, list[Value]]:
    D, kind = len(cells), cells[0].function
    coupled = kind == "lstm" and cells[0].options["coupled"]
    order = ORDERS["onnx", f"coupled {kind}" if coupled else kind]
    found = [weights_in(one, order) for one in layer._layers[k * D : (k + 1) * D]]
    arrays = [np.stack([W.T for W, _, _ in found]), np.stack([R.T for _, R, _ in found])]
    bias = np.stack([np.concatenate(two) for _, _, two in found]) if layer.bias else None
    inputs = [x, *[graph.value(one, x.dtype) for one in arrays], None if bias is None else graph.value(bias, x.dtype)]
    inputs += [None if lengths is None else lengths.cast(np.int32), *first]
    if cells[0].peepholes is not None:
        inputs.append(graph.value(np.stack([cell.peepholes[[0, 2, 1]].ravel() for cell in cells]), x.dtype))
    names = [*["forward", "reverse"][cells[0].backwards :], "bidirectional"]
    attributes: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": names[-1] if D == 2 else names[0]}
    attributes |= {"clip": cells[0].clip} if cells[0].clip is not None else {}
    attributes |= {"input_forget": 1} if coupled else {}
    if kind == "gru":
        attributes["linear_before_reset"] = int(cells[0].options["reset_after"])
    if kind == "rnn":
        attributes["activations"] = [cells[0].options["nonlinearity"].capitalize()] * D
    y, *last = graph.ops(_KINDS[kind], *inputs, outputs=1 + len(first), **attributes)
    y.rank = 4
    if lengths is not None:  # of a sequence without a step the runtimes give zeros
        empty = lengths.equals(0).unsqueezed(0, 2)
        last = [graph.where(empty, one, other) for one, other in zip(first, last, strict=True)]
    return y, last


# ---- by the equations ---------------------------------------------------------------------------------------------


def _by_scans(
    graph: Graph, cells: list[Cell], x: Value, first: list[Value], lengths: Value | None
) -> tuple[Value, list[Value]]:
    """Outputs (T, D, B, H) and last states (D, B, H)."""
    outputs, ends = [], []
    for at, cell in enumerate(cells):
        before = [one.cut([at], [at + 1], 0).squeezed(0) for one in first]
        y, last = _scan(graph, cell, x, before, lengths)
        outputs.append(y.unsqueezed(1))
        ends.append([one.unsqueezed(0) for one in last])
    D = len(cells)
    y = graph.joined(outputs, 1) if D > 1 else outputs[0]
    return y, [graph.joined(parts, 0) if D > 1 else parts[0] for parts in zip(*ends, strict=True)]


def _scan(graph: Graph, cell: Cell, x: Value, before: list[Value], lengths: Value | None) -> tuple[Value, list[Value]]:
    attributes: dict[str, Any] = {"num_scan_inputs": 1}
    turned = x
    if cell.backwards and lengths is not None:
        turned = _turned(graph, x, lengths)
    elif cell.backwards:
        attributes |= {"scan_input_directions": [1], "scan_output_directions": [1]}
    entered = [entering(graph, cell, turned)]
    if lengths is not None:
        entered.append(graph.within(x, lengths, 3))
        attributes["num_scan_inputs"] = 2
    body = _body(graph, cell, entered)
    found = graph.ops("Scan", *before, *entered, outputs=len(before) + 1, body=body, **attributes)
    *last, y = found
    y.rank = 3
    if cell.backwards and lengths is not None:
        y = _turned(graph, y, lengths)
    return y, last


def _turned(graph: Graph, x: Value, lengths: Value) -> Value:
    """Each sequence from its true end to its beginning; the padding stays."""
    return graph.op("ReverseSequence", x, lengths.cast(np.int64), time_axis=0, batch_axis=1)


def _body(graph: Graph, cell: Cell, entered: list[Value]) -> Any:
    """A step: states and the step's inputs to the new states and the output."""
    body, dtype = Graph(graph), entered[0].dtype
    widths = [cell.outputs, *[cell.hidden] * (cell.states - 1)]
    states = [body.input(body.fresh(name), ("B", width), dtype) for name, width in zip(NAMES, widths, strict=False)]
    a = body.input(body.fresh("a"), ("B", cell.W_x.shape[1]), dtype)
    new = STEPS[cell.function](body, cell, a, states)
    y = new[0]
    if len(entered) == 2:
        within = body.input(body.fresh("within"), ("B", 1), bool)
        y = body.where(within, y, 0.0)
        new = [body.where(within, one, other) for one, other in zip(new, states, strict=True)]
    for value, width in zip([*new, y], [*widths, cell.outputs], strict=True):
        body.output(body.fresh("next"), value, ("B", width))
    return body.proto(body.fresh("step"), False)


# ---- two directions -----------------------------------------------------------------------------------------------


def _merged(graph: Graph, layer: Stack, y: Value) -> Value:
    """(T, D, B, H) as the layer hands it on, (T, B, W)."""
    if len(layer.directions) == 1:
        return y.squeezed(1)
    if layer.merge == "concat":
        y = y.transposed(0, 2, 1, 3)
        return y.reshaped(y.sizes(0, 2), 2 * (layer.proj_size or layer.hidden_size), rank=3)
    return y.reduced("ReduceSum" if layer.merge == "sum" else "ReduceMean", 1)


def _merged_ends(graph: Graph, layer: Stack, h: Value) -> Value:
    """(D, B, H) as (B, W)."""
    if len(layer.directions) == 1:
        return h.squeezed(0)
    if layer.merge == "concat":
        h = h.transposed(1, 0, 2)
        return h.reshaped(h.sizes(0, 1), 2 * (layer.proj_size or layer.hidden_size), rank=2)
    return h.reduced("ReduceSum" if layer.merge == "sum" else "ReduceMean", 0)
