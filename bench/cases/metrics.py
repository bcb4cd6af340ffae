"""The edit distance, whose work grows as the square of the texts. (Other metrics are a few sums of NumPy's.)"""

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import SINGLE, Work, case, integers, sizes

TEXTS = sizes("pairs words", (3, 19), (20, 67), (1000, 100))


@case("metrics", "word_error_rate", **TEXTS, dtypes=(SINGLE,))
def word_error_rate(dtype: np.dtype, pairs: int, words: int) -> Work:
    said, heard = (integers(50, pairs, words, seed=seed) for seed in (0, 1))
    return Work(
        lambda: np.float64(fd.metrics.word_error_rate(said, heard)),
        read=said.nbytes + heard.nbytes,
        written=8,
        expected=lambda: np.float64(sum(map(_distance, said, heard)) / said.size),
    )


def _distance(one: np.ndarray, other: np.ndarray) -> int:
    """The table, row by row: what is inserted runs along a row as a cumulative minimum."""
    columns = np.arange(len(other) + 1)
    row = columns.copy()
    for i, symbol in enumerate(one, 1):
        found = np.minimum(row[1:] + 1, row[:-1] + (other != symbol))
        row = columns + np.minimum.accumulate(np.concatenate([[i], found]) - columns)
    return int(row[-1])
