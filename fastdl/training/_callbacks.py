"""What may happen between steps and epochs."""

import os
from typing import Any

import numpy as np

from .. import _files, _safetensors, saving
from .._validate import entry, integer, number
from ._history import History


class Callback:
    """Base of all callbacks: override the hooks you need, the others cost nothing.

    Every hook gets the :class:`Run`, whose ``model``, ``optimizer``, ``history``, ``epoch``, ``step`` and
    ``loss`` are there to read, and whose ``stop()`` ends the run after this step or epoch. (A learning-rate schedule
    is given to :func:`fit` as `schedule`, which puts it into the checkpoint.)

    What a callback changes from hook to hook and needs again belongs into :meth:`state_dict`. One that has none, and
    holds a scheduler, a generator or an average, is refused where there is a checkpoint.

    Examples
    --------
    >>> import fastdl as fd
    >>> class Halve(fd.training.Callback):
    ...     def on_epoch_end(self, run):
    ...         run.optimizer.lr /= 2
    """

    _only_reads = False  # a log, which a resumed run may have or not

    def on_train_begin(self, run: Any) -> None:
        """Before the first step, and after a checkpoint was read.

        Parameters
        ----------
        run : Run
            The state of the run.
        """

    def on_step_end(self, run: Any) -> None:
        """After every optimizer step.

        Parameters
        ----------
        run : Run
            The state of the run; ``run.stop()`` ends it now.
        """

    def on_epoch_end(self, run: Any) -> None:
        """After every epoch and its validation; the epoch's row is ``run.history.epochs[-1]``.

        Parameters
        ----------
        run : Run
            The state of the run; ``run.stop()`` ends it now.
        """

    def on_train_end(self, run: Any) -> None:
        """After the last step, also of an interrupted run; not after an error.

        Parameters
        ----------
        run : Run
            The state of the run.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs.

        Returns
        -------
        dict
            Numbers, strings, arrays and containers of them; here empty.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave.

        Parameters
        ----------
        state : dict
            What :meth:`state_dict` gave.
        """


class EarlyStopping(Callback):
    """End the run when the loss has stopped falling.

    Parameters
    ----------
    patience : int, default 3
        Number of epochs without improvement after which the run ends, at least 1.
    min_delta : float, default 0.0
        A loss has to be lower than the best one by more than this to count as an improvement.

    Raises
    ------
    TypeError, ValueError
        If `patience` is no integer or below 1, or `min_delta` negative.

    Notes
    -----
    Watches what :func:`fit`'s `monitor` says: by default the validation loss, or the training loss where there is no
    validation data; "lower" is "higher" where the larger is the better one. A run that was stopped may be
    resumed with more `patience`, and is then the one that had so much from the start. Every new run begins with the
    whole patience, so one object serves several runs.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.training.EarlyStopping(patience=2).patience
    2
    """

    def __init__(self, patience: int = 3, min_delta: float = 0.0) -> None:
        self.patience = integer("patience", patience, 1)
        self.min_delta = number("min_delta", min_delta, 0.0)
        self.best = float("inf")
        self.waited = 0

    @property
    def exhausted(self) -> bool:
        """Whether the patience is at its end."""
        return self.waited >= self.patience

    def on_train_begin(self, run: Any) -> None:
        """Begin with the whole patience, unless the run is resumed.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError
            If `run` is none.
        """
        if checked_run(run).step == 0:  # a new run; a resumed one goes on with what the checkpoint had
            self.best, self.waited = float("inf"), 0

    def on_epoch_end(self, run: Any) -> None:
        """Compare the epoch's loss with the best, and end the run when the patience is at its end.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError, ValueError
            If `run` is none, or has not finished an epoch.
        """
        loss = watched(run)
        if loss < self.best - self.min_delta:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
            if self.exhausted:
                run.stop()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs.

        Returns
        -------
        dict
            "best", "waited" and "patience".
        """
        return {"best": self.best, "waited": self.waited, "patience": self.patience}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave, but for the patience, which may be another.

        Parameters
        ----------
        state : dict
            What :meth:`state_dict` gave.

        Raises
        ------
        TypeError, ValueError
            If it is not that; nothing was changed then.
        """
        best = number("state['best']", entry("state", state, "best"))
        self.best, self.waited = best, integer("state['waited']", entry("state", state, "waited"), 0)


