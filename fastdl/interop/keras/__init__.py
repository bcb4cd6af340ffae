"""Models of Keras, and for it (docs/interop-keras.md). Needs the extra ``keras`` and one of its backends."""

from ._models import from_keras, to_keras

__all__ = ["from_keras", "to_keras"]


def __dir__() -> list[str]:
    return __all__
