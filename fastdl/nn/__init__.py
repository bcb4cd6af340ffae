"""Layers over one parameter arena: ``_module`` says what a layer is, ``_parameter`` what the arena is."""

from ._attention import AdditiveAttention, DotAttention
from ._cells import GRU, LSTM, RNN
from ._layers import Embedding, Linear, ReLU, Sigmoid, Tanh
from ._module import Module, Sequential
from ._parameter import Arena, Parameter
from .dropout import (
    AlphaDropout,
    DropConnect,
    Dropout,
    EmbeddingDropout,
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
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "Zoneout",
    "monte_carlo",
]
