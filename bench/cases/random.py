"""Words of Philox, and floats made of them. Ten rounds of integers count as no multiply-adds."""

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import SINGLE, VECTORS, Work, call, case

ONE_BLOCK: dict[str, dict[str, int]] = {"small": {}, "medium": {}, "large": {}}


@case("random", "philox", **ONE_BLOCK, dtypes=(SINGLE,))
def philox(dtype: np.dtype) -> Work:
    return Work(lambda: fd.random.philox((1, 2, 3, 4), (5, 6)), read=24, written=16)


@case("random", "random_words", **VECTORS, dtypes=(SINGLE,))
def random_words(dtype: np.dtype, n: int) -> Work:
    return call(fd.random.random_words, 7, 0, n)


def _of_words(name: str, *arguments: float) -> None:
    function = getattr(fd.random, name)

    @case("random", name, **VECTORS)
    def build(dtype: np.dtype, n: int) -> Work:
        n += n % 2  # normals come in pairs
        words = fd.random.random_words(7, 0, n * dtype.itemsize // 4)
        return call(function, words, *arguments, dtype)


_of_words("words_to_uniform", -1.0, 2.0)
_of_words("words_to_normal", 1.0, 2.0)
