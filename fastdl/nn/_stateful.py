"""What is kept of a module: its buffers, its arrays under their names, and where its random numbers go on."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._memory import lay
from . import _state
from ._node import Node
from ._parameter import Parameter


class Stateful:
    """Base of :class:`Module`: what it hands to files and takes from them."""

    _parameters: dict[str, Parameter]
    _buffers: dict[str, None]  # names; the values are attributes

    if TYPE_CHECKING:

        def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Node]]: ...

    # ---- buffers ------------------------------------------------------------------------------------
    def register_buffer(self, name: str, value: Any) -> None:
        """Keep an array or number with the parameters: saved and loaded with them, but not trained.

        Parameters
        ----------
        name : str
            The attribute under which it is found; without a dot, and not taken by anything but a buffer.
        value : ndarray of real numbers or bool, or a number
            An array is copied; a number becomes a float (float64). Assigning to the attribute later copies values of
            the same shape in.

        Raises
        ------
        TypeError, ValueError
            If the name is taken or the value neither.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> layer = fd.nn.Linear(2, 1, rng=0)
        >>> layer.register_buffer("mean", np.zeros(2))
        >>> layer.mean = [3, 4]
        >>> layer.state_dict()["mean"]
        array([3., 4.])
        """
        if not isinstance(name, str):
            raise TypeError(f"name: got {type(name).__name__}, expected str")
        if "." in name or not name or (name not in self._buffers and hasattr(self, name)):
            raise ValueError(f"name: got {name!r}, expected a name without a dot that no other attribute has")
        kept = _state.new_buffer(value)
        self._buffers[name] = None
        self.__dict__[name] = kept

    def named_buffers(self) -> list[tuple[str, Any]]:
        """The buffers of the whole tree with qualified names.

        Returns
        -------
        list of (str, ndarray or float)
            In the order of registration, a module's own before its children's. The arrays themselves, not copies.
        """
        return [
            (f"{path}.{name}" if path else name, getattr(module, name))
            for path, module in self.named_modules()
            for name in module._buffers
        ]

    # ---- state --------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers under torch's names and in torch's layouts.

        ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})`` works
        for the model with the same layers. As there, a tied parameter has each of its names.

        Returns
        -------
        dict of str to ndarray
            Copies: nothing that is done to them changes the model.
        """
        return {name: _copied(array) for name, array in self._arrays().items()}

    def _arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`state_dict` copies: the parameters and buffers themselves, seen in torch's layouts."""
        found = {}
        for path, module in self.named_modules():
            own = module._export() | {name: np.asarray(getattr(module, name)) for name in module._buffers}
            found.update({f"{path}.{name}" if path else name: array for name, array in own.items()})
        return found

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy values in. If anything is refused or fails the model stays as it was.

        Parameters
        ----------
        state : mapping of str to ndarray
            As :meth:`state_dict` gives, or torch's with tensors turned to arrays. Names must be exactly the
            model's. NaN is taken.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a shape differs, or the names of a tied parameter have different values.
        TypeError
            If `state` is no mapping or a value is not an array of real numbers.
        """
        _state.load_arrays(self, state)  # type: ignore[arg-type]

    def _fill_from(
        self, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]], read: Callable[[str], np.ndarray]
    ) -> None:
        """:meth:`load_state_dict` of a new model: each array is read when it is wanted, and no value is kept to go back
        to. What the `shapes` refuse is refused before the first is read."""
        _state.fill_arrays(self, shapes, read)  # type: ignore[arg-type]

    def random_state(self) -> dict[str, Any]:
        """What decides the numbers to come, nested by attribute; layers that draw none are left out.

        That is the state of every :class:`fastdl.random.Generator` (and NumPy's and Python's) that a module holds as
        an attribute or in a list, tuple or dict, each once where several share it, and of the layers that draw masks.

        Returns
        -------
        dict
            What :meth:`load_random_state` takes: ints, lists and dicts of them.
        """
        return _state.random_state(self, set())  # type: ignore[arg-type]

    def load_random_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`random_state` was taken.

        Parameters
        ----------
        state : mapping
            As :meth:`random_state` gives.

        Raises
        ------
        TypeError, ValueError
            If it is not a state of this model; all generators and layers stay as they were.
        """
        _state.load_random_state(self, state)  # type: ignore[arg-type]

    def _gathers_random(self) -> bool:
        """Whether this module's random state is gathered by its parent's, having no method of its own."""
        return type(self).random_state is Stateful.random_state

    def _own_random_state(self) -> dict[str, Any]:
        """What a layer that draws masks adds to its generators and children."""
        return {}

    def _load_own_random_state(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`_own_random_state` gave, from among the rest."""

    def _export(self) -> dict[str, np.ndarray]:
        """This module's own parameters in torch's layout: views of them, where they have it."""
        return {
            name: parameter.data.T if parameter.transposed else parameter.data
            for name, parameter in self._parameters.items()
        }

    def _import(self, arrays: dict[str, np.ndarray]) -> None:
        """Undo :meth:`_export`; shapes have been checked."""
        for name, parameter in self._parameters.items():
            parameter.data = arrays[name].T if parameter.transposed else arrays[name]


def _copied(array: np.ndarray) -> np.ndarray:
    copy = np.empty(array.shape, array.dtype)
    lay(copy, array)
    return copy
