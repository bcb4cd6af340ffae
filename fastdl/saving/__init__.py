"""Models in files: architecture, settings and weights in one safetensors file, read without executing anything.

:func:`save` and :func:`load` are public as ``fd.save`` and ``fd.load``; docs/saving.md has the layout.
"""

from ._file import info, load, save

__all__ = ["info", "load", "save"]


def __dir__() -> list[str]:
    return __all__
