"""Words of Philox4x32-10, and the floats that are made of them."""

from typing import Any

import numpy as np

from .. import _validate
from .._dispatch import kernels, mirrored
from .._memory import aligned_empty

WORD = 0xFFFFFFFF
# What a block is for: the top bits of counter word 1 (kernels/draws/_philox.pxd).
FOR_GENERATORS, FOR_NAMES = 0x40000000, 0xC0000000


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
    return [_validate.integer(name, word, 0, WORD) for word in words]


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
    kernels.random.words(block | (FOR_GENERATORS << 32), seed, out)
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
    low, high, dtype = range_of(low, high, dtype)
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
    mean, std, dtype = spread_of(mean, std, dtype)
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


def range_of(low: Any, high: Any, dtype: Any) -> tuple[float, float, np.dtype]:
    """low <= high, both and their distance within the type."""
    kind = _validate.float_type("dtype", dtype)
    most = float(np.finfo(kind).max)
    first, last = _validate.number("low", low, -most, most), _validate.number("high", high, -most, most)
    if not first <= last <= first + most:
        raise ValueError(f"high: got {last} with low {first}, expected from low to low + {most:g}")
    return first, last, kind


def spread_of(mean: Any, std: Any, dtype: Any) -> tuple[float, float, np.dtype]:
    kind = _validate.float_type("dtype", dtype)
    most = float(np.finfo(kind).max)
    return _validate.number("mean", mean, -most, most), _validate.number("std", std, 0.0, most), kind
