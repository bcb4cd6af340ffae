"""Parameters of which the sum alone counts, so that the Hessian is singular along their difference."""

from typing import Any

import numpy as np

from ..nn import GRU, LSTM, RNN


def refuse_twins(arena: Any, hessian: np.ndarray) -> None:
    """Raise ValueError where the two biases of a recurrent layer have the same rows of the Hessian, to rounding.

    arena: the parameters that the Hessian is of, None for arrays of unknown origin.
    """
    if arena is None:
        return
    starts = dict(zip(arena, np.cumsum([0, *(one.size for one in arena)]).tolist(), strict=False))
    names = dict(zip(arena, arena.names, strict=True))
    models = [model for one in arena._models if (model := one()) is not None]
    stacks = [one for model in models for one in model.modules() if isinstance(one, (RNN, LSTM, GRU))]
    pairs = [twins for stack in stacks for layer in stack._layers if (twins := layer.twin_biases())]
    rounding = 1e-6 * np.abs(hessian).max(initial=0)
    for first, second, shared in pairs:
        if first is second or first.frozen or second.frozen or not {first, second} <= starts.keys():
            continue
        one, other = (hessian[starts[twin] :][:shared] for twin in (first, second))
        if np.abs(one - other).max(initial=0) <= rounding:
            raise ValueError(
                f"damping: got 0 with {names[first]} and {names[second]}, of which the sum alone counts, so that the "
                "Hessian is singular; expected a number above 0, or layers made with bias='single'"
            )
