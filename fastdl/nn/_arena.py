"""The arena that holds a model's parameters: one buffer for all values, one for all gradients.

So an optimizer step, a global norm, an all-reduce and a checkpoint are each one call over one array. Views
start at multiples of 64 bytes and the padding between them is zero, in both buffers.
"""

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import _tracing
from .._memory import ALIGNMENT, aligned_zeros
from .._validate import item, members
from ._parameter import Parameter, fitting
from ._tape import Tape


class Changes:
    """How often a parameter or child was assigned to any module, so that most questions need not walk a tree."""

    count = 0


class Arena(Sequence[Parameter]):
    """The parameters of a model, in order, over two flat buffers (docs/nn.md).

    Returned by :meth:`Module.parameters`; what optimizers and ``clip_grad_norm_`` take. A deep copy or pickle of it
    holds copies of the parameters, in buffers of its own; ``copy.copy`` gives the arena itself.

    Parameters
    ----------
    named : sequence of (str, Parameter)
        Qualified names and parameters, all of one dtype. They move here; values and gradients are kept.

    Attributes
    ----------
    data, grad : ndarray
        Flat buffers of all values and all gradients, of the same layout, padding zero. Gradients that nobody wrote
        read 0. Take them anew after each step; assigning to either copies values in.
    names : list of str
        Qualified names of the parameters (``"0.weight"``), in order.

    Raises
    ------
    TypeError
        If `named` holds something else, or parameters of two dtypes.

    Examples
    --------
    >>> import fastdl as fd
    >>> arena = fd.nn.Linear(3, 2, rng=0).parameters()
    >>> arena
    Arena(2 parameters, 8 elements, float32)
    >>> arena.names, [one.shape for one in arena]
    (['weight', 'bias'], [(3, 2), (2,)])
    """

    def __init__(self, named: Sequence[tuple[str, Parameter]]) -> None:
        named = members("named", named, "(name, parameter)")
        for i, pair in enumerate(named):
            if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Parameter)):
                raise TypeError(f"named[{i}]: got {type(pair).__name__}, expected (name, parameter)")
        self.names = [name for name, _ in named]
        self._written: dict[Parameter, list[np.ndarray] | None] = {}
        self._parameters = [parameter for _, parameter in named]
        dtypes = sorted({str(parameter.dtype) for parameter in self._parameters})
        if len(dtypes) > 1:
            raise TypeError(f"parameters: got dtypes {' and '.join(dtypes)} in one model, expected one")
        dtype = self._parameters[0].dtype if self._parameters else np.dtype(np.float32)
        unit = ALIGNMENT // dtype.itemsize
        starts = [0]
        for parameter in self._parameters:
            starts.append(starts[-1] + -(-parameter.size // unit) * unit)
        self._data = aligned_zeros(starts[-1], dtype)
        self._grad = aligned_zeros(starts[-1], dtype)
        for start, parameter in zip(starts, self._parameters, strict=False):
            place, shape = slice(start, start + parameter.size), parameter.shape
            parameter._move(self, self._data[place].reshape(shape), self._grad[place].reshape(shape))
        self.starts = starts[:-1]
        self.freezes = 0  # how often a parameter was frozen or unfrozen
        self.renewals = 0  # how often the gradients were
        self._complete_at = -1  # Changes.count when it last held all that its models train
        self._frozen = [one for one in self._parameters if one.frozen]
        self._current = True
        self._tree_at = -1  # Changes.count when the model's tree was last compared with this
        self._models: list[weakref.ref[Any]] = []
        self._tapes: list[Tape] = []
        self._tapes_at = -1

    def __copy__(self) -> "Arena":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_gathered, (self.names, self._parameters)) if self._current else (_left, (self.names,))

    @property
    def data(self) -> np.ndarray:
        """The flat buffer of all values, padding zero; assigning copies values in."""
        if _tracing.running and (trace := _tracing.current()) is not None:
            raise TypeError(
                f"Arena.data: within {trace.name} it would be a constant: take the data of each of its parameters, as "
                "sum((p.data ** 2).sum() for p in model.parameters())"
            )
        return self._data

    @data.setter
    def data(self, values: Any) -> None:
        self._data[...] = fitting("data", values, self._data)

    @property
    def grad(self) -> np.ndarray:
        """The flat buffer of all gradients: 0 in the padding and where nobody wrote; assigning copies values in."""
        self.settle_gradients()
        for parameter in self._parameters:
            self._written[parameter] = None  # whoever has the array may write to any row
        return self._grad

    @grad.setter
    def grad(self, values: Any) -> None:
        own = self.grad
        own[...] = fitting("grad", values, own)

    @property
    def dtype(self) -> np.dtype:
        """Of all parameters: float32 or float64."""
        return self._data.dtype

    @property
    def size(self) -> int:
        """Number of parameters, padding not counted."""
        return sum(parameter.size for parameter in self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters)

    def __getitem__(self, index: Any) -> Any:
        return item("index", index, self._parameters)

    def __repr__(self) -> str:
        frozen = f", {len(self._frozen)} frozen" if self._frozen else ""
        return f"Arena({len(self)} parameters, {self.size:,} elements, {self.dtype}{frozen})"

    def is_current(self) -> bool:
        """Whether the parameters are still here.

        Returns
        -------
        bool
            False once a parameter has moved to another arena, since its layer joined a larger model.
        """
        return self._current

    def settle_gradients(self) -> None:
        """Make all gradients readable: those that nobody wrote since the last renewal, and the frozen ones, are 0."""
        if len(self._written) < len(self._parameters):
            for parameter in self._parameters:
                parameter._settle()
        for parameter in self._frozen:
            parameter._grad[...] = 0

    def renew_gradients(self) -> None:
        """Let the next write to each gradient overwrite it."""
        self._written.clear()
        self.renewals += 1

    def newcomers(self) -> list[str]:
        """Parameters that joined all models served since, and that no arena holds: nobody trains them.

        Returns
        -------
        list of str
            Their qualified names; empty where nothing is missing.
        """
        if self._complete_at == Changes.count:
            return []
        models = [model for one in self._models if (model := one()) is not None]
        lacking = [
            [name for name, one in model.named_parameters() if one._arena is None and not one.frozen]
            for model in models
        ]
        found = min(lacking, key=len, default=[])
        if not found:
            self._complete_at = Changes.count
        return found

    def stretches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What is trained, as flat arrays.

        Returns
        -------
        list of (ndarray, ndarray)
            (values, gradient to add to): all in one, or what lies between frozen parameters.
        """
        whole = self._data, self.grad
        if not self._frozen:
            return [whole]
        bounds = [*self.starts, self._data.size]
        found: list[list[int]] = []
        for parameter, start, stop in zip(self._parameters, bounds, bounds[1:], strict=False):
            if parameter.frozen:
                continue
            if found and found[-1][1] == start:
                found[-1][1] = stop
            else:
                found.append([start, stop])
        return [(self._data[start:stop], self._grad[start:stop]) for start, stop in found]

    def _serve(self, model: Any) -> None:
        """Remember a model whose parameters these are: a step frees what its layers still hold for backward."""
        self._models = [one for one in self._models if one() is not None and one() is not model]
        self._models.append(weakref.ref(model))
        self._tapes_at = -1

    def forget_forwards(self) -> None:
        """After a step: free what the models' layers hold of forwards that no backward followed."""
        if self._tapes_at != Changes.count:
            models = [model for one in self._models if (model := one()) is not None]
            self._tapes = [module._tape for model in models for module in model.modules()]
            self._tapes_at = Changes.count
        for tape in self._tapes:
            if tape:
                tape.clear()

    def _refreeze(self) -> None:
        self.freezes += 1
        self._frozen = [one for one in self._parameters if one.frozen]


def _gathered(names: list[str], parameters: list[Parameter]) -> Arena:
    """A copy of a current arena."""
    return Arena(list(zip(names, parameters, strict=True)))


def _left(names: list[str]) -> Arena:
    """A copy of an arena whose parameters had moved away: it holds nothing, and is refused as the original is."""
    arena = Arena([])
    arena.names, arena._current = names, False
    return arena
