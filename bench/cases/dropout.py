"""Masks, noise and mixtures drawn from a counter."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import SINGLE, VECTORS, Work, case, integers, normals

WHERE = {"seed": 1, "stream": 2, "step": 3}
SEQUENCES = {
    "small": {"steps": 3, "batch": 5, "width": 67},
    "medium": {"steps": 11, "batch": 15, "width": 301},
    "large": {"steps": 64, "batch": 256, "width": 1024},
}


def _elementwise(function: Callable[..., np.ndarray], variant: str = "", **options: Any) -> None:
    """A function of one array and as large a result."""

    @case("dropout", function.__name__, variant, **VECTORS)
    def build(dtype: np.dtype, n: int) -> Work:
        x = normals(dtype, n)
        return Work(lambda: function(x, **options, **WHERE), read=x.nbytes, written=x.nbytes)


for _p in (0.1, 0.5):
    _elementwise(fd.dropout_forward, f"p={_p}", p=_p)
    _elementwise(fd.dropout_backward, f"p={_p}", p=_p)
_elementwise(fd.alpha_dropout_forward)
_elementwise(fd.alpha_dropout_backward)
_elementwise(fd.gaussian_dropout_forward)
_elementwise(fd.gaussian_dropout_backward)
_elementwise(fd.gaussian_noise)


@case("dropout", "dropout_forward", "one mask for all steps", **SEQUENCES)
def shared_mask(dtype: np.dtype, steps: int, batch: int, width: int) -> Work:
    x = normals(dtype, steps, batch, width)
    return Work(
        lambda: fd.dropout_forward(x, 0.5, broadcast_axes=0, **WHERE),
        read=x.nbytes,
        written=x.nbytes,
    )


def _mask(form: str, bits: int) -> None:
    @case("dropout", "dropout_mask", form, **VECTORS, dtypes=(SINGLE,))
    def build(dtype: np.dtype, n: int) -> Work:
        return Work(lambda: fd.dropout_mask(n, form=form, dtype=dtype, **WHERE), written=-(-n * bits // 8))


_mask("bytes", 8)
_mask("bits", 1)


@case("dropout", "zoneout_forward", **VECTORS)
def zoneout_forward(dtype: np.dtype, n: int) -> Work:
    new, old = normals(dtype, n), normals(dtype, n, seed=1)
    return Work(lambda: fd.zoneout_forward(new, old, **WHERE), read=2 * old.nbytes, written=old.nbytes)


@case("dropout", "zoneout_backward", **VECTORS)
def zoneout_backward(dtype: np.dtype, n: int) -> Work:
    dy = normals(dtype, n)
    return Work(lambda: fd.zoneout_backward(dy, **WHERE), read=dy.nbytes, written=2 * dy.nbytes)


@case(
    "dropout",
    "embedding_dropout",
    small={"words": 35, "vocabulary": 11, "width": 37},
    medium={"words": 501, "vocabulary": 500, "width": 101},
    large={"words": 1 << 15, "vocabulary": 1 << 15, "width": 512},
)
def embedding_dropout(dtype: np.dtype, words: int, vocabulary: int, width: int) -> Work:
    x, index = normals(dtype, words, width), integers(vocabulary, words)
    return Work(
        lambda: fd.embedding_dropout(x, index, vocabulary, **WHERE),
        read=x.nbytes + index.nbytes,
        written=x.nbytes,
    )
