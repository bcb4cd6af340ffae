"""Everything a run needs to go on exactly where it was, in one file (layout: ``fastdl._safetensors``).

Arrays
    ``model.<name>``: ``model.state_dict()``; ``optimizer.*``, ``random.*``, ``callbacks.*``, ``schedule.*``,
    ``parts.*`` (penalties and constraints), ``gradients.*``, ``state.*``: the arrays within those states;
    ``history.losses``: the loss of every step.
Strings (``__metadata__``)
    ``format``: says that this is a checkpoint; ``training``: JSON with the states' structure and numbers, the
    position in the data, the epochs' rows and the fingerprint of the data; and what the model's
    ``metadata()`` and the caller add.
"""

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _safetensors, _validate
from .._files import shown
from .._trees import flatten, restore
from .._validate import integer, number
from ..saving._file import values_of
from ._callbacks import EarlyStopping
from ._history import COLUMNS, OPTIONAL
from ._measured import SUMS
from ._run import Run

FORMAT = "fastdl checkpoint 2"
_STATES = ("optimizer", "random", "callbacks", "schedule", "parts", "gradients", "state")
_COUNTS = ("epoch", "batch", "step")
_LARGEST = 2**63 - 1
# What reading a hostile structure may raise, beside ValueError: names that are missing, wrong types, sizes.
_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


def save_checkpoint(
    path: str | os.PathLike[str], run: Run, fingerprint: Mapping[str, Any], metadata: Mapping[str, str]
) -> None:
    """Write the run's state, atomically."""
    import json

    arrays = {f"model.{name}": array for name, array in values_of(run.model).items()}
    training = {
        "optimizer_class": type(run.optimizer).__name__,
        "optimizer": flatten(run.optimizer.state_dict(), "optimizer", arrays),
        "random": flatten(run.model.random_state(), "random", arrays),
        "callbacks": flatten([callback.state_dict() for callback in _callbacks(run)], "callbacks", arrays),
        "callback_classes": [type(callback).__name__ for callback in _callbacks(run)],
        "schedule": flatten(run.schedule and run.schedule.state_dict(), "schedule", arrays),
        "schedule_class": type(run.schedule).__name__,
        "parts": flatten([part.state_dict() for part in _parts(run)], "parts", arrays),
        "part_classes": [type(part).__name__ for part in _parts(run)],
        "gradients": flatten(_gathered(run), "gradients", arrays),
        "state": flatten(run.state, "state", arrays),
        "epoch": run.epoch,
        "batch": run.batch,
        "step": run.step,
        "tokens": run.tokens,
        "stopped": run.stopped,
        "sums": run.sums,
        "seconds": run.seconds,
        "epochs": run.history.epochs,
        "accumulate": run.accumulate,
        "carry_state": run.carry_state,
        "fingerprint": dict(fingerprint),
        "frozen": [name for name, one in run.named() if one.frozen],
    }
    arrays["history.losses"] = np.asarray(run.history.losses, np.float64)
    own = run.model.metadata() if hasattr(run.model, "metadata") else {}
    if run.architecture is not None:
        arrays |= run.architecture[0]
        own = {**own, "architecture": run.architecture[1]}
    _safetensors.save(path, arrays, {**own, **metadata, "format": FORMAT, "training": json.dumps(training)})


