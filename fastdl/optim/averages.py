"""Averages of the parameters along training: exponential (Polyak) and uniform (SWA)."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._memory import aligned_zeros
from .._validate import check_apart, choice, float_array, integer, number, out_array
from ._parameters import Memory
from ._pieces import pieces_of_one
from ._rule import LAST_STEP, run_kernel
from ._states import check_array, check_keys, check_kind, check_members


@mirrored
def average_update(average: np.ndarray, param: np.ndarray, weight: float) -> None:
    """Move an average towards the parameters, in place: average += weight * (param - average) (docs/optim.md).

    Parameters
    ----------
    average : ndarray, any shape, float32 or float64
        Overwritten.
    param : ndarray, the shape and dtype of `average`
        What it moves towards.
    weight : float in [0, 1]
        How far: 0 leaves it, 1 copies `param`.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit; nothing was written then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> average = np.zeros(2)
    >>> fd.optim.average_update(average, np.array([1.0, 2.0]), 0.5)
    >>> average
    array([0.5, 1. ])
    """
    weight = number("weight", weight, 0, 1)
    average = out_array("average", average, None)
    read = float_array("param", param, average.shape, average.dtype)
    check_apart(average=average, param=read)
    arrays = (average.reshape(-1), read.reshape(-1))
    run_kernel("optim_adaptive", "average", arrays, pieces_of_one(read.size, 2), read.size, (weight,))


class _Average:
    """What the two averages share: the arrays, and lending them to the model."""

    def __init__(self, parameters: Any) -> None:
        self._memory = Memory(parameters)
        (self._part,) = self._memory.split(self._memory.owners([]), [False])
        self.arrays = [aligned_zeros(param.size, param.dtype) for param in self._params]
        for average, param in zip(self.arrays, self._params, strict=True):
            average[...] = param
        self.updates = 0

    @property
    def _params(self) -> list[np.ndarray]:
        """The parameters where they lie now, flat: a copied average's are the copied model's."""
        self._memory.refuse_stale()
        return [piece.arrays()[0] for piece in self._part.pieces]

    def __copy__(self) -> "_Average":
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.arrays = [average.copy() for average in self.arrays]
        return twin

    def __repr__(self) -> str:
        size = sum(math.prod(shape) for shape in self._part.shapes)
        return f"{type(self).__name__}({len(self._part.names)} parameters, {size:,} elements, updates={self.updates})"

    def _mix(self, weight: float) -> None:
        for average, param in zip(self.arrays, self._params, strict=True):
            average_update(average, param, weight)
        self.updates += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The average stands in for the parameters inside a ``with`` block, which must not train them."""
        kept = [param.copy() for param in self._params]
        self.apply()
        try:
            yield
        finally:
            for param, values in zip(self._params, kept, strict=True):
                param[...] = values

    def apply(self) -> None:
        """Write the average into the parameters, for good."""
        for average, param in zip(self.arrays, self._params, strict=True):
            param[...] = average

    def state_dict(self) -> dict[str, Any]:
        """Copies of what the average needs to go on.

        Returns
        -------
        dict
            "average", the class; "updates", their number; "names" and "shapes" of the parameters; "arrays", flat
            copies.
        """
        return {
            "average": type(self).__name__,
            "updates": self.updates,
            "names": list(self._part.names),
            "shapes": [list(shape) for shape in self._part.shapes],
            "arrays": [average.copy() for average in self.arrays],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        TypeError, ValueError
            If it does not fit; nothing was changed then.
        """
        keys = ("average", "updates", "names", "shapes", "arrays")
        if isinstance(state, Mapping) and set(state) == {"updates", "arrays"}:
            raise ValueError("state: saved by an earlier version, which did not say of which parameters it is")
        check_keys("state", state, keys)
        check_kind("state", state["average"], type(self).__name__)
        check_members("state", state, self._part.names, self._part.shapes)
        arrays, updates = state["arrays"], integer("state['updates']", state["updates"], 0, LAST_STEP - 1)
        if not isinstance(arrays, (list, tuple)):
            raise TypeError(f"state['arrays']: got {type(arrays).__name__}, expected a list")
        if len(arrays) != len(self.arrays):
            raise ValueError(f"state['arrays']: got {len(arrays)}, expected {len(self.arrays)}")
        for i, (values, average) in enumerate(zip(arrays, self.arrays, strict=True)):
            check_array(f"state['arrays'][{i}]", values, average)
        self.updates = updates
        for average, values in zip(self.arrays, arrays, strict=True):
            average[...] = values


class ExponentialAverage(_Average):
    """An exponential moving average of the parameters, which often generalizes better than the last ones.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for an :class:`Optimizer`.
    decay : float in [0, 1), default 0.999
        What is kept of the average in an update.
    warm_up : bool, default False
        Use min(decay, (1 + updates) / (10 + updates)) instead, so that the start is forgotten faster.

    Raises
    ------
    TypeError, ValueError
        If the decay is outside [0, 1), or the parameters are none that an optimizer takes.

    Notes
    -----
    update: average = decay * average + (1 - decay) * param, from the parameters at the start on (docs/optim.md).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param = np.zeros(1)
    >>> average = fd.optim.ExponentialAverage([(param, np.zeros(1))], decay=0.75)
    >>> param[:] = 1
    >>> average.update()
    >>> with average.applied():
    ...     print(param)
    [0.25]
    >>> param
    array([1.])
    """

    def __init__(self, parameters: Any, decay: float = 0.999, *, warm_up: bool = False) -> None:
        self.decay = number("decay", decay, 0, 1, open_high=True)
        self.warm_up = choice("warm_up", warm_up, (True, False))
        super().__init__(parameters)

    def update(self) -> None:
        """Take in the present parameters; call it after the optimizer's step."""
        decay = self.decay
        if self.warm_up:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        self._mix(1 - decay)


class StochasticAverage(_Average):
    """Stochastic weight averaging: the mean of the parameters at every `update` (Izmailov et al. 2018).

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for an :class:`Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If the parameters are none that an optimizer takes.

    Notes
    -----
    update: average += (param - average) / n at the n-th call.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> param = np.zeros(1)
    >>> average = fd.optim.StochasticAverage([(param, np.zeros(1))])
    >>> for value in (1.0, 2.0, 6.0):
    ...     param[:] = value
    ...     average.update()
    >>> average.arrays[0]
    array([3.])
    """

    def update(self) -> None:
        """Take in the present parameters; call it at the end of a cycle or epoch."""
        self._mix(1 / (self.updates + 1))
