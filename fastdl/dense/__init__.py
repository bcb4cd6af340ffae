"""Dense layers and losses: linear maps, embedding, activations, and losses with their gradients.

Functions that end in ``_backward`` take the gradient of the loss with respect to the forward's output, and with it what
the forward took or, where that says as much, gave. Losses return (value, gradient). Equations: docs/dense.md.
"""

from ..reference.dense import LossValue  # one type for both: the reference imports nothing of fastdl
from . import _activations
from ._activations import *
from ._class_losses import nll_loss, softmax_cross_entropy
from ._losses import (
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    quantile_loss,
    smooth_l1_loss,
)
from ._products import Apart as Apart
from ._products import embedding_backward, embedding_forward, linear_backward, linear_forward
from ._signal_losses import cosine_embedding_loss, error_to_signal_ratio

__all__ = [
    "LossValue",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "embedding_backward",
    "embedding_forward",
    "error_to_signal_ratio",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_backward",
    "linear_forward",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "quantile_loss",
    "smooth_l1_loss",
    "softmax_cross_entropy",
    *_activations.__all__,
]


def __dir__() -> list[str]:
    return [*__all__, "LossValue"]
