"""Layers under the names "0", "1", ...: what lists of layers have in common."""

from collections.abc import Iterable, Iterator
from typing import Any

from .._validate import integer, item, iterated
from ._module import Module


def layer_of(name: str, value: Any) -> Module:
    """A layer; anything else is refused."""
    if not isinstance(value, Module):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a fastdl.nn layer")
    return value


def layers_of(name: str, values: Any) -> list[Module]:
    """Layers of an iterable."""
    found = list(iterated(name, values, "several fastdl.nn layers"))
    return [layer_of(f"{name}[{index}]", one) for index, one in enumerate(found)]


class Listed(Module):
    """A module whose children are a list, as :class:`Sequential` and :class:`ModuleList`."""

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._children.values())

    def __getitem__(self, index: Any) -> Any:
        found = item("index", index, list(self._children.values()))
        return found if isinstance(found, Module) else self._like(found)

    def __setitem__(self, index: int, layer: Module) -> None:
        setattr(self, self._name_at(index), layer_of("layer", layer))

    def __delitem__(self, index: Any) -> None:
        layers = list(self._children.values())
        item("index", index, layers)
        del layers[index]
        self._hold(layers)

    def append(self, layer: Module) -> Any:
        """Add a layer at the end.

        Parameters
        ----------
        layer : Module

        Returns
        -------
        Module
            This one.

        Raises
        ------
        TypeError
            If it is no layer.
        """
        setattr(self, str(len(self)), layer_of("layer", layer))
        return self

    def extend(self, layers: Iterable[Module]) -> Any:
        """Add layers at the end.

        Parameters
        ----------
        layers : iterable of Module

        Returns
        -------
        Module
            This one.

        Raises
        ------
        TypeError
            If it is no iterable of layers; none is added then.
        """
        for one in layers_of("layers", layers):
            self.append(one)
        return self

    def insert(self, index: int, layer: Module) -> Any:
        """Add a layer before the one at an index; those behind it move up.

        Parameters
        ----------
        index : int
            As of a list: from the end if negative.
        layer : Module

        Returns
        -------
        Module
            This one.

        Raises
        ------
        TypeError, ValueError
            If the index is no integer within the list or its end, or `layer` is no layer.
        """
        layers = list(self._children.values())
        layers.insert(integer("index", index, -len(layers), len(layers)), layer_of("layer", layer))
        self._hold(layers)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take a layer out; those behind it move down.

        Parameters
        ----------
        index : int, default -1
            As of a list.

        Returns
        -------
        Module
            The layer.

        Raises
        ------
        TypeError, IndexError
            If the index is no integer, or there is none such.
        """
        layer: Module = item("index", integer("index", index), list(self._children.values()))
        del self[index]
        return layer

    def _like(self, layers: list[Module]) -> Any:
        """The same kind of list, of some of the layers."""
        raise TypeError(f"{type(self).__name__} defines no slices")

    def _name_at(self, index: Any) -> str:
        name: str = item("index", integer("index", index), list(self._children))
        return name

    def _hold(self, layers: list[Module]) -> None:
        """These layers and no others, numbered anew."""
        for name in list(self._children):
            delattr(self, name)
        for index, one in enumerate(layers):
            setattr(self, str(index), one)
