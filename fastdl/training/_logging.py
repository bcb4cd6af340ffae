"""Callbacks that write down how a run goes, or end it: files, TensorBoard, targets, time, a function of one's own."""

import os
from collections.abc import Callable
from typing import Any

from .. import _files
from .._validate import choice, function, integer, number, text
from ._callbacks import Callback, checked_run, monitored

_HOOKS = ("on_train_begin", "on_step_end", "on_epoch_end", "on_train_end")


class LambdaCallback(Callback):
    """Functions of the run, called at its hooks (docs/training.md).

    Parameters
    ----------
    on_train_begin, on_step_end, on_epoch_end, on_train_end : callable, optional
        ``function(run)``, see :class:`Callback`.

    Raises
    ------
    TypeError
        If one is not callable.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.ones((4, 1), np.float32)
    >>> model = fd.nn.Linear(1, 1, rng=0)
    >>> tell = fd.training.LambdaCallback(on_epoch_end=lambda run: print("epoch", run.epoch))
    >>> options = {"loss": fd.mse_loss, "epochs": 2, "callbacks": [tell], "progress": False}
    >>> history = fd.training.fit(model, fd.optim.SGD(model.parameters()), (x, x), **options)
    epoch 1
    epoch 2
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[Any], Any] | None = None,
        on_step_end: Callable[[Any], Any] | None = None,
        on_epoch_end: Callable[[Any], Any] | None = None,
        on_train_end: Callable[[Any], Any] | None = None,
    ) -> None:
        given = dict(zip(_HOOKS, (on_train_begin, on_step_end, on_epoch_end, on_train_end), strict=True))
        self.functions = {
            name: function(name, one, "a function of the run") for name, one in given.items() if one is not None
        }

    def _call(self, name: str, run: Any) -> None:
        if name in self.functions:
            self.functions[name](run)

    def on_train_begin(self, run: Any) -> None:
        """Before the first step.

        Parameters
        ----------
        run : Run
            The state of the run.
        """
        self._call("on_train_begin", run)

    def on_step_end(self, run: Any) -> None:
        """After every optimizer step.

        Parameters
        ----------
        run : Run
            The state of the run.
        """
        self._call("on_step_end", run)

    def on_epoch_end(self, run: Any) -> None:
        """After every epoch.

        Parameters
        ----------
        run : Run
            The state of the run.
        """
        self._call("on_epoch_end", run)

    def on_train_end(self, run: Any) -> None:
        """After the last step.

        Parameters
        ----------
        run : Run
            The state of the run.
        """
        self._call("on_train_end", run)


class CSVLogger(Callback):
    """Write the epochs' rows to a file while the run goes on: after each epoch it has them all (docs/training.md).

    Parameters
    ----------
    path : str or path-like
        The file of comma-separated values, as :meth:`History.to_csv` writes it; replaced atomically.

    Raises
    ------
    TypeError, ValueError
        If `path` is none.
    OSError
        From :func:`fit`, at the start, where the file cannot be written.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastdl as fd
    >>> x = np.ones((4, 1), np.float32)
    >>> model = fd.nn.Linear(1, 1, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = fd.training.CSVLogger(os.path.join(folder, "log.csv"))
    ...     options = {"loss": fd.mse_loss, "epochs": 2, "callbacks": [log], "progress": False}
    ...     history = fd.training.fit(model, fd.optim.SGD(model.parameters()), (x, x), **options)
    ...     rows = np.loadtxt(log.path, str)
    >>> rows.shape
    (3,)
    """

    _only_reads = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _files.name_of(path)

    def on_train_begin(self, run: Any) -> None:
        """Try whether the file can be written.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        OSError
            If the file cannot be written.
        """
        checked_run(run)
        _files.try_replacing(self.path)

    def on_epoch_end(self, run: Any) -> None:
        """Write the rows.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        OSError
            If the file cannot be written.
        """
        checked_run(run).history.to_csv(self.path)


class TensorBoard(Callback):
    """Write losses, rates and norms as TensorBoard reads them (docs/training.md).

    Needs torch's ``torch.utils.tensorboard`` or tensorboardX: ``pip install "fastdl[tensorboard]"``.

    Parameters
    ----------
    folder : str or path-like
        Where the event file goes; a resumed run adds one.
    every : int, default 1
        Steps between two points of the training loss.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad.
    ImportError
        From :func:`fit`, at the start, if neither is installed.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.training.TensorBoard("runs/first", every=10).every
    10
    """

    _only_reads = True

    def __init__(self, folder: str | os.PathLike[str], every: int = 1) -> None:
        self.folder, self.every = _files.name_of(folder, "folder"), integer("every", every, 1)
        self._writer: Any = None

    def on_train_begin(self, run: Any) -> None:
        """Open the event file.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        ImportError
            If there is no writer.
        """
        checked_run(run)
        self._writer = _writer()(self.folder, purge_step=run.step + 1 if run.step else None)

    def on_step_end(self, run: Any) -> None:
        """Add the training loss.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        """
        checked_run(run)
        if self._writer is not None and run.step % self.every == 0:
            self._writer.add_scalar("loss/step", run.loss, run.step)

    def on_epoch_end(self, run: Any) -> None:
        """Add the epoch's row.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        """
        row = checked_run(run).history.epochs[-1]
        for name, value in row.items():
            if self._writer is not None and value is not None and name not in ("epoch", "step"):
                self._writer.add_scalar(name, value, run.step)
        if self._writer is not None:
            self._writer.flush()

    def on_train_end(self, run: Any) -> None:
        """Close the event file.

        Parameters
        ----------
        run : Run
            The state of the run.
        """
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_writer": None}


def _writer() -> Any:
    for module in ("tensorboardX", "torch.utils.tensorboard"):
        try:
            return __import__(module, fromlist=["SummaryWriter"]).SummaryWriter
        except ImportError:
            continue
    raise ImportError('TensorBoard: needs tensorboardX or torch with tensorboard: pip install "fastdl[tensorboard]"')


class StopAtTarget(Callback):
    """End the run once a column of its history has reached a value (docs/training.md).

    Parameters
    ----------
    target : float
        The value.
    monitor : str, optional
        Which column; the validation loss by default, or the training loss where there is no other.
    mode : {"min", "max"}, default "min"
        Whether it has to fall to the target, or to rise to it.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.training.StopAtTarget(0.1).target
    0.1
    """

    def __init__(self, target: float, monitor: str | None = None, mode: str = "min") -> None:
        self.target = number("target", target)
        self.monitor = None if monitor is None else text("monitor", monitor)
        self.mode = choice("mode", mode, ("min", "max"))

    def on_epoch_end(self, run: Any) -> None:
        """Compare the epoch's value with the target.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError, ValueError
            If `run` is none, or has no such column.
        """
        value = monitored(run, self.monitor)
        if value <= self.target if self.mode == "min" else value >= self.target:
            run.stop()


class TimeLimit(Callback):
    """End the run after so many seconds, the parts before an interruption included (docs/training.md).

    Parameters
    ----------
    seconds : float
        More than 0; the step in work is finished.

    Raises
    ------
    TypeError, ValueError
        If `seconds` is no number above 0.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.training.TimeLimit(60).seconds
    60.0
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = number("seconds", seconds, 0.0, open_low=True)

    def on_step_end(self, run: Any) -> None:
        """Look at the clock.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        """
        if checked_run(run).seconds >= self.seconds:
            run.stop()


class SampleText(Callback):
    """Show what a character model writes after each epoch (docs/training.md).

    Parameters
    ----------
    prompt : str, default ""
        What it goes on from.
    length : int, default 200
        Characters.
    temperature : float, default 0.7
        As for :meth:`fastdl.models.CharLM.generate`.
    seed : int, default 0
        Of the draws, the same after each epoch.
    show : callable, default print
        Takes the text.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.training.SampleText("The ", 40).length
    40
    """

    def __init__(
        self, prompt: str = "", length: int = 200, temperature: float = 0.7, seed: int = 0,
        show: Callable[[str], Any] = print,
    ) -> None:  # fmt: skip
        self.prompt = prompt if prompt == "" else text("prompt", prompt)
        self.length, self.seed = integer("length", length, 1), integer("seed", seed, 0)
        self.temperature = number("temperature", temperature, 0.0)
        self.show = function("show", show, "a function of a text")

    def on_epoch_end(self, run: Any) -> None:
        """Write some text and show it.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none, or its model writes no text.
        """
        model = checked_run(run).model
        if not callable(getattr(model, "generate", None)):
            raise TypeError(f"SampleText: got a {type(model).__name__}, expected a model with generate, such as CharLM")
        written = model.generate(self.prompt, temperature=self.temperature, rng=self.seed)
        self.show(self.prompt + "".join(letter for letter, _ in zip(written, range(self.length), strict=False)))
