"""Layers over one parameter arena: ``_module`` says what a layer is, ``_arena`` what the arena is."""

from . import _activations, init
from ._activations import *
from ._arena import Arena
from ._attention import AdditiveAttention, DotAttention
from ._cells import GRU, LSTM, RNN
from ._layers import Embedding, Linear
from ._lean_cells import IndRNN, MinGRU, MinLSTM
from ._module import Module
from ._parameter import Parameter
from ._sequential import Sequential
from ._weight_dropout import DropConnect, EmbeddingDropout
from ._xlstm_cells import sLSTM
from .dropout import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Zoneout,
    monte_carlo,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "AlphaDropout",
    "Arena",
    "DotAttention",
    "DropConnect",
    "Dropout",
    "Embedding",
    "EmbeddingDropout",
    "GaussianDropout",
    "GaussianNoise",
    "IndRNN",
    "Linear",
    "MinGRU",
    "MinLSTM",
    "Module",
    "Parameter",
    "Sequential",
    "Zoneout",
    "init",
    "monte_carlo",
    "sLSTM",
    *_activations.__all__,
]


def __dir__() -> list[str]:
    return __all__
