"""``fastdl train text``."""

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from .. import _safetensors, models, optim, set_num_threads, text, training
from ._parser import TRAINING_SETTINGS
from ._shared import CHECKPOINT, MODEL, CommandError, Terminated, bad_input, held_out_batches, read_corpus

BIT = math.log(2)


class CurveFiles(training.Callback):
    """Keeps history.csv up to date, and draws the picture at the end where matplotlib is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch_end(self, run: training.Run) -> None:
        run.history.to_csv(self.folder / "history.csv")

    def on_train_end(self, run: training.Run) -> None:
        run.history.to_csv(self.folder / "history.csv")
        try:
            run.history.plot(self.folder / "learning_curve.png", scale=1 / BIT, label="bits per character")
        except ImportError:
            print("fastdl: no learning_curve.png: matplotlib is not installed", file=sys.stderr)


def run(arguments: argparse.Namespace) -> int:
    """Train, and report."""
    if arguments.threads:
        set_num_threads(arguments.threads)
    folder = Path(arguments.out)
    settings, files = _settings(arguments, folder / CHECKPOINT)
    corpus = read_corpus(files)
    learnt, held_out = text.split_held_out(corpus)
    _check_length(corpus, learnt, held_out, settings)
    with bad_input():
        folder.mkdir(parents=True, exist_ok=True)
    model = models.CharLM(
        text.Vocabulary(learnt.characters),
        settings["embedding"],
        settings["hidden"],
        settings["layers"],
        settings["dropout"],
        rng=settings["seed"],
    )
    optimizer = optim.Adam(model.parameters(), lr=settings["lr"])
    callbacks: list[training.Callback] = [training.SaveBest(folder / MODEL), CurveFiles(folder)]
    if settings["patience"]:
        callbacks.append(training.EarlyStopping(settings["patience"]))
    if not arguments.quiet:
        print(f"{len(learnt):,} characters to learn, {len(held_out):,} held out\n{model!r}", file=sys.stderr)
    try:
        with bad_input():
            history = training.fit(
                model,
                optimizer,
                model.batches(learnt, settings["seq-len"], settings["batch"]),
                epochs=settings["epochs"],
                validation=held_out_batches(model, held_out),
                max_norm=settings["clip"] or None,
                carry_state=True,
                callbacks=callbacks,
                checkpoint=folder / CHECKPOINT,
                checkpoint_every=arguments.checkpoint_every,
                resume=arguments.resume,
                metadata={"command": json.dumps({"settings": settings, "files": files})},
                progress=not arguments.quiet,
                unit="chars",
                loss_format=lambda loss: f"{loss / BIT:.3f} bits",
            )
    except (KeyboardInterrupt, Terminated):
        if (folder / CHECKPOINT).exists():
            print(f"fastdl: stopped; 'fastdl train text --out {folder} --resume' goes on", file=sys.stderr)
        raise
    _report(history, folder)
    return 0


def _settings(arguments: argparse.Namespace, checkpoint: Path) -> tuple[dict[str, Any], list[str]]:
    """The run's settings and files: given, or those of the checkpoint to resume, or the defaults."""
    given = {name: getattr(arguments, name.replace("-", "_")) for name in TRAINING_SETTINGS}
    # Absolute, so that a run can be resumed from another folder.
    files = [os.path.abspath(file) for file in arguments.files]
    if not arguments.resume:
        defaults = {name: default for name, (default, _, _) in TRAINING_SETTINGS.items()}
        return {name: defaults[name] if value is None else value for name, value in given.items()}, files
    if not checkpoint.exists():
        raise CommandError(f"{checkpoint}: there is no checkpoint to resume")
    with bad_input():
        _, metadata = _safetensors.load(checkpoint)
        try:
            command = json.loads(metadata["command"])
            stored, stored_files = dict(command["settings"]), [str(file) for file in command["files"]]
        except (KeyError, TypeError, ValueError):
            raise CommandError(f"{checkpoint}: is not a checkpoint of 'fastdl train text'") from None
    if stored.keys() != given.keys():
        raise CommandError(f"{checkpoint}: was written by another version of fastdl")
    for name, value in given.items():
        if value is not None and value != stored[name] and name != "epochs":
            raise CommandError(f"--{name} {value}: the run to resume has {stored[name]}; leave the option out")
    if given["epochs"] is not None:
        stored["epochs"] = given["epochs"]
    return stored, files or stored_files


def _check_length(corpus: text.Corpus, learnt: text.Corpus, held_out: text.Corpus, settings: dict[str, Any]) -> None:
    needed = settings["batch"] * settings["seq-len"] + 1
    if len(learnt) < needed or len(held_out) < 2:
        enough = max(20, -(-needed * 10 // 9))
        raise CommandError(
            f"the text is too short: {len(corpus):,} characters, expected at least {enough:,} "
            f"for --batch {settings['batch']} and --seq-len {settings['seq-len']}"
        )


def _report(history: training.History, folder: Path) -> None:
    best = min(history.epochs, key=lambda row: row["validation_loss"])
    last = history.epochs[-1]
    print(
        f"{best['validation_loss'] / BIT:.4f} bits per character on the held-out tenth, "
        f"after epoch {best['epoch']} of {last['epoch']}\n"
        f"{last['tokens'] / last['seconds']:,.0f} characters/s, {last['seconds']:.1f} s in all\n"
        f"model in {folder / MODEL}"
    )
