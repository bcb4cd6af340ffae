"""What several commands need."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .. import models, text

CHECKPOINT, MODEL = "checkpoint.safetensors", "model.safetensors"


class CommandError(Exception):
    """Bad usage or bad input: the message is for the user, the exit status is 2."""


class Terminated(BaseException):
    """SIGTERM came. Not an Exception, as KeyboardInterrupt is none."""


def on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    """Signal handler."""
    raise Terminated


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
    """Inside, refused values and unreadable files are the user's: turn them into a CommandError."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def read_corpus(files: list[str]) -> text.Corpus:
    """The files' text, or the default corpus where there are none."""
    with bad_input():
        return text.read_corpus(files) if files else text.Corpus(text.default_corpus())


def load_model(path: str) -> models.CharLM:
    """The model in a file, or in the folder that ``train text`` made: its best, or else its checkpoint's."""
    place = Path(path)
    if place.is_dir():
        found = [place / name for name in (MODEL, CHECKPOINT) if (place / name).exists()]
        if not found:
            raise CommandError(f"{path}: has neither {MODEL} nor {CHECKPOINT}; 'fastdl train text' makes them")
        place = found[0]
    with bad_input():
        return models.CharLM.load(os.fspath(place))


def held_out_batches(model: models.CharLM, held_out: text.Corpus) -> text.TextBatches:
    """The windows that bits per character are measured on: the same in ``train text`` and ``evaluate``."""
    # 32 stretches read side by side, fewer where they would be shorter than a window
    return model.batches(held_out, seq_len=64, batch_size=min(32, max(1, (len(held_out) - 1) // 64)))
