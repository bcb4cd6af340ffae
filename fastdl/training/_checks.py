"""What fit and evaluate ask of their arguments before anything happens."""

import inspect
from collections.abc import Iterable, Mapping, Sized
from typing import Any

import numpy as np

from .. import nn, optim
from .._validate import flag, integer, number
from ..nn._heads import Head
from ._callbacks import Callback
from ._held import refuse_held

_HOOKS = [name for name in vars(Callback) if not name.startswith("_")]
_PAIRS = "(x, y), arrays or lists of examples, or an iterable of (inputs, targets)"


def check_run(
    model: Any, optimizer: Any, loss: Any, count: Any, schedule: Any, callbacks: Any, penalties: Any, constraints: Any
) -> None:
    """What a run is made of."""
    check_model(model)
    check_optimizer(optimizer)
    check_loss(loss, count)
    check_parts(callbacks, penalties, constraints)
    check_schedule(schedule, optimizer)
    check_owned(model, optimizer)


def check_seen(loss: Any, metrics: Iterable[Any]) -> None:
    """Refuse metrics of classes where the model gives features, and the classes come with the loss of a head."""
    for place, one in enumerate(metrics if isinstance(getattr(loss, "__self__", None), Head) else ()):
        if isinstance(one, str):
            raise ValueError(
                f"metrics[{place}]: got {one!r}, expected a function of (features, targets), since the loss is a head's"
            )


def step_settings(max_norm: Any, accumulate: Any) -> tuple[float | None, int]:
    """How far gradients are scaled down, if at all, and how many batches a step takes."""
    accumulate = integer("accumulate", accumulate, 1)
    return None if max_norm is None else number("max_norm", max_norm, 0.0, open_low=True), accumulate


def carries(model: Any, carry_state: Any) -> bool:
    """Whether the state is carried from batch to batch; refused where the model's forward takes none."""
    if not flag("carry_state", carry_state):
        return False
    try:
        inspect.signature(model.forward).bind(None, None, return_state=True)
    except TypeError as error:
        raise ValueError(
            f"carry_state: got True, expected False, since {type(model).__name__}.forward(x, state, return_state=True) "
            f"is none ({error})"
        ) from None
    except ValueError:  # written in C, without a signature
        pass
    return True


def check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {_kind(model)}, expected a fastdl.nn.Module")


def check_optimizer(optimizer: Any) -> None:
    if isinstance(optimizer, type) or not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"optimizer: got {_kind(optimizer)}, expected one from fastdl.optim")
    try:
        inspect.signature(optimizer.step).bind()
    except TypeError as error:
        raise TypeError(
            f"optimizer: got {type(optimizer).__name__}, expected one whose step needs no argument ({error})"
        ) from None
    except ValueError:  # written in C, without a signature
        pass


def check_owned(model: Any, optimizer: Any) -> None:
    """Refuse an optimizer over parameters that are not the model's; nothing moves before that is known."""
    memory = getattr(optimizer, "_memory", None)
    if memory is None:
        return  # somebody's own, which fit cannot look into
    arena, own = memory._arena, [one for _, one in model.named_parameters()]
    way = "expected the model's: make it of model.parameters()"
    if arena is not None:
        others = len({id(one) for one in arena} - {id(one) for one in own})
        if others:
            raise ValueError(
                f"optimizer: got one over {len(arena)} parameters, {others} of them not this model's, {way}"
            )
        if len(arena) < len(own) or arena is not model._arena or not arena.is_current():
            raise ValueError(f"optimizer: got one whose parameters moved, or were those of a part or a whole, {way}")
        return
    frozen = next((name for name, one in model.named_parameters() if one.frozen), None)
    if frozen is not None:
        raise ValueError(f"optimizer: got one over arrays, which cannot tell that {frozen} is frozen, {way}")
    if not memory._pairs and own:
        raise ValueError(f"optimizer: got one over no parameters, {way}")
    arena = model._arena
    for index, (param, grad) in enumerate(memory._pairs):
        inside = arena is not None and arena.is_current()
        place = _offset(param, arena.data) if inside else None
        inside = place is not None and place == _offset(grad, arena._grad)
        if not inside and param.size:
            raise ValueError(
                f"optimizer: got one over arrays of which number {index} is not in model.parameters(), {way}"
            )
    moved, size = sum(param.size for param, _ in memory._pairs), sum(one.size for one in own)
    if moved < size:  # the rest would stay as it is without a word
        raise ValueError(f"optimizer: got one over {moved} of the model's {size} parameters, {way}")


def checked_average(average: Any, model: Any) -> Any:
    """A mean of weights over the model's parameters."""
    if average is None:
        return None
    if isinstance(average, type) or not all(callable(getattr(average, name, None)) for name in ("update", "applied")):
        raise TypeError(
            f"average: got {_kind(average)}, expected a fastdl.optim.ExponentialAverage or StochasticAverage"
        )
    memory = getattr(average, "_memory", None)
    if memory is not None and memory._arena is not model.parameters():
        raise ValueError("average: got one over other parameters, expected the model's: make it of model.parameters()")
    return average


def _offset(part: np.ndarray, whole: np.ndarray) -> int | None:
    """Where in `whole` a part begins, in bytes; None if it lies elsewhere."""
    offset = part.ctypes.data - whole.ctypes.data
    return offset if offset >= 0 and offset + part.nbytes <= whole.nbytes else None


