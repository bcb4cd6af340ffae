"""What a run has measured so far: the learning curve."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._files import name_of, replacing, save_picture
from .._validate import choice, number, text

COLUMNS = (
    "epoch", "step", "loss", "validation_loss", "penalty", "learning_rate", "gradient_norm", "tokens", "seconds",
)  # fmt: skip
OPTIONAL = ("validation_loss", "learning_rate", "gradient_norm")  # None where there is none


class History:
    """The learning curve of a run.

    Attributes
    ----------
    losses : list of float
        Training loss of every optimizer step, without penalties.
    epochs : list of dict
        One row per epoch: ``epoch`` (from 1), ``step`` (optimizer steps so far), ``loss`` (mean over the
        epoch), ``validation_loss`` (None without validation data), ``penalty`` (mean over the epoch),
        ``learning_rate`` (the first group's, at the epoch's end), ``gradient_norm`` (mean over the epoch's steps,
        before clipping; None where the optimizer looks at the gradients itself), ``tokens`` (targets seen so far),
        ``seconds`` (so far, all parts of an interrupted run together). Each metric has a column of its name, and
        ``validation_<name>``.

    Examples
    --------
    >>> history = History()
    >>> history.losses += [2.0, 1.5]
    >>> history.epochs.append({"epoch": 1, "step": 2, "loss": 1.75, "validation_loss": 1.6,
    ...                        "penalty": 0.0, "tokens": 64, "seconds": 0.5})
    >>> history["validation_loss"]
    [1.6]
    >>> history
    History(2 steps, 1 epochs, loss 1.75, validation loss 1.6)
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.epochs: list[dict[str, Any]] = []

    def __getitem__(self, column: str) -> list[Any]:
        """One column of the epochs' rows."""
        choice("column", column, self.columns)
        return [row.get(column) for row in self.epochs]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns: those that every history has, then the metrics'."""
        return tuple(dict.fromkeys((*COLUMNS, *(name for row in self.epochs for name in row))))

    def __repr__(self) -> str:
        words = [f"{len(self.losses)} steps", f"{len(self.epochs)} epochs"]
        if self.epochs:
            words.append(f"loss {self.epochs[-1]['loss']:.6g}")
            if self.epochs[-1]["validation_loss"] is not None:
                words.append(f"validation loss {self.epochs[-1]['validation_loss']:.6g}")
        return f"History({', '.join(words)})"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the epochs' rows as comma-separated values; the first line names the columns.

        Parameters
        ----------
        path : str or path-like
            The file, replaced where it exists. A missing validation loss is an empty field.

        Raises
        ------
        TypeError, ValueError
            If `path` is none.
        OSError
            If the file cannot be written; one that was there is as it was.
        """
        rows = [",".join(self.columns)]
        for row in self.epochs:
            rows.append(",".join("" if row.get(name) is None else repr(row[name]) for name in self.columns))
        with replacing(path) as file:
            file.write(("\n".join(rows) + "\n").encode())

    def plot(self, path: str | os.PathLike[str], *, scale: float = 1.0, label: str = "loss") -> None:
        """Draw the learning curve: every step, the epochs' means, and the validation loss.

        Needs matplotlib.

        Parameters
        ----------
        path : str or path-like
            The picture, replaced where it exists; the suffix chooses the format (``.png``, ``.svg``, ``.pdf``), none is
            ``.png``'s.
        scale : float, default 1.0
            Factor on the losses, for example ``1 / math.log(2)`` for nats to bits.
        label : str, default "loss"
            Name of the vertical axis, with its unit.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad.
        ImportError
            If matplotlib is not installed.
        """
        most = float(np.finfo(np.float32).max)  # times a loss, that is still far from where no axis has ticks
        path, scale, label = name_of(path), number("scale", scale, -most, most), text("label", label)
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), layout="constrained")
        FigureCanvasAgg(figure)  # no window system is asked for
        axes = figure.add_subplot()
        losses = np.asarray(self.losses) * scale
        axes.plot(np.arange(1, losses.size + 1), losses, color="0.8", linewidth=0.8, label="training, each step")
        steps = self["step"]
        axes.plot(steps, np.multiply(self["loss"], scale), "o-", label="training, epoch")
        held_out: Sequence[tuple[int, float]] = [
            (row["step"], row["validation_loss"] * scale) for row in self.epochs if row["validation_loss"] is not None
        ]
        if held_out:
            axes.plot(*zip(*held_out, strict=True), "s-", label="validation")
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
        save_picture(figure, path)
