"""One step of each recurrent cell in evaluation, for what ONNX has no operator for: the bodies of its Scan.

The equations are those of docs/recurrent.md, gates in fastdl's order. `a` is x W_x + b, its products layer-normed
where the layer is.
"""

from collections.abc import Callable
from typing import Any

from .._weights import Cell
from ._graph import Graph, Value

States = list[Value]
Step = Callable[[Graph, Cell, Value, States], States]


def zoned(old: Value, new: Value, rate: float) -> Value:
    """What zoneout leaves in evaluation: the expectation."""
    return rate * old + (1 - rate) * new if rate else new


def by_gates(graph: Graph, cell: Cell, product: Value, part: int, gates: list[int]) -> list[Value]:
    """The gates of a product, layer-normed if asked."""
    found = product.split(len(gates)) if len(gates) > 1 else [product]
    if cell.gains is None:
        return found
    return [
        graph.op("LayerNormalization", one, graph.value(cell.gains[part, gate], one.dtype), axis=-1, epsilon=1e-5)
        for one, gate in zip(found, gates, strict=True)
    ]


def entering(graph: Graph, cell: Cell, x: Value) -> Value:
    """x W_x + b of all steps at once, each gate's columns in their place."""
    product = x @ cell.W_x
    if cell.gains is not None:
        gates = list(range(cell.gates))
        normed = by_gates(graph, cell, product, 0, gates)
        product = graph.joined(normed, -1) if len(normed) > 1 else normed[0]
    return product + cell.b[: cell.W_x.shape[1]]


def _nonlinear(cell: Cell, a: Value) -> Value:
    return a.clipped(cell.clip).apply("Relu" if cell.options["nonlinearity"] == "relu" else "Tanh")


def rnn(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    (h,) = states
    (of_h,) = by_gates(graph, cell, h @ cell.W_h, 1, [0])
    return [zoned(h, _nonlinear(cell, a + of_h), cell.zone_h)]


def indrnn(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    (h,) = states
    return [zoned(h, _nonlinear(cell, a + h * cell.W_h), cell.zone_h)]


def lstm(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    h, c = states
    gates = list(range(cell.gates))
    of_h = by_gates(graph, cell, h @ cell.W_h, 1, gates)
    entered = [p + q for p, q in zip(a.split(cell.gates), of_h, strict=True)]
    p_i, p_f, p_o = (None, None, None) if cell.peepholes is None else cell.peepholes

    def gate(value: Value, seen: Value, peephole: Any) -> Value:
        value = value if peephole is None else value + seen * peephole
        return value.clipped(cell.clip).apply("Sigmoid")

    i = gate(entered[0], c, p_i)
    f = 1 - i if cell.options["coupled"] else gate(entered[1], c, p_f)
    g = entered[-2].clipped(cell.clip).apply("Tanh")
    new = (f * c + i * g).clipped(cell.cell_clip)
    value = gate(entered[-1], new, p_o) * new.apply("Tanh")
    value = value if cell.projection is None else value @ cell.projection
    return [zoned(h, value, cell.zone_h), zoned(c, new, cell.zone_c)]


def gru(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    (h,) = states
    H, after = cell.hidden, cell.options["reset_after"]
    a_r, a_z, a_n = a.split(3)
    if after:
        h_r, h_z, h_n = by_gates(graph, cell, h @ cell.W_h, 1, [0, 1, 2])
    else:
        h_r, h_z = by_gates(graph, cell, h @ cell.W_h[:, : 2 * H], 1, [0, 1])
    r, z = ((one + other).clipped(cell.clip).apply("Sigmoid") for one, other in ((a_r, h_r), (a_z, h_z)))
    if after:
        entered = a_n + r * (h_n + cell.b[3 * H :])
    else:
        entered = a_n + by_gates(graph, cell, (r * h) @ cell.W_h[:, 2 * H :], 1, [2])[0]
    n = entered.clipped(cell.clip).apply("Tanh")
    return [zoned(h, (1 - z) * n + z * h, cell.zone_h)]


def _candidate(graph: Graph, cell: Cell, a: Value) -> Value:
    return graph.where(a >= 0, a + 0.5, a.apply("Sigmoid")) if cell.options["positive"] else a


def mingru(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    (h,) = states
    a_z, a_n = a.split(2)
    z = a_z.apply("Sigmoid")
    return [zoned(h, (1 - z) * h + z * _candidate(graph, cell, a_n), cell.zone_h)]


def minlstm(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    (h,) = states
    a_f, a_i, a_n = a.split(3)
    if cell.options["normalized"]:
        f = (softplus(graph, -a_i) - softplus(graph, -a_f)).apply("Sigmoid")
        i = 1 - f
    else:
        f, i = a_f.apply("Sigmoid"), a_i.apply("Sigmoid")
    return [zoned(h, f * h + i * _candidate(graph, cell, a_n), cell.zone_h)]


def softplus(graph: Graph, a: Value) -> Value:
    """log(1 + e^a) where no exponential overflows."""
    return graph.larger(a, 0.0) + ((-a.apply("Abs")).apply("Exp") + 1).apply("Log")


def slstm(graph: Graph, cell: Cell, a: Value, states: States) -> States:
    h, c, n, m = states
    W = cell.W_h if cell.W_h.ndim == 3 else cell.W_h[None]
    heads, D, _ = W.shape
    rows = h.sizes(0, 1)
    of_h = h.reshaped(rows, heads, 1, D, rank=4) @ W[None]  # (B, heads, 1, 4 D)
    of_h = of_h.reshaped(rows, heads, 4, D, rank=4).transposed(0, 2, 1, 3).reshaped(rows, 4 * cell.hidden, rank=2)
    a_i, a_f, a_z, a_o = (a + of_h).split(4)
    exponential = cell.options["forget_gate"] == "exp"
    seen = (a_f if exponential else -softplus(graph, -a_f)) + m
    begun = n > 0
    largest = graph.where(begun, graph.op("Max", seen, a_i), a_i)
    i, zero = (a_i - largest).apply("Exp"), graph.value(0.0, a.dtype)
    f = graph.where(begun, graph.op("Min", seen - largest, zero).apply("Exp"), zero)
    new_c, new_n = f * c + i * a_z.apply("Tanh"), f * n + i
    value = a_o.apply("Sigmoid") * (new_c / new_n)
    return [zoned(h, value, cell.zone_h), new_c, new_n, largest]


STEPS: dict[str, Step] = {
    "rnn": rnn, "indrnn": indrnn, "lstm": lstm, "gru": gru, "mingru": mingru, "minlstm": minlstm, "slstm": slstm,
}  # fmt: skip
