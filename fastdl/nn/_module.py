"""What every layer is: parameters, buffers, children, modes, state."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validate import flag
from . import _state
from ._arena import Arena, Changes
from ._check import GradientChecks, check_gradients
from ._derived import derived_backward, prepare
from ._links import Link, link, refilled
from ._parameter import Parameter
from ._stateful import Stateful
from ._tape import Tape
from ._tree import Missing, apply, check_replaces, shown_tree, uninitialised, warn_of_strangers

_REGISTRIES = ("_parameters", "_buffers", "_children")


class Module(Stateful):
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
    _derived = False  # whether backward is derived from forward
    _given: tuple[tuple[Any, ...], dict[str, Any]]
    _forwards: type  # the class whose forward is called
    _each_step = False  # whether forward takes each time step alone, in evaluation
    _inline = False  # whether a derived forward that hands it states records the calls of its layers instead of its own
    _parameters: dict[str, Parameter]
    _buffers: dict[str, None]  # names; the values are attributes
    _children: "dict[str, Module]"
    _arena: Arena | None
    _tape: Tape

    def __new__(cls, *args: Any, **kwargs: Any) -> "Module":
        """Remember what the constructor is called with: a file that describes the model has it (fastdl.saving)."""
        self = object.__new__(cls)
        self.__dict__["_given"] = args, kwargs
        return self

    # What help shows of a class without a constructor of its own.
    __new__.__signature__ = inspect.Signature([inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)])  # type: ignore[attr-defined]

    def __init__(self) -> None:
        if "_parameters" in self.__dict__:  # a second base's call: what was assigned since the first stays
            return
        self.__dict__.update(_parameters={}, _buffers={}, _children={}, _arena=None, _tape=Tape(type(self).__name__))
        self.training = True

    def __init_subclass__(cls, alone: bool = False, **kwargs: Any) -> None:
        """Any class's own ``forward`` becomes all or nothing, but for `alone`: layers that call no others.

        Where the class writes no ``backward`` for it, that is derived.
        """
        super().__init_subclass__(**kwargs)
        prepare(cls, Module, alone)

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
        state["_given"] = refilled(self._given, _portable)
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
            In training mode the layer saves what its backward needs.

        Raises
        ------
        TypeError
            Here, since a subclass has to define it.
        """
        raise TypeError(f"{type(self).__name__} defines no forward")

    if TYPE_CHECKING:  # a layer's own takes what it wants

        def backward(self, dy: np.ndarray, *args: Any, **kwargs: Any) -> Any: ...

    else:

        def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
            """Add to the gradients of the parameters; derived from ``forward`` where a layer does not write its own.

            Parameters
            ----------
            dy : ndarray, or tuple, list or dict of them
                Gradient of the loss with respect to what the last forward without a backward returned, in its form.
                Where there are several None stands for zeros.
            input_gradient : bool, default True
                Whether the gradient with respect to the input is wanted.

            Returns
            -------
            ndarray, or tuple, list or dict of them
                Gradient with respect to that forward's argument, in its form; of several arguments a tuple. None for
                what is no array of floats, and with ``input_gradient=False``.

            Raises
            ------
            TypeError, ValueError
                If `dy` does not fit the outputs, or the module defines no forward; nothing is written then.
            RuntimeError
                If no forward in training mode waits for it.

            Notes
            -----
            A derived backward that fails on its way empties the tapes and forgets the gradients of the module.
            """
            if type(self).forward is Module.forward:
                raise TypeError(f"{type(self).__name__} defines no forward")
            if not self._derived:
                raise TypeError(
                    f"{type(self).__name__}: super().backward of a class that writes none: it is derived where no "
                    "class below writes its own; leave backward out, or write all of it"
                )
            return derived_backward(self, dy, flag("input_gradient", input_gradient))

        backward.derives = True

    def _link(self, args: Any, kwargs: Any, result: Any, backward: Any) -> Link:
        """How a call within a derived forward is tied to its backward; layers with several ways in or out say so."""
        return link(self, args, kwargs, result, backward)

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

    def check_gradients(
        self, *args: Any, entries: int = 8, rtol: float = 1e-5, rng: int | None = 0, **kwargs: Any
    ) -> GradientChecks:
        """Compare what ``backward`` gives with differences of ``forward``, in float64.

        Parameters
        ----------
        *args, **kwargs : ndarray, or what forward takes
            The inputs; arrays of floats are taken as float64.
        entries : int, default 8
            Of each parameter and input so many entries are compared, drawn where it has more.
        rtol : float, default 1e-5
            Largest relative difference that passes (:func:`fastdl.curvature.check_gradient`).
        rng : None, int or fastdl.random.Generator, default 0
            Decides the entries, and the weights under which all outputs become one number.

        Returns
        -------
        fastdl.nn.GradientChecks
            A verdict for each parameter and input, by name: true where all passed; it prints as a table.

        Raises
        ------
        TypeError, ValueError
            If the module refuses its inputs, or computes in float32 whatever its parameters are.

        Notes
        -----
        A copy of the module is checked: the module keeps its values, gradients, tapes and random numbers. It runs in
        training mode, with the same masks each time.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> class Wrong(fd.nn.Module):
        ...     def forward(self, x):
        ...         self._tape.append(x)
        ...         return x * x
        ...     def backward(self, dy):
        ...         return dy * self._pop()
        >>> Wrong().check_gradients(np.array([3.0]))
        x  FAILED: worst entry [0]: given ..., expected ... +- ..., relative difference 0.5
        """
        return check_gradients(self, args, kwargs, entries, rtol, rng)

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
        """Switch this module and all below it to evaluation: dropout is the identity and nothing is saved for backward.

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
                warn_of_strangers(self, _REGISTRIES, (Module, Parameter))
            arena.names = [name for name, _ in named]
            arena._tree_at = Changes.count
            arena._serve(self)
        return arena

    def zero_grad(self) -> None:
        """Forget the gradients: the next write to each overwrites it. Forwards wait for their backward as before."""
        if self._arena is not None and self._arena._current:
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

    # ---- what a reader sees -------------------------------------------------------------------------
    def _describe(self) -> str:
        """The constructor call, without the children."""
        return f"{type(self).__name__}()"

    def __repr__(self) -> str:
        return shown_tree(self)


def _portable(one: Any) -> Any:
    """An argument as copies and pickles keep it: of a function its name, since it may be one that no file can hold."""
    return f"a function, {getattr(one, '__name__', '')}" if inspect.isfunction(one) else one
