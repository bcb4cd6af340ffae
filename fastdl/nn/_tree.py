"""What is asked of a module's tree: whether a parameter fits, what it does not know, how it is shown."""

from collections.abc import Callable
from typing import Any

from .._validate import function
from ._node import Node
from ._parameter import Parameter
from ._tape import warn


class Missing:
    """What stands for an attribute that ``Module.__init__`` sets, until it does."""

    def __get__(self, module: Any, kind: type) -> Any:
        if module is None:
            return self
        raise AttributeError(uninitialised(module))


def apply(self: Node, fn: Callable[[Any], Any]) -> Any:
    """Call a function with every module below this one, each after those below it, and last with this one.

    Parameters
    ----------
    fn : callable
        Takes a module; what it returns is dropped.

    Returns
    -------
    Module
        This module.

    Raises
    ------
    TypeError
        If `fn` cannot be called.

    Examples
    --------
    >>> import fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Tanh(), fd.nn.Linear(4, 2, rng=1))
    >>> def begin(layer):
    ...     if isinstance(layer, fd.nn.Linear):
    ...         fd.nn.init.xavier_uniform_(layer.weight, rng=2)
    ...         fd.nn.init.zeros_(layer.bias)
    >>> model.apply(begin) is model, bool(model[0].bias.data.any())
    (True, False)
    """
    function("fn", fn, "a function of a module")
    for child in list(self._children.values()):
        child.apply(fn)
    fn(self)
    return self


def uninitialised(module: Any) -> str:
    return f"{type(module).__name__}: call super().__init__() first in its __init__"


def check_replaces(module: Node, name: str, value: Parameter) -> None:
    """Refuse a parameter that does not fit where another was: it would compute something else."""
    had = module._parameters.get(name)
    if had is None or had is value:
        return
    where = f"{type(module).__name__}.{name}"
    tied = "; a head h @ E.T on an embedding is Linear(..., tied=embedding)"
    if value.shape != had.shape:
        raise ValueError(f"{where}: got a parameter of shape {value.shape}, expected {had.shape}{tied}")
    if value.dtype != had.dtype:
        raise ValueError(f"{where}: got a parameter of {value.dtype}, expected {had.dtype}")
    if value.transposed != had.transposed:
        kinds = {True: "transposed (inputs, outputs)", False: "as torch does"}
        raise ValueError(
            f"{where}: got a parameter stored {kinds[value.transposed]}, expected one stored "
            f"{kinds[had.transposed]}{tied}"
        )


def warn_of_strangers(model: Node, registries: tuple[str, ...], kinds: tuple[type, ...]) -> None:
    """Say so where a list or dict holds layers or parameters (`kinds`) that the model does not know, nor trains."""
    known = {id(one) for module in model.modules() for one in (module, *module._parameters.values())}
    for path, module in model.named_modules():
        for name, held in vars(module).items():
            if name in registries or not isinstance(held, (list, tuple, dict)):
                continue
            for one in held.values() if isinstance(held, dict) else held:
                if isinstance(one, kinds) and id(one) not in known:
                    warn(
                        f"{path or type(model).__name__}.{name}: holds a {type(one).__name__} that is no part "
                        "of the model and is not trained; assign it as an attribute, or use ModuleList or ModuleDict"
                    )
                    break


def shown_tree(model: Any) -> str:
    """A line a module, with how many parameters are its own, and their total."""
    rows: list[tuple[str, int]] = []
    counted: set[Parameter] = set()

    def visit(module: Node, label: str, depth: int) -> None:
        own = sum(parameter.size for parameter in {*module._parameters.values()} - counted)
        counted.update(module._parameters.values())
        rows.append(("  " * depth + label + module._describe(), own))
        for name, child in module._children.items():
            visit(child, f"({name}) ", depth + 1)

    visit(model, "", 0)
    total = sum(parameter.size for _, parameter in model.named_parameters())
    if len(rows) == 1:
        return f"{rows[0][0]}  # {total:,} parameters"
    width = max(len(text) for text, _ in rows)
    lines = [f"{text:<{width}}  {count:>12,}" if count else text for text, count in rows]
    return "\n".join([*lines, f"{'total':<{width}}  {total:>12,}"])
