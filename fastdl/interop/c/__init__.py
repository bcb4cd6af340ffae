"""C headers of models, for small devices and plug-ins (docs/interop-c.md)."""

from ._export import export

__all__ = ["export"]


def __dir__() -> list[str]:
    return __all__
