"""The safetensors file layout: named arrays and strings in one file that executes no code when read.

::

    8 bytes            N, the header's length, little-endian
    N bytes            JSON: {name: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, ...} and
                       under "__metadata__" strings by name; padded with spaces to a multiple of 8
    the rest           the arrays' bytes, little-endian, C order, without gaps

Files are written to a temporary file in the same folder, flushed to the disk and renamed over the old one:
whatever happens, the name holds either the old file or the new one, whole.

The layout has no checksum. ``save`` adds one to the metadata (SHA-256 over the file, with the digest's own 64
characters as zeros), and ``load`` checks it where it is present, so a flipped bit does not pass unseen.

Reference: https://huggingface.co/docs/safetensors, section "Format".
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

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
_MAX_HEADER = 100_000_000  # the format's own limit
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
        If the header would exceed the format's 100 MB.
    """
    import hashlib
    import json

    entries: dict[str, Any] = {}
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata[{name!r}]: got {type(value).__name__}, expected a string")
    entries["__metadata__"] = {**metadata, _DIGEST: _NO_DIGEST}
    pieces = []
    position = 0
    # Wide types first, as the safetensors package does: then every array is aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = tensors[name]
        dtype = array.dtype.newbyteorder("<")
        if name == "__metadata__" or dtype not in _CODES:
            raise TypeError(f"tensors[{name!r}]: got dtype {array.dtype}, expected one of {', '.join(DTYPES)}")
        array = array.astype(dtype, order="C", copy=False)
        entries[name] = {
            "dtype": _CODES[dtype],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
        pieces.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    header = json.dumps(entries, ensure_ascii=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > _MAX_HEADER:
        raise ValueError(f"metadata: the header would be {len(header)} bytes, expected at most {_MAX_HEADER}")
    head = len(header).to_bytes(8, "little") + header
    digest = hashlib.sha256(head)
    for piece in pieces:
        digest.update(piece)
    head = head.replace(_digest_field(_NO_DIGEST), _digest_field(digest.hexdigest()), 1)
    _replace(Path(path), [head, *pieces])


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
    raw = Path(path).read_bytes()
    try:
        entries, metadata, start = _header(raw)
        _check_digest(raw, metadata)
        data = np.frombuffer(raw, np.uint8, offset=start)
        tensors = {name: data[begin:end].view(dtype).reshape(shape) for name, dtype, shape, begin, end in entries}
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return tensors, metadata


def _header(raw: bytes) -> tuple[list[tuple[str, np.dtype, tuple[int, ...], int, int]], dict[str, str], int]:
    """The checked entries in order of position, the metadata, and where the data starts."""
    import json

    if len(raw) < 8:
        raise ValueError(f"not a safetensors file: {len(raw)} bytes, expected at least 8")
    length = int.from_bytes(raw[:8], "little")
    if length > _MAX_HEADER:
        raise ValueError(f"not a safetensors file: a header of {length} bytes, expected at most {_MAX_HEADER}")
    if length > len(raw) - 8:
        raise ValueError(f"truncated: the header ends at byte {8 + length}, the file at {len(raw)}")
    if raw[8:9] != b"{":
        raise ValueError("not a safetensors file: the header does not start with '{'")
    try:
        header = json.loads(raw[8 : 8 + length].decode("utf-8"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"damaged: the header is not JSON: {error}") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("damaged: __metadata__ is not a mapping of strings to strings")
    entries = sorted((_entry(name, entry) for name, entry in header.items()), key=lambda entry: entry[3:])
    position, available = 0, len(raw) - 8 - length
    for name, _, _, begin, end in entries:
        if begin != position:
            what = "overlaps the array before it" if begin < position else "leaves a hole before it"
            raise ValueError(f"damaged: array {name!r} starts at {begin} and {what}, expected {position}")
        position = end
    if position > available:
        raise ValueError(f"truncated: the arrays take {position} bytes, the file has {available}")
    if position < available:
        raise ValueError(f"damaged: {available - position} bytes after the last array")
    return entries, metadata, 8 + length


def _entry(name: str, entry: Any) -> tuple[str, np.dtype, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"damaged: array {name!r} does not have exactly dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"array {name!r} has dtype {code!r}, expected one of {', '.join(DTYPES)}")
    for field, value in (("shape", shape), ("data_offsets", offsets)):
        # type(), because a bool is an int to isinstance and JSON's true is no extent
        if not isinstance(value, list) or not all(type(item) is int and 0 <= item < 2**63 for item in value):
            raise ValueError(f"damaged: array {name!r} has {field} {value!r:.80}, expected natural numbers")
    if len(offsets) != 2 or len(shape) > 64:
        raise ValueError(f"damaged: array {name!r} has {len(shape)} dimensions and {len(offsets)} offsets")
    size = DTYPES[code].itemsize
    for extent in shape:
        size *= extent
    if offsets[1] - offsets[0] != size:
        raise ValueError(
            f"damaged: array {name!r} of shape {tuple(shape)} and dtype {code} takes {size} bytes, "
            f"its offsets give it {offsets[1] - offsets[0]}"
        )
    return name, DTYPES[code], tuple(shape), offsets[0], offsets[1]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"damaged: the header names {twice!r} twice")
    return result


def _digest_field(digest: str) -> bytes:
    return f'"{_DIGEST}":"{digest}"'.encode()


def _check_digest(raw: bytes, metadata: dict[str, str]) -> None:
    import hashlib

    written = metadata.pop(_DIGEST, None)
    if written is None:
        return  # another program's file
    view, field = memoryview(raw), _digest_field(written)
    place = raw.find(field)
    if place < 0:
        raise ValueError("damaged: the checksum is not written as it was saved")
    digest = hashlib.sha256(view[:place])
    digest.update(_digest_field(_NO_DIGEST))
    digest.update(view[place + len(field) :])
    if digest.hexdigest() != written:
        raise ValueError("damaged: the checksum does not fit the content")


def _replace(path: Path, pieces: list[Any]) -> None:
    """Put the pieces into a file that takes the place of `path` in one step, and reaches the disk first."""
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    # The rename is in the folder, which has a disk copy of its own.
    folder = os.open(path.parent, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files whose process was killed while it wrote."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        process = leftover.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        if process.isdigit() and int(process) != os.getpid():
            try:
                os.kill(int(process), 0)
            except ProcessLookupError:
                with contextlib.suppress(FileNotFoundError):
                    leftover.unlink()
            except (OSError, OverflowError):
                continue  # alive, or not for us to judge
