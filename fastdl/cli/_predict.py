"""``fastdl predict``."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .. import saving
from .._files import try_replacing
from ._folder import MODEL
from ._frames import installed, read_frame, write_frame
from ._shared import CommandError, bad_input, use_threads


def run(arguments: argparse.Namespace) -> int:
    """Read a model and a table, and write what the model makes of it."""
    use_threads(arguments.threads)
    model = _model(arguments.model)
    frame = read_frame(arguments.file, arguments.encoding, arguments.separator, arguments.decimal)
    if arguments.out is not None:
        with bad_input():
            try_replacing(arguments.out)
    with bad_input():
        try:
            found = model.predict_table(frame)
        except ValueError as error:
            raise CommandError(f"{arguments.file}: {str(error).removeprefix('X: ').removeprefix('df: ')}") from None
    sys.stdout.write(write_frame(found, arguments.out))
    return 0


def _model(path: str) -> Any:
    """The model in a file, or in the folder of a 'fastdl train' command."""
    place = Path(path)
    with bad_input(), installed():
        if place.is_dir():
            place = place / MODEL
        model = saving.load(place)
    if not hasattr(model, "predict_table"):
        raise CommandError(
            f"{path}: is a {type(model).__name__}, expected a model of 'fastdl train table' or 'train series'"
        )
    return model