def load_checkpoint(path: str | os.PathLike[str], run: Run, fingerprint: Mapping[str, Any]) -> None:
    """Take up the stored state.

    Raises
    ------
    ValueError
        If the file is damaged, is not a checkpoint, or belongs to another model, optimizer or data; with the
        reason, and with the run left as it was.
    """
    import json

    tensors, metadata = _safetensors.load(path)
    try:
        if metadata.get("format") != FORMAT:
            raise ValueError(f"not a checkpoint: format {shown(repr(metadata.get('format')))}, expected {FORMAT!r}")
        training = json.loads(metadata.get("training", "null"))
        if not isinstance(training, dict):
            raise ValueError("damaged: the training state is missing")
        weights = {name[6:]: array for name, array in tensors.items() if name.startswith("model.")}
        check_weights(weights, values_of(run.model))
        _check_same(training, run, fingerprint)
        states = {name: restore(training[name], tensors) for name in _STATES}
        _check_states(states, run)
        taken = _position(training, tensors["history.losses"])
        frozen = _frozen(training, run)
        epochs = [_row(row) for row in training["epochs"]]
        if len(epochs) != taken["epoch"]:
            raise ValueError(f"damaged: {len(epochs)} epochs in the curve, expected {taken['epoch']}")
        _take_up(run, weights, states)  # all else has been read: from here on nothing fails half-way
        taken["stopped"] = taken["stopped"] and not _goes_on(run, states["callbacks"])
        for name, one in run.named():
            one.requires_grad = name not in frozen
        run.seconds, losses = taken.pop("seconds"), taken.pop("losses")
        vars(run).update(taken, state=states["state"])
        run.history.losses[:] = losses
        run.history.epochs[:] = epochs
    except KeyError as error:
        raise ValueError(f"{shown(os.fspath(path))}: damaged: {shown(error)} is missing") from None
    except _DAMAGE as error:
        reason = str(error) if isinstance(error, (ValueError, TypeError)) else f"damaged: {type(error).__name__}"
        raise ValueError(f"{shown(os.fspath(path))}: {reason}") from None


def _position(training: Mapping[str, Any], losses: np.ndarray) -> dict[str, Any]:
    """Where the run was, every number checked."""
    taken: dict[str, Any] = {name: integer(name, training[name], 0, _LARGEST) for name in _COUNTS}
    taken["tokens"] = _amount("tokens", training["tokens"])
    kept = training["sums"]
    if set(kept) not in ({*SUMS}, {"loss", "penalty", "targets"}):  # those of before had no more
        raise ValueError("damaged: the sums of the epoch are others")
    sums = {name: number("sums", kept.get(name, 0.0)) for name in SUMS if name not in ("targets", "steps")}
    counts = {name: _amount(name, kept.get(name, 0)) for name in ("targets", "steps")}
    taken["sums"] = {**sums, **counts}
    taken["seconds"] = number("seconds", training["seconds"], 0.0)
    if not np.isfinite([*taken["sums"].values(), taken["seconds"], float(taken["tokens"])]).all():
        raise ValueError("damaged: a sum that is not finite")
    if not isinstance(training["stopped"], bool):
        raise ValueError("damaged: stopped is neither true nor false")
    taken["stopped"] = training["stopped"]
    if losses.dtype.kind != "f" or losses.shape != (taken["step"],):
        raise ValueError(f"damaged: losses of shape {losses.shape}, expected ({taken['step']},), one a step")
    taken["losses"] = losses.tolist()
    return taken


def _frozen(training: Mapping[str, Any], run: Run) -> set[str]:
    """The parameters that were frozen when the checkpoint was written."""
    names = training["frozen"]
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise ValueError("damaged: the frozen parameters are not a list of names")
    if unknown := set(names).difference(run.parameters.names):
        raise ValueError(f"another model's: {shown(sorted(unknown)[0])} is frozen")
    return set(names)


def _amount(name: str, value: Any) -> float:
    return integer(name, value, 0, _LARGEST) if isinstance(value, int) else number(name, value, 0.0)


def _row(row: Any) -> dict[str, Any]:
    found = {name: row.get(name) if name in OPTIONAL else row[name] for name in COLUMNS} | dict(row)
    for name, value in found.items():
        if not (value is None and name in OPTIONAL):
            number(_validate.text("epochs", name), value)
    return found


def _check_states(states: Mapping[str, Any], run: Run) -> None:
    for name, owners in (("callbacks", _callbacks(run)), ("parts", _parts(run))):
        if not isinstance(states[name], list) or len(states[name]) != len(owners):
            raise ValueError(f"damaged: the state of the {name} is not that of {len(owners)}")
    if states["state"] is not None and not run.carry_state:
        raise ValueError("damaged: a recurrent state where none is carried")
    gradients = states["gradients"]
    if gradients is not None:
        if not isinstance(gradients, dict) or not run.gathers:
            raise ValueError("damaged: gradients that nobody waits for")
        check_weights(gradients, {name: one.data for name, one in run.named()})


