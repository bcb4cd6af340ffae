"""Where the gradients of one parameter go, sample by sample."""

import numpy as np

from .._dispatch import kernels
from .._memory import scratch
from .._threads import threads_for
from .._validate import check_shape

_GRAIN = 1_000_000  # multiply-adds a thread should have, as in the recurrent topic


class Slot:
    """Where the gradients of one parameter go, sample by sample: the columns from `start` of (samples, all)."""

    def __init__(self, rows: np.ndarray, start: int, size: int) -> None:
        self.rows, self.start, self.columns = rows, start, rows[:, start : start + size]

    def split(self, count: int) -> list["Slot"]:
        """The same of each of `count` matrices of one size that the parameter is."""
        size = self.columns.shape[1] // count
        return [Slot(self.rows, self.start + j * size, size) for j in range(count)]

    def add_products(self, x: np.ndarray, dy: np.ndarray) -> None:
        """Add x[:, b]^T dy[:, b] to row b; x is (T, samples, I), dy (T, samples, O)."""
        _check_products(x, dy, self.columns)
        if not (x.size and dy.size):
            return
        num_threads = threads_for(x.size * dy.shape[2], _GRAIN)
        panel = kernels.curvature.packed_size(x.shape[0], 1, x.itemsize)
        work = scratch(num_threads * panel, x.dtype)[: num_threads * panel].reshape(num_threads, panel)
        kernels.curvature.sample_products(x, dy, self.rows, self.start, True, work, num_threads)

    def add_sums(self, dy: np.ndarray) -> None:
        """Add the sum of dy[:, b] to row b; dy is (T, samples, O)."""
        check_shape("dy", dy, (None, *self.columns.shape))
        self.columns += dy.sum(0)


def _check_products(x: np.ndarray, dy: np.ndarray, columns: np.ndarray) -> None:
    """Refuse what cannot be multiplied sample by sample into the columns."""
    samples, wide = columns.shape
    check_shape("x", x, (dy.shape[0], samples, None))
    check_shape("dy", dy, (x.shape[0], samples, None))
    if x.shape[2] * dy.shape[2] != wide:
        raise ValueError(f"x, dy: got {x.shape[2]} and {dy.shape[2]} columns, expected {wide} products of them")
