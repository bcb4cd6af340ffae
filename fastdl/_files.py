"""Files as everything here reads and writes them, and foreign text made fit for a message.

Reading takes regular files only: a device never ends, and a FIFO waits for a writer. Writing goes to a temporary
file in the same folder, is flushed to the disk and renamed over the old one: whatever happens, the name holds
either the old file or the new one, whole.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

PathLike = str | os.PathLike[str]

# Not made from the target's name, which may be as long as a name can be, or hold what a pattern gives a meaning.
_PREFIX, _SUFFIX = ".fastdl-", ".tmp"
# Older than this, a temporary file is a killed writer's. Its process could not be asked: it may be another machine's.
_LEFTOVER_SECONDS = 3600.0
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


def shown(text: Any, limit: int = 200) -> str:
    """Foreign text for a message: control characters escaped, and no longer than `limit` before that."""
    words = str(text)
    if len(words) > limit:
        words = words[: limit - 3] + "..."
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in words
    )


def open_regular(path: PathLike) -> BinaryIO:
    """Open a regular file for reading, without waiting for anything.

    Raises
    ------
    ValueError
        If it is a device, a FIFO or a socket.
    OSError
        If it cannot be opened, or is a folder.
    """
    name = name_of(path)
    with named(name):
        _check_regular(name, os.stat(name))  # before it is opened: opening a device may already do something
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(name, os.O_RDONLY | flags), "rb")
        try:
            _check_regular(name, os.fstat(file.fileno()))
        except BaseException:
            file.close()
            raise
    return file


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` in one step at the end, or leaves all as it was.

    A symbolic link stays one: the file it names is replaced. The new file has the mode of the old one, and its owner
    where that is allowed.

    Raises
    ------
    ValueError
        If `path` is a device, a FIFO or a socket.
    OSError
        If it cannot be written; named as the caller did.
    """
    name = name_of(path)
    target, temporary, descriptor = _begin(name)
    with named(name, temporary):
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(os.path.dirname(target))


def begin_writing(file: BinaryIO, first: int, count: int) -> None:
    """Have the disk begin with some bytes, while others are made: what is not written yet, nobody forgets for that."""
    if hasattr(os, "posix_fadvise"):
        file.flush()
        with contextlib.suppress(OSError):
            os.posix_fadvise(file.fileno(), first, count, os.POSIX_FADV_DONTNEED)


def try_replacing(path: PathLike) -> None:
    """Raise now what :func:`replacing` would raise before its first byte; `path` is left as it is."""
    name = name_of(path)
    _, temporary, descriptor = _begin(name)
    with named(name, temporary):
        os.close(descriptor)
        os.unlink(temporary)


def save_picture(figure: Any, path: Any) -> None:
    """Write a figure of matplotlib's to `path`, as :func:`replacing` does.

    Raises
    ------
    TypeError, ValueError
        If `path` is none, or its suffix is that of no picture; no suffix is PNG's.
    """
    name = name_of(path)
    kind = os.path.splitext(name)[1][1:].lower() or "png"
    known = sorted(figure.canvas.get_supported_filetypes())
    if kind not in known:
        raise ValueError(f"path: got {shown(name)!r}, expected one of {', '.join(known)} after the last dot")
    with replacing(name) as file:
        figure.savefig(file, dpi=150, format=kind)


@contextlib.contextmanager
def named(name: str, *stand_ins: str) -> Iterator[None]:
    """Inside, an OSError about no file, or about one of the `stand_ins`, is about `name`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, *stand_ins):
            raise
        raise OSError(error.errno, error.strerror, name) from None  # of the same class, which errno decides


def memory_bytes() -> float:
    """The machine's memory; infinity where that is not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def name_of(path: Any, argument: str = "path") -> str:
    """A path, which the caller knows as `argument`, as a str; refused where it is none, or no file can have it."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"{argument}: got {type(path).__name__}, expected the path of a file")
    name = os.fsdecode(path)
    if "\0" in name:
        raise ValueError(f"{argument}: got {shown(name)!r}, expected no NUL in a file's name")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ValueError(f"{argument}: got {shown(name)!r}, expected a name in {error.encoding}") from None
    return name


def _check_regular(name: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise ValueError(f"{shown(name)}: is {kind}, expected a regular file")


def _begin(name: str) -> tuple[str, str, int]:
    """What a name stands for once links are followed, and a new file beside it: its name and descriptor."""
    with named(name):
        target = os.path.realpath(name)
        try:
            old = os.stat(target)
        except FileNotFoundError:
            old = None
    if old is not None:
        _check_regular(name, old)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}")
    with named(name, temporary):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        # A file that only its owner may read is so from the first byte.
        descriptor = os.open(temporary, flags, 0o666 if old is None else 0o600)
        try:
            if old is not None:
                _keep_mode(descriptor, old)
            _remove_leftovers(folder, os.fstat(descriptor).st_mtime - _LEFTOVER_SECONDS)
        except BaseException:
            os.close(descriptor)
            os.unlink(temporary)
            raise
    return target, temporary, descriptor


def _keep_mode(descriptor: int, old: os.stat_result) -> None:
    if not hasattr(os, "fchown"):
        return
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(OSError):  # giving files away is for root
            os.fchown(descriptor, old.st_uid, old.st_gid)
    with contextlib.suppress(PermissionError):  # some file systems have no modes
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)


def _remove_leftovers(folder: str, border: float) -> None:
    """Remove killed writers' files: those last written before `border`, by the clock of the file system."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode) and found.st_mtime < border:
                        os.unlink(entry.path)


def _sync_folder(folder: str) -> None:
    """The rename is in the folder, which has a disk copy of its own."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        return  # a folder that may be written but not read
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
            raise
    finally:
        os.close(descriptor)
