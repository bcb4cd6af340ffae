"""What a row of every benchmark is made of: a public function, its arguments at some size, and what it must cost."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastdl._memory import aligned_zeros

SIZES = ("small", "medium", "large")
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)

# Of elementwise work. Not whole vectors or blocks, so that what handles the rest runs too.
VECTORS = {"small": {"n": 1003}, "medium": {"n": 40_003}, "large": {"n": 1 << 24}}
PERIOD = 1_000_003  # of the numbers drawn: no row of a matrix is like another


class Work(NamedTuple):
    """One call of a public function and the least it can cost.

    `run` gives what the function returns or, in place, what it changed. The same work built and run inside
    ``fd.backend("reference")`` is that of the twin, so a row is asserted by building both and comparing one call
    of each; a function without twin brings `expected`, another way to its result. `run` may be called any number
    of times: what is changed in place drifts, but stays finite and costs the same.

    The bytes are those of the arrays that must be read and written once, the multiply-adds those of the formula;
    neither counts what a particular kernel happens to do beside.
    """

    run: Callable[[], Any]
    read: int = 0  # bytes
    written: int = 0  # bytes
    multiply_adds: int = 0
    tolerance: float = 1e-5  # of the largest element, in float32; float64 is held to a millionth of it
    expected: Callable[[], Any] | None = None


class Case(NamedTuple):
    """A public function at named sizes: "small" for first-level cache and instruction counts, "medium" for
    the second level, "large" for memory or for the longest product people train with."""

    topic: str
    function: str
    variant: str  # what tells two cases of one function apart, "" where there is one
    build: Callable[..., Work]
    sizes: dict[str, dict[str, int]]
    dtypes: tuple[np.dtype, ...]

    @property
    def name(self) -> str:
        return f"{self.topic}.{self.function}" + (f"[{self.variant}]" if self.variant else "")

    def work(self, size: str | dict[str, int] = "medium", dtype: np.dtype = SINGLE) -> Work:
        """The call at a named size, or at sizes of one's own (for a sweep over T, say)."""
        return self.build(dtype, **(self.sizes[size] if isinstance(size, str) else size))


_table: list[Case] = []


def case(
    topic: str,
    function: str,
    variant: str = "",
    *,
    small: dict[str, int],
    medium: dict[str, int],
    large: dict[str, int],
    dtypes: tuple[np.dtype, ...] = (SINGLE, DOUBLE),
) -> Callable[[Callable[..., Work]], Callable[..., Work]]:
    """Enter a builder ``(dtype, **sizes) -> Work`` in the table."""

    def enter(build: Callable[..., Work]) -> Callable[..., Work]:
        sizes = {"small": small, "medium": medium, "large": large}
        _table.append(Case(topic, function, variant, build, sizes, dtypes))
        return build

    return enter


def table() -> list[Case]:
    """Every case, in the order of the topics."""
    return list(_table)


def normals(dtype: np.dtype, *shape: int, seed: int = 0) -> np.ndarray:
    """Standard normals, the same on every call and aligned alike, as a model's parameters are.

    They come again after a million: more would take longer to draw than most functions take to run.
    """
    array = aligned_zeros(shape, dtype)
    drawn = np.random.default_rng(seed).standard_normal(min(array.size, PERIOD)).astype(dtype)
    array[...] = np.resize(drawn, shape)
    return array


def integers(bound: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Integers in [0, bound), the same on every call."""
    return np.random.default_rng(seed).integers(0, bound, shape)
