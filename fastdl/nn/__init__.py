"""Layers over one parameter arena: ``_module`` says what a layer is, ``_arena`` what the arena is."""

from . import _activations, init
from ._activations import *
from ._adaptive import AdaptiveLogSoftmaxWithLoss
from ._arena import Arena
from ._attention import AdditiveAttention, DotAttention
from ._cells import GRU, LSTM, RNN
from ._check import GradientChecks
from ._containers import ModuleDict, ModuleList, Residual
from ._convolution import AvgPool1d, Conv1d, MaxPool1d
from ._derivatives import derivative
from ._derived import detach
from ._heads import LinearCrossEntropy
from ._layers import Embedding, Linear
from ._lean_cells import IndRNN, MinGRU, MinLSTM
from ._module import Module
from ._normalization import BatchNorm1d, LayerNorm
from ._parameter import Parameter
from ._sequential import Sequential
from ._shapes import Flatten, Identity
from ._value_and_grad import value_and_grad
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
    "AdaptiveLogSoftmaxWithLoss",
    "AdditiveAttention",
    "AlphaDropout",
    "Arena",
    "AvgPool1d",
    "BatchNorm1d",
    "Conv1d",
    "DotAttention",
    "DropConnect",
    "Dropout",
    "Embedding",
    "EmbeddingDropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GradientChecks",
    "Identity",
    "IndRNN",
    "LayerNorm",
    "Linear",
    "LinearCrossEntropy",
    "MaxPool1d",
    "MinGRU",
    "MinLSTM",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "Residual",
    "Sequential",
    "Zoneout",
    "derivative",
    "detach",
    "init",
    "monte_carlo",
    "sLSTM",
    "value_and_grad",
    *_activations.__all__,
]


def __dir__() -> list[str]:
    return __all__
