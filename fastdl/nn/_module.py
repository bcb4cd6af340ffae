"""What every layer is: parameters, children, modes, state; and the chain of layers."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._validate import check_shape
from ._parameter import Arena, Parameter

_changes = 0  # parameters and children assigned so far, to any module


class Module:
    """Base of all layers: subclass it, assign parameters and children as attributes, write both passes.

    In training mode ``forward`` pushes what ``backward`` needs on ``self._tape`` (references, no copies) and
    ``backward`` pops it, so a layer may run several times before its backward. In evaluation mode nothing is
    stored and a model may be shared by threads.

    Attributes
    ----------
    training : bool
        Mode, True at first; see :meth:`train` and :meth:`eval`.
    """

    def __init__(self) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._children: dict[str, Module] = {}
        self._arena: Arena | None = None
        self._arena_at = -1
        self._tape: list[Any] = []
        self.training = True

    def __setattr__(self, name: str, value: Any) -> None:
        global _changes
        if isinstance(value, Parameter):
            self._parameters[name] = value
            _changes += 1
        elif isinstance(value, Module):
            self._children[name] = value
            _changes += 1
        elif name != "_parameters" and name in self.__dict__.get("_parameters", ()):
            self._parameters[name].data = value  # assignment copies in: the view stays in the arena
            return
        object.__setattr__(self, name, value)

    # ---- the two passes -----------------------------------------------------------------------------
    def forward(self, x: np.ndarray, *args: Any, **kwargs: Any) -> Any:
        """The layer's output for `x`."""
        raise TypeError(f"{type(self).__name__} defines no forward")

    def backward(self, dy: np.ndarray) -> Any:
        """Add to the gradients of the parameters and return the gradient of the last forward's input."""
        raise TypeError(f"{type(self).__name__} defines no backward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def _pop(self) -> Any:
        if not self._tape:
            raise RuntimeError(
                f"{type(self).__name__}.backward: no forward to undo: "
                "call forward in training mode first, once per backward"
            )
        return self._tape.pop()

    # ---- modes --------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> "Module":
        """Switch this module and its children to training (or, with False, evaluation); returns itself."""
        for module in self.modules():
            module.training = mode
            module._tape.clear()
        return self

    def eval(self) -> "Module":
        """Switch to evaluation: dropout is the identity and nothing is kept for backward."""
        return self.train(False)

    # ---- the tree -----------------------------------------------------------------------------------
    def modules(self) -> Iterator["Module"]:
        """This module and all below it, depth first."""
        yield self
        for child in self._children.values():
            yield from child.modules()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """The same with qualified names; this module's is ""."""
        yield prefix, self
        for name, child in self._children.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """(qualified name, parameter) of the whole tree, in order; a shared parameter appears once."""
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
        """
        # Whatever changes the tree of any model counts up _changes, so most calls need not walk it.
        arena = self._arena
        if arena is None or self._arena_at != _changes or not arena.is_current():
            named = self.named_parameters()
            if arena is None or not arena.is_current() or [id(p) for _, p in named] != [id(p) for p in arena]:
                self._arena = arena = Arena(named)
            self._arena_at = _changes
        return arena

    def zero_grad(self) -> None:
        """Forget the gradients: the next write to each overwrites it."""
        self.parameters().renew_gradients()

    # ---- state --------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters under torch's names and in torch's layouts.

        ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})`` works
        for the model with the same layers.
        """
        return {
            f"{path}.{name}" if path else name: array
            for path, module in self.named_modules()
            for name, array in module._export().items()
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy values in. Nothing is written unless every name and shape fits.

        Parameters
        ----------
        state : mapping of str to ndarray
            As :meth:`state_dict` gives, or torch's with tensors turned to arrays. Names must be exactly the
            model's.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape differs.
        TypeError
            If a value is not an array of real numbers.
        """
        expected = self.state_dict()
        missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
        if missing or unknown:
            raise ValueError(
                f"state: names do not fit the model: missing {missing or 'none'}, unknown {unknown or 'none'}"
            )
        arrays = {name: np.asarray(value) for name, value in state.items()}
        for name, array in arrays.items():
            if array.dtype.kind not in "fiu":
                raise TypeError(f"state[{name!r}]: got dtype {array.dtype}, expected real numbers")
            check_shape(f"state[{name!r}]", array, expected[name].shape)
        for path, module in self.named_modules():
            prefix = f"{path}." if path else ""
            names = module._export().keys()
            if names:
                module._import({name: arrays[prefix + name] for name in names})

    def random_state(self) -> dict[str, Any]:
        """What decides the masks to come, nested by child; layers that draw none are left out."""
        states = {name: child.random_state() for name, child in self._children.items()}
        return {name: state for name, state in states.items() if state}

    def load_random_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`random_state` was taken.

        Raises
        ------
        ValueError
            If the names are not this model's.
        """
        expected = self.random_state()
        if state.keys() != expected.keys():
            raise ValueError(f"state: got {sorted(state)}, expected {sorted(expected)}")
        for name in expected:
            self._children[name].load_random_state(state[name])

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
        rows: list[tuple[str, int]] = []

        def visit(module: Module, label: str, depth: int) -> None:
            own = sum(parameter.size for parameter in module._parameters.values())
            rows.append(("  " * depth + label + module._describe(), own))
            for name, child in module._children.items():
                visit(child, f"({name}) ", depth + 1)

        visit(self, "", 0)
        total = sum(parameter.size for _, parameter in self.named_parameters())
        if len(rows) == 1:
            return f"{rows[0][0]}  # {total:,} parameters"
        width = max(len(text) for text, _ in rows)
        lines = [f"{text:<{width}}  {count:>12,}" if count else text for text, count in rows]
        return "\n".join([*lines, f"{'total':<{width}}  {total:>12,}"])


class Sequential(Module):
    """Layers one after the other.

    Parameters
    ----------
    *layers : Module
        Each layer's output is the next one's input. Children are named "0", "1", ... as in torch.

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

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        for index, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"layers[{index}]: got {type(layer).__name__}, expected a fastdl.nn layer")
            setattr(self, str(index), layer)

    def __len__(self) -> int:
        return len(self._children)

    def __getitem__(self, index: int) -> Module:
        return list(self._children.values())[index]

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
        """
        states = [None] * len(self) if state is None else state
        if len(states) != len(self):
            raise ValueError(f"state: got {len(states)} entries, expected {len(self)}, one per layer")
        final: list[Any] = []
        for layer, initial in zip(self._children.values(), states, strict=True):
            if initial is not None or (return_state and hasattr(layer, "initial_state")):
                x, after = layer.forward(x, initial, return_state=True)
                final.append(after)
            else:
                x = layer.forward(x)
                final.append(None)
        return (x, final) if return_state else x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Run the chain backwards; returns the gradient of the last forward's input."""
        for layer in reversed(self._children.values()):
            dy = layer.backward(dy)
        return dy
