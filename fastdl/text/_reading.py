"""Text from files, a corpus that is larger than a str may be."""

import codecs
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeVar

import numpy as np

from .._files import open_regular, shown
from .._validate import iterated

UNKNOWN = "\ufffd"  # the replacement character stands for every character outside the vocabulary
BLOCK = 1 << 16  # characters, or bytes, that are turned into something else at a time
_MARKS = (  # byte order marks; UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_Text = TypeVar("_Text", str, "Corpus")


def default_corpus() -> str:
    """The English that every CPython carries: the help topics of ``pydoc``, in order of their names.

    Returns
    -------
    str
        About 465,000 characters in Python 3.11 (the text differs a little from release to release).

    Examples
    --------
    >>> import fastdl as fd
    >>> len(fd.text.default_corpus()) > 300_000
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
    TypeError
        If `paths` is no sequence of names.
    ValueError
        If a file is empty or not text (not UTF-8, or with NUL characters), with its name and the place; or is a
        device or a FIFO.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "words.txt")
    ...     with open(path, "wb") as file:
    ...         size = file.write("naïve\\r\\n".encode())
    ...     fd.text.read_text([path, path])
    'naïve\\nnaïve\\n'
    """
    return "".join(_pieces(paths))


def read_corpus(paths: Sequence[str | os.PathLike[str]]) -> "Corpus":
    """What :func:`read_text` reads, as a :class:`Corpus`: no more than a piece of it is a str at any time.

    Parameters
    ----------
    paths : sequence of str or path-like
        As for :func:`read_text`, which says what is raised.

    Returns
    -------
    Corpus

    Raises
    ------
    TypeError, ValueError, OSError
        As :func:`read_text`.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "words.txt")
    ...     with open(path, "wb") as file:
    ...         size = file.write(b"hello world")
    ...     corpus = fd.text.read_corpus([path, path])
    >>> corpus, corpus.characters
    (Corpus(22 characters), ' dehlorw')
    """
    return Corpus(_pieces(paths))


def _pieces(paths: Any) -> Iterator[str]:
    for i, path in enumerate(iterated("paths", paths, "a sequence of paths", (str, bytes, os.PathLike, Mapping))):
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"paths[{i}]: got {type(path).__name__}, expected a path")
        with open_regular(path) as file:
            yield from decoded(file, os.fspath(path))


def decoded(file: BinaryIO, name: str) -> Iterator[str]:
    """The text in a file, in pieces, with line ends as ``"\\n"``.

    Parameters
    ----------
    file : binary file
        Read from where it is to its end, a little at a time.
    name : str
        What it is called in errors.

    Yields
    ------
    str

    Raises
    ------
    TypeError
        If `file` is no binary file.
    ValueError
        If it is empty or not text (not UTF-8, or with NUL characters), with the place.

    Examples
    --------
    >>> import io, fastdl as fd
    >>> "".join(fd.text.decoded(io.BytesIO(b"one\\r\\ntwo\\r"), "lines"))
    'one\\ntwo\\n'
    """
    if not hasattr(file, "read"):
        raise TypeError(f"file: got {shown(file)}, expected a binary file")
    block, at, foreign, ends = file.read(BLOCK), 0, 0, False
    if not isinstance(block, bytes):
        raise TypeError(f"file: got one that gives {type(block).__name__}, expected a binary file")
    for mark, encoding in _MARKS:
        if block.startswith(mark):
            raise ValueError(
                f"{shown(name)}: is {encoding}, expected UTF-8 (iconv -f {encoding} -t UTF-8 can convert it)"
            )
    if block.startswith(codecs.BOM_UTF8):
        block, at = block[3:], 3
    if not block:
        raise ValueError(f"{shown(name)}: is empty, expected text")
    while block:
        following = file.read(BLOCK)
        nul = block.find(b"\0")
        if nul >= 0:
            raise ValueError(f"{shown(name)}: is not a text file: byte {at + nul} is NUL")
        try:
            piece, used = codecs.utf_8_decode(block, "strict", not following)
        except UnicodeDecodeError as error:
            raise ValueError(f"{shown(name)}: is not UTF-8: {_complaint(error, at, foreign)}") from None
        foreign += used - len(piece)
        block, at = block[used:] + following, at + used
        if ends:
            piece = "\r" + piece
        ends = piece.endswith("\r") and bool(following)  # what follows may be the other half of a line's end
        piece = piece[:-1] if ends else piece
        if piece:
            yield piece.replace("\r\n", "\n").replace("\r", "\n")


