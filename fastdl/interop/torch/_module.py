"""What the recurrent modules share: torch's arguments in, torch's results out, the stack in between."""

import functools
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

from ..._validate import lengths_array
from ...nn._call import Cell, Weights
from . import _batch
from ._function import Call, run
from ._stack import Form

_TYPES = (torch.float32, torch.float64)
_NOTHING: tuple[Any, ...] = (None, None, None)


class Recurrent(torch.nn.Module):
    """Base of all: a module with torch's attributes, whose `_cell` says what it computes.

    Matrices have torch's shapes, and lie in memory by columns: so kernels read them, and write their gradients, where
    they are.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int = 0
    _biases = 2  # of each layer, where it has any

    def _cell(self) -> Cell:
        raise NotImplementedError

    def _form(self) -> Form:
        return Form(
            self._cell(), self.num_layers, 1 + self.bidirectional, self.hidden_size, self.proj_size or self.hidden_size,
            self._biases if self.bias else 0, self.proj_size > 0,
        )  # fmt: skip

    def flatten_parameters(self) -> None:
        """Lay the matrices in memory by columns, as kernels read them; where they do not lie so, each call copies them.

        The parameters stay the same objects, with the same shapes and values. What shares its memory, or with other
        processes, stays where it is. Called where a module is made or moved.
        """
        if is_traced():
            return
        own = [one for one in self._parameters.values() if one is not None and one.dim() == 2]
        if laid_apart(own):
            for one in own:
                if one.is_cpu and not one.is_shared() and not one.t().is_contiguous():
                    one.data = one.data.t().contiguous().t()

    def _tensors(self, form: Form) -> list[Any]:
        """The parameters by layer and direction, or what stands in their place."""
        own = self._parameters
        names = _names(form.layers, form.ways, form.cell.recurrence != "none", form.biases, form.projected)
        return [own[name] if name in own else getattr(self, name) for name in names]

    def _weights(self, form: Form, tensors: list[Any]) -> list[Weights]:
        """Their memory as kernels read it, by layer and direction. The arrays are kept for as long as they are right:
        to make them takes as long as a small layer."""
        views, arrays = self.__dict__.setdefault("_views", {}), []
        for at, one in enumerate(tensors):
            place, by_rows, array = views.get(at, _NOTHING)
            if place != one.data_ptr() or by_rows != one.is_contiguous():
                whole = one.detach().t() if one.dim() == 2 else one.detach()
                array = whole.contiguous().numpy()
                if whole.is_contiguous():
                    views[at] = one.data_ptr(), one.is_contiguous(), array
            arrays.append(array)
        count = form.parameters
        return [form.weights(arrays[at : at + count]) for at in range(0, len(arrays), count)]

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_views"}

    def _answer(self, input: Any, hx: Any, lengths: Any) -> tuple[Any, Any]:
        """What forward gives: states are a tuple, but for those cells that have h alone."""
        many = self._cell().states > 1
        if hx is not None:
            hx = tuple(hx) if many and isinstance(hx, (tuple, list)) else (hx,)
        y, lasts = self._run(input, hx, lengths)
        return y, lasts if many else lasts[0]

    def _run(self, input: Any, hx: Any, lengths: Any) -> tuple[Any, tuple[Any, ...]]:
        """The output and the last states of a batch, a tuple of tensors as `hx` is."""
        form = self._form()
        tensors = self._tensors(form)
        if isinstance(input, PackedSequence):
            return self._run_packed(form, input, hx, lengths, tensors)
        input = self._checked_input(input, tensors[0], (2, 3))
        if single := input.dim() == 2:
            if lengths is not None:
                raise ValueError("lengths: got some with one sequence, expected a batch")
            input = input.unsqueeze(0 if self.batch_first else 1)
            hx = None if hx is None else tuple([one.unsqueeze(1) for one in hx])
        size, steps = input.shape[:2] if self.batch_first else (input.shape[1], input.shape[0])
        if lengths is None:
            batch = _batch.dense(steps, size, form.ways)
        else:
            batch = _batch.padded(_lengths(lengths, steps, size), steps, form.ways)
        y, lasts = self._through(form, batch, False, input, hx, tensors)
        if single:
            return y.squeeze(0 if self.batch_first else 1), tuple([one.squeeze(1) for one in lasts])
        return y, lasts

    def _run_packed(self, form: Form, input: PackedSequence, hx: Any, lengths: Any, tensors: Any) -> tuple[Any, Any]:
        if lengths is not None:
            raise ValueError("lengths: got some with a PackedSequence, expected None, since it has them")
        data, sizes, order, back = input
        data = self._checked_input(data, tensors[0], (2,))
        batch = _batch.packed(sizes.numpy(), form.ways)
        if hx is not None and order is not None:
            hx = tuple([one.index_select(1, order) for one in hx])
        y, lasts = self._through(form, batch, True, data, hx, tensors)
        if back is not None:
            lasts = tuple([one.index_select(1, back) for one in lasts])
        return PackedSequence(y, sizes, order, back), lasts

    def _through(
        self, form: Form, batch: _batch.Batch, packed: bool, input: Any, hx: Any, tensors: list[Any]
    ) -> tuple[Any, tuple[Any, ...]]:
        h0 = c0 = None
        if hx is not None:
            _check_states(form, hx, batch.size, input.dtype)
            h0 = hx[0]
            if form.cell.states > 1:
                c0 = hx[1] if form.cell.states == 2 else torch.cat(hx[1:], -1)
        drop = self.dropout if self.training and form.layers > 1 else 0.0
        weights = self._weights(form, tensors)
        call = Call(type(self).__name__, form, weights, batch, packed, self.batch_first, drop)
        y, h, c = run(call, input, h0, c0, tensors)
        if c is None:
            return y, (h,)
        if form.cell.states == 2:
            return y, (h, c)
        c, n, m = c.chunk(3, -1)
        return y, (h, c, n, m.detach())  # m passes no gradient

    def _checked_input(self, input: Any, weight: Any, axes: tuple[int, ...]) -> Any:
        if not isinstance(input, torch.Tensor):
            raise TypeError(f"input: got {type(input).__name__}, expected a tensor or a PackedSequence")
        if not (input.is_cpu and weight.is_cpu):
            device = input.device if weight.is_cpu else weight.device
            raise ValueError(
                f"input: got {input.device} with weights on {weight.device}, expected the CPU, not {device}"
            )
        if weight.dtype not in _TYPES:
            raise TypeError(f"{type(self).__name__}: got weights of {weight.dtype}, expected float32 or float64")
        if input.dtype != weight.dtype:
            if not (input.is_floating_point() and torch.is_autocast_enabled("cpu")):
                raise TypeError(f"input: got {input.dtype}, expected {weight.dtype} as the weights are")
            input = input.to(weight.dtype)
        if input.dim() not in axes or input.shape[-1] != self.input_size:
            batch = "(B, T, " if self.batch_first else "(T, B, "
            wanted = f"({'N' if axes == (2,) else 'T'}, {self.input_size})"
            wanted = wanted if axes == (2,) else f"{batch}{self.input_size}) or {wanted}"
            raise ValueError(f"input: got shape {tuple(input.shape)}, expected {wanted}")
        return input


@functools.lru_cache(256)
def _names(layers: int, ways: int, state: bool, biases: int, projected: bool) -> tuple[str, ...]:
    """Of the parameters, by layer and direction."""
    kinds = ["weight_ih", *["weight_hh"] * state]
    kinds += {0: [], 1: ["bias"], 2: ["bias_ih", "bias_hh"]}[biases] + ["weight_hr"] * projected
    suffixes = ("", "_reverse")[:ways]
    return tuple(f"{kind}_l{at}{suffix}" for at in range(layers) for suffix in suffixes for kind in kinds)


def is_traced() -> bool:
    """Whether torch follows what is done, to do it another way: traced, compiled, or under vmap and its kin."""
    C = torch._C
    return C._is_tracing() or C._are_functorch_transforms_active() or torch.compiler.is_compiling()


def laid_apart(tensors: list[Any]) -> bool:
    """Whether each has memory of its own, and all of it."""
    storages = [one.untyped_storage() for one in tensors]
    apart = len({one.data_ptr() for one in storages}) == len(tensors)
    return apart and all(
        one.nbytes() == tensor.numel() * tensor.element_size() for one, tensor in zip(storages, tensors, strict=True)
    )


def _lengths(lengths: Any, steps: int, size: int) -> np.ndarray:
    if isinstance(lengths, torch.Tensor):
        lengths = lengths.detach().cpu().numpy()
    return lengths_array("lengths", lengths, steps, size)


def _check_states(form: Form, hx: tuple[Any, ...], size: int, dtype: Any) -> None:
    rows, count = form.layers * form.ways, form.cell.states
    name = "hx" if count == 1 else "hx[{}]"
    if len(hx) != count:
        raise ValueError(f"hx: got {len(hx)} tensors, expected ({', '.join('hcnm'[:count])})")
    for i, one in enumerate(hx):
        shape = (rows, size, form.hidden if i else form.outputs)
        if not isinstance(one, torch.Tensor):
            raise TypeError(f"{name.format(i)}: got {type(one).__name__}, expected a tensor")
        if one.shape != shape:
            raise ValueError(f"{name.format(i)}: got shape {tuple(one.shape)}, expected {shape}")
        if one.dtype != dtype or not one.is_cpu:
            raise TypeError(f"{name.format(i)}: got {one.dtype} on {one.device}, expected {dtype} on the CPU")
