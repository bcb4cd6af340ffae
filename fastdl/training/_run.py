"""One training run: its state, a step, an epoch, a validation."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _validate, norms, optim
from ..nn._backward import backward, names_input_gradient
from ..nn._pull import Pull
from ..saving._file import architecture
from . import _checks
from ._batches import Batch, in_groups, iterate
from ._callbacks import Callback, watched
from ._data import not_finite, of_type, pair, scaled, size
from ._history import History
from ._interruption import Interruption
from ._measured import (
    SUMS,
    Count,
    Differentiated,
    Loss,
    checked_metrics,
    is_better_greater,
    measured,
    of_batch,
    reason_of,
    reraise,
    update,
    warn_empty,
)
from ._progress import Progress


class Run:
    """The state of a training run, as callbacks see it; :func:`fit` makes it.

    Parameters
    ----------
    model, optimizer, loss, max_norm, accumulate, penalties, constraints, callbacks, carry_state
        As of :func:`fit`.
    schedule, count, metrics, monitor, average : optional
        As of :func:`fit`.

    Attributes
    ----------
    model, optimizer
        As given to :func:`fit`.
    history : History
        The learning curve so far.
    epoch : int
        The current epoch, from 0.
    batch : int
        Batches of this epoch that are done.
    step : int
        Optimizer steps so far.
    loss : float
        Training loss of the last step, without penalties.

    Raises
    ------
    TypeError, ValueError
        As :func:`fit`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> class Watch(fd.training.Callback):
    ...     def on_epoch_end(self, run):
    ...         print(run.epoch, run.step, run.history["tokens"])
    >>> x = np.ones((6, 1), np.float32)
    >>> model = fd.nn.Linear(1, 1, rng=0)
    >>> options = {"loss": fd.mse_loss, "epochs": 2, "callbacks": [Watch()], "progress": False}
    >>> data = fd.training.ArrayBatches(x, x, batch_size=2)
    >>> history = fd.training.fit(model, fd.optim.SGD(model.parameters()), data, **options)
    1 3 [6]
    2 6 [6, 12]
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Loss,
        *,
        max_norm: float | None,
        accumulate: int,
        penalties: Sequence[Any],
        constraints: Sequence[Any],
        callbacks: Sequence[Callback],
        carry_state: bool,
        schedule: Any = None,
        count: Count | None = None,
        metrics: Sequence[Any] = (),
        monitor: str | None = None,
        average: Any = None,
    ) -> None:
        _checks.check_run(model, optimizer, loss, count, schedule, callbacks, penalties, constraints)
        self.max_norm, self.accumulate = _checks.step_settings(max_norm, accumulate)
        self.carry_state = _checks.carries(model, carry_state)
        self._model, self._optimizer, self.loss_function, self.count = model, optimizer, loss, count
        self._differentiated = Differentiated(loss)
        self._backward = functools.partial(backward, model, input_gradient=False)
        if names_input_gradient(model.backward):  # asked once
            self._backward = functools.partial(model.backward, input_gradient=False)
        # A Scheduler, moved on every step, or a ReduceOnPlateau, every epoch.
        made = schedule is None or hasattr(schedule, "step")
        self.schedule = schedule if made else optim.Scheduler(optimizer, schedule)
        self.penalties, self.constraints, self.callbacks = list(penalties), list(constraints), list(callbacks)
        self.metrics = checked_metrics(metrics)
        _checks.check_seen(loss, metrics)
        self.average = _checks.checked_average(average, model)
        self.monitor = None if monitor is None else _validate.text("monitor", monitor)
        self.greater_is_better = is_better_greater(self.monitor, self.metrics)
        self.parameters = model.parameters()
        self._architecture: Any = Run  # not asked for yet
        self.history = History()
        self.epoch = self.batch = self.step = 0
        self.tokens: float = 0  # targets that counted
        self.loss = math.nan
        self.state: Any = None  # what truncated BPTT carries from window to window (docs/recurrent.md 5.8)
        self.stopped = False
        self._penalty = self._norm = 0.0
        # Sums over the epoch so far: loss and penalty weighted by targets, and the targets; norms, and the steps.
        self.sums: dict[str, float] = dict.fromkeys(SUMS, 0)
        self.warned = False  # that a batch had no targets
        # An optimizer that leaves steps out for gradients that are not finite, or raises, looks at them itself.
        self._looks = getattr(optimizer, "nonfinite", "allow") != "allow"
        self.gathers = getattr(optimizer, "accumulate", 1) != 1  # gradients over several calls of step
        self._was_finite = bool(np.isfinite(self.parameters.data).all())
        self._earlier = 0.0  # seconds of the parts before an interruption
        self._started = time.monotonic()

    @property
    def model(self) -> Any:
        """The model as given: what a callback has to put into it goes through ``load_state_dict``."""
        return self._model

    @model.setter
    def model(self, value: Any) -> None:
        if value is not self._model:
            raise ValueError("run.model: cannot be another in the middle of a run; use run.model.load_state_dict")

    @property
    def architecture(self) -> Any:
        """What makes a file of the weights a model's (:func:`fastdl.load`); None where it cannot be told."""
        if self._architecture is Run:
            self._architecture = architecture(self._model)
        return self._architecture

    @property
    def optimizer(self) -> Any:
        """The optimizer as given."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        if value is not self._optimizer:
            raise ValueError("run.optimizer: cannot be another in the middle of a run; set its lr or groups' settings")

    @property
    def seconds(self) -> float:
        """Time spent so far, all parts of an interrupted run together."""
        return self._earlier + time.monotonic() - self._started

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._earlier, self._started = _validate.number("seconds", value, 0.0), time.monotonic()

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The model with the mean of its weights inside a ``with`` block, where the run has one.

        Returns
        -------
        context manager
        """
        return contextlib.nullcontext() if self.average is None else self.average.applied()

    def stop(self) -> None:
        """End the run after this step (called from ``on_step_end``) or epoch (from ``on_epoch_end``)."""
        self.stopped = True

    def begin(self) -> None:
        """Forget gradients that no step has used; those an optimizer waits with are its business."""
        if not (self.gathers and getattr(self.optimizer, "_waiting", 0)):
            self._forget_gradients()

    def _forget_gradients(self) -> None:
        if self.parameters._written:
            self.parameters.renew_gradients()

    def give_up(self) -> None:
        """Forget what was gathered for a step that does not come, and the forwards that wait for a backward."""
        self.model.train()
        self._forget_gradients()
        if self.gathers and hasattr(self.optimizer, "_waiting"):
            self.optimizer._waiting = 0

    def forward(self, x: Any) -> Any:
        """The model's output; with `carry_state` from the state that the batch before left, and leaving its own.

        Parameters
        ----------
        x : ndarray, or what the model takes
            Inputs of a batch.

        Returns
        -------
        ndarray, or what the model gives
        """
        if not self.carry_state:
            return self.model.forward(x)
        output, self.state = self.model.forward(x, self.state, return_state=True)
        return output

    def update(self, group: Sequence[Batch]) -> float:
        """One optimizer step on the mean loss over all targets of some batches.

        Batches whose targets all count nothing are left out; where all batches are such, there is no step.

        Parameters
        ----------
        group : sequence of (inputs, targets)
            The batches.

        Returns
        -------
        int or float
            How many targets counted.

        Raises
        ------
        TypeError, ValueError
            If `group` is no list of (inputs, targets), or the model or the loss refuses them; there is no step then.
        FloatingPointError
            If the loss or the gradient is not finite; the parameters keep their values.
        """
        wanted = "several (inputs, targets)"
        pairs = [pair(one, "group", place) for place, one in enumerate(_validate.iterated("group", group, wanted), 1)]
        try:
            return self._update(pairs, "group", 1)
        except BaseException:
            self.give_up()
            raise

    def _update(self, group: Sequence[Batch], name: str, first: int) -> float:
        """The body of :meth:`update`, whose caller gives up if it fails; `name` has the group from `first` on."""
        model, parameters = self._model, self.parameters
        if not model.training:  # a callback has left it in evaluation mode
            model.train()
        dtype, forward = parameters.dtype, self.forward if self.carry_state else model.forward
        # A batch's share of the mean is known once all have been counted. Until then the shares are those of this
        # guess, which is right where all targets count; otherwise the sum is put right at the end.
        guess = sum(size(y) for _, y in group) or 1 if len(group) > 1 else 0
        targets: float = 0
        loss, summed = 0.0, False
        for place, (x, y) in enumerate(group):
            x, y = of_type(x, dtype), of_type(y, dtype)
            try:
                output = forward(x)
                result = self._differentiated(output, y)
            except (TypeError, ValueError) as error:
                reraise(name, first + place, error)
            value, gradient, number, summed = measured(result, self.count, y)
            if number == 0:
                model.train()  # forgets this forward
                if isinstance(gradient, Pull):
                    gradient.drop()
                self._warn("batches", self.batch + place)
                continue
            if not math.isfinite(value):
                raise self._failure(f"the training loss became {value}", [group[place]], place, output)
            targets += number
            for metric in self.metrics:
                of_batch(name, first + place, update, metric, output, y)
            if summed:
                loss += value
            else:
                loss += value * number
            factor = number / guess if guess and not summed else 1.0
            if factor != 1.0 or isinstance(gradient, Pull):  # which reaches parameters that the loss has read, too
                gradient = scaled(gradient, factor)
            self._backward((gradient, None) if self.carry_state and model._derived else gradient)
        if targets == 0:
            self.batch += len(group)
            return 0
        loss = value if not guess and not summed else loss / targets
        if guess and not summed and guess != targets:
            parameters.settle_gradients()
            parameters._grad *= parameters.dtype.type(guess / targets)
        self._step(loss, group)
        if self.average is not None:
            self.average.update()
        self.batch += len(group)
        self.step += 1
        self.tokens += targets
        self.loss = loss
        self.history.losses.append(loss)
        sums = self.sums
        sums["loss"] += loss * targets
        sums["penalty"] += self._penalty * targets
        sums["targets"] += targets
        sums["norm"] += self._norm
        sums["steps"] += 1
        return targets

    def _step(self, loss: float, group: Sequence[Batch]) -> None:
        """Penalties, clipping, the optimizer's step and what follows it."""
        parameters = self.parameters
        penalty, optimizer = 0.0, self._optimizer
        for one in self.penalties:
            penalty += float(one.add(parameters))
        self._penalty = penalty
        # What an optimizer gathers over several calls is clipped once, as the mean it becomes.
        calls = optimizer.accumulate if self.gathers else 1
        if self.max_norm is not None and (calls == 1 or getattr(optimizer, "_waiting", 0) + 1 >= calls):
            norm = optim.clip_grad_norm_(parameters, self.max_norm * calls)
        elif self._looks:
            norm = 0.0
        else:
            parameters.settle_gradients()
            norm = norms.global_norm(parameters._grad)
        if not (math.isfinite(norm + penalty) or self._looks):
            bad = next((name for name, one in self.named() if not np.isfinite(one._grad).all()), None)
            where = "the penalties are not finite" if bad is None else f"in {bad}, under a loss of {loss:.6g}"
            raise self._failure(f"the gradient's norm became {norm} ({where})", group, 0, None)
        self._norm = float(norm)
        optimizer.step()
        if not (self.gathers and getattr(optimizer, "_waiting", 0)):
            parameters.renew_gradients()  # as an optimizer over an arena did itself
        for one in self.constraints:
            one.apply(parameters)
        if self.schedule is not None and isinstance(self.schedule, optim.Scheduler):
            self.schedule.step()

    def named(self) -> list[tuple[str, Any]]:
        """The parameters with their names.

        Returns
        -------
        list of (str, Parameter)
            In the order of the model's parameters.
        """
        return list(zip(self.parameters.names, self.parameters, strict=True))

    def check_parameters(self) -> None:
        """Refuse to save or measure a model that a step has made infinite or NaN."""
        if self._was_finite and not np.isfinite(self.parameters.data).all():
            bad = next(name for name, one in self.named() if not np.isfinite(one.data).all())
            raise FloatingPointError(
                f"the parameter {bad} is no longer finite after step {self.step}: a lower learning rate may help"
            )

    def _warn(self, name: str, place: int) -> None:
        if not self.warned:
            self.warned = True
            warn_empty(name, place)

    def _failure(self, what: str, batches: Sequence[Batch], place: int, output: Any) -> FloatingPointError:
        """Says whether inputs, targets, parameters or outputs are to blame; advice is given where it may help."""
        reason = None
        for number, (x, y) in enumerate(batches, place + 1):
            found = not_finite("inputs", x) or not_finite("targets", y)
            if found:
                reason = f"{found}, in batch {self.batch + number} of epoch {self.epoch + 1}"
                break
        if reason is None:
            reason = reason_of(self.model, output)
            if self.step > 0:
                reason += "; a lower learning rate or a smaller max_norm may help"
        return FloatingPointError(f"{what} at step {self.step + 1}: {reason}")

    def train_epoch(
        self,
        batches: Iterable[Batch],
        progress: Progress,
        interruption: Interruption,
        save_every: int | None,
        save: Callable[[], None],
    ) -> None:
        """Train what is left of the current epoch, up to an interruption or :meth:`stop`.

        Parameters
        ----------
        batches : iterable of (inputs, targets)
            As of :func:`fit`.
        progress : object
            Its ``update(batches, targets, loss)`` is called after every step.
        interruption : object
            Its ``signum`` ends the epoch after a step once it is not None.
        save_every : int or None
            Steps between two calls of `save`; None for none.
        save : callable
            Called without arguments.

        Raises
        ------
        TypeError, ValueError
            If a batch is none, or the epoch gave none, or no targets that count.
        FloatingPointError
            If a loss or gradient is not finite.
        """
        # Only hooks that somebody overrode are called.
        hooks = [
            callback.on_step_end
            for callback in self.callbacks
            if type(callback).on_step_end is not Callback.on_step_end
        ]
        if self.batch == 0:
            self.state = None
        numbered = enumerate(iterate(batches, self.epoch, self.batch), self.batch + 1)
        pairs = (pair(batch, "batches", number) for number, batch in numbered)
        for group in in_groups(pairs, self.accumulate):
            targets = self._update(group, "batches", self.batch + 1)
            if targets:
                for hook in hooks:
                    hook(self)
            progress.update(len(group), targets, self.loss)
            if interruption.signum is not None or self.stopped:
                return
            if targets and save_every is not None and self.step % save_every == 0:
                save()
        if self.batch == 0:
            raise ValueError(f"batches: gave nothing in epoch {self.epoch + 1}, expected at least one batch")
        if self.sums["targets"] == 0:
            raise ValueError(f"batches: gave no targets that count in epoch {self.epoch + 1}, expected some")

    def finish_epoch(
        self, validation_loss: float | None, validation_metrics: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """Write the epoch's row and make ready for the next.

        Parameters
        ----------
        validation_loss : float or None
            None without validation data.
        validation_metrics : mapping of str to float, optional
            The metrics of the validation, by name.

        Returns
        -------
        dict
            The row, as :class:`History` has it.

        Raises
        ------
        TypeError, ValueError
            If `validation_loss` is neither a number nor None, or no step has come since the last epoch's end.
        FloatingPointError
            If `validation_loss` is not finite.
        """
        sums = self.sums
        if validation_metrics is not None:
            validation_metrics = _validate.mapping("validation_metrics", validation_metrics, "names to numbers")
        if validation_loss is not None:
            if isinstance(validation_loss, (float, np.floating)) and not math.isfinite(validation_loss):
                raise FloatingPointError(f"the validation loss became {validation_loss} in epoch {self.epoch + 1}")
            validation_loss = _validate.number("validation_loss", validation_loss)
        if not sums["targets"]:
            raise ValueError("epoch: got no targets that count since the last one's end, expected some")
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "loss": sums["loss"] / sums["targets"],
            "validation_loss": validation_loss,
            "penalty": sums["penalty"] / sums["targets"],
            "learning_rate": float(self.optimizer.groups[0].lr) if hasattr(self.optimizer, "groups") else None,
            "gradient_norm": None if self._looks or not sums["steps"] else sums["norm"] / sums["steps"],
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        row |= {metric.name: float(metric.result()) for metric in self.metrics}
        row |= {f"validation_{name}": value for name, value in (validation_metrics or {}).items()}
        for metric in self.metrics:
            metric.reset()
        self.history.epochs.append(row)
        self.sums = dict.fromkeys(SUMS, 0)
        self.epoch, self.batch, self.state = self.epoch + 1, 0, None
        if isinstance(self.schedule, optim.ReduceOnPlateau):
            self.schedule.step(watched(self))
        return row
