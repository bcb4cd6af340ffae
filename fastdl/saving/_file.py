"""The file: what is in it, and what is asked of it when it is read."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import _safetensors
from .._trees import flatten, restore
from .._validate import mapping
from .._version import __version__
from ..nn import Module
from ..random._generator import without_drawing
from ._build import Builder, classes
from ._describe import Description

FORMAT = "fastdl model 1"
_ARGUMENT = "argument."  # before the names of arrays that constructors took
_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


def save(model: Module, path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model to a file: what it is made of, its settings and its weights (docs/saving.md).

    Parameters
    ----------
    model : fastdl.nn.Module, or fitted estimator of fastdl.estimators
        Of ready layers and of one's own. Tied parameters stay tied, frozen ones frozen, and masks go on where they
        were. Of an estimator, settings and what it learnt, but not the place in an unfinished training.
    path : str or path-like
        The file, in the safetensors layout, replaced atomically. Its folder must exist.
    metadata : mapping of str to str, optional
        Kept beside the rest; :func:`info` shows it.

    Raises
    ------
    TypeError
        If `model` is none, or a module was made with something that a file cannot hold, a function say.
    ValueError
        If the constructors, called as they were, do not make this model: it was changed since.
    OSError
        If the file cannot be written; one that was there is as it was.

    Notes
    -----
    A module is described by its class and by what its constructor was called with; of :class:`fastdl.nn.Sequential`,
    :class:`fastdl.nn.ModuleList` and :class:`fastdl.nn.ModuleDict` by what they hold now. Before anything is written
    the model is made anew of its description and compared, so what cannot be read is refused here.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    >>> x = np.ones((5, 1, 3), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fd.save(model, path)
    ...     again = fd.load(path)
    >>> bool((again(x) == model.eval()(x)).all()), again.training
    (True, False)
    """
    arrays, described = contents(model._as_module() if hasattr(model, "_as_module") else model)
    own = _strings(metadata)
    _safetensors.save(path, arrays, {**own, "format": FORMAT, "model": json.dumps(described), "fastdl": __version__})


def architecture(model: Module) -> tuple[dict[str, np.ndarray], str] | None:
    """What a checkpoint adds to the weights, so that :func:`load` reads it: arrays and a text; None where it cannot."""
    try:
        arrays, described = contents(model)
    except (TypeError, ValueError):
        return None
    return {name: one for name, one in arrays.items() if name.startswith(_ARGUMENT)}, json.dumps(described["modules"])


