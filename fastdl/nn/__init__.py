"""Layers over one flat parameter arena: ``_module`` says what a layer is, ``_parameter`` what the arena is."""

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
    "AlphaDropout",
    "Arena",
    "DropConnect",
    "Dropout",
    "EmbeddingDropout",
    "GaussianDropout",
    "GaussianNoise",
    "Module",
    "Parameter",
    "Sequential",
    "Zoneout",
    "monte_carlo",
]
