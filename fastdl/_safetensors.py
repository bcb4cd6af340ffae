"""The safetensors file layout: named arrays and strings in one file that executes no code when read.

::

    8 bytes            N, the header's length, little-endian
    N bytes            JSON: {name: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, ...} and
                       under "__metadata__" strings by name; padded with spaces to a multiple of 8
    the rest           the arrays' bytes, little-endian, C order, without gaps

Files are replaced in one step (:mod:`fastdl._files`), and a file from elsewhere costs no more than its size to read
and to refuse: the header is read and checked first, in one pass, and then the arrays.

The layout has no checksum. ``save`` adds one to the metadata, under ``fastdl.checksum``: that of the header, with zeros
in its own place, and of the checksums of all arrays in their order (:class:`kernels.system.Checksum`). So arrays can
be read one at a time, wherever they are wanted, and a flipped bit does not pass unseen. Files of before have a SHA-256
over the whole file.

Reference: https://huggingface.co/docs/safetensors, section "Format".
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from . import _files
from ._dispatch import kernels
from ._files import shown
from ._memory import aligned_empty, lay

DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_MAX_HEADER = 16 << 20  # the format allows 100 MB, which make Python objects of 2.6 GB
_PIECE = 1 << 20  # bytes written, or read, at a time
_STRETCH = 1 << 23  # bytes after which the disk is asked to begin
_CHECKSUM = "fastdl.checksum"
_NO_CHECKSUM = "0" * 16
_DIGEST = "sha256"  # of files of before
_OWN = (_CHECKSUM, _DIGEST)


def save(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and strings to `path`, atomically.

    Parameters
    ----------
    path : str or path-like
        The file; what was there is replaced in one step. Its folder must exist.
    tensors : mapping of str to ndarray
        Arrays of real numbers or bools, of any layout and byte order.
    metadata : mapping of str to str
        Goes to the header's ``__metadata__``.

    Raises
    ------
    TypeError
        If an array's dtype has no name in the format, or a metadata value is not a string.
    ValueError
        If the header would exceed 16 MB, or `path` is a device, a FIFO or a socket.
    OSError
        If the file cannot be written; what was there is as it was.
    """
    name = _files.name_of(path)
    try:
        head, arrays = _head(tensors, metadata)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{shown(name)}: {error}") from None
    with _files.replacing(name) as file:
        _write(file, head, arrays)


