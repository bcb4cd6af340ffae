"""The command line: ``fastdl train text``, ``generate``, ``evaluate``, ``show-config``, ``bench``.

Results go to stdout, progress and errors to stderr. Exit status: 0 done, 1 a failure on the way (disk full,
loss not finite), 2 bad usage or bad input, 129 after SIGHUP, 130 after Ctrl-C, 141 when the reader of stdout went
away, 143 after SIGTERM.
"""

import contextlib
import errno
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from ._parser import make_parser
from ._shared import CommandError, Stopped, on_stop_signal
from ._streams import drop, note, standard_streams

__all__ = ["main"]


def __dir__() -> list[str]:
    return __all__


# Ours are all named: an error of these kinds about no file is about stdout.
_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; default those of this process.

    Returns
    -------
    int
        The exit status: see docs/command-line.md.

    Raises
    ------
    SystemExit
        For help, the version, or bad usage; with the exit status.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.cli.main(["show-config"])
    fastdl                      ...
    0
    """
    with standard_streams(), _stop_signals(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's and the peers'; what this library has to say is for the user
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            return _flushed(_run(argv))
        except SystemExit as end:  # help, the version, or bad usage
            raise SystemExit(_flushed(end.code if isinstance(end.code, int) else 0)) from None


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = make_parser().parse_args(argv)
        return arguments.run(arguments)
    except CommandError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        return _output_failed(128 + signal.SIGPIPE)
    except OSError as error:
        return _fail(_reason(error), 1)
    except (FloatingPointError, MemoryError) as error:
        return _fail(str(error) or "out of memory", 1)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Stopped as stop:
        return 128 + stop.signum


def _flushed(status: int) -> int:
    """The exit status once stdout has taken all."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _output_failed(status or 128 + signal.SIGPIPE)
    except OSError as error:
        return _output_failed(status or _fail(_reason(error), 1))
    return status


def _output_failed(status: int) -> int:
    drop(sys.stdout)
    return status


def _reason(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"stdout: {error.strerror}" if error.errno in _OUTPUT else str(error)


def _show_warning(message: Warning | str, *place: Any) -> None:
    note(f"warning: {message}")


def _fail(message: str, status: int) -> int:
    note(f"error: {message}")
    return status


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end a command as Ctrl-C does, where they would otherwise end the process."""
    former = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            signum = getattr(signal, name, None)  # not every system has both
            if signum is not None and signal.getsignal(signum) == signal.SIG_DFL:
                former[signum] = signal.signal(signum, on_stop_signal)
    try:
        yield
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)
