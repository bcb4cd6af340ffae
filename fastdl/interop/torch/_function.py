"""torch's autograd around the stacks of _stack.py: arrays and tensors are views of one memory."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ...nn._ends import _stacked
from ...recurrent._run import RecurrentTape
from . import _stack
from ._batch import Batch
from ._stack import Arrays, Form, Kept, Weights


class Call(NamedTuple):
    """One call of a module: what its stack is, how its batch lies, and what is done beside."""

    name: str
    form: Form
    weights: list[Weights]  # by layer and direction
    batch: Batch
    packed: bool
    batch_first: bool
    dropout: float  # between layers, 0 in evaluation


def run(call: Call, x: Any, h0: Any, c0: Any, parameters: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs and the last states: h, and what is carried beside it. The graph is made where something needs it."""
    if torch.is_grad_enabled():
        for one in (x, h0, c0, *parameters):
            if one is not None and one.requires_grad:
                found: tuple[Any, ...] = _Stack.apply(call, x, h0, c0, *parameters)
                return found
    return _forward(call, x, h0, c0, False)[0]


def _forward(call: Call, x: Any, h0: Any, c0: Any, training: bool) -> tuple[tuple[Any, ...], Kept | None]:
    rows = _rows(call, x)
    states = _states(call, h0, c0, rows.dtype)
    drop = None if call.dropout == 0 else lambda y: _factors(y, call.dropout)
    y, lasts, kept = _stack.forward(call.form, call.batch, rows, states, call.weights, training, drop)
    h, c = zip(*lasts, strict=True)
    beside = None if c[0] is None else torch.from_numpy(_stacked(c))
    return (_from_rows(call, y), torch.from_numpy(_stacked(h)), beside), kept


