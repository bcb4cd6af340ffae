"""What several commands need."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import numpy as np

from .. import _threads, models, saving, text
from .._files import open_regular
from ._folder import CHECKPOINT, MODEL
from ._streams import binary_stdin, note

# Failures on the way, whoever named the file.
_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class CommandError(Exception):
    """Bad usage or bad input: the message is for the user, the exit status is 2."""


class Stopped(BaseException):
    """SIGTERM or SIGHUP came. Not an Exception, as KeyboardInterrupt is none."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def on_stop_signal(signum: int, frame: FrameType | None) -> NoReturn:
    """Signal handler."""
    raise Stopped(signum)


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
    """Inside, refused values and unreadable files are the user's: turn them into a CommandError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FAILURES:
            raise
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def use_threads(threads: int | None) -> None:
    """As many threads as asked for, within reason: where the system refuses one, OpenMP ends the process."""
    if threads is not None:
        most = _threads.most_threads()
        if threads > most:
            note(f"--threads {threads}: {most} are used, the most on this machine")
        _threads.set_num_threads(min(threads, most))


def read_corpus(files: list[str]) -> text.Corpus:
    """The files' text, ``-`` for stdin, or the default corpus where there are none."""
    with bad_input():
        return text.Corpus(_pieces(files) if files else text.default_corpus())


def is_stream(name: str) -> bool:
    """Whether a name stands for what the shell has opened, which can be read once: stdin, or ``<(command)``."""
    return name in ("-", "/dev/stdin") or name.startswith(("/dev/fd/", "/proc/self/fd/"))


def _pieces(files: list[str]) -> Iterator[str]:
    for name in files:
        if name in ("-", "/dev/stdin"):
            stdin = binary_stdin()
            if stdin is None:
                raise ValueError("stdin: is closed, expected text")
            yield from text.decoded(stdin, "stdin")
        else:
            with open(name, "rb") if is_stream(name) else open_regular(name) as file:
                yield from text.decoded(file, name)


def load_model(path: str) -> models.CharLM:
    """The model in a file, or in the folder that ``train text`` made: its best, or else its checkpoint's."""
    place = Path(path)
    with bad_input():
        if place.is_dir():
            found = [place / name for name in (MODEL, CHECKPOINT) if (place / name).exists()]
            if not found:
                raise CommandError(f"{path}: has neither {MODEL} nor {CHECKPOINT}; 'fastdl train text' makes them")
            place = found[0]
        model = saving.load(place)
    if not isinstance(model, models.CharLM):
        raise CommandError(f"{place}: is a {type(model).__name__}, expected a model of characters (models.CharLM)")
    for name, array in model.state_dict().items():
        if not np.isfinite(array).all():
            raise CommandError(f"{place}: the model's weights are not finite ({name})")
    return model


def held_out_batches(model: models.CharLM, held_out: text.Corpus) -> text.TextBatches:
    """The windows that bits per character are measured on: the same in ``train text`` and ``evaluate``."""
    # 32 stretches read side by side, fewer where they would be shorter than a window
    return model.batches(held_out, seq_len=64, batch_size=min(32, max(1, (len(held_out) - 1) // 64)))
