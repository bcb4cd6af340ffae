"""Dropout and its family (docs/dropout.md): masks are a function of (seed, stream, step, element), drawn where used.

``_mask`` holds Bernoulli dropout and its masks, ``_variants`` what keeps something else than zero or
multiplies by noise. The layers are in :mod:`fastdl.nn`; the mathematics is in ``docs/dropout.md``.
"""

from ._mask import dropout_backward, dropout_forward, dropout_mask, embedding_dropout
from ._variants import (
    alpha_dropout_backward,
    alpha_dropout_forward,
    gaussian_dropout_backward,
    gaussian_dropout_forward,
    gaussian_noise,
    monte_carlo,
    zoneout_backward,
    zoneout_forward,
)

__all__ = [
    "alpha_dropout_backward",
    "alpha_dropout_forward",
    "dropout_backward",
    "dropout_forward",
    "dropout_mask",
    "embedding_dropout",
    "gaussian_dropout_backward",
    "gaussian_dropout_forward",
    "gaussian_noise",
    "monte_carlo",
    "zoneout_backward",
    "zoneout_forward",
]


def __dir__() -> list[str]:
    return __all__
