"""The chain of layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validate import flag
from ._backward import backward, needs_gradient
from ._handing import check_lengths, check_state, lengths_after, parted, run
from ._listed import Listed, layers_of
from ._modes import evaluating
from ._module import Module
from ._streams import Stream


class Sequential(Listed):
    """Layers one after the other (docs/nn.md).

    Parameters
    ----------
    *layers : Module, or one list of them
        Each layer's output is the next one's input. Children are named "0", "1", ... as in torch. A slice is a
        Sequential of the same layers.

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

    _hands_on = True
    _inline = True

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        given = layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers
        for index, layer in enumerate(layers_of("layers", given)):
            setattr(self, str(index), layer)

    def _like(self, layers: list[Module]) -> "Sequential":
        return Sequential(*layers)

    def forward(
        self, x: Any, state: list[Any] | None = None, *, lengths: Any = None, return_state: bool = False
    ) -> Any:
        """Run the chain.

        Parameters
        ----------
        x : ndarray
            Input of the first layer; or (x, lengths), as :func:`fastdl.training.fit` gives inputs of two parts.
        state : list, optional
            One entry per layer, as returned with ``return_state=True``: initial states of the recurrent
            layers (None for zeros and for all others).
        lengths : ndarray of int (B,), optional
            True lengths of the sequences, for all layers that take them. After a layer that changes them, as
            :class:`Conv1d`, the next ones get what they are then (:meth:`lengths_after`).
        return_state : bool, default False
            Whether to return (y, final states) instead of y.

        Returns
        -------
        y : ndarray
            Output of the last layer.
        states : list, with ``return_state=True``
            One entry per layer: a recurrent layer's final states, a list of a Sequential in this one, None for all
            others. Then it is (y, states).

        Raises
        ------
        TypeError, ValueError
            If `state` is no list of so many entries, no layer takes lengths, or a layer refuses its input.
        """
        return_state = flag("return_state", return_state)
        if x.__class__ is not np.ndarray:
            x, lengths = parted(self, x, lengths)
        if lengths is None and state is None and not return_state:  # the rule
            for layer in self._children.values():
                x = layer.forward(x)
            return x
        check_lengths(self, lengths)
        states = self._states(state)
        for place, (layer, initial) in enumerate(zip(self._children.values(), states, strict=True)):
            check_state(f"state[{place}]", layer, initial)
        final: list[Any] = []
        for layer, initial in zip(self._children.values(), states, strict=True):
            x, after = run(layer, x, initial, lengths, return_state)
            lengths = lengths_after(layer, lengths)
            final.append(after)
        return (x, final) if return_state else x

    def step(
        self, x: np.ndarray, state: list[Any] | None = None, *, out: tuple[np.ndarray | None, list[Any]] | None = None
    ) -> tuple[np.ndarray, list[Any]]:
        """One time step through the chain, in evaluation, for streams: nothing is saved for backward, nothing dropped.

        Parameters
        ----------
        x : ndarray (B, ...)
            What one time step of the first layer's input is.
        state : list, optional
            States as the last step returned them; the initial ones by default.
        out : tuple (y, state), optional
            Arrays to write into, C-contiguous. The states may be those given as `state`. A chain of one recurrent layer
            and a linear one makes no array then. None for y makes a new one.

        Returns
        -------
        y : ndarray (B, ...)
            Of the last layer.
        state : list
            One entry per layer, None of those without: what :meth:`forward` gives with ``return_state=True``.

        Raises
        ------
        TypeError, ValueError
            If `x`, `state` or `out` do not fit, or a layer needs more than one time step, as attention and pools;
            nothing is written to `out` then.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1)).eval()
        >>> x = np.ones((1, 3), np.float32)
        >>> y, state = model.step(x)
        >>> for _ in range(9):
        ...     y, state = model.step(x, state, out=(y, state))
        >>> bool(np.allclose(y, model.forward(np.ones((10, 1, 3), np.float32))[-1]))
        True
        """
        layers, stream = list(self._children.values()), self.__dict__.get("_stream")
        if stream is None:
            stream = self.__dict__["_stream"] = Stream()
        states = self._states(state)
        if not layers:
            raise ValueError("step: got a chain of no layers, expected at least one")
        if not self.training:
            return stream.step(layers, x, states, out)
        with evaluating(self):
            return stream.step(layers, x, states, out)

    def _states(self, state: Any) -> Sequence[Any]:
        """An entry for each layer."""
        if state is None:
            return [None] * len(self)
        if not isinstance(state, (list, tuple)):
            raise TypeError(f"state: got {type(state).__name__}, expected a list with an entry for each layer")
        if len(state) != len(self):
            raise ValueError(f"state: got {len(state)} entries, expected {len(self)}, one per layer")
        return state

    def lengths_after(self, lengths: Any) -> Any:
        """How long sequences are behind the chain.

        Parameters
        ----------
        lengths : array of int (B,)
            How long they are before it.

        Returns
        -------
        ndarray of int (B,), or None
            None where it leaves no steps, as a recurrent layer with ``output="last"``.

        Raises
        ------
        TypeError, ValueError
            If a layer refuses them.
        """
        for layer in self._children.values():
            lengths = lengths_after(layer, lengths)
        return lengths

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