class _Stack(torch.autograd.Function):
    """The whole stack as one node: it takes a call, the input, the first states or None, and the parameters."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Any, h0: Any, c0: Any, *parameters: Any) -> tuple[Any, ...]:
        results, kept = _forward(call, x, h0, c0, True)
        ctx.set_materialize_grads(False)
        ctx.call = call
        ctx.tapes, arrays = _parted(kept)  # type: ignore[arg-type]
        # Input, output and parameters are saved themselves, so that torch finds out what was overwritten since.
        ctx.save_for_backward(x, results[0], *parameters, *[torch.from_numpy(one) for one in arrays])
        return results

    @staticmethod
    def backward(ctx: Any, dy: Any, dh: Any, dc: Any) -> tuple[Any, ...]:
        x, _, *saved = ctx.saved_tensors
        count = ctx.call.form.parameters * len(ctx.call.weights)
        if not torch.is_grad_enabled():
            return _backward(ctx, x, saved[count:], dy, dh, dc)
        with torch.no_grad():
            found = _backward(ctx, x, saved[count:], dy, dh, dc)
        reached = [one for one in (x, *saved[:count], dy, dh, dc) if one is not None and one.requires_grad]
        given = [one for one in found if one is not None]
        marked = iter(_Once.apply(ctx.call.name, len(given), *given, *reached))
        return tuple([None if one is None else next(marked) for one in found])


class _Once(torch.autograd.Function):
    """First derivatives as they are; the second are refused."""

    @staticmethod
    def forward(ctx: Any, name: str, count: int, *tensors: Any) -> tuple[Any, ...]:
        ctx.name = name
        return tuple([one.view_as(one) for one in tensors[:count]])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> None:
        raise RuntimeError(
            f"fastdl.interop.torch.{ctx.name} has first derivatives alone: got a second one, for which torch.nn has "
            "the layer (load_state_dict takes its weights) and fd.curvature Hessian products"
        )


def _backward(ctx: Any, x: Any, saved: Sequence[Any], dy: Any, dh: Any, dc: Any) -> tuple[Any, ...]:
    call: Call = ctx.call
    needed = ctx.needs_input_grad
    kept = _joined(call, ctx.tapes, [_rows(call, x), *[one.numpy() for one in saved]])
    lasts = [[None] * len(call.weights) if one is None else _contiguous(one) for one in (dh, dc)]
    dy = None if dy is None else _rows(call, dy)
    dlasts = list(zip(*lasts, strict=True))
    dx, firsts, gradients = _stack.backward(call.form, call.batch, kept, dy, dlasts, needed[1])
    dh0, dc0 = (torch.from_numpy(_stacked([first[i] for first in firsts])) if needed[2 + i] else None for i in range(2))
    of_parameters = [
        torch.from_numpy(one.T if one.ndim == 2 else one) if wanted else None
        for one, wanted in zip(gradients, needed[4:], strict=True)
    ]
    return None, None if dx is None else _from_rows(call, dx), dh0, dc0, *of_parameters


# ---- tensors and arrays ------------------------------------------------------------------------------------------


def _contiguous(tensor: Any) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


def _rows(call: Call, x: Any) -> np.ndarray:
    """A tensor by step and sequence, or packed, as rows (N, ...)."""
    array: np.ndarray = x.detach().numpy()
    if call.batch_first and not call.packed:
        array = array.swapaxes(0, 1)
    return np.ascontiguousarray(array).reshape(call.batch.total, array.shape[-1])


def _from_rows(call: Call, rows: np.ndarray) -> Any:
    """Undo `_rows`."""
    if call.packed:
        return torch.from_numpy(rows)
    by_step = rows.reshape(call.batch.steps, call.batch.size, rows.shape[1])
    return torch.from_numpy(by_step.swapaxes(0, 1) if call.batch_first else by_step)


def _states(call: Call, h0: Any, c0: Any, dtype: np.dtype) -> list[Arrays]:
    """The first states by layer and direction; zeros where none are given."""
    form, B = call.form, call.batch.size
    rows, beside = form.layers * form.ways, (form.cell.states - 1) * form.hidden
    h = [np.zeros((B, form.outputs), dtype)] * rows if h0 is None else _contiguous(h0)
    if not beside:
        return [(one, None) for one in h]
    c = [np.zeros((B, beside), dtype)] * rows if c0 is None else _contiguous(c0)
    return list(zip(h, c, strict=True))


def _factors(y: np.ndarray, p: float) -> np.ndarray:
    """What dropout multiplies by, from torch's generator, drawn as torch draws it."""
    if p == 1:
        return np.zeros_like(y)
    factors: np.ndarray = torch.empty_like(torch.from_numpy(y)).bernoulli_(1 - p).div_(1 - p).numpy()
    return factors


# ---- what backward needs, in tensors that torch keeps, frees and hands to its hooks ------------------------------


def _parted(kept: Kept) -> tuple[list[Any], list[np.ndarray]]:
    """What is small of the tapes, and the large arrays but for the input. A tape of the reference stays whole."""
    arrays = [*kept.inputs[1:], *kept.factors]
    tapes: list[Any] = []
    for tape in kept.tapes:
        if isinstance(tape.gates, list):
            tapes.append(tape)
            continue
        tapes.append((tape.options, tape.rows, tape.shape))
        arrays += [one for one in (tape.h, tape.gates, tape.c, tape.projected) if one is not None]
    return tapes, arrays


def _joined(call: Call, tapes: Sequence[Any], arrays: Sequence[np.ndarray]) -> Kept:
    """Undo `_parted`; arrays: its own behind the input."""
    form, found = call.form, []
    count = 2 + (form.cell.states > 1) + form.projected if isinstance(tapes[0], tuple) else 0
    rest = len(arrays) - count * len(tapes)
    inputs, factors = list(arrays[: form.layers]), list(arrays[form.layers : rest])
    for at, (tape, W) in enumerate(zip(tapes, call.weights, strict=True)):
        if not count:
            found.append(tape)
            continue
        options, rows, shape = tape
        h, gates, *others = arrays[rest + at * count : rest + (at + 1) * count]
        c = others[0] if form.cell.states > 1 else None
        projected = others[-1] if form.projected else None
        x = inputs[at // form.ways]
        found.append(
            RecurrentTape(form.cell.number, x, W.W_x, W.W_h, W.b, h, c, gates, projected, options, rows, shape)
        )
    return Kept(inputs, factors, found)
