"""The command line: ``fastdl train text``, ``generate``, ``evaluate``, ``show-config``, ``bench``.

Results go to stdout, progress and errors to stderr. Exit status: 0 done, 1 a failure on the way (disk full,
loss not finite), 2 bad usage or bad input, 130 after Ctrl-C, 141 when the reader of stdout went away, 143
after SIGTERM.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence

from ._parser import make_parser
from ._shared import CommandError, Terminated, on_sigterm

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; default those of this process.

    Returns
    -------
    int
        The exit status.
    """
    arguments = make_parser().parse_args(argv)
    former = None
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        former = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except CommandError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    except (FloatingPointError, MemoryError) as error:
        return _fail(str(error) or "out of memory", 1)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Terminated:
        return 128 + signal.SIGTERM
    finally:
        if former is not None:
            signal.signal(signal.SIGTERM, former)


def _drop_output() -> None:
    """What stdout still holds goes nowhere: at exit Python would try again to write it, complain, and exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    print(f"fastdl: error: {message}", file=sys.stderr)
    return status
