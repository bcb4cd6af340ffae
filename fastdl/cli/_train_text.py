"""``fastdl train text``."""

import argparse
import contextlib
import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from .. import _safetensors, models, optim, text, training
from .._files import memory_bytes, try_replacing
from ._folder import RunFolder
from ._settings import TRAINING_SETTINGS
from ._shared import CommandError, Stopped, bad_input, held_out_batches, is_stream, read_corpus, use_threads
from ._streams import note

BIT = math.log(2)
_NEVER = sys.maxsize  # the patience of a run that has none: it may get one when it is resumed


class FolderFiles(training.Callback):
    """Empties the folder when the run begins, keeps history.csv up to date, and draws the picture at the end.

    What cannot be written of these is worth a message, and the exit status 1, but not the run.
    """

    def __init__(self, folder: RunFolder, characters: str | None) -> None:
        self.folder, self.characters = folder, characters  # those of the run that is resumed, None for a new one
        self.steps_before = 0
        self.failed: set[Path] = set()

    def on_train_begin(self, run: training.Run) -> None:
        if self.characters not in (None, run.model.vocabulary.characters):  # the same codes stand for other text
            raise ValueError(f"{self.folder.checkpoint}: other data: the run to resume learnt other characters")
        self.folder.begin(resumed=self.characters is not None)
        self.steps_before = run.step

    def on_epoch_end(self, run: training.Run) -> None:
        try:
            run.history.to_csv(self.folder.curve)
        except OSError as error:
            self._fail(self.folder.curve, error)

    def on_train_end(self, run: training.Run) -> None:
        self.on_epoch_end(run)
        picture = self.folder.picture
        try:
            run.history.plot(picture, scale=1 / BIT, label="bits per character")
        except ModuleNotFoundError:
            note(f"no {picture.name}: matplotlib is not installed")
        except OSError as error:
            self._fail(picture, error)
        except Exception as error:  # matplotlib's settings and files may be anything
            note(f"no {picture.name}: {type(error).__name__}: {error}")

    def _fail(self, file: Path, error: OSError) -> None:
        if file not in self.failed:
            note(f"error: {file}: {error.strerror}")
        self.failed.add(file)


def run(arguments: argparse.Namespace) -> int:
    """Train, and report."""
    use_threads(arguments.threads)
    folder = RunFolder(arguments.out)
    settings, files, characters = _settings(arguments, folder)
    corpus = read_corpus(files)
    learnt, held_out = text.split_held_out(corpus)
    _check_length(corpus, learnt, held_out, settings)
    _check_memory(settings, len(learnt.characters) + 1)
    with contextlib.ExitStack() as stack:
        with bad_input():
            stack.enter_context(folder.held())
        return _train(arguments, FolderFiles(folder, characters), settings, files, learnt, held_out)


def _train(
    arguments: argparse.Namespace,
    written: FolderFiles,
    settings: dict[str, Any],
    files: list[str],
    learnt: text.Corpus,
    held_out: text.Corpus,
) -> int:
    model = models.CharLM(
        text.Vocabulary(learnt.characters),
        settings["embedding"],
        settings["hidden"],
        settings["layers"],
        settings["dropout"],
        rng=settings["seed"],
    )
    with bad_input():  # a rate may be too large for the parameters' type
        optimizer = optim.Adam(model.parameters(), lr=settings["lr"])
    folder = written.folder
    metrics, logs = _metrics(arguments, folder), _logs(arguments)
    patience = training.EarlyStopping(settings["patience"] or _NEVER)
    if not arguments.quiet:
        sys.stderr.write(f"{len(learnt):,} characters to learn, {len(held_out):,} held out\n{model!r}\n")
    try:
        history = training.fit(
            model,
            optimizer,
            model.batches(learnt, settings["seq-len"], settings["batch"]),
            epochs=settings["epochs"],
            validation=held_out_batches(model, held_out),
            max_norm=settings["clip"] or None,
            carry_state=True,
            metrics=metrics,
            callbacks=[*logs, written, training.SaveBest(folder.model), patience],
            checkpoint=folder.checkpoint,
            checkpoint_every=arguments.checkpoint_every,
            resume=arguments.resume,
            metadata={"command": json.dumps({"settings": settings, "files": files, "metrics": metrics})},
            progress=not arguments.quiet,
            unit="chars",
            loss_format=lambda loss: f"{loss / BIT:.3f} bits",
        )
    except (ImportError, ValueError) as error:
        raise CommandError(str(error)) from None
    except (KeyboardInterrupt, Stopped):
        if folder.begun and folder.checkpoint.exists():
            note(f"stopped; 'fastdl train text --out {shlex.quote(str(folder.path))} --resume' goes on")
        raise
    _report(history, folder, settings, trained=len(history.losses) > written.steps_before)
    return 1 if written.failed else 0


