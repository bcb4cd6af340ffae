"""What a call may do: the tables of exemptions, each with its reason, and the reading of messages."""

import inspect
import re
import traceback
from typing import Any

import fastdl as fd

from . import arrays
from .mutations import Raised

# Callable (a pattern) -> exceptions that are documented there beside ValueError and TypeError.
ALLOWED: tuple[tuple[str, tuple[type[BaseException], ...], str], ...] = (
    (r".*", (MemoryError,), "a legal size that this process may not have"),
    (r".*", (Raised,), "of the caller's own function: it comes back as it is"),
    (
        r".*\.(load|info|fit|save|read_text|read_corpus|to_csv|plot|on_\w+|__init__)",
        (OSError,),
        "of a path: no such file, a folder",
    ),
    (r".*\.(backward|step|jvp_backward)", (RuntimeError,), "no forward came before it"),
    (r".*\.(step|fit|finish_epoch|update)", (FloatingPointError,), "a gradient or loss that is not finite"),
    (
        r"curvature\.(FunctionPoint\.\w+|gradient|jacobian|hessian|check_gradient)",
        (IndexError,),
        "f's own, where x is short",
    ),
    (r".*\.(__getitem__|__setitem__|__delitem__|pop)", (KeyError, IndexError), "the protocol of subscripts"),
)
# Parameters that say how much: a huge one is legal and takes as long as it was asked to, if Ctrl-C ends it.
AMOUNTS = {
    "epochs", "draws", "max_length", "max_tries", "max_iterations", "samples", "probes", "steps", "width", "count", "k",
    "history", "max_evaluations", "batch_size", "size", "entries", "shape", "lags", "n", "layers", "num_layers",
}  # fmt: skip
# Arrays that a call changes, as its documentation says: callable (a pattern) -> parameters.
_RULES = [one.rule for one in vars(fd.optim).values() if isinstance(one, type) and hasattr(one, "rule")]
_STATES = " ".join({"param", "average", *(name for rule in _RULES for name in rule.arrays)})
_OBJECTS = (
    "parameters self model optimizer layer point closure callbacks run batches data penalties constraints rng "
    "embedding value direction named state x"
)
WRITES: tuple[tuple[str, str], ...] = (
    (r".*", "out"),
    (r"dense\.batch_norm_forward", "running_mean running_var"),
    (r"optim\..*_update(_rows)?", _STATES),
    (r"norms\.(max_norm_|unit_norm_|non_negative_)", "w"),
    (r"norms\.add_\w+", "grad"),
    (r"nn\.\w+_", "target"),
    (r"(norms|optim)\.clip_\w+", "arrays parameters"),
    (r"(curvature|training|models|optim|nn|norms)\..*", _OBJECTS),
    (r"metrics\.Metric\..*", "self"),
    (r"plots\..*", "ax"),
)
# What a call that is refused may leave changed: callable (a pattern) -> places, and why.
LEFT: tuple[tuple[str, str, str], ...] = (
    (
        r"curvature\.LBFGS\.step",
        r"self\._memory\.(_forgotten|_pairs\[\d+\]\[1\])",
        "gradients are forgotten before every call of the closure, which writes them and may return what is refused",
    ),
    (r"training\.fit", r"model\b.*\._tape\b.*", "a run forgets the forwards that wait for a backward, as `train` does"),
)
NUMPY = re.compile(
    r"could not broadcast|cannot be broadcast|No matching signature|Buffer (has|dtype)|cannot reshape|matmul:"
    r"|operands could|all the input array|negative dimensions|setting an array element|unsupported operand"
    r"|object is not (iterable|callable|subscriptable)|not supported between|has no len|has no attribute|cannot unpack"
    r"|not enough values|too many values|invalid literal|must be real number|cannot be interpreted as an integer"
    r"|unhashable|ufunc|indices must be|ambiguous|only \S+ arrays can be|argument must be|out of bounds|does not match"
    r"|zero-size|cannot convert|memoryview"
)


def allowed(name: str, error: BaseException) -> bool:
    """A refusal, or what the tables allow there, or what a function or layer of the caller's own raised."""
    if isinstance(error, (ValueError, TypeError)) and not isinstance(error, UnicodeError):
        return True
    return of_callers(error) or any(
        re.fullmatch(pattern, name) and isinstance(error, kinds) for pattern, kinds, _ in ALLOWED
    )


