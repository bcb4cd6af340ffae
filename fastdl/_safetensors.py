"""The safetensors file layout: named arrays and strings in one file that executes no code when read.

::

    8 bytes            N, the header's length, little-endian
    N bytes            JSON: {name: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, ...} and
                       under "__metadata__" strings by name; padded with spaces to a multiple of 8
    the rest           the arrays' bytes, little-endian, C order, without gaps

Files are replaced in one step (:mod:`fastdl._files`), and a file from elsewhere costs no more than its size to read
and to refuse: the header is read and checked first, in one pass, and then the arrays.

The layout has no checksum. ``save`` adds one to the metadata (SHA-256 over the file, with the digest's own 64
characters as zeros), and ``load`` checks it where it is present, so a flipped bit does not pass unseen.

Reference: https://huggingface.co/docs/safetensors, section "Format".
"""

import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from . import _files
from ._files import shown

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
_DIGEST = "sha256"
_NO_DIGEST = "0" * 64


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
    entries: dict[str, Any] = {"__metadata__": {**metadata, _DIGEST: _NO_DIGEST}}
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
    """Write all, then the digest of what was written: another thread may change the arrays meanwhile."""
    import hashlib

    file.write(head)
    digest = hashlib.sha256(head)
    for array, dtype in arrays:
        data = np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8)
        for first in range(0, data.size, _PIECE):
            piece = data[first : first + _PIECE].tobytes()
            digest.update(piece)
            file.write(piece)
    file.seek(head.index(_digest_field(_NO_DIGEST)))
    file.write(_digest_field(digest.hexdigest()))


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
    name = _files.name_of(path)
    with _files.open_regular(name) as file, _files.named(name):
        try:
            head, entries, metadata = _read_head(file)
            data = _read(file, entries[-1][4] if entries else 0)
            _check_digest(head, data, metadata)
            tensors = {name: data[begin:end].view(dtype).reshape(shape) for name, dtype, shape, begin, end in entries}
        except ValueError as error:
            raise ValueError(f"{shown(name)}: {error}") from None
    return tensors, metadata


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata alone: :func:`load` without reading the arrays, whose checksum is then not asked for."""
    name = _files.name_of(path)
    with _files.open_regular(name) as file, _files.named(name):
        try:
            metadata = _read_head(file)[2]
        except ValueError as error:
            raise ValueError(f"{shown(name)}: {error}") from None
    metadata.pop(_DIGEST, None)
    return metadata


def _read(file: BinaryIO, size: int) -> np.ndarray:
    """The next `size` bytes, read-only."""
    memory = _files.memory_bytes()
    if size > memory:
        raise ValueError(f"the arrays take {size} bytes, this machine has {memory:.0f}")
    data = np.empty(size, np.uint8)
    view, done = data.data, 0
    while done < size:
        count = file.readinto(view[done : done + 16 * _PIECE])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"truncated: {size - done} bytes are missing at the end")
        done += count
    data.flags.writeable = False
    return data


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


def _digest_field(digest: str) -> bytes:
    return f'"{_DIGEST}":"{digest}"'.encode()


def _check_digest(head: bytes, data: np.ndarray, metadata: dict[str, str]) -> None:
    import hashlib

    written = metadata.pop(_DIGEST, None)
    if written is None:
        return  # another program's file
    field = _digest_field(written)
    place = head.find(field)
    if place < 0:
        raise ValueError("damaged: the checksum is not written as it was saved")
    digest = hashlib.sha256(head[:place] + _digest_field(_NO_DIGEST) + head[place + len(field) :])
    digest.update(data.data)
    if digest.hexdigest() != written:
        raise ValueError("damaged: the checksum does not fit the content")