def _metrics(arguments: argparse.Namespace, folder: RunFolder) -> list[str]:
    """What is measured beside the loss: as asked for, or as the run to resume began."""
    if arguments.metric is not None or not arguments.resume:
        return arguments.metric or []
    found = json.loads(_safetensors.load_metadata(folder.checkpoint)["command"]).get("metrics", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise CommandError(f"{folder.checkpoint}: is not a checkpoint of 'fastdl train text': metrics {found!r:.80}")
    return found


def _logs(arguments: argparse.Namespace) -> list[training.Callback]:
    logs: list[training.Callback] = []
    if arguments.log_csv is not None:
        with bad_input():  # now, since the run removes what an earlier one left
            try_replacing(Path(arguments.log_csv))
        logs.append(training.CSVLogger(arguments.log_csv))
    if arguments.tensorboard is not None:
        logs.append(training.TensorBoard(arguments.tensorboard))
    return logs


def _settings(arguments: argparse.Namespace, folder: RunFolder) -> tuple[dict[str, Any], list[str], str | None]:
    """The run's settings and files: given, or those of the checkpoint to resume, or the defaults.

    With a checkpoint, the characters its model knows come third.
    """
    given = {name: getattr(arguments, name.replace("-", "_")) for name in TRAINING_SETTINGS}
    # Absolute, so that a run can be resumed from another folder.
    files = [name if is_stream(name) else os.path.abspath(name) for name in arguments.files]
    if not arguments.resume:
        defaults = {name: default for name, (default, _, _) in TRAINING_SETTINGS.items()}
        return {name: defaults[name] if value is None else value for name, value in given.items()}, files, None
    with bad_input():
        if not folder.checkpoint.exists():
            raise CommandError(f"{folder.checkpoint}: there is no checkpoint to resume")
        stored, stored_files, vocabulary = _read_checkpoint(folder)
    for name, value in given.items():
        # More epochs and more patience only say how much further the run goes.
        if value is not None and value != stored[name] and name not in ("epochs", "patience"):
            raise CommandError(f"--{name} {value}: the run to resume has {stored[name]}; leave the option out")
    for name in ("epochs", "patience"):
        if given[name] is not None:
            stored[name] = given[name]
    if not files and any(map(is_stream, stored_files)):
        raise CommandError(f"{folder.checkpoint}: the run read its text from stdin; give it again, as FILE or '-'")
    return stored, files or stored_files, vocabulary


def _read_checkpoint(folder: RunFolder) -> tuple[dict[str, Any], list[str], str]:
    """Settings, files and characters of the run to resume, each compared with the arrays or with what is allowed."""
    metadata = _safetensors.load_metadata(folder.checkpoint)
    foreign = f"{folder.checkpoint}: is not a checkpoint of 'fastdl train text'"
    try:
        command = json.loads(metadata["command"])
        stored, files = dict(command["settings"]), list(command["files"])
        if not all(isinstance(name, str) for name in files):
            raise TypeError
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CommandError(foreign) from None
    if stored.keys() != TRAINING_SETTINGS.keys():
        raise CommandError(f"{folder.checkpoint}: was written by another version of fastdl")
    for name, (_, parse, _) in TRAINING_SETTINGS.items():
        try:
            stored[name] = parse(repr(stored[name]))
        except (argparse.ArgumentTypeError, RecursionError) as error:
            raise CommandError(f"{foreign}: {name}: {error}") from None
    model = models.CharLM.load(folder.checkpoint)  # which compares its arrays with its settings
    if any(model.settings[name] != stored[name] for name in model.settings):
        raise CommandError(f"{foreign}: its settings contradict each other")
    return stored, files, model.vocabulary.characters


def _check_length(corpus: text.Corpus, learnt: text.Corpus, held_out: text.Corpus, settings: dict[str, Any]) -> None:
    needed = settings["batch"] * settings["seq-len"] + 1
    if len(learnt) < needed or len(held_out) < 2:
        enough = max(20, -(-needed * 10 // 9))
        raise CommandError(
            f"the text is too short: {len(corpus):,} characters, expected at least {enough:,} "
            f"for --batch {settings['batch']} and --seq-len {settings['seq-len']}"
        )
    if not learnt.characters.strip(text.UNKNOWN):
        raise CommandError("the text has no character but U+FFFD, which stands for those that could not be read")


def _check_memory(settings: dict[str, Any], codes: int) -> None:
    """Refuse sizes that no memory here holds, before they are asked for."""
    embedding, hidden, layers = settings["embedding"], settings["hidden"], settings["layers"]
    weights = codes * (embedding + hidden + 1)
    weights += 4 * hidden * (embedding + hidden + 2) + (layers - 1) * 4 * hidden * (2 * hidden + 2)
    window = settings["batch"] * settings["seq-len"] * (embedding + 6 * layers * hidden + 2 * codes)
    needed = 4 * (4 * weights + window)  # float32: weights, gradients and two moments; what backward needs
    if needed > memory_bytes():
        raise CommandError(
            f"the run would take {needed / 2**30:,.0f} GiB of memory, this machine has {memory_bytes() / 2**30:,.0f}: "
            f"a smaller --hidden, --embedding, --layers or --batch takes less"
        )


def _report(history: training.History, folder: RunFolder, settings: dict[str, Any], trained: bool) -> None:
    rows = [row for row in history.epochs if math.isfinite(row["validation_loss"])]
    last = history.epochs[-1]
    if not rows:
        raise FloatingPointError(
            f"the validation loss became {last['validation_loss']}: a lower learning rate or a smaller --clip may help"
        )
    best = min(rows, key=lambda row: row["validation_loss"])
    print(
        f"{best['validation_loss'] / BIT:.4f} bits per character on the held-out tenth, "
        f"after epoch {best['epoch']} of {last['epoch']}\n"
        f"{last['tokens'] / max(last['seconds'], 1e-9):,.0f} characters/s, {last['seconds']:.1f} s in all"
    )
    if last["epoch"] < settings["epochs"]:
        print(
            f"stopped early after epoch {last['epoch']} of {settings['epochs']}: no improvement for "
            f"{settings['patience']}; --resume with a larger --patience goes on"
        )
    elif not trained:
        print(f"the run was finished after epoch {last['epoch']}; --resume with more --epochs goes on")
    if folder.model.exists():
        print(f"model in {folder.model}")
