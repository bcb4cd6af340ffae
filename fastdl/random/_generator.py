"""Generators: streams of numbers with a state that can be kept."""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from .. import _validate
from ._words import FOR_NAMES, WORD, philox, random_words, range_of, spread_of, words_to_normal, words_to_uniform

Size = int | Sequence[int] | None


class Generator:
    """A seeded sequence of random numbers, independent of every other seed and name.

    Parameters
    ----------
    seed : int in [0, 2**64), default 0

    Raises
    ------
    TypeError, ValueError
        If the seed is no integer, or out of range.

    Notes
    -----
    A call takes whole Philox blocks from a position that moves on, so what it returns depends on the calls
    before it and on nothing else. One generator is not for several threads at a time: give each a
    :meth:`stream`.

    Examples
    --------
    >>> import fastdl as fd
    >>> rng = fd.random.Generator(3)
    >>> rng.permutation(5).tolist() == fd.random.Generator(3).permutation(5).tolist()
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = _validate.integer("seed", seed, 0, 2**64 - 1)
        self._block = 0

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, block={self._block})"

    @property
    def seed(self) -> int:
        """The seed: the Philox key, low word first."""
        return self._seed

    def _draw(self, count: int) -> np.ndarray:
        words = random_words(self._seed, self._block, count)
        self._block += -(-count // 4)
        return words

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Size = None, dtype: Any = np.float32) -> Any:
        """Uniform on [low, high); rounding may give `high` where low + (high - low) u rounds to it.

        Parameters
        ----------
        low, high : float, default 0 and 1
            Finite, low <= high.
        size : int, tuple of int or None, default None
            Shape; None for one float.
        dtype : float32 (default) or float64

        Returns
        -------
        ndarray or float

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of range.
        """
        low, high, dtype = range_of(low, high, dtype)
        shape, count = _shape(size), _count(size)
        if _idle.get() and shape is not None:
            return _undrawn(shape, dtype)
        values = words_to_uniform(self._draw(count * (dtype.itemsize // 4)), low, high, dtype)
        return float(values[0]) if shape is None else values.reshape(shape)

    def normal(self, mean: float = 0.0, std: float = 1.0, size: Size = None, dtype: Any = np.float32) -> Any:
        """Normal deviates.

        Parameters
        ----------
        mean : float, default 0
            Finite.
        std : float, default 1
            Standard deviation, finite and at least 0.
        size : int, tuple of int or None, default None
            Shape; None for one float.
        dtype : float32 (default) or float64

        Returns
        -------
        ndarray or float

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of range.
        """
        mean, std, dtype = spread_of(mean, std, dtype)
        shape, count = _shape(size), _count(size)
        if _idle.get() and shape is not None:
            return _undrawn(shape, dtype)
        even = count + count % 2
        values = words_to_normal(self._draw(even * (dtype.itemsize // 4)), mean, std, dtype)[:count]
        return float(values[0]) if shape is None else values.reshape(shape)

    def integers(self, low: int, high: int, size: Size = None) -> Any:
        """Integers in [low, high).

        Parameters
        ----------
        low, high : int
            From -2**63 to 2**63 - 1, low < high.
        size : int, tuple of int or None, default None
            Shape; None for one int.

        Returns
        -------
        ndarray of int64, or int

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of range.

        Notes
        -----
        Each is low + floor(r (high - low) / 2**64) for a 64-bit r: no value's probability is off by more
        than 2**-64.
        """
        low = _validate.integer("low", low, -(2**63), 2**63 - 2)
        high = _validate.integer("high", high, -(2**63), 2**63 - 1)
        if high <= low:
            raise ValueError(f"high: got {high} with low {low}, expected at least low + 1")
        shape, count = _shape(size), _count(size)
        words = self._draw(2 * count).astype(np.uint64)
        # The high 64 bits of a 128-bit product, by halves; uint64 arithmetic wraps, which the last sum uses.
        half, mask = np.uint64(32), np.uint64(WORD)
        r_low, r_high, width = words[::2], words[1::2], high - low
        n_low, n_high = np.uint64(width & WORD), np.uint64(width >> 32)
        middle = r_high * n_low + ((r_low * n_low) >> half)
        other = r_low * n_high + (middle & mask)
        offset = r_high * n_high + (middle >> half) + (other >> half)
        values = (offset + np.uint64(low % 2**64)).view(np.int64)
        return int(values[0]) if shape is None else values.reshape(shape)

    def permutation(self, n: int) -> np.ndarray:
        """The integers 0 to n - 1 in random order: the order of n random 64-bit keys.

        Parameters
        ----------
        n : int
            How many, at least 0.

        Returns
        -------
        ndarray of int64 (n,)

        Raises
        ------
        TypeError, ValueError
            If `n` is no integer, or below 0.
        """
        n = _validate.integer("n", n, 0)
        words = self._draw(2 * n).astype(np.uint64)
        return np.argsort(words[::2] | (words[1::2] << np.uint64(32)), kind="stable")

    def stream(self, name: str) -> "Generator":
        """An independent generator with a name, the same wherever this one stands.

        Parameters
        ----------
        name : str
            Any text; another name gives another stream.

        Returns
        -------
        Generator

        Raises
        ------
        TypeError
            If the name is no str.

        Notes
        -----
        The child's seed is the name's UTF-8 bytes absorbed eight at a time, each as a Philox counter
        under the key so far, beginning with this generator's seed.

        Examples
        --------
        >>> import fastdl as fd
        >>> rng = fd.random.Generator(3)
        >>> rng.stream("shuffle").seed == rng.stream("shuffle").seed != rng.stream("dropout").seed
        True
        """
        if not isinstance(name, str):
            raise TypeError(f"name: got {type(name).__name__}, expected str")
        text, seed = name.encode(errors="surrogatepass"), self._seed
        for start in range(0, len(text) + 1, 8):  # at least once: the empty name too is a child
            piece = text[start : start + 8]
            low, high = (int.from_bytes(piece[i : i + 4], "little") for i in (0, 4))
            # Word 1 says what the block is for and how long the piece is; the bytes are words 0 and 2.
            out = philox((low, FOR_NAMES | len(piece), high, start // 8), (seed & WORD, seed >> 32))
            seed = int(out[0]) | (int(out[1]) << 32)
        return Generator(seed)

    def state_dict(self) -> dict[str, int]:
        """Everything that decides what comes next.

        Returns
        -------
        dict
            "seed" and "block", two Python ints.
        """
        return {"seed": self._seed, "block": self._block}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from where :meth:`state_dict` was taken.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        TypeError, ValueError
            If the dictionary is not such a state; the generator stays as it was.
        """
        if set(_validate.mapping("state", state, "names to numbers")) != {"seed", "block"}:
            raise ValueError(f"state: got keys {sorted(map(str, state))}, expected ['block', 'seed']")
        seed = _validate.integer("state['seed']", state["seed"], 0, 2**64 - 1)
        block = _validate.integer("state['block']", state["block"], 0, 2**61 - 1)
        self._seed, self._block = seed, block


