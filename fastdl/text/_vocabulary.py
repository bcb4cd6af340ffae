"""Characters as numbers, windows of them for truncated backpropagation."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._validate import index_array, integer, plain_array, real_values
from ._reading import BLOCK, UNKNOWN, Corpus, code_points, smallest


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

    Raises
    ------
    TypeError, ValueError
        If `characters` is no str, or has no character beside U+FFFD.

    Examples
    --------
    >>> import fastdl as fd
    >>> vocabulary = fd.text.Vocabulary("hello")
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
        self._points = code_points(self.characters)

    def __len__(self) -> int:
        return len(self.characters) + 1

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} codes)"

    def encode(self, text: "str | Corpus") -> np.ndarray:
        """The codes of a text.

        Parameters
        ----------
        text : str or Corpus
            What to encode.

        Returns
        -------
        ndarray of int64 (len(text),)
            0 for characters outside the vocabulary.

        Raises
        ------
        TypeError
            If it is no text.
        """
        return self.compact(text).astype(np.int64)

    def compact(self, text: "str | Corpus") -> np.ndarray:
        """The codes of :meth:`encode`, in the smallest unsigned type that holds them.

        Parameters
        ----------
        text : str or Corpus
            What to encode.

        Returns
        -------
        ndarray of uint8, uint16 or uint32 (len(text),)

        Raises
        ------
        TypeError
            If it is no text.
        """
        index, table = self.indexed(text)
        table = table.astype(smallest(len(self)))
        codes = np.empty(index.size, table.dtype)
        for first in range(0, index.size, BLOCK):
            codes[first : first + BLOCK] = table[index[first : first + BLOCK]]
        return codes

    def indexed(self, text: "str | Corpus") -> tuple[np.ndarray, np.ndarray]:
        """The codes of :meth:`encode` as ``table[index]``, as :class:`TextBatches` takes them.

        Parameters
        ----------
        text : str or Corpus
            What to encode.

        Returns
        -------
        index : ndarray of uint8, uint16 or uint32 (len(text),)
            Read-only; a :class:`Corpus` has it already, so it takes no memory.
        table : ndarray of int64
            The code of each different character.

        Raises
        ------
        TypeError
            If it is no text.
        """
        if not isinstance(text, (str, Corpus)):
            raise TypeError(f"text: got {type(text).__name__}, expected a str or a Corpus")
        corpus = Corpus(text) if isinstance(text, str) else text
        places = np.searchsorted(self._points, corpus._points)
        places[places == self._points.size] = 0
        return corpus._index, np.where(self._points[places] == corpus._points, places + 1, 0)

    def decode(self, codes: Any) -> str:
        """The text of codes.

        Parameters
        ----------
        codes : array_like of int, any shape
            From 0, which reads as U+FFFD, to len(self) - 1; taken in C order.

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError
            If a code is no integer, or out of range.
        """
        table = UNKNOWN + self.characters
        plain = real_values("codes", codes, "iufbOU").ravel().tolist()
        return "".join(table[integer("codes", code, 0, len(self) - 1)] for code in plain)


class TextBatches:
    """Successive windows of B stretches of a text, for truncated BPTT with carried state (docs/recurrent.md 5.8).

    The text is cut into `batch_size` stretches of equal length, read side by side: row t of a window holds
    the t-th next character of every stretch, and the targets are the characters that follow. The last window
    of an epoch may be shorter; up to ``batch_size - 1`` characters at the end of the text are left over.

    Parameters
    ----------
    codes : ndarray of ints, shape (N,)
        The text, as :meth:`Vocabulary.encode` gives it. It is copied, to as few bytes a character as its values need,
        unless it is read-only, as :meth:`Vocabulary.indexed` and ``np.load(..., mmap_mode="r")`` give it.
    seq_len : int, default 64
        Characters a window, T.
    batch_size : int, default 32
        Stretches read side by side, B.
    table : ndarray of int64, optional
        What the codes stand for: the windows hold ``table[codes]``.

    Raises
    ------
    TypeError, ValueError
        If `codes` is no such array, holds negative values, or fewer than ``batch_size + 1`` characters.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> for x, y in fd.text.TextBatches(np.arange(9), seq_len=3, batch_size=2):
    ...     print(x.T.tolist(), y.T.tolist())
    [[0, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]]
    [[3], [7]] [[4], [8]]
    """

    def __init__(
        self, codes: np.ndarray, seq_len: int = 64, batch_size: int = 32, *, table: np.ndarray | None = None
    ) -> None:
        self.seq_len = integer("seq_len", seq_len, 1)
        self.batch_size = integer("batch_size", batch_size, 1)
        codes = plain_array("codes", codes, "a numpy array of integers")
        if codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise TypeError(f"codes: got {codes.dtype} of shape {codes.shape}, expected integers of shape (N,)")
        length = (codes.size - 1) // self.batch_size
        if length < 1:
            raise ValueError(f"codes: got {codes.size} characters, expected at least {self.batch_size + 1}")
        low, high = int(codes.min()), int(codes.max())
        if low < 0 or high >= 1 << 63:
            raise ValueError(f"codes: got values from {low} to {high}, expected 0 or more, in int64")
        if table is not None:
            table = index_array("table", table, 2**63 - 1, (None,))
            if high >= table.size:
                raise ValueError(f"codes: got {high}, expected 0 to {table.size - 1}, as table has them")
        self._table = table
        if codes.flags.writeable:
            codes = codes.astype(smallest(high + 1) if high < 1 << 32 else np.int64)
        # Row t of the view holds character t of every stretch. Targets are the rows after the inputs', and both are
        # copied a window at a time: the text itself is there once, in the type it came in.
        step = codes.strides[0]
        self._rows = np.lib.stride_tricks.as_strided(
            codes, (length + 1, self.batch_size), (step, length * step), subok=False, writeable=False
        )

    def __len__(self) -> int:
        return -(-(len(self._rows) - 1) // self.seq_len)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self.iterate(0, 0)

    def iterate(self, epoch: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The windows from a number on: so a resumed run goes on in the middle.

        Parameters
        ----------
        epoch : int
            Not used: every epoch reads in the same order.
        start : int
            Number of the first window, from 0.

        Yields
        ------
        (x, y) : tuple of ndarray of int64 (T, batch_size)
            Characters, and those that follow them; T is `seq_len`, or less in the last window.
        """
        for first in range(start * self.seq_len, len(self._rows) - 1, self.seq_len):
            last = min(first + self.seq_len, len(self._rows) - 1)
            yield self._window(first, last), self._window(first + 1, last + 1)

    def _window(self, first: int, last: int) -> np.ndarray:
        rows = self._rows[first:last]
        return np.ascontiguousarray(rows, np.int64) if self._table is None else self._table.take(rows)

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint compares, so that a resumed run has the same text.

        Returns
        -------
        dict
            The kind, shape, a checksum of the codes, and the settings.
        """
        import zlib

        crc, length = 0, len(self._rows) - 1
        rows = max(1, BLOCK // self.batch_size)
        for shift in (0, 1):  # all inputs, then all targets
            for first in range(0, length, rows):
                crc = zlib.crc32(self._window(first + shift, min(first + rows, length) + shift).data, crc)
        return {
            "kind": "TextBatches",
            "shape": [length, self.batch_size],
            "crc32": crc,
            "seq_len": self.seq_len,
        }
