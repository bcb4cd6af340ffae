"""The fit loop: epochs of steps, validation, checkpoints, and an orderly end."""

import copy
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .. import _files, dense
from .._validate import flag, integer
from . import _checks
from ._batches import Batch
from ._batches import count as batches_of
from ._callbacks import Callback, EarlyStopping, RestoreBest
from ._checkpoint import load_checkpoint, save_checkpoint
from ._examples import from_pair, held_out
from ._history import History
from ._interruption import Interruption
from ._measured import Count, Loss, mean_loss
from ._progress import make_progress
from ._run import Run


def fit(
    model: Any,
    optimizer: Any,
    batches: Iterable[Batch],
    *,
    loss: Loss = dense.softmax_cross_entropy,
    count: Count | None = None,
    epochs: int = 1,
    validation: Iterable[Batch] | None = None,
    batch_size: int | None = None,
    shuffle: bool | None = None,
    seed: int | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    average: Any = None,
    max_norm: float | None = None,
    metrics: Sequence[Any] = (),
    monitor: str | None = None,
    restore_best: bool = False,
    accumulate: int = 1,
    carry_state: bool = False,
    schedule: Any = None,
    penalties: Sequence[Any] = (),
    constraints: Sequence[Any] = (),
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    metadata: Mapping[str, str] | None = None,
    progress: bool = True,
    unit: str = "tokens",
    loss_format: Callable[[float], str] = "{:.4f}".format,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : fastdl.nn.Module
        The model; left in training mode.
    optimizer
        From :mod:`fastdl.optim`, over ``model.parameters()``.
    batches : tuple (x, y), or iterable of (inputs, targets)
        A pair of arrays, examples first, or of lists of sequences, becomes :class:`Examples`: batches of `batch_size`,
        turned to time first for models that read so. An iterable is iterated once per epoch, its batches taken as they
        are (:class:`ArrayBatches`, a torch ``DataLoader``). The inputs go to ``model.forward``, the targets to the
        loss; both may be tuples, lists or dicts of arrays. Tensors of other libraries become arrays. Floats of another
        type become the model's.
    loss : callable, default :func:`fastdl.softmax_cross_entropy`
        ``loss(outputs, targets) -> (value, gradient)``: the mean over the targets, and its gradient with
        respect to the outputs. The losses of this library return a :class:`fastdl.dense.LossValue`, which says how
        many targets count; so may yours. One that returns the value alone, computed by NumPy's functions, gets its
        gradient derived (:func:`fastdl.nn.value_and_grad`).
    count : callable, optional
        ``count(targets) -> number`` of the targets that count in a batch, where the loss does not say it (or does
        not say what you mean). By default a loss that is a plain float counts all numbers in the targets.
    epochs : int, default 1
        Passes over the data; a resumed run counts those before the interruption.
    validation : tuple (x, y), or iterable of (inputs, targets), optional
        Held-out data; their mean loss is measured in evaluation mode after every epoch.
    batch_size : int, optional
        Examples a batch, of a pair (x, y) alone: 32 where it is not given.
    shuffle : bool, optional
        Whether each epoch of a pair has an order of its own, which it has by default; held-out data stay in theirs.
    seed : int, optional
        Seed of these orders; 0 where it is not given.
    sample_weight, class_weight : optional
        Of a pair (x, y): how much each example, and each class, counts in training (:class:`Examples`).
    average : fastdl.optim.ExponentialAverage or fastdl.optim.StochasticAverage, optional
        A mean of the model's weights, updated after every step. Validation, its metrics and the callbacks after an
        epoch see the model with its values, and so does who gets the model at the end. A checkpoint has both.
    max_norm : float, optional
        Gradients are scaled down to this global 2-norm where theirs is larger (docs/norms.md 1.12).
    metrics : sequence of str or callable, optional
        What is measured beside the loss, see :func:`fastdl.metrics.get`: "accuracy", or a function of
        (outputs, targets). The history has each under its name, of training as the epoch goes, and as
        ``validation_<name>``.
    monitor : str, optional
        Column of the history that :class:`EarlyStopping`, :class:`SaveBest`, `restore_best` and
        :class:`fastdl.optim.ReduceOnPlateau` go by. By default the validation loss, or the training loss where there is
        no other.
    restore_best : bool, default False
        Whether the model has the values of its best epoch at the end, instead of the last one's.
    accumulate : int, default 1
        Batches per optimizer step. The gradient is that of the mean loss over all targets that count in the
        batches, so two batches of 16 give the step of one of 32, however much of each is padding.
    carry_state : bool, default False
        Truncated backpropagation through time (docs/recurrent.md 5.8): the final recurrent state of a batch is the next
        one's initial state, gradients stay within a batch. Every epoch, and every validation, starts with
        zeros. The batches must be successive windows (T, B) of the same B sequences.
    schedule : callable, Scheduler or ReduceOnPlateau, optional
        What sets the learning rates; it is in the checkpoint. A function of the step, such as
        ``fd.optim.schedules.cosine(n)``: after step k the rates are those at the start times ``schedule(k)``. A
        :class:`fastdl.optim.Scheduler` over this optimizer is moved on after every step. A
        :class:`fastdl.optim.ReduceOnPlateau` takes in the validation loss (or the training loss where there is no
        other) after every epoch. The rates are left where the schedule ended.
    penalties : sequence, optional
        Objects with ``add(parameters) -> float``, called after the backward pass: they add their gradient to
        the parameters' and return their value. See :mod:`fastdl.norms`.
    constraints : sequence, optional
        Objects with ``apply(parameters)``, called after every optimizer step: they put the parameters back where
        they may be, :class:`fastdl.norms.MaxNorm` for one.
    callbacks : sequence of Callback, optional
        Called in order, see :class:`fastdl.training.Callback`.
    checkpoint : str or path-like, optional
        File that holds the run's whole state: written after every epoch, and when Ctrl-C or SIGTERM ends the
        run. Replaced atomically, so a power cut or ``kill -9`` leaves the one before.
    checkpoint_every : int, optional
        Write it every so many optimizer steps as well.
    resume : bool, default False
        Go on from the checkpoint. The model, optimizer, callbacks and data must be made as they were for the
        interrupted run; its result is then bit for bit that of a run that was never interrupted. Only `epochs` and
        the patience of :class:`EarlyStopping` may be raised. Settings in the checkpoint, as the learning rate,
        replace those given.
    metadata : mapping of str to str, optional
        Stored in the checkpoint along with the rest.
    progress : bool, default True
        Whether to show progress on stderr: a bar on a terminal where tqdm is installed, else a line now and
        then; nothing where there is no stderr.
    unit : str, default "tokens"
        What the targets are called in the progress display.
    loss_format : callable, default ``"{:.4f}".format``
        How the progress display writes a loss.

    Returns
    -------
    History
        The learning curve, including the parts before an interruption.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, the optimizer's parameters are not the model's, the data are empty, a callback holds
        what the checkpoint would not, or the checkpoint is damaged or another run's; then the model is as it was.
    OSError
        Before the first step, if the checkpoint cannot be written.
    FloatingPointError
        If a loss, gradient or validation loss is not finite, before it is stepped on or saved; it says whether
        inputs or targets were not finite. The last checkpoint stays.
    KeyboardInterrupt
        After Ctrl-C, once the checkpoint is written. A second Ctrl-C does not wait for that.

    Warns
    -----
    UserWarning
        Once, if no target of a batch counts (the batch adds nothing); and if a run to resume had stopped early and
        no progress is shown that would say it.

    Notes
    -----
    With `checkpoint` given and in the main thread, SIGINT and SIGTERM are noted, the step in work is
    finished, the checkpoint written and the signal raised again under the caller's own handlers: by default
    Ctrl-C is a ``KeyboardInterrupt`` and SIGTERM ends the process. Should the caller's handler return, so
    does ``fit``.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(64, 1)
    >>> model = fd.nn.Linear(1, 1, rng=0)
    >>> data = fd.training.ArrayBatches(x, 3 * x + 1, batch_size=16)
    >>> optimizer = fd.optim.Adam(model.parameters(), lr=0.1)
    >>> options = {"loss": fd.mse_loss, "epochs": 50, "progress": False}
    >>> history = fd.training.fit(model, optimizer, data, **options)
    >>> history["loss"][-1] < 1e-3
    True
    """
    _checks.check_run(model, optimizer, loss, count, schedule, callbacks, penalties, constraints)
    if flag("restore_best", restore_best):
        callbacks = [*callbacks, RestoreBest()]
    epochs, resume, progress = integer("epochs", epochs, 1), flag("resume", resume), flag("progress", progress)
    max_norm, accumulate = _checks.step_settings(max_norm, accumulate)
    carry_state = _checks.carries(model, carry_state)
    if checkpoint_every is not None:
        checkpoint_every = integer("checkpoint_every", checkpoint_every, 1)
    if checkpoint is None and (checkpoint_every is not None or resume):
        raise ValueError("checkpoint: got None, expected a path, since checkpoint_every or resume is given")
    order = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed}
    batches = from_pair("batches", batches, model, **order, sample_weight=sample_weight, class_weight=class_weight)
    _checks.check_batches("batches", batches, epochs)
    if validation is not None:
        validation = held_out("validation", validation, model, batch_size)
        _checks.check_batches("validation", validation, epochs)
    _checks.check_display(metadata, unit, loss_format)

    def check_saved() -> None:
        parts = {"callbacks": callbacks, "penalties": penalties, "constraints": constraints}
        data = {"batches": batches, "validation": validation}
        _checks.check_saved(model, optimizer, schedule, loss, count, data, **parts)

    if checkpoint is not None:
        check_saved()
        _files.try_replacing(_files.name_of(checkpoint, "checkpoint"))
    rates = [group.lr for group in optimizer.groups] if schedule is not None else []
    run = Run(
        model,
        optimizer,
        loss,
        max_norm=max_norm,
        accumulate=accumulate,
        penalties=penalties,
        constraints=constraints,
        callbacks=callbacks,
        carry_state=carry_state,
        schedule=schedule,
        count=count,
        metrics=metrics,
        monitor=monitor,
        average=average,
    )
    extra = dict(metadata or {})
    fingerprint = batches.fingerprint() if checkpoint is not None and hasattr(batches, "fingerprint") else {}

    def save() -> None:
        if checkpoint is not None:
            run.check_parameters()
            save_checkpoint(checkpoint, run, fingerprint, extra)

    if resume and checkpoint is not None:
        try:
            load_checkpoint(checkpoint, run, fingerprint)
        except BaseException:
            for group, rate in zip(optimizer.groups, rates, strict=False) if rates else ():
                group.lr = rate  # which the schedule had set
            raise
    run.begin()
    model.train()
    size = batches_of(batches)
    display = make_progress(progress, epochs, size, run.epoch * (size or 0) + run.batch, unit, loss_format)
    if run.stopped:
        _tell_stopped(run, progress, display)
    # Without a checkpoint there is nothing to bring home, and Ctrl-C works as everywhere.
    interruption = Interruption()
    try:
        for callback in run.callbacks:
            callback.on_train_begin(run)
        if checkpoint is None:
            _train(run, batches, validation, epochs, display, interruption, None, save)
        else:
            check_saved()  # again, since a callback may only now have made what it holds
            with interruption:
                _train(run, batches, validation, epochs, display, interruption, checkpoint_every, save)
    except BaseException:
        run.give_up()
        raise
    finally:
        display.close()
    if run.average is not None:
        run.average.apply()
    for callback in run.callbacks:
        callback.on_train_end(run)
    if interruption.signum is not None:
        signal.raise_signal(interruption.signum)
    return run.history


def evaluate(
    model: Any,
    batches: Iterable[Batch],
    *,
    loss: Loss = dense.softmax_cross_entropy,
    count: Count | None = None,
    carry_state: bool = False,
) -> float:
    """Mean loss over all targets that count, in evaluation mode.

    Parameters
    ----------
    model : fastdl.nn.Module
        The model; its mode is restored afterwards.
    batches : tuple (x, y), or iterable of (inputs, targets)
        The data, as for :func:`fit`.
    loss : callable, default :func:`fastdl.softmax_cross_entropy`
        As for :func:`fit`.
    count : callable, optional
        As for :func:`fit`.
    carry_state : bool, default False
        Carry the recurrent state from batch to batch, starting with zeros.

    Returns
    -------
    float
        The mean loss; NaN or infinity where that is what the model's outputs give.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or there are no targets that count.

    Warns
    -----
    UserWarning
        Once, if no target of a batch counts: the batch adds nothing.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Linear(2, 1, rng=0)
    >>> x = np.ones((4, 2), np.float32)
    >>> fd.training.evaluate(model, [(x, model.forward(x))], loss=fd.mse_loss)
    0.0
    """
    _checks.check_model(model)
    _checks.check_loss(loss, count)
    batches = held_out("batches", batches, model, None)
    _checks.check_batches("batches", batches, 0)
    return mean_loss(model, batches, loss, _checks.carries(model, carry_state), count)


def _train(
    run: Run,
    batches: Iterable[Batch],
    validation: Iterable[Batch] | None,
    epochs: int,
    display: Any,
    interruption: Interruption,
    save_every: int | None,
    save: Any,
) -> None:
    while run.epoch < epochs and not run.stopped:
        display.epoch = run.epoch
        run.train_epoch(batches, display, interruption, save_every, save)
        with run.averaged():
            _finish_epoch(run, validation, display, interruption)
        save()
        if interruption.signum is not None:
            return


def _finish_epoch(run: Run, validation: Iterable[Batch] | None, display: Any, interruption: Interruption) -> None:
    """Validation, the epoch's row and the callbacks; nothing of it in an epoch that was interrupted."""
    loss, measured = None, [copy.deepcopy(one) for one in run.metrics]
    for one in measured:
        one.reset()
    if interruption.signum is None and not run.stopped and validation is not None:
        loss = mean_loss(
            run.model,
            validation,
            run.loss_function,
            run.carry_state,
            run.count,
            "validation",
            run,
            interruption,
            measured,
        )
    if interruption.signum is not None or run.stopped:
        return
    run.check_parameters()
    values = {} if loss is None else {one.name: float(one.result()) for one in measured}
    display.epoch_done(run.finish_epoch(loss, values))
    for callback in run.callbacks:
        callback.on_epoch_end(run)
    if run.stopped:
        display.note(f"stopped early after epoch {run.epoch}")


def _tell_stopped(run: Run, progress: bool, display: Any) -> None:
    place = f"in epoch {run.epoch + 1}, at step {run.step}" if run.batch else f"after epoch {run.epoch}"
    text = f"the run to resume stopped early {place}, and nothing is left to do"
    if any(isinstance(one, EarlyStopping) and one.exhausted for one in run.callbacks):
        text += "; it goes on with more patience"
    display.note(text)
    if not progress:
        warnings.warn(text, stacklevel=3)
