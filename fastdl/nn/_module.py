"""What every layer is: parameters, buffers, children, modes, state."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validate import flag
from . import _state
from ._arena import Arena, Changes
from ._parameter import Parameter
from ._tape import Tape
from ._tree import Missing, apply, check_replaces, shown_tree, uninitialised, warn_of_strangers
from ._whole import whole

_REGISTRIES = ("_parameters", "_buffers", "_children")


class Module:
    """Base of all layers: subclass it, assign parameters and children as attributes, write both passes.

    In training mode ``forward`` pushes what ``backward`` needs on ``self._tape`` (references, no copies) and
    ``backward`` pops it with ``self._pop()``, so a layer may run several times before its backward. An optimizer's
    step frees what is left, and a forward that fails leaves nothing, in the layers it called neither. In evaluation
    mode nothing is stored and a model may be shared by threads.

    ``copy.deepcopy`` and ``pickle`` give an independent model, and an optimizer copied together with it goes on with
    the copy; ``copy.copy`` gives another module over the same parameters. docs/nn.md shows a layer of one's own.

    Attributes
    ----------
    training : bool
        Mode, True at first; see :meth:`train` and :meth:`eval`.
    requires_grad : bool
        Whether any parameter is trained; assigning freezes or unfreezes all.

    Raises
    ------
    ValueError
        If a parameter is assigned in the place of another with a shape, dtype or layout of its own.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> class Scale(fd.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = fd.nn.Parameter("factor", np.ones(1))
    ...     def forward(self, x):
    ...         if self.training:
    ...             self._tape.append(x)
    ...         return self.factor.data * x
    ...     def backward(self, dy):
    ...         self.factor.grad += (dy * self._pop()).sum()
    ...         return self.factor.data * dy
    >>> layer = Scale()
    >>> layer.backward(layer.forward(np.array([2.0, 3.0]))), layer.factor.grad
    (array([2., 3.]), array([13.]))
    """

    if not TYPE_CHECKING:  # a __getattr__ instead would slow down every attribute of every layer
        _parameters = _buffers = _children = _arena = _tape = training = Missing()

    training: bool
    _parameters: dict[str, Parameter]
    _buffers: dict[str, None]  # names; the values are attributes
    _children: "dict[str, Module]"
    _arena: Arena | None
    _tape: Tape

    def __init__(self) -> None:
        if "_parameters" in self.__dict__:  # a second base's call: what was assigned since the first stays
            return
        self.__dict__.update(_parameters={}, _buffers={}, _children={}, _arena=None, _tape=Tape(type(self).__name__))
        self.training = True

    def __init_subclass__(cls, alone: bool = False, **kwargs: Any) -> None:
        """Any class's own ``forward`` becomes all or nothing, but for `alone`: layers that call no others."""
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__ and not alone:
            cls.forward = whole(cls.forward)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, (Parameter, Module)):
            if "_parameters" not in own:
                raise AttributeError(uninitialised(self))
            place = "_parameters" if isinstance(value, Parameter) else "_children"
            if isinstance(value, Parameter):
                check_replaces(self, name, value)
            for registry in _REGISTRIES:
                if registry != place:
                    own[registry].pop(name, None)
            own[place][name] = value
            self._changed()
        elif name in own.get("_parameters", ()):
            self._parameters[name].data = value  # assignment copies in: the view stays in the arena
            return
        elif name in own.get("_buffers", ()):
            value = _state.changed_buffer(f"{type(self).__name__}.{name}", value, own[name])
        elif name in own.get("_children", ()):  # None, say: the child is no part of the model any more
            del self._children[name]
            self._changed()
        elif name == "_tape" and not isinstance(value, Tape):
            self._tape[:] = value
            return
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        for registry in _REGISTRIES:
            self.__dict__[registry].pop(name, None)
        self._changed()

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles take: no tapes, and of an arena that is another model's by now nothing."""
        state = self.__dict__.copy()
        for name in _REGISTRIES:
            state[name] = getattr(self, name).copy()
        state["_tape"] = Tape(type(self).__name__)
        if self._arena is not None and not self._arena.is_current():
            state["_arena"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._arena is not None:
            self._arena._serve(self)

    def _changed(self) -> None:
        """Called when a parameter or child came, went or was replaced."""
        Changes.count += 1

    # ---- the two passes -----------------------------------------------------------------------------
    def forward(self, x: np.ndarray, *args: Any, **kwargs: Any) -> Any:
        """The layer's output for `x`; each layer writes its own.

        Parameters
        ----------
        x : ndarray
            Input.
        *args, **kwargs : optional
            What else the layer takes.

        Returns
        -------
        ndarray, or what the layer says
            In training mode the layer keeps what its backward needs.

        Raises
        ------
        TypeError
            Here, since a subclass has to define it.
        """
        raise TypeError(f"{type(self).__name__} defines no forward")

    def backward(self, dy: np.ndarray) -> Any:
        """Add to the gradients of the parameters; each layer writes its own.

        Parameters
        ----------
        dy : ndarray
            Gradient of the loss with respect to what the last forward without a backward returned.

        Returns
        -------
        ndarray, or what the layer says
            Gradient with respect to that forward's input.

        Raises
        ------
        TypeError
            Here, since a subclass has to define it.
        """
        raise TypeError(f"{type(self).__name__} defines no backward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def _peek(self) -> Any:
        """What the last forward left; a backward pops it once nothing can be refused any more."""
        if not self._tape:
            raise RuntimeError(
                f"{type(self).__name__}.backward: no forward to undo: "
                "call forward in training mode first, once per backward; an optimizer's step forgets those before it"
            )
        return self._tape[-1]

    def _pop(self) -> Any:
        self._peek()
        return self._tape.pop()

    # ---- modes --------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> "Module":
        """Switch this module and all below it to training, and forget what forwards left for a backward.

        Parameters
        ----------
        mode : bool, default True
            False for evaluation, as :meth:`eval`.

        Returns
        -------
        Module
            This module.

        Raises
        ------
        TypeError, ValueError
            If `mode` is no bool; nothing is switched then.
        """
        mode = flag("mode", mode)
        for module in self.modules():
            module.training = mode
            module._tape.clear()
        return self

    def eval(self) -> "Module":
        """Switch this module and all below it to evaluation: dropout is the identity and nothing is kept for backward.

        Returns
        -------
        Module
            This module.
        """
        return self.train(False)

    # ---- the tree -----------------------------------------------------------------------------------
    def modules(self) -> Iterator["Module"]:
        """This module and all below it, depth first.

        Yields
        ------
        Module
            This one first, then its children in the order in which they were assigned, each before its own.
        """
        yield self
        for child in self._children.values():
            yield from child.modules()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """The modules of :meth:`modules` with qualified names.

        Parameters
        ----------
        prefix : str, default ""
            Name of this module, before those of the others.

        Yields
        ------
        name : str
            `prefix` for this module; with a dot between, the attribute's name for those below.
        module : Module
        """
        yield prefix, self
        for name, child in self._children.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    apply = apply

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The parameters of the whole tree with qualified names.

        Returns
        -------
        list of (str, Parameter)
            In the order in which they were assigned, a module's own before its children's. A shared parameter appears
            once, under its first name.
        """
        seen: set[int] = set()
        found = []
        for path, module in self.named_modules():
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    found.append((f"{path}.{name}" if path else name, parameter))
        return found

    def parameters(self) -> Arena:
        """All parameters, in one arena.

        The first call gathers them into contiguous buffers (values are kept); a layer that joins a larger
        model moves to that model's arena, and the old one is refused by optimizers from then on.

        Returns
        -------
        Arena
            The same one until the tree changes.

        Raises
        ------
        TypeError
            If the parameters are of two dtypes.

        Warns
        -----
        UserWarning
            If a list or dict holds layers that the model does not know, so that they would not be trained.
        """
        # Whatever changes the tree of any model counts up Changes, so most calls need not walk it.
        arena = self._arena
        if arena is None or arena._tree_at != Changes.count or not arena._current:
            named = self.named_parameters()
            if arena is None or not arena._current or [id(p) for _, p in named] != [id(p) for p in arena]:
                self._arena = arena = Arena(named)
                warn_of_strangers(self, _REGISTRIES)
            arena.names = [name for name, _ in named]
            arena._tree_at = Changes.count
            arena._serve(self)
        return arena

    def zero_grad(self) -> None:
        """Forget the gradients: the next write to each overwrites it. Forwards wait for their backward as before."""
        if self._arena is not None and self._arena.is_current():
            self.parameters().renew_gradients()
            return
        for _, parameter in self.named_parameters():  # nothing moves: parts may have optimizers of their own
            parameter.written = False
            if parameter._arena is not None:
                parameter._arena.renewals += 1

    # ---- what is trained ----------------------------------------------------------------------------
    def freeze(self) -> "Module":
        """Freeze all parameters (:meth:`Parameter.freeze`).

        Returns
        -------
        Module
            This module.
        """
        for _, parameter in self.named_parameters():
            parameter.freeze()
        return self

    def unfreeze(self) -> "Module":
        """Undo :meth:`freeze`, for all parameters.

        Returns
        -------
        Module
            This module.
        """
        for _, parameter in self.named_parameters():
            parameter.unfreeze()
        return self

    @property
    def requires_grad(self) -> bool:
        """Whether any parameter is trained; assigning freezes or unfreezes all."""
        return any(not parameter.frozen for _, parameter in self.named_parameters())

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        for _, parameter in self.named_parameters():
            parameter.requires_grad = value

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
        found = {}
        for path, module in self.named_modules():
            own = module._export() | {name: np.array(getattr(module, name)) for name in module._buffers}
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
        _state.load_arrays(self, state)

    def random_state(self) -> dict[str, Any]:
        """What decides the numbers to come, nested by attribute; layers that draw none are left out.

        That is the state of every :class:`fastdl.random.Generator` (and NumPy's and Python's) that a module holds as
        an attribute or in a list, tuple or dict, each once where several share it, and of the layers that draw masks.

        Returns
        -------
        dict
            What :meth:`load_random_state` takes: ints, lists and dicts of them.
        """
        return _state.random_state(self, set())

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
        _state.load_random_state(self, state)

    def _gathers_random(self) -> bool:
        """Whether this module's random state is gathered by its parent's, having no method of its own."""
        return type(self).random_state is Module.random_state

    def _own_random_state(self) -> dict[str, Any]:
        """What a layer that draws masks adds to its generators and children."""
        return {}

    def _load_own_random_state(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`_own_random_state` gave, from among the rest."""

    def _export(self) -> dict[str, np.ndarray]:
        """This module's own parameters in torch's layout."""
        return {
            name: parameter.data.T.copy() if parameter.transposed else parameter.data.copy()
            for name, parameter in self._parameters.items()
        }

    def _import(self, arrays: dict[str, np.ndarray]) -> None:
        """Undo :meth:`_export`; shapes have been checked."""
        for name, parameter in self._parameters.items():
            parameter.data = arrays[name].T if parameter.transposed else arrays[name]

    # ---- what a reader sees -------------------------------------------------------------------------
    def _describe(self) -> str:
        """The constructor call, without the children."""
        return f"{type(self).__name__}()"

    def __repr__(self) -> str:
        return shown_tree(self)
