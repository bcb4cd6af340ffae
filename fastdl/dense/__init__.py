"""Dense layers and losses: linear, embedding, activations, softmax cross-entropy, mean squared error.

Functions that end in ``_backward`` take the gradient of the loss with respect to the forward's output. Derivatives
of activations are written in terms of the output. Equations: docs/dense.md.
"""

# One type for both: the reference imports nothing of fastdl.
from ..reference.dense import BatchNormTape, LayerNormTape, LossValue
from ._activations import relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward
from ._losses import mse_loss, softmax_cross_entropy
from ._normalization import batch_norm_backward, batch_norm_forward, layer_norm_backward, layer_norm_forward
from ._products import Apart as Apart
from ._products import embedding_backward, embedding_forward, linear_backward, linear_forward

__all__ = [
    "BatchNormTape",
    "LayerNormTape",
    "LossValue",
    "batch_norm_backward",
    "batch_norm_forward",
    "embedding_backward",
    "embedding_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "mse_loss",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax_cross_entropy",
    "tanh",
    "tanh_backward",
]


def __dir__() -> list[str]:
    return [*__all__, "LossValue"]
