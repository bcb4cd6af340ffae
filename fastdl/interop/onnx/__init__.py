"""ONNX files of fastdl's models, and models of ONNX files (docs/interop-onnx.md). Needs the extra ``onnx``."""

from ._export import export
from ._load import load

__all__ = ["export", "load"]


def __dir__() -> list[str]:
    return __all__
