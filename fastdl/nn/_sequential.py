"""The chain of layers."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._validate import flag, item, shown
from ._backward import backward, needs_gradient
from ._module import Module


class Sequential(Module):
    """Layers one after the other (docs/nn.md).

    Parameters
    ----------
    *layers : Module
        Each layer's output is the next one's input. Children are named "0", "1", ... as in torch.

    Raises
    ------
    TypeError
        If something is no layer.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.Linear(4, 8, rng=0), fd.nn.Tanh(), fd.nn.Linear(8, 2, rng=1))
    >>> model.forward(np.ones((3, 4), np.float32)).shape
    (3, 2)
    >>> model
    Sequential()
      (0) Linear(4, 8)            40
      (1) Tanh()
      (2) Linear(8, 2)            18
    total                         58
    """

    _inline = True

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        for index, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"layers[{index}]: got {type(layer).__name__}, expected a fastdl.nn layer")
            setattr(self, str(index), layer)

    def __len__(self) -> int:
        return len(self._children)

    def __getitem__(self, index: int) -> Module:
        return item("index", index, list(self._children.values()))

    def __iter__(self) -> Iterator[Module]:
        return iter(self._children.values())

    def forward(self, x: np.ndarray, state: list[Any] | None = None, *, return_state: bool = False) -> Any:
        """Run the chain.

        Parameters
        ----------
        x : ndarray
            Input of the first layer.
        state : list, optional
            One entry per layer, as returned with ``return_state=True``: initial states of the recurrent
            layers (None for zeros and for all others).
        return_state : bool, default False
            Whether to return (y, final states) instead of y.

        Returns
        -------
        y : ndarray
            Output of the last layer.
        states : list, with ``return_state=True``
            One entry per layer: a recurrent layer's final states, None for all others. Then it is (y, states).

        Raises
        ------
        TypeError, ValueError
            If `state` is no list of so many entries, or a layer refuses its input.
        """
        return_state = flag("return_state", return_state)
        if state is not None and not isinstance(state, (list, tuple)):
            raise TypeError(f"state: got {type(state).__name__}, expected a list with an entry for each layer")
        states = [None] * len(self) if state is None else state
        if len(states) != len(self):
            raise ValueError(f"state: got {len(states)} entries, expected {len(self)}, one per layer")
        for place, (layer, initial) in enumerate(zip(self._children.values(), states, strict=True)):
            if initial is not None and "return_state" not in inspect.signature(layer.forward).parameters:
                what = f"expected None, since {type(layer).__name__} carries no state"
                raise TypeError(f"state[{place}]: got {shown(initial)}, {what}")
        final: list[Any] = []
        for layer, initial in zip(self._children.values(), states, strict=True):
            if initial is not None or (return_state and hasattr(layer, "initial_state")):
                x, after = layer.forward(x, initial, return_state=True)
                final.append(after)
            else:
                x = layer.forward(x)
                final.append(None)
        return (x, final) if return_state else x

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Run the chain backwards.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output.
        input_gradient : bool, default True
            Whether the input's gradient is wanted. With False it is None, and nothing before the first parameters is
            differentiated: a step of training needs no more.

        Returns
        -------
        ndarray or None
            Gradient with respect to the last forward's input; None where it is not wanted, or the first layer gives
            none, as an embedding.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> model = fd.nn.Sequential(fd.nn.Linear(4, 8, rng=0), fd.nn.Tanh(), fd.nn.Linear(8, 2, rng=1))
        >>> y = model.forward(np.ones((3, 4), np.float32))
        >>> model.backward(np.ones_like(y), input_gradient=False) is None
        True
        """
        layers, wanted = list(self._children.values()), flag("input_gradient", input_gradient)
        first = -1 if wanted else next((at for at, layer in enumerate(layers) if needs_gradient(layer)), len(layers))
        for index in reversed(range(len(layers))):
            dy = backward(layers[index], dy, index > first)
        return dy if wanted else None
