"""Text as data: files and the default corpus, a vocabulary of characters, windows for truncated BPTT.

The unit is the character (Unicode code point), so any alphabet works and nothing has to be tokenized.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._validate import integer

UNKNOWN = "\ufffd"  # the replacement character stands for every character outside the vocabulary


def default_corpus() -> str:
    """The English that every CPython carries: the help topics of ``pydoc``, in order of their names.

    Returns
    -------
    str
        About 465,000 characters in Python 3.11 (the text differs a little from release to release).

    Examples
    --------
    >>> len(default_corpus()) > 300_000
    True
    """
    from pydoc_data.topics import topics

    return "".join(topics[name] for name in sorted(topics))


def read_text(paths: Sequence[str | os.PathLike[str]]) -> str:
    """The contents of text files, one after the other.

    Parameters
    ----------
    paths : sequence of str or path-like
        UTF-8 files; a byte order mark is dropped and line ends become ``"\\n"``.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ValueError
        If a file is empty or not text (not UTF-8, or with NUL characters), with its name and the place.
    OSError
        If a file cannot be read.
    """
    parts = []
    for path in paths:
        name = os.fspath(path)
        raw = Path(path).read_bytes()
        if not raw:
            raise ValueError(f"{name}: is empty, expected text")
        nul = raw.find(b"\0")
        if nul >= 0:
            raise ValueError(f"{name}: is not a text file: byte {nul} is NUL")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}: is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x} (iconv can convert it)"
            ) from None
        parts.append(text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(parts)


def split_held_out(text: str) -> tuple[str, str]:
    """The first nine tenths, to train on, and the last tenth, to measure on.

    Examples
    --------
    >>> split_held_out("0123456789")
    ('012345678', '9')
    """
    border = len(text) * 9 // 10
    return text[:border], text[border:]


class Vocabulary:
    """The characters a model knows, in code point order, after one code for all others.

    Parameters
    ----------
    characters : str
        Any text: its distinct characters become the vocabulary. Code 0 stands for all others and reads as
        U+FFFD.

    Attributes
    ----------
    characters : str
        The characters of the codes 1, 2, ...

    Examples
    --------
    >>> vocabulary = Vocabulary("hello")
    >>> len(vocabulary), vocabulary.characters
    (5, 'ehlo')
    >>> vocabulary.encode("hole?")
    array([2, 4, 3, 1, 0])
    >>> vocabulary.decode(vocabulary.encode("hole?"))
    'hole\ufffd'
    """

    def __init__(self, characters: str) -> None:
        if not isinstance(characters, str):
            raise TypeError(f"characters: got {type(characters).__name__}, expected a str")
        self.characters = "".join(sorted(set(characters) - {UNKNOWN}))
        if not self.characters:
            raise ValueError("characters: got none, expected at least one")
        self._points = _code_points(self.characters)

    def __len__(self) -> int:
        return len(self.characters) + 1

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} codes)"

    def encode(self, text: str) -> np.ndarray:
        """The codes of a text, int64 of shape (len(text),); 0 for characters outside the vocabulary."""
        points = _code_points(text)
        places = np.searchsorted(self._points, points)
        places[places == self._points.size] = 0
        return np.where(self._points[places] == points, places + 1, 0)

    def decode(self, codes: Any) -> str:
        """The text of codes."""
        table = UNKNOWN + self.characters
        return "".join(table[integer("codes", code, 0, len(self) - 1)] for code in np.ravel(codes).tolist())


def _code_points(text: str) -> np.ndarray:
    # surrogatepass: a str may hold lone surrogates, and they are code points like others here
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4")).astype(np.int64)


class TextBatches:
    """Successive windows of B stretches of a text, for truncated BPTT with carried state (MATH 5.8).

    The text is cut into `batch_size` stretches of equal length, read side by side: row t of a window holds
    the t-th next character of every stretch, and the targets are the characters that follow. The last window
    of an epoch may be shorter; up to ``batch_size - 1`` characters at the end of the text are left over.

    Parameters
    ----------
    codes : ndarray of ints, shape (N,)
        The text, as :meth:`Vocabulary.encode` gives it.
    seq_len : int, default 64
        Characters a window, T.
    batch_size : int, default 32
        Stretches read side by side, B.

    Raises
    ------
    ValueError
        If the text has fewer than ``batch_size + 1`` characters.

    Examples
    --------
    >>> import numpy as np
    >>> for x, y in TextBatches(np.arange(9), seq_len=3, batch_size=2):
    ...     print(x.T.tolist(), y.T.tolist())
    [[0, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]]
    [[3], [7]] [[4], [8]]
    """

    def __init__(self, codes: np.ndarray, seq_len: int = 64, batch_size: int = 32) -> None:
        self.seq_len = integer("seq_len", seq_len, 1)
        self.batch_size = integer("batch_size", batch_size, 1)
        if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise TypeError("codes: expected a one-dimensional numpy array of integers")
        length = (codes.size - 1) // self.batch_size
        if length < 1:
            raise ValueError(f"codes: got {codes.size} characters, expected at least {self.batch_size + 1}")
        used = length * self.batch_size
        # Time first, so that a window is a contiguous slice that no step has to copy.
        self._x = np.ascontiguousarray(codes[:used].reshape(self.batch_size, length).T, np.int64)
        self._y = np.ascontiguousarray(codes[1 : used + 1].reshape(self.batch_size, length).T, np.int64)

    def __len__(self) -> int:
        return -(-self._x.shape[0] // self.seq_len)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The windows from number `start` on: in reading order in every epoch."""
        for first in range(start * self.seq_len, self._x.shape[0], self.seq_len):
            window = slice(first, first + self.seq_len)
            yield self._x[window], self._y[window]

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint compares."""
        import zlib

        return {
            "kind": "TextBatches",
            "shape": list(self._x.shape),
            "crc32": zlib.crc32(self._y.data, zlib.crc32(self._x.data)),
            "seq_len": self.seq_len,
        }
