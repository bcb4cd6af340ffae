"""Dense layers and losses: linear maps, embedding, activations, and losses with their gradients.

Functions that end in ``_backward`` take the gradient of the loss with respect to the forward's output, and with it what
the forward took or, where that says as much, gave. Losses return (value, gradient). Equations: docs/dense.md.
"""

# One type for both: the reference imports nothing of fastdl.
from ..reference.dense import BatchNormTape, LayerNormTape, LossValue
from . import _activations, _losses
from ._activations import *
from ._class_losses import nll_loss, softmax_cross_entropy
from ._linear_loss import counting as counting
from ._linear_loss import linear_cross_entropy
from ._losses import *
from ._normalization import batch_norm_backward, batch_norm_forward, layer_norm_backward, layer_norm_forward
from ._products import Apart as Apart
from ._products import embedding_backward, embedding_forward, linear_backward, linear_forward
from ._signal_losses import cosine_embedding_loss, error_to_signal_ratio

__all__ = [
    "BatchNormTape",
    "LayerNormTape",
    "LossValue",
    "batch_norm_backward",
    "batch_norm_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "cosine_embedding_loss",
    "embedding_backward",
    "embedding_forward",
    "error_to_signal_ratio",
    "linear_backward",
    "linear_cross_entropy",
    "linear_forward",
    "nll_loss",
    "softmax_cross_entropy",
    *_activations.__all__,
    *_losses.__all__,
]


def __dir__() -> list[str]:
    return [*__all__, "LossValue"]