def _head(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> tuple[bytes, list[tuple[np.ndarray, np.dtype]]]:
    """The file's first part, its digest still zeros; and the arrays in their order, with their types in the file."""
    import json

    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata[{name!r}]: got {type(value).__name__}, expected a string")
    for name, array in tensors.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise TypeError(f"tensors[{name!r}]: got {type(array).__name__}, expected a numpy array")
    entries: dict[str, Any] = {"__metadata__": {**metadata, _CHECKSUM: _NO_CHECKSUM}}
    arrays = []
    position = 0
    # Wide types first, as the safetensors package does: then every array is aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = tensors[name]
        dtype = array.dtype.newbyteorder("<")
        if name == "__metadata__" or dtype not in _CODES:
            raise TypeError(f"tensors[{name!r}]: got dtype {array.dtype}, expected one of {', '.join(DTYPES)}")
        entries[name] = {
            "dtype": _CODES[dtype],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
        arrays.append((array, dtype))
    header = json.dumps(entries, ensure_ascii=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > _MAX_HEADER:
        raise ValueError(f"metadata: the header would be {len(header)} bytes, expected at most {_MAX_HEADER}")
    return len(header).to_bytes(8, "little") + header, arrays


def _write(file: BinaryIO, head: bytes, arrays: list[tuple[np.ndarray, np.dtype]]) -> None:
    """Write all, then the checksum of what was written: another thread may change the arrays meanwhile."""
    file.write(head)
    sums, done, begun = [], len(head), 0
    for array, dtype in arrays:
        checksum = kernels.system.Checksum()
        for piece in _pieces(array, dtype):
            checksum.update(piece)
            file.write(piece.data)
            done += piece.size
            if done - begun >= _STRETCH:
                _files.begin_writing(file, begun, done - begun)
                begun = done
        sums.append(checksum.value())
    file.seek(head.index(_field(_CHECKSUM, _NO_CHECKSUM)))
    file.write(_field(_CHECKSUM, _total(head, sums)))


def _pieces(array: np.ndarray, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Copies of an array's bytes as the file has them, in their order, and in one place in memory."""
    if array.flags.c_contiguous or array.ndim == 0:
        array = array.reshape(-1)
    if not array.size:
        return
    count = max(1, _PIECE * len(array) // (array.size * dtype.itemsize))
    places = np.empty((min(count, len(array)), *array.shape[1:]), dtype)
    for first in range(0, len(array), count):
        part = array[first : first + count]
        lay(places[: len(part)], part)
        yield places[: len(part)].reshape(-1).view(np.uint8)


def _total(head: bytes, sums: list[int]) -> str:
    """The checksum of a file, as it stands in the file, of its head without it and of the arrays' checksums."""
    checksum = kernels.system.Checksum()
    checksum.update(head)
    checksum.update(b"".join(one.to_bytes(8, "little") for one in sums))
    return f"{checksum.value():016x}"


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file, whoever wrote it.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    tensors : dict of str to ndarray
        Read-only arrays over the file's bytes.
    metadata : dict of str to str
        The header's ``__metadata__``.

    Raises
    ------
    ValueError
        If the file is not whole, sound safetensors, with the reason.
    OSError
        If it cannot be read.
    """
    with opened(path) as source:
        tensors = {name: source.array(name) for name in source.shapes}
        source.check()
        for array in tensors.values():
            array.flags.writeable = False
        return tensors, source.metadata


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator["Source"]:
    """A file to read array by array; a ValueError inside names it."""
    name = _files.name_of(path)
    with _files.open_regular(name) as file, _files.named(name):
        try:
            yield Source(file)
        except ValueError as error:
            raise ValueError(f"{shown(name)}: {error}") from None


class Source:
    """An open file whose header was read and found sound.

    Attributes
    ----------
    shapes : dict of str to (tuple, dtype)
        Of the arrays, by name.
    metadata : dict of str to str
        Without the checksum.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._head, entries, metadata = _read_head(file)
        self._entries = {entry[0]: entry for entry in entries}
        self.shapes = {name: (shape, dtype) for name, dtype, shape, _, _ in entries}
        self.metadata = {name: text for name, text in metadata.items() if name not in _OWN}
        size, memory = entries[-1][4] if entries else 0, _files.memory_bytes()
        if size > memory:
            raise ValueError(f"the arrays take {size} bytes, this machine has {memory:.0f}")
        self._checksum = metadata.get(_CHECKSUM)
        self._sums: dict[str, int] = {}
        self._whole: np.ndarray | None = None
        if self._checksum is None and _DIGEST in metadata:  # which needs the bytes in their order
            self._whole = self._read(0, size, None)
            _check_digest(self._head, self._whole, metadata[_DIGEST])

    def array(self, name: str) -> np.ndarray:
        """An array of the file, in memory of its own."""
        _, dtype, shape, begin, end = self._entries[name]
        if self._whole is not None:
            return self._whole[begin:end].view(dtype).reshape(shape)
        checksum = None if self._checksum is None else kernels.system.Checksum()
        data = self._read(begin, end, checksum)
        if checksum is not None:
            self._sums[name] = checksum.value()
        return data.view(dtype).reshape(shape)

    def check(self) -> None:
        """Refuse a file whose bytes are not those that were written; arrays that nobody asked for are read for that."""
        if self._checksum is None:
            return
        for name in self._entries.keys() - self._sums.keys():
            self.array(name)
        field = _field(_CHECKSUM, self._checksum)
        place = self._head.find(field)
        if place < 0 or len(self._checksum) != len(_NO_CHECKSUM):
            raise ValueError("damaged: the checksum is not written as it was saved")
        head = self._head[:place] + _field(_CHECKSUM, _NO_CHECKSUM) + self._head[place + len(field) :]
        if _total(head, [self._sums[name] for name in self._entries]) != self._checksum:
            raise ValueError("damaged: the checksum does not fit the content")

    def _read(self, begin: int, end: int, checksum: Any) -> np.ndarray:
        """Bytes of the arrays, from memory that is used again; each piece is summed up while the cache has it."""
        data = aligned_empty(end - begin, np.dtype(np.uint8))
        self._file.seek(len(self._head) + begin)
        done = 0
        while done < data.size:
            count = self._file.readinto(data.data[done : done + _PIECE])  # type: ignore[attr-defined]
            if not count:
                raise ValueError(f"truncated: {data.size - done} bytes are missing at the end")
            if checksum is not None:
                checksum.update(data[done : done + count])
            done += count
        return data


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata alone: :func:`load` without reading the arrays, whose checksum is then not asked for."""
    name = _files.name_of(path)
    with _files.open_regular(name) as file, _files.named(name):
        try:
            metadata = _read_head(file)[2]
        except ValueError as error:
            raise ValueError(f"{shown(name)}: {error}") from None
    return {name: text for name, text in metadata.items() if name not in _OWN}


Entry = tuple[str, np.dtype, tuple[int, ...], int, int]  # name, dtype, shape, first byte, byte after the last


def _read_head(file: BinaryIO) -> tuple[bytes, list[Entry], dict[str, str]]:
    """All before the arrays: as bytes, and as checked entries in order of position, and the metadata."""
    import json

    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError(f"not a safetensors file: {size} bytes, expected at least 8")
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if length > _MAX_HEADER:
        raise ValueError(f"not a safetensors file: a header of {length} bytes, expected at most {_MAX_HEADER}")
    if length > size - 8:
        raise ValueError(f"truncated: the header ends at byte {8 + length}, the file at {size}")
    raw = file.read(length)
    if len(raw) < length:
        raise ValueError(f"truncated: the header ends at byte {8 + length}, the file at {8 + len(raw)}")
    if raw[:1] != b"{":
        raise ValueError("not a safetensors file: the header does not start with '{'")
    try:
        header = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_int=_natural, parse_constant=_no_number
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"damaged: the header is not JSON: {error}") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("damaged: __metadata__ is not a mapping of strings to strings")
    entries = sorted((_entry(name, entry) for name, entry in header.items()), key=lambda entry: entry[3:])
    position, available = 0, size - 8 - length
    for name, _, _, begin, end in entries:
        if begin != position:
            what = "overlaps the array before it" if begin < position else "leaves a hole before it"
            raise ValueError(f"damaged: array {name!r:.80} starts at {begin} and {what}, expected {position}")
        position = end
    if position > available:
        raise ValueError(f"truncated: the arrays take {position} bytes, the file has {available}")
    if position < available:
        raise ValueError(f"damaged: {available - position} bytes after the last array")
    return start + raw, entries, metadata


def _entry(name: str, entry: Any) -> Entry:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"damaged: array {name!r:.80} does not have exactly dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"array {name!r:.80} has dtype {code!r:.80}, expected one of {', '.join(DTYPES)}")
    for field, value in (("shape", shape), ("data_offsets", offsets)):
        # type(), because a bool is an int to isinstance and JSON's true is no extent
        if not isinstance(value, list) or not all(type(item) is int and 0 <= item < 2**63 for item in value):
            raise ValueError(f"damaged: array {name!r:.80} has {field} {value!r:.80}, expected natural numbers")
    if len(offsets) != 2 or len(shape) > 64:
        raise ValueError(f"damaged: array {name!r:.80} has {len(shape)} dimensions and {len(offsets)} offsets")
    size = DTYPES[code].itemsize
    for extent in shape:
        size *= extent
    if offsets[1] - offsets[0] != size:
        raise ValueError(
            f"damaged: array {name!r:.80} of shape {tuple(shape)!r:.80} and dtype {code} takes "
            f"{shown(size, 30)} bytes, its offsets give it {offsets[1] - offsets[0]}"
        )
    return name, DTYPES[code], tuple(shape), offsets[0], offsets[1]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"damaged: the header names {name!r:.80} twice")
        result[name] = value
    return result


def _natural(digits: str) -> int:
    if len(digits) > 20:  # no extent has more, and converting digits costs their square
        raise ValueError(f"damaged: the number {digits:.20}... has {len(digits)} digits")
    return int(digits)


def _no_number(constant: str) -> Any:
    raise ValueError(f"damaged: the header is not JSON: {constant} is no number there")


def _field(name: str, value: str) -> bytes:
    return f'"{name}":"{value}"'.encode()


def _check_digest(head: bytes, data: np.ndarray, written: str) -> None:
    """The SHA-256 of a file of before, over all its bytes with the digest's own as zeros."""
    import hashlib

    field = _field(_DIGEST, written)
    place = head.find(field)
    if place < 0:
        raise ValueError("damaged: the checksum is not written as it was saved")
    digest = hashlib.sha256(head[:place] + _field(_DIGEST, "0" * 64) + head[place + len(field) :])
    digest.update(data.data)
    if digest.hexdigest() != written:
        raise ValueError("damaged: the checksum does not fit the content")
