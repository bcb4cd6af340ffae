"""Modules that hold others: lists and dicts of layers, and a layer beside which the input goes on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._validate import flag, float_array, shown, written_as
from ._backward import backward, needs_gradient
from ._handing import check_lengths, check_state, parted, run
from ._listed import Listed, layer_of, layers_of
from ._module import Module


class ModuleList(Listed):
    """Layers in a list, which are parts of the model: trained, saved and moved with it (docs/nn.md).

    It runs nothing by itself: the module that holds it calls its layers. In a plain list they would not be found.

    Parameters
    ----------
    modules : iterable of Module, optional
        The layers. They are named "0", "1", ... as in torch.

    Raises
    ------
    TypeError
        If it is no iterable of layers.

    Examples
    --------
    >>> import fastdl as fd
    >>> heads = fd.nn.ModuleList([fd.nn.Linear(4, 2, rng=0), fd.nn.Linear(4, 3, rng=1)])
    >>> heads.append(fd.nn.Linear(4, 5, rng=2))[-1]
    Linear(4, 5)  # 25 parameters
    >>> len(heads), len(heads[:2]), list(heads.state_dict())[:2]
    (3, 2, ['0.weight', '0.bias'])
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            for one in layers_of("modules", modules):
                self.append(one)

    def __add__(self, others: Iterable[Module]) -> "ModuleList":
        return self._like([*self, *layers_of("others", others)])

    def __iadd__(self, others: Iterable[Module]) -> "ModuleList":
        self.extend(others)
        return self

    def _like(self, layers: list[Module]) -> "ModuleList":
        return ModuleList(layers)


class ModuleDict(Module):
    """Layers by name, which are parts of the model: trained, saved and moved with it (docs/nn.md).

    It runs nothing by itself: the module that holds it calls its layers. In a plain dict they would not be found.

    Parameters
    ----------
    modules : mapping of str to Module, or iterable of (str, Module), optional
        A name has no dot, and is none of the module's attributes.

    Raises
    ------
    TypeError, ValueError
        If something is no layer, or a name does not do.

    Examples
    --------
    >>> import fastdl as fd
    >>> heads = fd.nn.ModuleDict({"mean": fd.nn.Linear(4, 2, rng=0), "spread": fd.nn.Linear(4, 2, rng=1)})
    >>> list(heads), "mean" in heads, heads["mean"].out_features
    (['mean', 'spread'], True, 2)
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[str]:
        return iter(self._children)

    def __contains__(self, key: Any) -> bool:
        return isinstance(key, str) and key in self._children

    def __getitem__(self, key: str) -> Module:
        return self._children[self._known(key)]

    def __setitem__(self, key: str, layer: Module) -> None:
        setattr(self, self._free(key), layer_of("layer", layer))

    def __delitem__(self, key: str) -> None:
        delattr(self, self._known(key))

    def keys(self) -> Any:
        """The names.

        Returns
        -------
        view of str
            In the order in which they came.
        """
        return self._children.keys()

    def values(self) -> Any:
        """The layers.

        Returns
        -------
        view of Module
            In the order in which they came.
        """
        return self._children.values()

    def items(self) -> Any:
        """Names and layers.

        Returns
        -------
        view of (str, Module)
            In the order in which they came.
        """
        return self._children.items()

    def update(self, modules: Any) -> None:
        """Add layers, or put them in the place of others.

        Parameters
        ----------
        modules : mapping of str to Module, or iterable of (str, Module)

        Raises
        ------
        TypeError, ValueError
            If something is no layer, or a name does not do; nothing is added then.
        """
        pairs = self._pairs(modules)
        for key, layer in pairs:
            with written_as(key="modules"):
                self._free(key)
            layer_of(f"modules[{key!r}]", layer)
        for key, layer in pairs:
            self[key] = layer

    def pop(self, key: str) -> Module:
        """Take a layer out.

        Parameters
        ----------
        key : str
            Its name.

        Returns
        -------
        Module
            The layer.

        Raises
        ------
        TypeError, KeyError
            If the name is no text, or there is none such.
        """
        layer = self[key]
        del self[key]
        return layer

    def clear(self) -> None:
        """Take all layers out."""
        for key in list(self):
            del self[key]

    def _pairs(self, modules: Any) -> list[tuple[Any, Any]]:
        if isinstance(modules, (Mapping, ModuleDict)):
            return list(modules.items())
        wanted = "expected a mapping of names to layers, or (name, layer) pairs"
        try:
            return [(key, layer) for key, layer in modules]
        except (TypeError, ValueError):
            raise TypeError(f"modules: got {shown(modules)}, {wanted}") from None

    def _known(self, key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError(f"key: got {shown(key)}, expected a str")
        if key not in self._children:
            raise KeyError(f"key: got {shown(key)}, expected one of {', '.join(self._children) or 'none'}")
        return key

    def _free(self, key: Any) -> str:
        """A name that may be given to a layer."""
        if not isinstance(key, str):
            raise TypeError(f"key: got {shown(key)}, expected a str")
        if not key or "." in key or (key not in self._children and hasattr(self, key)):
            raise ValueError(f"key: got {key!r}, expected a name without a dot that no other attribute has")
        return key


class Residual(Module):
    """A layer beside which the input goes on: y = x + layer(x) (docs/nn.md).

    Parameters
    ----------
    layer : Module
        Its output has the shape of its input. What it takes beside it, `lengths` or a state, is handed on.

    Raises
    ------
    TypeError
        If it is no layer.

    Notes
    -----
    He et al. 2016, Deep Residual Learning for Image Recognition.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.Residual(fd.nn.ReLU())
    >>> layer.forward(np.array([-1.0, 2.0]))
    array([-1.,  4.])
    >>> layer.backward(np.ones(2))
    array([1., 2.])
    """

    _hands_on = True

    def __init__(self, layer: Module) -> None:
        super().__init__()
        self.layer = layer_of("layer", layer)

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None, return_state: bool = False) -> Any:
        """y = x + layer(x).

        Parameters
        ----------
        x : ndarray, float32 or float64
            Or (x, lengths).
        state : optional
            Initial states, for a layer that carries some.
        lengths : ndarray of int (B,), optional
            True lengths, for a layer that takes them.
        return_state : bool, default False
            Whether to return (y, final states) instead of y.

        Returns
        -------
        y : ndarray, of the shape of x
        state : with ``return_state=True``
            The layer's final states, None of one without.

        Raises
        ------
        TypeError, ValueError
            If the layer refuses what it is given, takes no lengths or states, or its output has another shape or type.
        """
        return_state = flag("return_state", return_state)
        x, lengths = parted(self, x, lengths)
        x = float_array("x", x)
        check_lengths(self, lengths)
        check_state("state", self.layer, state)
        y, after = run(self.layer, x, state, lengths, return_state)
        y = x + float_array(f"{type(self.layer).__name__}.forward", y, x.shape, x.dtype)
        if self.training:
            self._tape.append((x.shape, x.dtype))
        return (y, after) if return_state else y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """dx = dy + layer's gradient with respect to x.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether it is wanted.

        Returns
        -------
        ndarray or None
            None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, (shape, dtype) = flag("input_gradient", input_gradient), self._peek()
        if wanted or needs_gradient(self.layer):
            dy = float_array("dy", dy, shape, dtype)
        dx = backward(self.layer, dy, wanted)
        self._pop()
        return dy + dx if wanted else None
