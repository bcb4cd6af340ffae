"""Random numbers that are the same everywhere: counter-based, seeded, resumable.

Everything is drawn from Philox4x32-10, a pure function of a counter and a key (the seed). Floats are made of
its words with +, -, *, / and sqrt alone, so a seed gives the same bits on every machine, build and thread
count, compiled or by the reference. The mathematics is in ``docs/random.md``.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _validate
from ._dispatch import kernels, mirrored
from ._memory import aligned_empty

__all__ = [
    "Generator",
    "as_generator",
    "philox",
    "random_words",
    "seed",
    "words_to_normal",
    "words_to_uniform",
]


def __dir__() -> list[str]:
    return __all__


_WORD = 0xFFFFFFFF
_GENERATOR, _NAME = (
    0x40000000,
    0xC0000000,
)  # what a block is for: the top bits of counter word 1 (kernels/draws/_philox.pxd)

Size = int | Sequence[int] | None


@mirrored
def philox(counter: Any, key: Any) -> np.ndarray:
    """One block of Philox4x32-10.

    Parameters
    ----------
    counter : array_like of 4 ints in [0, 2**32)
    key : array_like of 2 ints in [0, 2**32)

    Returns
    -------
    ndarray of uint32, shape (4,)

    Raises
    ------
    TypeError, ValueError
        If there are not that many integers, or one is out of range.

    Notes
    -----
    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> import fastdl as fd
    >>> [f"{word:08x}" for word in fd.random.philox([0, 0, 0, 0], [0, 0]).tolist()]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    words = np.array(_words_argument("counter", counter, 4), np.uint32)
    k0, k1 = _words_argument("key", key, 2)
    kernels.random.block(words, k0 | k1 << 32)
    return words


def _words_argument(name: str, value: Any, count: int) -> list[int]:
    try:
        words = list(value)
    except TypeError:
        raise TypeError(f"{name}: got {_validate.shown(value)}, expected {count} ints") from None
    if len(words) != count:
        raise ValueError(f"{name}: got {len(words)} words, expected {count}")
    return [_validate.integer(name, word, 0, _WORD) for word in words]


@mirrored
def random_words(seed: int, block: int, count: int) -> np.ndarray:
    """Words of a generator's sequence, drawn alone: what :class:`Generator` is made of (docs/random.md).

    Parameters
    ----------
    seed : int in [0, 2**64)
    block : int in [0, 2**61)
        Where to start; a block is four words.
    count : int
        How many words.

    Returns
    -------
    ndarray of uint32, shape (count,)

    Raises
    ------
    TypeError, ValueError
        If a number is no integer, or out of range.

    Examples
    --------
    >>> import fastdl as fd
    >>> whole = fd.random.random_words(7, 0, 12)
    >>> bool((fd.random.random_words(7, 1, 8) == whole[4:]).all())
    True
    """
    seed = _validate.integer("seed", seed, 0, 2**64 - 1)
    block = _validate.integer("block", block, 0, 2**61 - 1)
    count = _validate.integer("count", count, 0)
    out = aligned_empty((-(-count // 4), 4), np.dtype(np.uint32))
    kernels.random.words(block | (_GENERATOR << 32), seed, out)
    return out.reshape(-1)[:count]


@mirrored
def words_to_uniform(words: np.ndarray, low: float, high: float, dtype: Any) -> np.ndarray:
    """Uniform floats from words: low + (high - low) u, with u in [0, 1).

    Parameters
    ----------
    words : ndarray of uint32, 1-D
        One word a float32 (u = word >> 8 on the grid of 2**-24), two a float64 (53 bits).
    low, high : float
    dtype : float32 or float64

    Returns
    -------
    ndarray of dtype, 1-D

    Raises
    ------
    TypeError, ValueError
        If `words` is no vector of uint32 or not of whole floats, `low` is above `high`, or one of them or their
        distance is beyond the dtype.

    Notes
    -----
    docs/random.md. Rounding may give `high`, where low + (high - low) u rounds to it.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.random.words_to_uniform(np.array([0, 1 << 31], np.uint32), 0.0, 1.0, np.float32)
    array([0. , 0.5], dtype=float32)
    """
    low, high, dtype = _range(low, high, dtype)
    words = _words_of("words", words, dtype.itemsize // 4)
    out = aligned_empty(words.size // (dtype.itemsize // 4), dtype)
    kernels.random.uniform(words, low, high, out)
    return out


@mirrored
def words_to_normal(words: np.ndarray, mean: float, std: float, dtype: Any) -> np.ndarray:
    """Normal floats from words, by Box and Muller with written-out series for log, sin and cos.

    Parameters
    ----------
    words : ndarray of uint32, 1-D
        Two words a pair of float32, four a pair of float64; whole pairs.
    mean, std : float
        Finite; `std` at least 0.
    dtype : float32 or float64
        Type of the result.

    Returns
    -------
    ndarray of dtype, 1-D

    Raises
    ------
    TypeError, ValueError
        If `words` is no vector of uint32 or not of whole pairs, or `mean` or `std` is out of range.

    References
    ----------
    G. Box, M. Muller, "A note on the generation of random normal deviates", 1958; docs/random.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.random.words_to_normal(np.array([0xFFFFFFFF, 0], np.uint32), 3.0, 1.0, np.float32)
    array([3., 3.], dtype=float32)
    """
    mean, std, dtype = _spread(mean, std, dtype)
    words = _words_of("words", words, dtype.itemsize // 2)
    out = aligned_empty(words.size // (dtype.itemsize // 4), dtype)
    kernels.random.normal(words, mean, std, out)
    return out


def _words_of(name: str, value: Any, unit: int) -> np.ndarray:
    """A vector of uint32, a whole number of `unit` long."""
    words = _validate.plain_array(name, value, "a numpy array of uint32")
    if words.dtype != np.uint32 or words.ndim != 1:
        raise TypeError(f"{name}: got {words.dtype} of shape {words.shape}, expected a vector of uint32")
    if words.size % unit:
        raise ValueError(f"{name}: got {words.size} words, expected a multiple of {unit}")
    return np.ascontiguousarray(words, np.uint32)


def _range(low: Any, high: Any, dtype: Any) -> tuple[float, float, np.dtype]:
    """low <= high, both and their distance within the type."""
    kind = _validate.float_type("dtype", dtype)
    most = float(np.finfo(kind).max)
    first, last = _validate.number("low", low, -most, most), _validate.number("high", high, -most, most)
    if not first <= last <= first + most:
        raise ValueError(f"high: got {last} with low {first}, expected from low to low + {most:g}")
    return first, last, kind


def _spread(mean: Any, std: Any, dtype: Any) -> tuple[float, float, np.dtype]:
    kind = _validate.float_type("dtype", dtype)
    most = float(np.finfo(kind).max)
    return _validate.number("mean", mean, -most, most), _validate.number("std", std, 0.0, most), kind


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
        low, high, dtype = _range(low, high, dtype)
        shape, count = _shape(size), _count(size)
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
        mean, std, dtype = _spread(mean, std, dtype)
        shape, count = _shape(size), _count(size)
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
        half, mask = np.uint64(32), np.uint64(_WORD)
        r_low, r_high, width = words[::2], words[1::2], high - low
        n_low, n_high = np.uint64(width & _WORD), np.uint64(width >> 32)
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
            out = philox((low, _NAME | len(piece), high, start // 8), (seed & _WORD, seed >> 32))
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
