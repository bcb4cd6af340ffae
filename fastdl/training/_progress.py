"""How a run tells where it is: a bar, lines, or nothing."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

_BROKEN = (OSError, ValueError, AttributeError)  # what writing to a stream that is closed, or is none, raises


class Progress:
    """Counts what a run does and shows it now and then; this base class shows nothing.

    Parameters
    ----------
    epochs : int
        Epochs of the whole run.
    batches : int or None
        Batches of an epoch, where known: then the time left is shown.
    done : int
        Batches already behind a resumed run.
    unit : str
        What is counted per second.
    loss_format : callable
        How a loss is written.
    """

    interval: float = float("inf")  # seconds between two displays

    def __init__(
        self, epochs: int, batches: int | None, done: int, unit: str, loss_format: Callable[[float], str]
    ) -> None:
        self.epochs, self.unit, self.loss_format = epochs, unit, loss_format
        self.total = None if batches is None else epochs * batches
        self.done = self._begun = done
        self.epoch = 0
        self.loss = float("nan")  # running mean over about fifty steps
        self._tokens: float = 0
        self._started = time.monotonic()
        self._next = self._started + self.interval

    def update(self, batches: int, tokens: float, loss: float) -> None:
        """Called after every step."""

    def epoch_done(self, row: Mapping[str, Any]) -> None:
        """Called after every epoch, with its row of the history."""
        parts = [f"epoch {row['epoch']}/{self.epochs}: loss {self.loss_format(row['loss'])}"]
        if row["validation_loss"] is not None:
            parts.append(f"validation loss {self.loss_format(row['validation_loss'])}")
        fixed = ("epoch", "step", "tokens", "seconds", "learning_rate", "gradient_norm", "penalty")
        for name, value in row.items():
            if name not in (*fixed, "loss", "validation_loss") and value is not None:
                parts.append(f"{name.replace('_', ' ')} {value:.4g}")
        if row["penalty"]:
            parts.append(f"penalty {row['penalty']:.4g}")
        self.note(", ".join([*parts, f"{row['seconds']:.1f} s"]))

    def note(self, text: str) -> None:
        """Show a line of its own."""
        with self._guarded():
            self._write(text)

    def close(self) -> None:
        """The run is over, or ends with an error."""

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """A display that cannot be written to (closed, on a full disk, of another encoding) ends no run."""
        try:
            yield
        except _BROKEN:
            self._next = self.interval = float("inf")

    def _show(self, elapsed: float) -> None:
        """Show where the run is."""

    def _write(self, text: str) -> None:
        """Write a line."""

    def _status(self, elapsed: float) -> str:
        rate = self._tokens / max(elapsed, 1e-9)
        return f"loss {self.loss_format(self.loss)}, {_round(rate)} {self.unit}/s"


class Shown(Progress):
    """What a display counts, and when it shows."""

    def update(self, batches: int, tokens: float, loss: float) -> None:
        """Called after every step: counts, and shows when it is time. Batches without tokens have no loss."""
        self.done += batches
        self._tokens += tokens
        if tokens:
            self.loss = self.loss + 0.02 * (loss - self.loss) if self.loss == self.loss else loss
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self.interval
            with self._guarded():
                self._show(now - self._started)


class Lines(Shown):
    """A line every five seconds, for logs and where tqdm is not installed."""

    interval = 5.0

    def __init__(self, *args: Any, stream: TextIO) -> None:
        super().__init__(*args)
        self._stream = stream

    def _show(self, elapsed: float) -> None:
        where = f"epoch {self.epoch + 1}/{self.epochs}"
        left = ""
        if self.total:
            where += f", {self.done / self.total:.0%}"
            seconds = int(elapsed * (self.total - self.done) / max(self.done - self._begun, 1))
            left = f", {seconds // 60}:{seconds % 60:02} left"
        self._write(f"{where}: {self._status(elapsed)}{left}")

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bar(Shown):
    """A tqdm bar over the whole run; tqdm works out the time left."""

    interval = 0.1

    def __init__(self, *args: Any, stream: TextIO, tqdm: Any) -> None:
        super().__init__(*args)
        self._stream = stream
        self._bar = tqdm(total=self.total, initial=self.done, unit="batch", file=stream, dynamic_ncols=True)

    def close(self) -> None:
        with self._guarded():
            self._bar.n = self.done
            self._bar.close()

    def _show(self, elapsed: float) -> None:
        self._bar.n = self.done
        self._bar.set_description(f"epoch {self.epoch + 1}/{self.epochs}", refresh=False)
        self._bar.set_postfix_str(self._status(elapsed), refresh=False)
        self._bar.refresh()

    def _write(self, text: str) -> None:
        self._bar.write(text, file=self._stream)


def make_progress(
    show: bool, epochs: int, batches: int | None, done: int, unit: str, loss_format: Callable[[float], str]
) -> Progress:
    """A bar on a terminal or in a notebook where tqdm is installed, else lines; nothing if not asked."""
    args = (epochs, batches, done, unit, loss_format)
    stream = sys.stderr
    terminal = _is_terminal(stream) if show else None
    if terminal is None:
        return Progress(*args)
    if terminal or "ipykernel" in sys.modules:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            pass
        else:
            with contextlib.suppress(*_BROKEN):
                return Bar(*args, stream=stream, tqdm=tqdm)
    return Lines(*args, stream=stream)


def _is_terminal(stream: Any) -> bool | None:
    """None for a stream that is not there (a daemon's, a window's) or is no stream."""
    try:
        return None if stream is None or getattr(stream, "closed", False) else bool(stream.isatty())
    except Exception:  # whatever stands in for stderr
        return None


def _round(value: float) -> str:
    """Three digits: 812, 4.21k, 1.3M."""
    for suffix in ("", "k", "M"):
        if value < 999.5:
            return f"{value:.3g}{suffix}"
        value /= 1000
    return f"{value:.3g}G"
