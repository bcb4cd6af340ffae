"""How a run tells where it is: a bar, lines, or nothing."""

import sys
import time
from typing import Any, TextIO


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
    """

    interval = float("inf")  # seconds between two displays

    def __init__(self, epochs: int, batches: int | None, done: int, unit: str) -> None:
        self.epochs = epochs
        self.total = None if batches is None else epochs * batches
        self.done = self._begun = done
        self.unit = unit
        self.epoch = 0
        self.loss = float("nan")  # running mean over about a hundred steps
        self._tokens = 0
        self._started = time.monotonic()
        self._next = self._started + self.interval

    def update(self, batches: int, tokens: int, loss: float) -> None:
        """Called after every step: counts, and shows when it is time."""
        self.done += batches
        self._tokens += tokens
        self.loss = loss if self.loss != self.loss else self.loss + 0.02 * (loss - self.loss)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self.interval
            self._show(now - self._started)

    def write(self, text: str) -> None:
        """Show a line of its own (the end of an epoch)."""

    def close(self) -> None:
        """The run is over, or ends with an error."""

    def _show(self, elapsed: float) -> None:
        raise NotImplementedError

    def _rate(self, elapsed: float) -> str:
        return f"{_round(self._tokens / max(elapsed, 1e-9))} {self.unit}/s"


class Lines(Progress):
    """A line every five seconds, for logs and where tqdm is not installed."""

    interval = 5.0

    def __init__(self, epochs: int, batches: int | None, done: int, unit: str, stream: TextIO) -> None:
        super().__init__(epochs, batches, done, unit)
        self._stream = stream

    def write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _show(self, elapsed: float) -> None:
        where = f"epoch {self.epoch + 1}/{self.epochs}"
        left = ""
        if self.total:
            where += f", {self.done / self.total:.0%}"
            seconds = elapsed * (self.total - self.done) / max(self.done - self._begun, 1)
            left = f", {seconds // 60:.0f}:{seconds % 60:02.0f} left"
        self.write(f"{where}: loss {self.loss:.4f}, {self._rate(elapsed)}{left}")


class Bar(Progress):
    """A tqdm bar over the whole run; tqdm works out the time left."""

    interval = 0.1

    def __init__(
        self, epochs: int, batches: int | None, done: int, unit: str, stream: TextIO, tqdm: Any
    ) -> None:
        super().__init__(epochs, batches, done, unit)
        self._bar = tqdm(
            total=self.total, initial=done, unit="batch", file=stream, dynamic_ncols=True, mininterval=0
        )
        self._stream = stream

    def write(self, text: str) -> None:
        self._bar.write(text, file=self._stream)

    def close(self) -> None:
        self._bar.n = self.done
        self._bar.close()

    def _show(self, elapsed: float) -> None:
        self._bar.n = self.done
        self._bar.set_description(f"epoch {self.epoch + 1}/{self.epochs}", refresh=False)
        self._bar.set_postfix_str(f"loss {self.loss:.4f}, {self._rate(elapsed)}", refresh=False)
        self._bar.refresh()


def make_progress(show: bool, epochs: int, batches: int | None, done: int, unit: str) -> Progress:
    """The bar on a terminal (or in a notebook) where tqdm is installed, lines elsewhere, nothing if not asked."""
    if not show:
        return Progress(epochs, batches, done, unit)
    stream = sys.stderr
    if stream.isatty() or "ipykernel" in sys.modules:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            pass
        else:
            return Bar(epochs, batches, done, unit, stream, tqdm)
    return Lines(epochs, batches, done, unit, stream)


def _round(value: float) -> str:
    """Three digits: 812, 4.21k, 1.3M."""
    for suffix in ("", "k", "M"):
        if value < 1000:
            return f"{value:.3g}{suffix}"
        value /= 1000
    return f"{value:.3g}G"