def check_loss(loss: Any, count: Any) -> None:
    if not callable(loss) or isinstance(loss, type):
        got = repr(loss) if isinstance(loss, str) else _kind(loss)
        raise TypeError(f"loss: got {got}, expected a function such as fastdl.mse_loss")
    if count is not None and not callable(count):
        raise TypeError(f"count: got {_kind(count)}, expected a function of the targets")


def check_batches(name: str, batches: Any, epochs: int) -> None:
    """Refuse what gives no batches, or gives them once where they are read more often; 0 epochs ask for less."""
    if isinstance(batches, (np.ndarray, Mapping, str, bytes)):
        raise TypeError(f"{name}: got {_kind(batches)}, expected {_PAIRS}")
    if not isinstance(batches, Iterable) and not hasattr(batches, "iterate") and not hasattr(batches, "__getitem__"):
        raise TypeError(f"{name}: got {_kind(batches)}, expected {_PAIRS}")
    if isinstance(batches, type):
        raise TypeError(f"{name}: got the class {batches.__name__}, expected {_PAIRS}")
    if epochs and isinstance(batches, Sized) and len(batches) == 0:
        raise ValueError(f"{name}: gave nothing in epoch 1, expected at least one batch")
    if epochs > 1 and hasattr(type(batches), "__next__"):
        raise ValueError(f"{name}: got an iterator, which can be read once, expected an iterable for 2 or more epochs")


def check_schedule(schedule: Any, optimizer: Any) -> None:
    if schedule is None:
        return
    if isinstance(schedule, type) or not (
        callable(schedule) or isinstance(schedule, (optim.Scheduler, optim.ReduceOnPlateau))
    ):
        raise TypeError(
            f"schedule: got {_kind(schedule)}, expected a function of the step, as fd.optim.schedules.cosine(n), "
            "a Scheduler or a ReduceOnPlateau"
        )
    if not hasattr(optimizer, "groups"):
        raise TypeError(f"optimizer: got {_kind(optimizer)}, expected one from fastdl.optim, since schedule is given")
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ValueError(f"schedule: got a {type(schedule).__name__} over another optimizer, expected it over this one")
    if not hasattr(schedule, "optimizer"):
        number("schedule(0)", schedule(0), 0.0)
        if all(group.lr == 0 for group in optimizer.groups):
            raise ValueError(
                "schedule: got an optimizer whose learning rates are all 0 (another schedule's end?), which no factor "
                "changes; set optimizer.lr"
            )


def check_parts(callbacks: Any, penalties: Any, constraints: Any) -> None:
    for name, given, hooks in (
        ("callbacks", callbacks, _HOOKS),
        ("penalties", penalties, ["add"]),
        ("constraints", constraints, ["apply"]),
    ):
        if not isinstance(given, Iterable) or isinstance(given, (str, Mapping)) or hasattr(given, "__next__"):
            raise TypeError(f"{name}: got {_kind(given)}, expected a list of them")
        for index, one in enumerate(given):
            if not isinstance(one, type) and all(callable(getattr(one, hook, None)) for hook in hooks):
                continue
            wanted = "a fastdl.training.Callback" if name == "callbacks" else f"an object with {hooks[0]}(parameters)"
            if isinstance(one, (optim.Scheduler, optim.ReduceOnPlateau)):
                wanted += f"; give a {type(one).__name__} to fit as schedule="
            raise TypeError(f"{name}[{index}]: got {_kind(one)}, expected {wanted}")


def check_saved(
    model: Any, optimizer: Any, schedule: Any, loss: Any, count: Any, data: Mapping[str, Any], **parts: Any
) -> None:
    """Refuse what decides the next step and would not be in the checkpoint."""
    for method in ("state_dict", "load_state_dict"):
        if not callable(getattr(optimizer, method, None)):
            raise TypeError(f"optimizer: got {_kind(optimizer)}, expected one with {method}, for the checkpoint")
    held_by_model = [one for module in model.modules() for one in vars(module).values()]
    saved = {id(one) for one in (optimizer, schedule, *parts["callbacks"], *held_by_model)}
    for name, given in parts.items():
        for index, one in enumerate(given):
            refuse_held(f"{name}[{index}]", one, Callback if name == "callbacks" else None, saved)
    for name, function in (("schedule", schedule), ("loss", loss), ("count", count)):
        if function is not None and not isinstance(function, (optim.Scheduler, optim.ReduceOnPlateau)):
            refuse_held(name, function, None, saved)
    for name, batches in data.items():
        # Batches that begin at any epoch and place, and those that are there already, have no state.
        if not hasattr(batches, "iterate") and not isinstance(batches, (list, tuple)):
            refuse_held(name, batches, None, saved, "define iterate(epoch, start), which draws anew for each epoch")


def check_display(metadata: Any, unit: Any, loss_format: Any) -> None:
    if metadata is not None and not (
        isinstance(metadata, Mapping) and all(isinstance(one, str) for pair in metadata.items() for one in pair)
    ):
        raise TypeError(f"metadata: got {_kind(metadata)}, expected a mapping of str to str")
    if not isinstance(unit, str):
        raise TypeError(f"unit: got {_kind(unit)}, expected a str")
    if not callable(loss_format):
        raise TypeError(f"loss_format: got {_kind(loss_format)}, expected a function of the loss")
    if not isinstance(text := loss_format(1.0), str):
        raise TypeError(f"loss_format: got one that returns {_kind(text)}, expected a str")


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "an array" if isinstance(value, np.ndarray) else type(value).__name__
