"""torch models on fastdl's kernels: recurrent modules, optimizers, and models both ways (docs/interop-torch.md).

Needs the extra ``torch``, which is imported with this module.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError('fastdl.interop.torch needs torch: pip install "fastdl[torch]"') from None

from . import optim
from ._adapters import Output, TimeMajor
from ._convert import from_torch, to_torch
from ._layers import GRU, LSTM, RNN
from ._own import IndRNN, MinGRU, MinLSTM, sLSTM
from ._replace import replace

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "IndRNN",
    "MinGRU",
    "MinLSTM",
    "Output",
    "TimeMajor",
    "from_torch",
    "optim",
    "replace",
    "sLSTM",
    "to_torch",
]


def __dir__() -> list[str]:
    return __all__
