"""Parameters and the arena that holds them: one buffer for all values, one for all gradients.

So an optimizer step, a global norm, an all-reduce and a checkpoint are each one call over one array. Views
start at multiples of 64 bytes and the padding between them is zero, in both buffers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._memory import ALIGNMENT, aligned_zeros
from .._validate import check_shape


class Parameter:
    """One named array of a model, with its gradient.

    Parameters
    ----------
    name : str
        Name within its layer, for example ``"weight"``.
    data : ndarray
        Initial values, float32 or float64; copied.
    transposed : bool, default False
        Whether torch stores the transpose of this array; ``state_dict`` then does too.
    by_rows : bool, default False
        Whether gradients are written to some rows at a time, as an embedding's are (see :meth:`claim_grad`).

    Attributes
    ----------
    data, grad : ndarray
        Views into the arena's buffers. Assigning to either copies values in.
    written : bool
        Whether the gradient was written since it was last renewed: if not, what it holds means nothing, and the next
        write overwrites it. Assigning False renews it.

    Examples
    --------
    >>> import fastdl as fd
    >>> weight = fd.nn.Linear(3, 2, rng=0).weight
    >>> weight.shape, weight.grad.shape
    ((3, 2), (3, 2))
    """

    def __init__(self, name: str, data: np.ndarray, *, transposed: bool = False, by_rows: bool = False) -> None:
        self.name = name
        self.transposed = transposed
        self.by_rows = by_rows
        self._data = aligned_zeros(data.shape, data.dtype)
        self._data[...] = data
        self._grad = aligned_zeros(data.shape, data.dtype)
        self._ledger: set[Parameter] = set()  # the arena's parameters whose gradients were written since the renewal
        self._rows: list[np.ndarray] | None = None  # those written since the renewal; None: any may have been
        self._arena: Arena | None = None

    @property
    def data(self) -> np.ndarray:
        return self._data

    @data.setter
    def data(self, values: Any) -> None:
        self._data[...] = _fitting(f"{self.name}.data", values, self._data)

    @property
    def grad(self) -> np.ndarray:
        return self._grad

    @grad.setter
    def grad(self, values: Any) -> None:
        self._grad[...] = _fitting(f"{self.name}.grad", values, self._grad)
        self._ledger.add(self)
        self._rows = None

    @property
    def written(self) -> bool:
        return self in self._ledger

    @written.setter
    def written(self, value: bool) -> None:
        (self._ledger.add if value else self._ledger.discard)(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    def claim_grad(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
        """The gradient to write into, and whether to add to it (True from the second write of a step on).

        Who writes something else than 0 into some rows only names them, in an array of integers of any shape.
        """
        accumulate = self in self._ledger
        self._ledger.add(self)
        if rows is None:
            self._rows = None
        elif not accumulate:
            self._rows = [rows]
        elif self._rows is not None:
            self._rows.append(rows)
        return self._grad, accumulate

    def written_rows(self) -> np.ndarray | None:
        """Distinct rows of the gradient written for this step; None where any may have been."""
        return None if self._rows is None else np.unique(np.concatenate([rows.reshape(-1) for rows in self._rows]))

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def _settle(self) -> None:
        if self not in self._ledger:
            self._grad[...] = 0
            self._ledger.add(self)
            self._rows = [np.zeros(0, np.int64)]

    def _move(self, arena: "Arena", data: np.ndarray, grad: np.ndarray) -> None:
        data[...] = self._data
        grad[...] = self._grad
        self._data, self._grad = data, grad
        if self in self._ledger:
            arena._written.add(self)
        if self._arena is not None:
            self._arena._current = False
        self._arena, self._ledger = arena, arena._written


def values_of(parameters: Sequence[Parameter | None]) -> list[Any]:
    """The data of each (None for None)."""
    return [None if one is None else one._data for one in parameters]


def claim_all(parameters: Sequence[Parameter | None]) -> tuple[list[Any], bool]:
    """What :meth:`Parameter.claim_grad` gives for each (None for None), with one answer to whether to add.

    Where some were written for this step and some not, these start from zero.
    """
    found = [one for one in parameters if one is not None]
    accumulate = False
    for one in found:
        if one in one._ledger:
            accumulate = True
    for one in found:
        if accumulate and one not in one._ledger:
            one._grad[...] = 0
        one._ledger.add(one)
        one._rows = None
    return [None if one is None else one._grad for one in parameters], accumulate


def _fitting(name: str, values: Any, like: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: got dtype {array.dtype}, expected numbers that fit {like.dtype}")
    check_shape(name, array, like.shape)
    return array


class Arena(Sequence[Parameter]):
    """The parameters of a model, in order, over two flat buffers.

    Returned by :meth:`Module.parameters`; what optimizers and ``clip_grad_norm_`` take.

    Attributes
    ----------
    data, grad : ndarray
        Flat buffers of all values and all gradients, of the same layout, padding zero.
    names : list of str
        Qualified names of the parameters (``"0.weight"``), in order.
    """

    def __init__(self, named: Sequence[tuple[str, Parameter]]) -> None:
        self.names = [name for name, _ in named]
        self._written: set[Parameter] = set()
        self._parameters = [parameter for _, parameter in named]
        dtypes = sorted({str(parameter.dtype) for parameter in self._parameters})
        if len(dtypes) > 1:
            raise TypeError(f"parameters: got dtypes {' and '.join(dtypes)} in one model, expected one")
        dtype = self._parameters[0].dtype if self._parameters else np.dtype(np.float32)
        unit = ALIGNMENT // dtype.itemsize
        starts = [0]
        for parameter in self._parameters:
            starts.append(starts[-1] + -(-parameter.size // unit) * unit)
        self.data = aligned_zeros(starts[-1], dtype)
        self.grad = aligned_zeros(starts[-1], dtype)
        for start, parameter in zip(starts, self._parameters, strict=False):
            place, shape = slice(start, start + parameter.size), parameter.shape
            parameter._move(self, self.data[place].reshape(shape), self.grad[place].reshape(shape))
        self.starts = starts[:-1]
        self._current = True

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def size(self) -> int:
        """Number of parameters, padding not counted."""
        return sum(parameter.size for parameter in self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters)

    def __getitem__(self, index: Any) -> Any:
        return self._parameters[index]

    def __repr__(self) -> str:
        return f"Arena({len(self)} parameters, {self.size:,} elements, {self.dtype})"

    def is_current(self) -> bool:
        """False once a parameter has moved to another arena (its layer joined a larger model)."""
        return self._current

    def settle_gradients(self) -> None:
        """Fill the gradients that nobody wrote since the last renewal with zeros, so that all may be read."""
        if len(self._written) < len(self._parameters):
            for parameter in self._parameters:
                parameter._settle()

    def renew_gradients(self) -> None:
        """Let the next write to each gradient overwrite it."""
        self._written.clear()
