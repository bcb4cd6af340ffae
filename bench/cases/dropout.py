"""Masks, noise and mixtures drawn from a counter."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import SINGLE, VECTORS, Work, call, case, integers, normals, of_arrays, sizes

WHERE = {"seed": 1, "stream": 2, "step": 3}
SEQUENCES = sizes("steps batch width", (3, 5, 67), (11, 15, 301), (64, 256, 1024))
WORDS = sizes("words vocabulary width", (35, 11, 37), (501, 500, 101), (1 << 15, 1 << 15, 512))


def _enter(function: Callable[..., Any], variant: str = "", **how: Any) -> None:
    of_arrays("dropout", function, variant, **{**WHERE, **how})


for _p in (0.1, 0.5):
    _enter(fd.dropout_forward, f"p={_p}", p=_p)
    _enter(fd.dropout_backward, f"p={_p}", p=_p)
for _function in (fd.alpha_dropout_forward, fd.alpha_dropout_backward, fd.gaussian_dropout_forward,
                  fd.gaussian_dropout_backward, fd.gaussian_noise):  # fmt: skip
    _enter(_function)
_enter(fd.dropout_forward, "one mask for all steps", p=0.5, broadcast_axes=0, sizes=SEQUENCES)
_enter(fd.zoneout_forward, arrays=2)
_enter(fd.zoneout_backward)


def _mask(form: str) -> None:
    @case("dropout", "dropout_mask", form, **VECTORS, dtypes=(SINGLE,))
    def build(dtype: np.dtype, n: int) -> Work:
        return call(fd.dropout_mask, n, form=form, dtype=dtype, **WHERE)


_mask("bytes")
_mask("bits")


@case("dropout", "embedding_dropout", **WORDS)
def embedding_dropout(dtype: np.dtype, words: int, vocabulary: int, width: int) -> Work:
    x, index = normals(dtype, words, width), integers(vocabulary, words)
    return call(fd.embedding_dropout, x, index, vocabulary, **WHERE)
