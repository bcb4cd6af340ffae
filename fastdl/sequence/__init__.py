"""Sequences whose lengths differ: CTC, attention, convolution and pooling over time, decoding (docs/sequence.md).

Arrays are time-major, (T, B, ...), and `lengths` (B,) says how much of each column is real, in any order.
Cross-entropy over sequences is :func:`fastdl.softmax_cross_entropy` with its `lengths` or `ignore_index`.
Equations: docs/sequence.md.
"""

from ._attention import (
    additive_attention_backward,
    additive_attention_forward,
    dot_attention_backward,
    dot_attention_forward,
)
from ._convolution import conv1d_backward, conv1d_forward
from ._ctc import ctc_beam_search, ctc_greedy_decode, ctc_loss
from ._decoding import beam_search, decode, sample
from ._pooling import (
    PoolTape,
    avg_pool1d_backward,
    avg_pool1d_forward,
    max_pool1d_backward,
    max_pool1d_forward,
)

__all__ = [
    "PoolTape",
    "additive_attention_backward",
    "additive_attention_forward",
    "avg_pool1d_backward",
    "avg_pool1d_forward",
    "beam_search",
    "conv1d_backward",
    "conv1d_forward",
    "ctc_beam_search",
    "ctc_greedy_decode",
    "ctc_loss",
    "decode",
    "dot_attention_backward",
    "dot_attention_forward",
    "max_pool1d_backward",
    "max_pool1d_forward",
    "sample",
]


def __dir__() -> list[str]:
    return __all__
