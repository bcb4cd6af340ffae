"""One training run: its state, a step, an epoch, a validation."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import optim
from ._batches import Batch, in_groups, iterate
from ._callbacks import Callback
from ._history import History
from ._interruption import Interruption
from ._progress import Progress

Loss = Callable[[Any, Any], tuple[float, np.ndarray]]


class Run:
    """The state of a training run, as callbacks see it.

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
    ) -> None:
        self.model, self.optimizer, self.loss_function = model, optimizer, loss
        self.max_norm, self.accumulate, self.carry_state = max_norm, accumulate, carry_state
        self.penalties, self.constraints, self.callbacks = list(penalties), list(constraints), list(callbacks)
        self.parameters = model.parameters()
        self.history = History()
        self.epoch = self.batch = self.step = self.tokens = 0
        self.loss = math.nan
        self.state: Any = None  # what truncated BPTT carries from window to window (MATH 5.8)
        self.stopped = False
        # Sums over the epoch so far: loss and penalty weighted by targets, and the targets.
        self.sums = {"loss": 0.0, "penalty": 0.0, "targets": 0}
        self._earlier = 0.0  # seconds of the parts before an interruption
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent so far, all parts of an interrupted run together."""
        return self._earlier + time.monotonic() - self._started

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._earlier, self._started = value, time.monotonic()

    def stop(self) -> None:
        """End the run after this step (called from ``on_step_end``) or epoch (from ``on_epoch_end``)."""
        self.stopped = True

    def update(self, group: Sequence[Batch]) -> int:
        """One optimizer step on the mean loss over all targets of the group; returns their number.

        Raises
        ------
        FloatingPointError
            If the loss is not finite; the parameters keep their values.
        """
        model, parameters = self.model, self.parameters
        targets = sum(np.size(y) for _, y in group)
        loss = 0.0
        for x, y in group:
            if self.carry_state:
                output, self.state = model.forward(x, self.state, return_state=True)
            else:
                output = model.forward(x)
            value, gradient = self.loss_function(output, y)
            value = float(value)
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the training loss became {value} at step {self.step + 1}: "
                    "a lower learning rate or a smaller max_norm may help"
                )
            if len(group) > 1:  # the mean over the group: weights by number of targets
                share = np.size(y) / targets
                gradient, value = gradient * gradient.dtype.type(share), value * share
            model.backward(gradient)
            loss += value
        penalty = 0.0
        for one in self.penalties:
            penalty += float(one.add(parameters))
        if self.max_norm is not None:
            optim.clip_grad_norm_(parameters, self.max_norm)
        self.optimizer.step()
        for one in self.constraints:
            one.apply(parameters)
        self.batch += len(group)
        self.step += 1
        self.tokens += targets
        self.loss = loss
        self.history.losses.append(loss)
        sums = self.sums
        sums["loss"] += loss * targets
        sums["penalty"] += penalty * targets
        sums["targets"] += targets
        return targets

    def train_epoch(
        self,
        batches: Iterable[Batch],
        progress: Progress,
        interruption: Interruption,
        save_every: int | None,
        save: Callable[[], None],
    ) -> None:
        """What is left of the current epoch, up to an interruption or :meth:`stop`."""
        # Only hooks that somebody overrode are called.
        hooks = [
            callback.on_step_end
            for callback in self.callbacks
            if type(callback).on_step_end is not Callback.on_step_end
        ]
        if self.batch == 0:
            self.state = None
        for group in in_groups(iterate(batches, self.epoch, self.batch), self.accumulate):
            targets = self.update(group)
            for hook in hooks:
                hook(self)
            progress.update(len(group), targets, self.loss)
            if interruption.signum is not None or self.stopped:
                return
            if save_every is not None and self.step % save_every == 0:
                save()
        if self.batch == 0:
            raise ValueError(f"batches: gave nothing in epoch {self.epoch + 1}, expected at least one batch")

    def finish_epoch(self, validation_loss: float | None) -> dict[str, Any]:
        """Write the epoch's row and make ready for the next."""
        sums = self.sums
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "loss": sums["loss"] / sums["targets"],
            "validation_loss": validation_loss,
            "penalty": sums["penalty"] / sums["targets"],
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        self.history.epochs.append(row)
        self.sums = {"loss": 0.0, "penalty": 0.0, "targets": 0}
        self.epoch, self.batch, self.state = self.epoch + 1, 0, None
        return row


def mean_loss(
    model: Any,
    batches: Iterable[Batch],
    loss: Loss,
    carry_state: bool,
    interruption: Interruption | None = None,
) -> float:
    """Mean loss over all targets in evaluation mode; the model's mode is restored."""
    was_training = model.training
    model.eval()
    try:
        total, targets, state = 0.0, 0, None
        for x, y in batches:
            if carry_state:
                output, state = model.forward(x, state, return_state=True)
            else:
                output = model.forward(x)
            value, _ = loss(output, y)
            total += float(value) * np.size(y)
            targets += np.size(y)
            if interruption is not None and interruption.signum is not None:
                return math.nan
    finally:
        model.train(was_training)
    if targets == 0:
        raise ValueError("batches: gave no targets, expected at least one batch")
    return total / targets