class SaveBest(Callback):
    """Save the model whenever an epoch ends with the lowest loss so far.

    Parameters
    ----------
    path : str or path-like
        The file, as :func:`fastdl.save` writes it, replaced atomically; :func:`fastdl.load` reads it. Of a model that
        no file can describe it holds the arrays of ``model.state_dict()`` alone. A model with a ``save(path)`` of its
        own (as :class:`fastdl.models.CharLM`) is asked to save itself.

    Raises
    ------
    TypeError, ValueError
        If `path` is none.
    OSError
        From :func:`fit`, at the start, where the file cannot be written.

    Notes
    -----
    Watches what :func:`fit`'s `monitor` says, as :class:`EarlyStopping`. Before the first step it is
    tried whether the file can be written. Every new run has a best loss of its own.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastdl as fd
    >>> x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(8, 1)
    >>> model = fd.nn.Linear(1, 1, rng=0)
    >>> optimizer = fd.optim.Adam(model.parameters(), lr=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = fd.training.SaveBest(os.path.join(folder, "best.safetensors"))
    ...     data = fd.training.ArrayBatches(x, 3 * x, batch_size=8)
    ...     history = fd.training.fit(model, optimizer, data, loss=fd.mse_loss, callbacks=[best], progress=False)
    ...     os.listdir(folder), best.best == history["loss"][0]
    (['best.safetensors'], True)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _files.name_of(path)
        self.best = float("inf")

    def on_train_begin(self, run: Any) -> None:
        """Try whether the file can be written, and forget an earlier run's best loss unless the run is resumed.

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
        if run.step == 0:
            self.best = float("inf")

    def on_epoch_end(self, run: Any) -> None:
        """Save the model where the epoch's loss is below the best.

        Parameters
        ----------
        run : Run
            The state of the run.

        Raises
        ------
        TypeError, ValueError
            If `run` is none, or has not finished an epoch.
        OSError
            If the file cannot be written.
        """
        loss = watched(run)
        if loss < self.best:
            self.best = loss
            if hasattr(run.model, "save"):
                run.model.save(self.path)
            elif run.architecture is not None:
                saving.save(run.model, self.path)
            else:
                _safetensors.save(self.path, saving._file.values_of(run.model), {})

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs.

        Returns
        -------
        dict
            "best".
        """
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave.

        Parameters
        ----------
        state : dict
            What :meth:`state_dict` gave.

        Raises
        ------
        TypeError, ValueError
            If it is not that.
        """
        self.best = number("state['best']", entry("state", state, "best"))


def checked_run(run: Any) -> Any:
    """Refuse what is no run, by its learning curve."""
    if not isinstance(getattr(run, "history", None), History):
        raise TypeError(f"run: got {type(run).__name__}, expected a fastdl.training.Run")
    return run


def watched(run: Any) -> float:
    """The last epoch's value of what the run monitors, the sign turned where the larger is the better one."""
    value = monitored(run, getattr(run, "monitor", None))
    return -value if getattr(run, "greater_is_better", False) else value


def monitored(run: Any, column: str | None) -> float:
    """The last epoch's value in a column; by default the validation loss, or training loss where there is no other."""
    epochs = checked_run(run).history.epochs
    if not epochs:
        raise ValueError("run: got one without an epoch in its history, expected one after an epoch's end")
    row = epochs[-1]
    if column is None:
        column = "loss" if row["validation_loss"] is None else "validation_loss"
    if row.get(column) is None:
        known = ", ".join(name for name, value in row.items() if value is not None)
        raise ValueError(f"monitor: got {column!r}, expected one of {known}")
    value: float = row[column]
    return value


class RestoreBest(Callback):
    """What ``fit(restore_best=True)`` does: at the end the model has the values of its best epoch."""

    def __init__(self) -> None:
        self.best, self.epoch = float("inf"), 0
        self.values: dict[str, np.ndarray] = {}

    def on_train_begin(self, run: Any) -> None:
        if checked_run(run).step == 0:
            self.best, self.epoch, self.values = float("inf"), 0, {}

    def on_epoch_end(self, run: Any) -> None:
        loss = watched(run)
        if loss < self.best:
            self.best, self.epoch, self.values = loss, run.epoch, run.model.state_dict()

    def on_train_end(self, run: Any) -> None:
        if self.values:
            run.model.load_state_dict(self.values)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch, "values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        best = number("state['best']", entry("state", state, "best"))
        epoch = integer("state['epoch']", entry("state", state, "epoch"), 0)
        self.best, self.epoch, self.values = best, epoch, dict(entry("state", state, "values"))
