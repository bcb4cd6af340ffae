"""Parameters: named arrays with their gradients, alone or as views into an arena (_arena.py)."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .. import _tracing
from .._memory import aligned_zeros, lay
from .._validate import check_shape, flag, float_array, index_array, real_values


class _Holder(Protocol):
    """What a parameter asks of the arena in which it lies."""

    _current: bool
    renewals: int  # how often the gradients were
    _written: "dict[Parameter, list[np.ndarray] | None]"

    def _refreeze(self) -> None: ...


class Parameter:
    """One named array of a model, with its gradient (docs/nn.md).

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
    data : ndarray
        The values: a view into the arena's buffer. Assigning copies values in.
    grad : ndarray
        The gradient of this step, 0 where nothing was written yet: ``p.grad += g``, ``p.grad[...] += g`` and
        ``p.grad = g`` (which copies in) all do what they say. Take it anew for each write, since after a step it
        counts from 0 again. Of a parameter by rows, all rows count as written once it was read.
    requires_grad : bool
        False for a frozen parameter; assigning freezes or unfreezes.
    frozen : bool
        The contrary, to be read.
    written : bool
        Whether the gradient was written since it was last renewed: if not, the next write overwrites it. Assigning
        False renews it.

    Raises
    ------
    TypeError
        If `data` is no array of float32 or float64, or `name` no text.
    AttributeError
        If another attribute is assigned.

    Examples
    --------
    >>> import fastdl as fd
    >>> weight = fd.nn.Linear(3, 2, rng=0).weight
    >>> weight.shape, weight.grad.shape
    ((3, 2), (3, 2))
    >>> weight.freeze()
    >>> weight.requires_grad
    False
    """

    __slots__ = (
        "__weakref__", "_arena", "_data", "_grad", "_ledger", "by_rows", "frozen", "name", "transposed",
    )  # fmt: skip

    name: str
    transposed: bool
    by_rows: bool
    frozen: bool
    _data: np.ndarray
    _grad: np.ndarray
    _ledger: "dict[Parameter, list[np.ndarray] | None]"
    _arena: _Holder | None

    def __init__(self, name: str, data: np.ndarray, *, transposed: bool = False, by_rows: bool = False) -> None:
        if not isinstance(name, str):  # as who comes from torch has it: the values alone
            raise TypeError(f'name: got {type(name).__name__}, expected str, as in Parameter("weight", values)')
        undrawn = _is_one_zero(data)
        data = data if undrawn else float_array("data", data)
        self.name = name
        self.transposed = flag("transposed", transposed)
        self.by_rows = flag("by_rows", by_rows)
        object.__setattr__(self, "frozen", False)
        self._data = aligned_zeros(data.shape, data.dtype)
        if not undrawn:  # zeros that a file's values will replace
            self._data[...] = data
        self._grad = aligned_zeros(data.shape, data.dtype)
        # The arena's parameters whose gradients were written since the renewal, each with the rows; None: maybe all.
        self._ledger = {}
        self._arena = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "frozen":
            name, value = "requires_grad", not flag("frozen", value)
        try:
            object.__setattr__(self, name, value)
        except AttributeError:
            if hasattr(type(self), name):
                raise
            raise AttributeError(
                f"Parameter.{name}: no such attribute; freeze(), unfreeze() and requires_grad say whether it is trained"
            ) from None

    def __reduce__(self) -> tuple[Any, ...]:
        rows = self._ledger.get(self)
        grad = self._grad if self in self._ledger else None
        given = (self.name, self._data, self.transposed, self.by_rows, self.frozen, grad, rows and list(rows))
        return _restored, (type(self), *given), getattr(self, "__dict__", None) or None

    @property
    def data(self) -> np.ndarray:
        """The values: a view into the arena's buffer. Assigning copies values in."""
        if _tracing.running:
            trace = _tracing.current()
            if trace is not None:
                return trace.read(self)
        return self._data

    @data.setter
    def data(self, values: Any) -> None:
        if values is not self._data:
            if _tracing.running and (trace := _tracing.current()) is not None and trace.has_read(self):
                raise TypeError(
                    f"{self.name}.data: assigned within {trace.name}, which has read it: its backward needs the values "
                    "that it read; assign before or after that forward"
                )
            lay(self._data, fitting(f"{self.name}.data", values, self._data))

    @property
    def grad(self) -> np.ndarray:
        """The gradient of this step, 0 where nothing was written yet. Assigning copies values in."""
        self._settle()
        self._ledger[self] = None  # whoever has the array may write to any row
        return self._grad

    @grad.setter
    def grad(self, values: Any) -> None:
        if values is not self._grad:
            self._grad[...] = fitting(f"{self.name}.grad", values, self._grad)
        self._ledger[self] = None

    @property
    def written(self) -> bool:
        """Whether the gradient was written since it was last renewed; assigning False renews it."""
        return self in self._ledger

    @written.setter
    def written(self, value: bool) -> None:
        if flag("written", value):
            self._ledger.setdefault(self, None)
        else:
            self._ledger.pop(self, None)

    @property
    def requires_grad(self) -> bool:
        """False for a frozen parameter; assigning freezes or unfreezes."""
        return not self.frozen

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.frozen == flag("requires_grad", value):
            object.__setattr__(self, "frozen", not value)
            if self._arena is not None:
                self._arena._refreeze()

    def freeze(self) -> None:
        """Let no optimizer change it from now on, by weight decay or momentum neither; it counts in no norm.

        What an optimizer remembers of it stays for :meth:`unfreeze`.
        """
        self.requires_grad = False

    def unfreeze(self) -> None:
        """Undo :meth:`freeze`."""
        self.requires_grad = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The values' extents."""
        return self._data.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._data.dtype

    def claim_grad(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
        """The gradient to write into, and whether to add to it.

        What `grad` is, without the pass that fills it with zeros: where the second is False, overwrite all of it.

        Parameters
        ----------
        rows : ndarray of int, any shape, optional
            The only rows into which something else than 0 is written; None for any.

        Returns
        -------
        grad : ndarray
            Of the shape and type of the values.
        accumulate : bool
            True from the second write of a step on.

        Raises
        ------
        TypeError, ValueError
            If `rows` are no integers, or out of range.
        """
        ledger = self._ledger
        accumulate = self in ledger
        if rows is None:
            ledger[self] = None
            return self._grad, accumulate
        rows = index_array("rows", rows, self._data.shape[0] if self._data.ndim else 0)
        known = ledger[self] if accumulate else []
        if known is not None:
            known.append(rows.copy())  # until the step the batch may become another
            ledger[self] = known
        return self._grad, accumulate

    def written_rows(self) -> np.ndarray | None:
        """Distinct rows of the gradient written for this step.

        Returns
        -------
        ndarray of int64, or None
            In order; None where any may have been, or none was.
        """
        found = self._ledger.get(self)
        return None if found is None else np.unique(np.concatenate([rows.reshape(-1) for rows in found]))

    def __repr__(self) -> str:
        frozen = ", frozen" if self.frozen else ""
        return f"Parameter({self.name!r}, shape={self.shape}, dtype={self.dtype}{frozen})"

    def _settle(self) -> None:
        if self not in self._ledger:
            self._grad[...] = 0
            self._ledger[self] = [np.zeros(0, np.int64)]

    def _move(self, arena: _Holder, data: np.ndarray, grad: np.ndarray) -> None:
        data[...] = self._data
        grad[...] = self._grad
        self._data, self._grad = data, grad
        if self in self._ledger:
            arena._written[self] = self._ledger[self]
        if self._arena is not None:
            self._arena._current = False
        self._arena, self._ledger = arena, arena._written


def _is_one_zero(data: Any) -> bool:
    """Whether many zeros are one number in memory, as a generator gives that draws nothing."""
    if data.__class__ is not np.ndarray or data.size < 2 or any(data.strides) or data.dtype.char not in "fd":
        return False
    return bool(data.dtype.isnative and data.flat[0] == 0)


def _restored(
    kind: type[Parameter], name: str, data: np.ndarray, transposed: bool, by_rows: bool, frozen: bool,
    grad: np.ndarray | None, rows: list[np.ndarray] | None,
) -> Parameter:  # fmt: skip
    """A parameter as it was copied or pickled: with memory of its own, and the gradient written for this step."""
    one = kind.__new__(kind)
    Parameter.__init__(one, name, data, transposed=transposed, by_rows=by_rows)
    one.requires_grad = not frozen
    if grad is not None:
        one._grad[...] = grad
        one._ledger[one] = rows
    return one


def claim_all(parameters: Sequence[Parameter | None]) -> tuple[list[Any], bool]:
    """What :meth:`Parameter.claim_grad` gives for each (None for None), with one answer to whether to add.

    Where some were written for this step and some not, these start from zero.
    """
    accumulate = False
    for one in parameters:
        if one is not None and one in one._ledger:
            accumulate = True
            break
    places: list[Any] = []
    for one in parameters:
        if one is None:
            places.append(None)
            continue
        if accumulate and one not in one._ledger:
            one._grad[...] = 0
        one._ledger[one] = None
        places.append(one._grad)
    return places, accumulate


def fitting(name: str, values: Any, like: np.ndarray) -> np.ndarray:
    """`values` as an array that may be copied into `like`."""
    array = real_values(name, values)
    check_shape(name, array, like.shape)
    return array
