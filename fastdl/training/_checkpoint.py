"""Everything a run needs to go on exactly where it was, in one file (layout: ``fastdl._safetensors``).

Arrays
    ``model.<name>``: ``model.state_dict()``; ``optimizer.*``, ``random.*``, ``callbacks.*``, ``state.*``: the
    arrays within those states; ``history.losses``: the loss of every step.
Strings (``__metadata__``)
    ``format``: says that this is a checkpoint; ``training``: JSON with the states' structure and numbers, the
    position in the data, the epochs' rows and the fingerprint of the data; and what the model's
    ``metadata()`` and the caller add.
"""

import copy
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _safetensors
from ._history import COLUMNS
from ._run import Run
from ._tree import flatten, restore

FORMAT = "fastdl checkpoint 1"
_SUMS = {"loss": float, "penalty": float, "targets": int}


def save_checkpoint(
    path: str | os.PathLike[str], run: Run, fingerprint: Mapping[str, Any], metadata: Mapping[str, str]
) -> None:
    """Write the run's state, atomically."""
    import json

    arrays = {f"model.{name}": array for name, array in run.model.state_dict().items()}
    training = {
        "optimizer_class": type(run.optimizer).__name__,
        "optimizer": flatten(run.optimizer.state_dict(), "optimizer", arrays),
        "random": flatten(run.model.random_state(), "random", arrays),
        "callbacks": flatten([callback.state_dict() for callback in run.callbacks], "callbacks", arrays),
        "callback_classes": [type(callback).__name__ for callback in run.callbacks],
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
        "fingerprint": dict(fingerprint),
    }
    arrays["history.losses"] = np.asarray(run.history.losses, np.float64)
    own = run.model.metadata() if hasattr(run.model, "metadata") else {}
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
            raise ValueError(f"not a checkpoint: format {metadata.get('format')!r}, expected {FORMAT!r}")
        training = json.loads(metadata.get("training", "null"))
        if not isinstance(training, dict):
            raise ValueError("damaged: the training state is missing")
        weights = {name[6:]: array for name, array in tensors.items() if name.startswith("model.")}
        check_weights(weights, run.model.state_dict())
        _check_same(training, run, fingerprint)
        states = {name: restore(training[name], tensors) for name in ("optimizer", "random", "callbacks", "state")}
        position = {name: int(training[name]) for name in ("epoch", "batch", "step", "tokens")}
        sums = {name: kind(training["sums"][name]) for name, kind in _SUMS.items()}
        seconds, stopped = float(training["seconds"]), bool(training["stopped"])
        losses = tensors["history.losses"].tolist()
        epochs = [{name: row[name] for name in COLUMNS} for row in training["epochs"]]
        _take_up(run, weights, states)  # all else has been read: from here on nothing fails half-way
        vars(run).update(position, sums=sums, stopped=stopped, state=states["state"])
        run.seconds = seconds
        run.history.losses[:] = losses
        run.history.epochs[:] = epochs
    except KeyError as error:
        raise ValueError(f"{os.fspath(path)}: damaged: {error} is missing") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def check_weights(weights: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that are not exactly the model's, in names, shapes and dtypes."""
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"another model's: arrays missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
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
        "callback_classes": [type(callback).__name__ for callback in run.callbacks],
        "accumulate": run.accumulate,
    }
    for name, value in now.items():
        if training[name] != value:
            raise ValueError(f"another run's: {name.replace('_', ' ')} {training[name]}, expected {value}")
    for name in sorted(fingerprint.keys() | training["fingerprint"].keys()):
        stored, value = training["fingerprint"].get(name), fingerprint.get(name)
        if stored != value:
            raise ValueError(f"other data: {name} {stored}, expected {value}")


def _take_up(run: Run, weights: Mapping[str, np.ndarray], states: Mapping[str, Any]) -> None:
    """Load every part, the model last; should one refuse its state, all get their former one back."""
    parts = [callback.load_state_dict for callback in run.callbacks]
    former = [copy.deepcopy(callback.state_dict()) for callback in run.callbacks]
    wanted = list(states["callbacks"])
    parts += [run.optimizer.load_state_dict, run.model.load_random_state, run.model.load_state_dict]
    former += [copy.deepcopy(run.optimizer.state_dict()), run.model.random_state(), run.model.state_dict()]
    wanted += [states["optimizer"], states["random"], weights]
    for index, (load, state) in enumerate(zip(parts, wanted, strict=True)):
        try:
            load(state)
        except Exception as error:
            for undo, before in zip(parts[: index + 1], former, strict=False):
                undo(before)
            if isinstance(error, (ValueError, TypeError, KeyError)):
                raise ValueError(f"another run's or damaged: {error}") from error
            raise
