"""One step of each recurrent cell as C, in evaluation: the equations of docs/recurrent.md, unit by unit.

A cell's function is given x and the states, and leaves the new ones. `a` are the gates' pre-activations.
"""

from collections.abc import Callable

import numpy as np

from .._weights import Cell
from ._source import Source, loop, number

Lines = list[str]


def cell_function(source: Source, name: str, cell: Cell, where: str) -> None:
    """The function P_NAME(x, states...)."""
    states = ["h", "c", "n", "m"][: cell.states]
    given = ", ".join(f"float *{one}" for one in states)
    source.function(f"P_{name}(const float *x, {given})", "int j;", *_BODIES[cell.function](source, name, cell, where))


def _entered(source: Source, name: str, cell: Cell, where: str) -> Lines:
    """a = x W_x + b, whose products are layer-normed if asked."""
    size, inputs = cell.W_x.shape[1], cell.W_x.shape[0]
    source.helper("add_product")
    wx, b = source.array(f"{name}_wx", cell.W_x, where), source.array(f"{name}_b", cell.b[:size], where)
    if cell.gains is None:
        return [f"float a[{size}];", loop(size, f"a[j] = {b}[j];"), f"P_add_product(x, {wx}, a, {inputs}, {size});"]
    lines = [f"float a[{size}];", loop(size, "a[j] = 0.0f;"), f"P_add_product(x, {wx}, a, {inputs}, {size});"]
    return [*lines, *_normed(source, name, cell, 0, "a", range(cell.gates), where), loop(size, f"a[j] += {b}[j];")]


def _normed(source: Source, name: str, cell: Cell, part: int, target: str, gates: range, where: str) -> Lines:
    if cell.gains is None:
        return []
    source.helper("normalize")
    H, gain = cell.hidden, source.array(f"{name}_g{part}{gates.start}", cell.gains[part][list(gates)], where)
    return [
        f"P_normalize({target} + {k * H}, {gain} + {k * H}, 1e-5f, {H});" for k in range(len(gates))
    ]  # fmt: skip


def _recurrent(source: Source, name: str, cell: Cell, target: str, where: str) -> Lines:
    """target += h W_h, in an array of its own where its products are layer-normed."""
    size, rows = cell.W_h.shape[1], cell.W_h.shape[0]
    wh = source.array(f"{name}_wh", cell.W_h, where)
    if cell.gains is None:
        return [f"P_add_product(h, {wh}, {target}, {rows}, {size});"]
    return [
        f"float q[{size}];", loop(size, "q[j] = 0.0f;"), f"P_add_product(h, {wh}, q, {rows}, {size});",
        *_normed(source, name, cell, 1, "q", range(cell.gates), where), loop(size, f"{target}[j] += q[j];"),
    ]  # fmt: skip


def _clipped(source: Source, value: str, bound: float | None) -> str:
    if bound is None:
        return value
    source.helper("clipped")
    return f"P_clipped({value}, {number(bound)})"


def _sigmoid(source: Source, value: str) -> str:
    source.helper("sigmoid")
    return f"P_sigmoid({value})"


def _zoned(old: str, new: str, rate: float) -> str:
    return f"{number(rate)} * {old} + {number(1 - rate)} * ({new})" if rate else new


def _function(source: Source, cell: Cell, value: str) -> Lines:
    """The new h of a cell that has but one function."""
    if cell.options["nonlinearity"] == "relu":
        lines, new = [f"const float v = {_clipped(source, value, cell.clip)};"], "(v > 0.0f ? v : 0.0f)"
    else:
        lines, new = [], f"tanhf({_clipped(source, value, cell.clip)})"
    return [*lines, f"h[j] = {_zoned('h[j]', new, cell.zone_h)};"]


def _rnn(source: Source, name: str, cell: Cell, where: str) -> Lines:
    lines = _entered(source, name, cell, where) + _recurrent(source, name, cell, "a", where)
    return [*lines, loop(cell.hidden, *_function(source, cell, "a[j]"))]


def _indrnn(source: Source, name: str, cell: Cell, where: str) -> Lines:
    lines, u = _entered(source, name, cell, where), source.array(f"{name}_u", cell.W_h, where)
    return [*lines, loop(cell.hidden, *_function(source, cell, f"a[j] + {u}[j] * h[j]"))]


def _lstm(source: Source, name: str, cell: Cell, where: str) -> Lines:
    H, last = cell.hidden, cell.gates - 1
    lines = _entered(source, name, cell, where) + _recurrent(source, name, cell, "a", where)
    seen = ["", "", ""]
    if cell.peepholes is not None:
        p = source.array(f"{name}_p", cell.peepholes, where)
        seen = [f" + {p}[j] * c[j]", f" + {p}[{H} + j] * c[j]", f" + {p}[{2 * H} + j] * new_c"]

    def gate(place: int, more: str) -> str:
        return _sigmoid(source, _clipped(source, f"a[{place * H} + j]{more}", cell.clip))

    forget = "1.0f - i" if cell.options["coupled"] else gate(1, seen[1])
    candidate = f"tanhf({_clipped(source, f'a[{(last - 1) * H} + j]', cell.clip)})"
    body = [
        f"const float i = {gate(0, seen[0])};", f"const float f = {forget};",
        f"const float new_c = {_clipped(source, f'f * c[j] + i * {candidate}', cell.cell_clip)};",
    ]  # fmt: skip
    value, state = f"{gate(last, seen[2])} * tanhf(new_c)", f"c[j] = {_zoned('c[j]', 'new_c', cell.zone_c)};"
    if cell.projection is None:
        return [*lines, loop(H, *body, f"h[j] = {_zoned('h[j]', value, cell.zone_h)};", state)]
    P, wr = cell.outputs, source.array(f"{name}_wr", cell.projection, where)
    return [
        *lines, f"float m[{H}], r[{P}];", loop(H, *body, f"m[j] = {value};", state), loop(P, "r[j] = 0.0f;"),
        f"P_add_product(m, {wr}, r, {H}, {P});", loop(P, f"h[j] = {_zoned('h[j]', 'r[j]', cell.zone_h)};"),
    ]  # fmt: skip