_default = Generator(int.from_bytes(os.urandom(8), "little"))


def seed(n: int) -> None:
    """Restart the generator that is used where ``rng=None``.

    Parameters
    ----------
    n : int in [0, 2**64)
        The seed.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer, or out of range.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.random.seed(1)
    >>> first = fd.random.as_generator(None).uniform()
    >>> fd.random.seed(1)
    >>> fd.random.as_generator(None).uniform() == first
    True
    """
    _default.load_state_dict({"seed": _validate.integer("n", n, 0, 2**64 - 1), "block": 0})


_idle: ContextVar[bool] = ContextVar("fastdl_idle", default=False)


@contextlib.contextmanager
def without_drawing() -> Iterator[None]:
    """Arrays of floats are zeros inside and nothing is drawn: for layers whose values are read from a file."""
    token = _idle.set(True)
    try:
        yield
    finally:
        _idle.reset(token)


def _undrawn(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that are one number in memory, however many: nobody reads them."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


def is_idle() -> bool:
    """Whether initial values are wanted."""
    return _idle.get()


def as_generator(rng: "Generator | int | None") -> Generator:
    """What a ``rng=`` argument means.

    The default generator starts from the operating system's randomness until :func:`seed` is called.

    Parameters
    ----------
    rng : None, int or Generator
        A Generator as it is, an int in [0, 2**64) as a seed, None for the default generator.

    Returns
    -------
    Generator

    Raises
    ------
    TypeError, ValueError
        If it is something else, NumPy's generators among it, or the int is out of range.

    Examples
    --------
    >>> import fastdl as fd
    >>> rng = fd.random.as_generator(3)
    >>> rng, fd.random.as_generator(rng) is rng
    (Generator(seed=3, block=0), True)
    """
    if rng is None:
        return _default
    if isinstance(rng, Generator):
        return rng
    if isinstance(rng, (bool, np.bool_)) or not hasattr(rng, "__index__"):
        kind = type(rng)
        got = f"numpy.random.{kind.__name__}" if kind.__module__.startswith("numpy.random") else kind.__name__
        raise TypeError(f"rng: got {got}, expected a fastdl.random.Generator, an int or None")
    return Generator(_validate.integer("rng", rng, 0, 2**64 - 1))


def _shape(size: Size) -> tuple[int, ...] | None:
    if size is None:
        return None
    extents = size if isinstance(size, (tuple, list)) else (size,)
    return tuple(_validate.integer("size", extent, 0) for extent in extents)


def _count(size: Size) -> int:
    return math.prod(_shape(size) or ())