def abstract(name: str) -> bool:
    """What only subclasses have, under their own names, or only the library calls."""
    return name.startswith(
        (
            "optim.Optimizer.",
            "nn.Module.forward",
            "nn.Module.backward",
            "curvature.LossAt.hvp",
            "training.Run.train_epoch",
            "curvature.Landscape.__init__",
            "nn.ModuleDict.__call__",
            "nn.ModuleDict.backward",
            "nn.ModuleDict.forward",
            "nn.ModuleList.__call__",
            "nn.ModuleList.backward",
            "nn.ModuleList.forward",
            "reference.BatchNormTape.",
            "reference.LayerNormTape.",
            "reference.PoolTape.",
            "reference.RecurrentTape.",
        )
    )


def written(name: str, parameter: str) -> bool:
    return any(re.fullmatch(pattern, name) and parameter in names.split() for pattern, names in WRITES)


def left(name: str, place: str) -> bool:
    return any(re.fullmatch(pattern, name) and re.fullmatch(places, place) for pattern, places, _ in LEFT)


def is_refusal(error: BaseException) -> bool:
    return isinstance(error, (ValueError, TypeError))


def taken(owner: Any, method: str) -> list[str]:
    """What a method takes, by name; where it passes ``*args`` on to a layer's forward, what that takes for them."""
    names: list[str] = []
    for one in inspect.signature(getattr(owner, method)).parameters.values():
        if one.kind != one.VAR_POSITIONAL:
            names += [one.name] * (one.kind != one.VAR_KEYWORD)
        elif method in ("__call__", "check_gradients"):
            names += taken(owner, "forward")
        elif method == "forward" and hasattr(owner, "layer"):
            names += taken(owner.layer, "forward")[len(names) :]
        else:
            names.append(one.name)
    return names


def written_as(name: str, owner: Any, parameter: str, place: int | None) -> str:
    """An argument as the caller writes it: of a setter, the attribute that it sets; of ``*args``, what stands at that
    place of all arguments."""
    method = name.rpartition(".")[2]
    if isinstance(inspect.getattr_static(type(owner), method, None), property):
        return method
    names = [] if place is None or owner is None else taken(owner, method)
    return names[place] if place is not None and place < len(names) else parameter


def names_it(error: BaseException, mutated: list[tuple[str, str, Any]], parameters: list[str]) -> bool:
    """Whether the message begins with the argument that is wrong; of related arguments, with any of the call's."""
    message = str(error)
    head, colon, _ = re.sub(r"\[[^\]]*\]", "", message).partition(": ")  # indices and keys left out
    if not colon or (NUMPY.search(message) and ", expected" not in message):
        return False
    wanted = {name for name, _, _ in mutated}
    mentioned = any(re.search(rf"\b{re.escape(name)}\b", message) for name in wanted)
    if mentioned and re.match(r"[\w-]+\.safetensors: ", message):
        return True  # of a file that the call was given, as in "run.safetensors: another run's: callbacks ..."
    for _, done, value in mutated:
        what = re.sub(r"^(\[.*?\] )+", "", done)  # without the entry that was replaced
        if what.startswith("file") and isinstance(value, (str, list, tuple)) and message.split(": ")[0] in value:
            return True
        if what.startswith((*arrays.RELATED, "less", "more", "no items")):
            wanted.update(parameters)
        elif mentioned:
            wanted.update(parameters)  # as in "high: got 1, expected at least low, 2"
    found = re.findall(r"(?:^|, )(\w+(?:\.\w+)*)", head)  # "out, dW_x: ", "weight.data: ", "predict(0): "
    return any({one.split(".")[0], one.split(".")[-1]} & wanted for one in found)


# Callable -> the beginning of a refusal whatever the arguments: of an object that cannot do this.
OBJECTS = {"curvature.LossPoint.residuals": "loss: it is not a sum of squares"}


def of_its_object(name: str, error: BaseException) -> bool:
    """Whether it tells of the object, not of an argument of this call."""
    return name in OBJECTS and str(error).startswith(OBJECTS[name])


def of_callers(error: BaseException) -> bool:
    """Whether it comes from a function or layer that a recipe wrote itself, and so comes back as it is."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    last = next((file for file in reversed(files) if "/numpy/" not in file), "")  # who called NumPy
    return last.startswith("<example") or re.search(r"fuzz/extra\w*\.py$", last) is not None


def site(error: BaseException) -> str:
    """Where fastdl raised it, or what lay above the last frame of fastdl."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "/fastdl/" in one.filename]
    if not frames:
        return "outside"
    return f"{frames[-1].filename.split('/fastdl/')[-1]}:{frames[-1].name}:{frames[-1].lineno}"
