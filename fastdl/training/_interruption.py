"""Ctrl-C, SIGTERM and SIGHUP asked for politely: noted, acted upon between two batches."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interruption:
    """While entered, the first SIGINT, SIGTERM or SIGHUP is only noted in ``signum``; a second one acts at once.

    Handlers are installed in the main thread only (Python allows no other), not for a signal that is ignored
    (as SIGINT is under ``nohup`` and in background jobs), and the former ones come back on exit.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                # None: somebody's C handler, which could not be put back
                if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                    self._former[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None:
            self.signum = signum
            return
        self._restore()
        signal.raise_signal(signum)

    def _restore(self) -> None:
        while self._former:
            signum, handler = self._former.popitem()
            signal.signal(signum, handler)