def _gru(source: Source, name: str, cell: Cell, where: str) -> Lines:
    H, clip = cell.hidden, cell.clip
    after = cell.options["reset_after"]
    lines, width = _entered(source, name, cell, where), 3 * H if after else 2 * H
    wh = source.array(f"{name}_wh", cell.W_h[:, :width], where)
    lines += [f"float u[{width}];", loop(width, "u[j] = 0.0f;"), f"P_add_product(h, {wh}, u, {H}, {width});"]
    lines += _normed(source, name, cell, 1, "u", range(width // H), where)
    r = _sigmoid(source, _clipped(source, "a[j] + u[j]", clip))
    z = f"const float z = {_sigmoid(source, _clipped(source, f'a[{H} + j] + u[{H} + j]', clip))};"
    if after:
        b = source.array(f"{name}_bn", cell.b[3 * H :], where)
        entered = f"a[{2 * H} + j] + {r} * (u[{2 * H} + j] + {b}[j])"
    else:
        wn = source.array(f"{name}_wn", cell.W_h[:, width:], where)
        lines += [f"float v[{H}], q[{H}];", loop(H, f"v[j] = {r} * h[j];", "q[j] = 0.0f;")]
        lines += [f"P_add_product(v, {wn}, q, {H}, {H});", *_normed(source, name, cell, 1, "q", range(2, 3), where)]
        entered = f"a[{2 * H} + j] + q[j]"
    new = f"(1.0f - z) * tanhf({_clipped(source, entered, clip)}) + z * h[j]"
    return [*lines, loop(H, z, f"h[j] = {_zoned('h[j]', new, cell.zone_h)};")]


def _candidate(source: Source, cell: Cell, value: str) -> str:
    return f"({value} >= 0.0f ? {value} + 0.5f : {_sigmoid(source, value)})" if cell.options["positive"] else value


def _mingru(source: Source, name: str, cell: Cell, where: str) -> Lines:
    H = cell.hidden
    new = f"(1.0f - z) * h[j] + z * {_candidate(source, cell, f'a[{H} + j]')}"
    body = [f"const float z = {_sigmoid(source, 'a[j]')};", f"h[j] = {_zoned('h[j]', new, cell.zone_h)};"]
    return [*_entered(source, name, cell, where), loop(H, *body)]


def _minlstm(source: Source, name: str, cell: Cell, where: str) -> Lines:
    H, f, i = cell.hidden, _sigmoid(source, "a[j]"), _sigmoid(source, f"a[{cell.hidden} + j]")
    if cell.options["normalized"]:
        source.helper("softplus")
        f, i = _sigmoid(source, f"P_softplus(-a[{H} + j]) - P_softplus(-a[j])"), "1.0f - f"
    new = f"f * h[j] + i * {_candidate(source, cell, f'a[{2 * H} + j]')}"
    body = [f"const float f = {f};", f"const float i = {i};", f"h[j] = {_zoned('h[j]', new, cell.zone_h)};"]
    return [*_entered(source, name, cell, where), loop(H, *body)]


def _slstm(source: Source, name: str, cell: Cell, where: str) -> Lines:
    """W_h by heads becomes one matrix, with zeros between the heads."""
    H, W = cell.hidden, cell.W_h if cell.W_h.ndim == 3 else cell.W_h[None]
    heads, D, _ = W.shape
    whole = np.zeros((heads, D, 4, heads, D), W.dtype)
    for k in range(heads):
        whole[k, :, :, k] = W[k].reshape(D, 4, D)
    cell = cell._replace(W_h=whole.reshape(H, 4 * H))
    lines = _entered(source, name, cell, where) + _recurrent(source, name, cell, "a", where)
    source.helper("softplus")
    o = _sigmoid(source, f"a[{3 * H} + j]")
    forget = f"a[{H} + j]" if cell.options["forget_gate"] == "exp" else f"-P_softplus(-a[{H} + j])"
    body = [
        f"const float seen = {forget} + m[j];",
        "const float largest = n[j] > 0.0f && seen > a[j] ? seen : a[j];",
        "const float i = expf(a[j] - largest);",
        "const float f = n[j] > 0.0f ? expf(seen < largest ? seen - largest : 0.0f) : 0.0f;",
        f"const float new_c = f * c[j] + i * tanhf(a[{2 * H} + j]);", "const float new_n = f * n[j] + i;",
        f"h[j] = {_zoned('h[j]', f'{o} * (new_c / new_n)', cell.zone_h)};",
        "c[j] = new_c;", "n[j] = new_n;", "m[j] = largest;",
    ]  # fmt: skip
    return [*lines, loop(H, *body)]


_BODIES: dict[str, Callable[[Source, str, Cell, str], Lines]] = {
    "rnn": _rnn, "indrnn": _indrnn, "lstm": _lstm, "gru": _gru, "mingru": _mingru, "minlstm": _minlstm,
    "slstm": _slstm,
}  # fmt: skip
