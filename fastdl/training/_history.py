"""What a run has measured so far: the learning curve."""

import os
from typing import Any

from .._files import name_of, replacing, save_picture
from .._validate import choice

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

    def plot(
        self, path: str | os.PathLike[str] | None = None, metric: str = "loss", *, scale: float = 1.0,
        label: str | None = None, ax: Any = None,
    ) -> Any:  # fmt: skip
        """Draw the learning curve: every step, the epochs' means, and the validation.

        As :func:`fastdl.plots.learning_curve` does. Needs matplotlib. A notebook shows the picture by itself.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write the picture, replaced where it exists; the suffix chooses the format (``.png``, ``.svg``,
            ``.pdf``), none is ``.png``'s. Without it nothing is written.
        metric : str, default "loss"
            Which column, with its ``validation_`` twin.
        scale : float, default 1.0
            Factor on the values, for example ``1 / math.log(2)`` for nats to bits.
        label : str, optional
            Name of the vertical axis, with its unit; the metric's by default.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a figure of its own by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        TypeError, ValueError
            If an argument is bad.
        ImportError
            If matplotlib is not installed.
        """
        from .. import plots

        if path is None:
            return plots.learning_curve(self, metric, scale=scale, label=label, ax=ax)
        path = name_of(path)
        if ax is None:  # for a file alone: no window system is asked for, and no figure stays open
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            figure = Figure(figsize=(7, 4.2), layout="constrained")
            FigureCanvasAgg(figure)
            ax = figure.add_subplot()
        ax = plots.learning_curve(self, metric, scale=scale, label=label, ax=ax)
        save_picture(ax.figure, path)
        return ax
