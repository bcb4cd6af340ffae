"""Files of audio plug-ins: RTNeural's JSON and Neural Amp Modeler's .nam (docs/interop-audio.md)."""

from ._nam import export_nam, load_nam
from ._rtneural import export_rtneural, load_rtneural

__all__ = ["export_nam", "export_rtneural", "load_nam", "load_rtneural"]


def __dir__() -> list[str]:
    return __all__
