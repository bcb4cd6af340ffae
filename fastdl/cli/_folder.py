"""The folder of a run of ``train text``: it holds one run at a time, and nothing of an earlier one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .. import _safetensors
from .._files import try_replacing

CHECKPOINT, MODEL, CURVE, PICTURE = "checkpoint.safetensors", "model.safetensors", "history.csv", "learning_curve.png"


class RunFolder:
    """What a run writes, and where.

    Parameters
    ----------
    path : str
        The folder, made where it is missing.

    Raises
    ------
    ValueError
        If another program's files have the names that a run writes, or another run is writing there.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.checkpoint, self.model = self.path / CHECKPOINT, self.path / MODEL
        self.curve, self.picture = self.path / CURVE, self.path / PICTURE
        self.begun = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside, no other run begins here; what could go wrong with writing has been tried."""
        self.path.mkdir(parents=True, exist_ok=True)
        with _locked(self.path):
            for file in (self.checkpoint, self.model, self.curve, self.picture):
                try_replacing(file)
            for file in (self.checkpoint, self.model):
                _check_ours(file)
            yield

    def begin(self, resumed: bool) -> None:
        """All checks have passed: unless it goes on, what an earlier run left is removed, its checkpoint last."""
        if not resumed:
            for file in (self.picture, self.curve, self.model, self.checkpoint):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.realpath(file))  # a link to another disk stays, and is written through
        self.begun = True


def _check_ours(file: Path) -> None:
    """Refuse to replace another program's model. A damaged file is nobody's."""
    try:
        metadata = _safetensors.load_metadata(file)
    except (FileNotFoundError, ValueError):
        return
    if not any(metadata.get(name, "").startswith("fastdl ") for name in ("model", "format")):
        raise ValueError(f"{file}: is another program's, expected a folder of 'fastdl train text' or a new one")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # not a UNIX
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another run is writing there") from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)
