"""Packages that a room needs, imported when they are first needed."""

import importlib
from typing import Any


def needed(package: str, room: str) -> Any:
    """The package; where it is missing, an error that names the extra, which has the room's name."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise ImportError(f'fastdl.interop.{room} needs {package}: pip install "fastdl[{room}]"') from None