def _complaint(error: UnicodeDecodeError, at: int, foreign: int) -> str:
    """What is at the place, and what may be the matter; `foreign` counts bytes in the blocks before, beyond one a
    character."""
    block = error.object
    place = f"byte {at + error.start} is 0x{block[error.start]:02x}"
    readable = block.decode("utf-8", "ignore")
    right = foreign + len(readable.encode()) - len(readable)
    wrong = block.decode("utf-8", "replace").count(UNKNOWN)
    if right and error.reason == "unexpected end of data":
        return f"{place}, a character that the file's end cuts off"
    if right and right >= wrong:  # single pairs of bytes that happen to be right are in every encoding
        return f"{place}, though other characters are (two encodings are mixed, or it is damaged)"
    return f"{place} (iconv can convert it)"


class Corpus:
    """A long text, each character in the least number of bytes: 1 for up to 256 different ones, then 2, then 4.

    Parameters
    ----------
    pieces : str, or iterable of str
        The text, or its pieces in order, which need not be there all at once.

    Attributes
    ----------
    characters : str
        The different characters in it, in the order of their code points.

    Raises
    ------
    TypeError
        If `pieces` is, or gives, something else than str.

    Examples
    --------
    >>> import fastdl as fd
    >>> corpus = fd.text.Corpus(["hello ", "world"])
    >>> len(corpus), corpus[:5].characters, len(corpus[6:])
    (11, 'ehlo', 5)
    """

    def __init__(self, pieces: str | Iterable[str]) -> None:
        # An index stands for each character; `place` finds it by the code point, and is -1 for one not met before.
        self._points, place = np.empty(0, np.uint32), np.empty(0, np.int32)
        index, end = np.empty(0, np.uint8), 0
        for piece in _blocks(pieces):
            points = code_points(piece)
            if points.max() >= place.size:
                place = np.append(place, np.full(int(points.max()) + 1 - place.size, -1, np.int32))
            found = place[points]
            if found.min() < 0:
                new = np.unique(points[found < 0])
                place[new] = np.arange(self._points.size, self._points.size + new.size)
                self._points = np.append(self._points, new)
                found = place[points]
                index = index.astype(smallest(self._points.size), copy=False)
            if end + found.size > index.size:  # the memory grows where it is, without a second copy
                index.resize(max(end + found.size, index.size * 9 // 8), refcheck=False)
            index[end : end + found.size] = found
            end += found.size
        index.resize(end, refcheck=False)
        index.flags.writeable = False
        self._index = index

    def __len__(self) -> int:
        return self._index.size

    def __getitem__(self, part: slice) -> "Corpus":
        """A stretch of the text, which shares the memory."""
        if not isinstance(part, slice):
            raise TypeError(f"part: got {type(part).__name__}, expected a slice")
        corpus = object.__new__(Corpus)
        corpus._points, corpus._index = self._points, self._index[part]
        return corpus

    def __repr__(self) -> str:
        return f"Corpus({len(self):,} characters)"

    @property
    def characters(self) -> str:
        """The different characters in it, in the order of their code points."""
        counts = np.zeros(self._points.size, np.int64)
        for first in range(0, len(self), BLOCK):
            counts += np.bincount(self._index[first : first + BLOCK], minlength=counts.size)
        return _text(np.sort(self._points[counts > 0]))


def _blocks(pieces: Any) -> Iterator[str]:
    pieces = (pieces,) if isinstance(pieces, str) else pieces
    for piece in iterated("pieces", pieces, "a str or an iterable of them", (bytes,)):
        if not isinstance(piece, str):
            raise TypeError(f"pieces: got {type(piece).__name__}, expected each to be a str")
        yield from (piece[first : first + BLOCK] for first in range(0, len(piece), BLOCK))


def split_held_out(text: _Text) -> tuple[_Text, _Text]:
    """The first nine tenths of a text, to train on, and the last tenth, to measure on.

    Parameters
    ----------
    text : str or Corpus
        The whole.

    Returns
    -------
    training, held_out : str or Corpus
        Of the kind of `text`; a Corpus' parts share its memory.

    Raises
    ------
    TypeError
        If it is no text.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.text.split_held_out("0123456789")
    ('012345678', '9')
    """
    if not isinstance(text, (str, Corpus)):
        raise TypeError(f"text: got {type(text).__name__}, expected a str or a Corpus")
    border = len(text) * 9 // 10
    return text[:border], text[border:]


def code_points(text: str) -> np.ndarray:
    # surrogatepass: a str may hold lone surrogates, and they are code points like others here
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _text(points: np.ndarray) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def smallest(count: int) -> np.dtype:
    """The type for the integers below `count`."""
    return np.dtype(np.uint8 if count <= 1 << 8 else np.uint16 if count <= 1 << 16 else np.uint32)
