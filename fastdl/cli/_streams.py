"""stdin, stdout and stderr as a shell, a pipe, a terminal or a daemon may leave them."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from .._files import shown

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Diagnostics:
    """stderr, for which no command fails: what cannot be written there is dropped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # a full disk, a reader or terminal that went away, a closed file
            drop(self._stream)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop(self._stream)

    def isatty(self) -> bool:
        return is_terminal(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Inside, stdout and stderr are there and take every character; the caller's come back afterwards."""
    # A file opened where 0, 1 or 2 is closed would become stdin, stdout or stderr, and take what others write there.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    former = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        stack.callback(_put_back, *former)
        sys.stdout = _present(sys.stdout, stack)
        sys.stderr = Diagnostics(_present(sys.stderr, stack))
        stack.callback(set_errors, set_errors("backslashreplace"))
        yield


def set_errors(way: str | None) -> str | None:
    """What stdout does with a character that it cannot show; the former way comes back."""
    former = getattr(sys.stdout, "errors", None)
    if way is not None and former != way and hasattr(sys.stdout, "reconfigure"):
        with contextlib.suppress(OSError, ValueError):  # it flushes first
            sys.stdout.reconfigure(errors=way)
    return former


def drop(stream: Any) -> None:
    """What a stream still holds goes nowhere: at exit Python would try again, complain, and exit with 120."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def is_terminal(stream: Any) -> bool:
    """Whether somebody looks at it."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def for_terminal(text: str) -> str:
    """Foreign text with what steers a terminal escaped: control characters but line ends and tabs, and those that
    turn the direction of writing."""
    return "".join(_escaped(letter) for letter in text)


def note(message: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"fastdl: {shown(message, 2000)}\n")


def binary_stdin() -> BinaryIO | None:
    """stdin as bytes, None where it is closed."""
    stream = sys.stdin
    if stream is None or stream.closed:
        return None
    return getattr(stream, "buffer", None) or io.BytesIO(stream.read().encode("utf-8", "surrogatepass"))


def _escaped(letter: str) -> str:
    code = ord(letter)
    steers = code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000 or letter in _BIDI
    return letter.encode("unicode_escape").decode("ascii") if steers and letter not in "\n\t" else letter


def _present(stream: Any, stack: contextlib.ExitStack) -> Any:
    if stream is None or getattr(stream, "closed", False):
        return stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
    return stream


def _put_back(stdout: Any, stderr: Any) -> None:
    sys.stdout, sys.stderr = stdout, stderr
