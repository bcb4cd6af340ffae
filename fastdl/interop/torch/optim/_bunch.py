"""Parameters that one kernel call updates, where torch has them."""

import itertools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ....optim._pieces import pieces_of
from ....optim._rule import Rule, check_scalars, options_of, run_kernel

KINDS: dict[Any, np.dtype] = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
Values = tuple[float, ...]
_PLACE, _STRIDES, _KIND = torch.Tensor.data_ptr, torch.Tensor.stride, operator.attrgetter("dtype", "layout")


class Move(NamedTuple):
    """One step: the rule with its settings, the kernel with its scalars, and what torch counts, afterwards."""

    rule: Rule
    settings: dict[str, Any]
    kernel: str
    scalars: Values
    after: Values = ()


class Bunch:
    """Parameters of one group, type and step, all of which have a gradient: views of their memory, and its pieces.

    Parameters
    ----------
    group : dict
        torch's, with the settings.
    params : list of Parameter
    entries : list of dict
        Of each its state, as torch has it.
    keys : sequence of str
        Which of the state are arrays, in the order of the kernel's arguments.
    counters : sequence of str
        Which are numbers, such as "step": each becomes one tensor, of which the state gets views.
    """

    def __init__(
        self, group: dict[str, Any], params: list[Any], entries: list[dict[str, Any]], keys: Sequence[str],
        counters: Sequence[str],
    ) -> None:  # fmt: skip
        self.group, self.params, self.entries, self.keys = group, params, entries, keys
        self.dtype = KINDS[params[0].dtype]
        self._counts = [torch.tensor([float(one[name]) for one in entries], dtype=torch.float32) for name in counters]
        for name, values in zip(counters, self._counts, strict=True):
            for entry, value in zip(entries, values.unbind(), strict=True):
                entry[name] = value
        names = (*keys, *counters)
        self._get = operator.itemgetter(*names) if len(names) > 1 else lambda entry: [entry[name] for name in names]
        self._held = list(itertools.chain.from_iterable(map(self._get, entries)))
        arrays = [entry[key] for entry in entries for key in keys]
        self._placed = [*params, *arrays]
        self._places = list(map(_PLACE, self._placed))
        self._strides, self._kind = list(map(_STRIDES, params)), {(params[0].dtype, torch.strided)}
        self._runs = [i for i, one in enumerate(params) if one.numel()]
        self._size = sum(one.numel() for one in params)
        self._grads: list[int] = []
        if self._runs:
            self._lay()

    def _lay(self) -> None:
        """The kernel's table of pieces, as if the gradients were the parameters."""
        views, counts = [], []
        for i in self._runs:
            own = flat(self.params[i])
            views.append([own, own, *[flat(self.entries[i][key]) for key in self.keys]])
            counts.append(len(pieces_of(views[-1:])))
        self._views = views[0]
        self._pieces = pieces_of(views)
        own = np.repeat([self.params[i].data_ptr() for i in self._runs], counts)
        self._within = self._pieces[:, 2] - (own - own[0]) // self.dtype.itemsize
        self._owners = np.repeat(np.arange(len(counts)), counts)

    def gradients(self, params: list[Any], state: Any, keys: Sequence[str]) -> list[Any] | None:
        """The gradients of these parameters, if all of it is as it was: parameters and states the same, where they
        were, all at one step, and a gradient for each, of its type and laid as it is. Otherwise None."""
        if keys != self.keys or len(params) != len(self.params) or not all(map(operator.is_, params, self.params)):
            return None
        grads = [one.grad for one in params]
        try:
            if list(map(_STRIDES, grads)) != self._strides or set(map(_KIND, grads)) != self._kind:
                return None
            held = itertools.chain.from_iterable(map(self._get, self._entries_of(state)))
            if not all(map(operator.is_, held, self._held)) or list(map(_PLACE, self._placed)) != self._places:
                return None
        except (KeyError, RuntimeError, TypeError, AttributeError):  # no gradient, a sparse one, or no state
            return None
        one_step = all(values.count(values[0]) == len(values) for values in (one.tolist() for one in self._counts))
        return grads if one_step else None

    def _entries_of(self, state: Any) -> list[Any]:
        """The states in an optimizer's; of a rule without any, none is looked for."""
        return [state[one] for one in self.params] if self._held else []

    def values(self) -> Values:
        """The counters as they are."""
        return tuple([one[0].item() for one in self._counts])

    def run(self, move: Move, grads: list[Any]) -> None:
        """Do a step, of gradients that lie as their parameters do."""
        options = options_of(move.settings, 1.0)
        if move.rule.whole is not None:
            for at, grad in zip(range(len(grads)), grads, strict=True):
                self._run_whole(move, at, grad, options)
        elif self._runs:
            where = list(map(_PLACE, [grads[i] for i in self._runs]))
            if where != self._grads:  # torch makes gradients anew
                away = (np.array(where) - where[0]) // self.dtype.itemsize
                self._pieces[:, 2] = self._within + away[self._owners]
                self._grads = where
            own, _, *states = self._views
            arrays = (own, flat(grads[self._runs[0]]), *states)
            run_kernel(move.rule.module, move.kernel, arrays, self._pieces, self._size, move.scalars, options)
        for one, value in zip(self._counts, move.after, strict=True):
            one.fill_(value)

    def _run_whole(self, move: Move, at: int, grad: Any, options: tuple[float, ...]) -> None:
        """A rule that sees a matrix as a whole, by rows; of one that does not lie so, a copy."""
        param, states = self.params[at], {key: self.entries[at][key] for key in self.keys}
        own, copies = param.contiguous(), {key: one.contiguous() for key, one in states.items()}
        arrays = {key: one.numpy() for key, one in copies.items()}
        step = int(move.after[0]) if move.after else 1
        move.rule.whole.run(own.detach().numpy(), grad.contiguous().numpy(), arrays, step, move.settings, options)  # type: ignore[union-attr, arg-type]
        for place, copy in ((param, own), *zip(states.values(), copies.values(), strict=True)):
            if place is not copy:
                place.copy_(copy)


def check_move(move: Move, dtype: np.dtype) -> None:
    """Refuse what leaves the range of the type."""
    check_scalars(move.scalars + options_of(move.settings, 1.0), dtype)


def is_dense(tensor: Any) -> bool:
    """Whether its elements fill a stretch of memory, each once, in whatever order."""
    if tensor.dim() == 2 and tensor.t().is_contiguous():
        return True
    laid = sorted((step, size) for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)
    wanted = 1
    for step, size in laid:
        if step != wanted:
            return False
        wanted *= size
    return True


def flat(tensor: Any) -> np.ndarray:
    """A dense tensor's memory, from the first element to the last."""
    one = tensor.detach()
    if not one.is_contiguous():
        one = one.permute(sorted(range(one.dim()), key=one.stride, reverse=True))
    array: np.ndarray = one.numpy().reshape(-1)
    return array