def contents(model: Module) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a model's file, and the description that goes with them."""
    if not isinstance(model, Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a fastdl.nn.Module")
    described = Description(model)
    arrays = values_of(model)
    random: dict[str, np.ndarray] = {}
    plan = {
        "modules": described.modules,
        "frozen": [name for name, one in model.named_parameters() if one.frozen],
        "random": flatten(model.random_state(), "random", random),
    }
    arguments = {_ARGUMENT + name: one for name, one in described.arrays.items()}
    custom = {type(one).__name__: type(one) for one in model.modules()}
    with without_drawing():
        twin = Builder(described.modules, described.arrays, custom).module()
    _compare(model, twin)
    return {**arrays, **arguments, **random}, plan


def values_of(model: Module) -> dict[str, np.ndarray]:
    """What a file keeps of a model: its parameters and buffers themselves, or what a state_dict of its own gives."""
    return model._arrays() if type(model).state_dict is Module.state_dict else dict(model.state_dict())


def _compare(model: Module, twin: Module) -> None:
    """Refuse to save what would not come back: other modules, other arrays."""
    for name, described in (("modules", _outline(model)), ("parameters and buffers", _arrays(model))):
        again = _outline(twin) if name == "modules" else _arrays(twin)
        for key in [*described, *again]:
            if described.get(key) != again.get(key):
                raise ValueError(
                    f"model: its {name} are not those that its constructors make: {key or type(model).__name__} is "
                    f"{described.get(key, 'not there')}, made anew {again.get(key, 'not there')}; what a module is "
                    "changed to after it was made has to be an argument of its constructor"
                )


def _outline(model: Module) -> dict[str, str]:
    """What every module calls itself, by its path."""
    return {path: one._describe() for path, one in model.named_modules()}


def _arrays(model: Module) -> dict[str, str]:
    """Shapes and types by name; a tied parameter says with which."""
    first: dict[int, str] = {}
    found = {}
    for path, module in model.named_modules():
        for name, one in module._parameters.items():
            full = f"{path}.{name}" if path else name
            own = first.setdefault(id(one), full)
            found[full] = f"{one.dtype} {one.shape}" + ("" if own == full else f", tied to {own}")
        for name in module._buffers:
            array = np.asarray(getattr(module, name))
            found[f"{path}.{name}" if path else name] = f"{array.dtype} {array.shape}"
    return found


def load(path: str | os.PathLike[str], *, custom: Iterable[type[Module]] = ()) -> Any:
    """Read a model that :func:`save`, a checkpoint or :class:`fastdl.training.SaveBest` wrote (docs/saving.md).

    Parameters
    ----------
    path : str or path-like
        The file. Reading it executes nothing: it names classes and holds their arguments.
    custom : iterable of subclass of fastdl.nn.Module, optional
        Classes of one's own that the file names.

    Returns
    -------
    fastdl.nn.Module, or estimator
        As it was saved; a module in evaluation mode. ``train()`` it to go on.

    Raises
    ------
    TypeError
        If `path` or `custom` is something else.
    ValueError
        If the file is damaged, of another library, or names a class that is not given: with the reason.
    OSError
        If it cannot be read.

    See Also
    --------
    save : its counterpart, with an example.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastdl as fd
    >>> class Doubled(fd.nn.Module):
    ...     def __init__(self, size):
    ...         super().__init__()
    ...         self.linear = fd.nn.Linear(size, size, rng=0)
    ...     def forward(self, x):
    ...         return 2 * self.linear(x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fd.save(Doubled(3), path)
    ...     fd.load(path, custom=[Doubled])
    Doubled()
      (linear) Linear(3, 3)            12
    total                              12
    """
    own = classes(custom)
    with _safetensors.opened(path) as source:
        if not _is_char_lm(source.metadata):
            try:
                model = _model(source, own)
                loaded = model._as_loaded() if hasattr(model, "_as_loaded") else model
            except _DAMAGE as error:
                source.check()  # of a damaged file that is the reason
                reason = (
                    str(error) if isinstance(error, (ValueError, TypeError)) else f"damaged: {type(error).__name__}"
                )
                raise ValueError(reason) from None
            source.check()
            return loaded
    from importlib import import_module

    return import_module("fastdl.models").CharLM.load(path)


def _model(source: _safetensors.Source, custom: Mapping[str, type[Module]]) -> Any:
    """The model that a file describes; whoever gets it has to ask for the file's checksum."""
    described, names = _parts(source.shapes, source.metadata)
    arguments = {
        name.removeprefix(_ARGUMENT): source.array(name) for name in source.shapes if name.startswith(_ARGUMENT)
    }
    with without_drawing():
        model = Builder(described["modules"], arguments, custom).module()
    if type(model).load_state_dict is Module.load_state_dict:
        model._fill_from(
            {name: source.shapes[one] for name, one in names.items()}, lambda name: source.array(names[name])
        )
    else:  # of somebody's own
        model.load_state_dict({name: source.array(one) for name, one in names.items()})
    random = {name: source.array(name) for name in source.shapes if name.startswith("random.")}
    model.load_random_state(restore(described["random"], random))
    frozen = set(described["frozen"])
    for name, one in model.named_parameters():
        one.requires_grad = name not in frozen
    return model.eval()


def _is_char_lm(metadata: Mapping[str, str]) -> bool:
    """Whether it is what :meth:`fastdl.models.CharLM.save` writes."""
    return str(metadata.get("model", "")).startswith("fastdl CharLM")


def _parts(names: Iterable[str], metadata: Mapping[str, str]) -> tuple[Any, dict[str, str]]:
    """The description of a model's file or a checkpoint, and how the file names its arrays; other files are refused."""
    names = list(names)
    if metadata.get("format") == FORMAT:
        rest = ("random.", _ARGUMENT)
        return json.loads(metadata["model"]), {name: name for name in names if not name.startswith(rest)}
    if str(metadata.get("format", "")).startswith("fastdl checkpoint"):
        if "architecture" not in metadata:
            raise ValueError("a checkpoint of a model that no file can describe: make the model and resume the run")
        training = json.loads(metadata["training"])
        modules = json.loads(metadata["architecture"])
        weights = {name[6:]: name for name in names if name.startswith("model.")}
        return {"modules": modules, "random": training["random"], "frozen": training["frozen"]}, weights
    raise ValueError(
        f"holds {len(names)} arrays of another library and no model: make the model and call "
        "load_state_dict(safetensors.numpy.load_file(path))"
    )


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file holds, without making a model of it (docs/saving.md).

    Parameters
    ----------
    path : str or path-like
        A file in the safetensors layout.

    Returns
    -------
    dict
        "format", "classes" (how many modules of each class), "arrays" (shape and type by name), "parameters" (numbers
        in all arrays of the model), "bytes", and "metadata", the other strings.

    Raises
    ------
    ValueError
        If the file is damaged.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fd.save(fd.nn.Linear(3, 2, rng=0), path, metadata={"by": "me"})
    ...     found = fd.saving.info(path)
    >>> found["classes"], found["parameters"], found["metadata"]
    ({'Linear': 1}, 8, {'by': 'me'})
    """
    tensors, metadata = _safetensors.load(path)
    found: dict[str, int] = {}
    own = {"format", "model", "architecture", "fastdl", "training", "sha256"}
    arrays, kind = dict(tensors), metadata.get("format", "arrays of another library")
    if "format" not in metadata and _is_char_lm(metadata):
        kind, found["CharLM"] = metadata["model"], 1
    try:
        described, names = _parts(tensors, metadata)
        for entry in described["modules"]:
            short = entry["class"].rpartition(".")[2]
            found[short] = found.get(short, 0) + 1
        arrays = {name: tensors[one] for name, one in names.items()}
    except _DAMAGE:
        pass  # a file without a description still has its arrays
    return {
        "format": kind,
        "classes": found,
        "arrays": {name: (one.shape, str(one.dtype)) for name, one in arrays.items()},
        "parameters": sum(one.size for one in arrays.values()),
        "bytes": os.path.getsize(path),
        "metadata": {name: text for name, text in metadata.items() if name not in own},
    }


def _strings(metadata: Any) -> dict[str, str]:
    own = {} if metadata is None else dict(mapping("metadata", metadata, "texts to texts"))
    for name, value in own.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata[{name!r}]: got {type(value).__name__}, expected a str")
        if name in ("format", "model", "fastdl"):
            raise ValueError(f"metadata: got {name!r}, which is the file's own, expected another name")
    return own