def _goes_on(run: Run, states: Sequence[Any]) -> bool:
    """Whether a run that was stopped for lack of patience has more of it now."""
    watchers = [
        (one, state) for one, state in zip(_callbacks(run), states, strict=True) if isinstance(one, EarlyStopping)
    ]
    causes = [one for one, state in watchers if one.waited and one.waited >= state.get("patience", 0)]
    return bool(causes) and not any(one.exhausted for one, _ in watchers)


def _callbacks(run: Run) -> list[Any]:
    """Those a resumed run must have again: a log that only reads may come and go."""
    return [one for one in run.callbacks if not one._only_reads]


def _parts(run: Run) -> list[Any]:
    """Penalties, constraints, metrics, what measures in one's own, and the mean of the weights: those with a state."""
    measuring = [one._key for one in run.metrics if callable(one._key)]
    average = [] if run.average is None else [run.average]
    own = (*run.penalties, *run.constraints, *run.metrics, *measuring, *average)
    return [one for one in own if callable(getattr(one, "state_dict", None))]


def _gathered(run: Run) -> dict[str, np.ndarray] | None:
    """Gradients that wait for an optimizer that takes several calls for a step."""
    if not (run.gathers and getattr(run.optimizer, "_waiting", 0)):
        return None
    run.parameters.settle_gradients()
    return {name: one._grad.copy() for name, one in run.named()}


def check_weights(weights: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that are not exactly the model's, in names, shapes and dtypes."""
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"another model's: arrays missing: {shown(', '.join(missing) or 'none')}; "
            f"unknown: {shown(', '.join(unknown) or 'none')}"
        )
    for name, array in weights.items():
        want = expected[name]
        if array.shape != want.shape or array.dtype != want.dtype:
            raise ValueError(
                f"another model's: {name} is {array.dtype} {array.shape}, expected {want.dtype} {want.shape}"
            )


def _check_same(training: Mapping[str, Any], run: Run, fingerprint: Mapping[str, Any]) -> None:
    now = {
        "optimizer_class": type(run.optimizer).__name__,
        "callback_classes": [type(callback).__name__ for callback in _callbacks(run)],
        "accumulate": run.accumulate,
        "carry_state": run.carry_state,
        "schedule_class": type(run.schedule).__name__,
        "part_classes": [type(part).__name__ for part in _parts(run)],
    }
    for name, value in now.items():
        if training[name] != value:
            argument = {"callback_classes": "callbacks"}.get(name, name.replace("_class", " class"))
            raise ValueError(f"another run's: {argument} {shown(training[name])}, expected {value}")
    for name in sorted(fingerprint.keys() | training["fingerprint"].keys()):
        stored, value = training["fingerprint"].get(name), fingerprint.get(name)
        if stored != value:
            raise ValueError(f"other data: {shown(name)} {shown(stored)}, expected {shown(value)}")


def _take_up(run: Run, weights: Mapping[str, np.ndarray], states: Mapping[str, Any]) -> None:
    """Load every part, the model last; should one refuse its state, all get their former one back."""
    holders = [*_callbacks(run), *_parts(run), run.optimizer, *([run.schedule] if run.schedule else [])]
    wanted = [*states["callbacks"], *states["parts"], states["optimizer"]]
    wanted += [states["schedule"]] if run.schedule else []
    parts = [(one.load_state_dict, copy.deepcopy(one.state_dict())) for one in holders]
    parts.append((run.model.load_random_state, run.model.random_state()))
    parts.append((run.model.load_state_dict, run.model.state_dict()))
    wanted += [states["random"], weights]
    for index, ((load, _), state) in enumerate(zip(parts, wanted, strict=True)):
        try:
            load(state)
        except Exception as error:
            for undo, before in parts[: index + 1]:
                undo(before)
            if isinstance(error, _DAMAGE):
                raise ValueError(f"another run's or damaged: {shown(error)}") from error
            raise
    for name, one in run.named():
        if states["gradients"] is not None:
            one.grad = states["gradients"][name]
