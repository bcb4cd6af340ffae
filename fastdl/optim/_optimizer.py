"""Optimizers as objects: groups of parameters, their state, one kernel call for all of one type."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from .._dispatch import get_backend
from .._validate import choice, integer, number
from ..norms import global_norm
from ._groups import Batch, Group, Memory, check_keys
from ._rule import Rule, check_settings, run_kernel, shared_scalars

_COUNTS = ("steps", "skipped", "waiting")


class Optimizer:
    """What every optimizer does; the rule comes from the subclass.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        What `model.parameters()` returns; or arrays of float32 or float64, C-contiguous and writable, each
        gradient with its parameter's shape and dtype. Parameters are updated in place.
    lr : float, optional
        The learning rate; the default is the rule's.
    groups : sequence of dict, optional
        Parameters with settings of their own. Each dict has "params", which chooses (a collection of names or
        positions, or a function of name and parameter that returns a bool), and the settings that differ.
        A parameter belongs to the first group that chooses it; the rest take the settings given here.
        Of a list of pairs, the names are "0", "1", ...
    clip_norm : float, optional
        The gradients' global norm is clipped to this inside the step: the factor
        min(1, clip_norm / (norm + 1e-6)) is applied while the gradients are read, and they stay as they were.
    clip_order : float, default 2
        The order of that norm.
    nonfinite : {"allow", "skip", "raise"}, default "allow"
        What `step` does about gradients that hold NaN or inf: nothing; leave everything as it was and count
        it in `skipped`; or raise FloatingPointError. The last two cost the reading pass that `clip_norm`
        needs too.
    accumulate : int, default 1
        Only every so many calls of `step` are steps, on gradients divided by this number: the mean over
        micro-batches. An arena's gradients add up meanwhile; of a list, the caller adds them.
    lazy : bool, default False
        Update only those rows of an embedding's table that a batch named (`fastdl.nn.Embedding`), as the rule's
        ``*_update_rows`` function does and says how it differs: for plain SGD, AdaGrad, Adam and AdamW.
    **settings
        The keyword arguments of the rule's function, `update`. Every rule has:

        weight_decay : float, default 0.0
            Coupled (L2): weight_decay * param is added to the gradient.
        decoupled_weight_decay : bool, default False
            Then param is multiplied by 1 - lr * weight_decay instead (3.10).
        l1 : float, default 0.0
            After the change, param moves towards 0 by lr * l1 and stops there: the proximal step of
            l1 * |param| (1.9).
        maximize : bool, default False
            Ascend: the gradient's sign is turned first.
        variant : str, default "torch"
            Whose formula: see the function.

    Attributes
    ----------
    groups : list of Group
        The first holds the parameters that no other group chose.
    steps : int
        Steps made.
    skipped : int
        Steps left out for gradients that were not finite.
    norm : float
        The global norm of the last gradients, times `grad_scale`, where it was computed; otherwise NaN.

    Raises
    ------
    TypeError, ValueError
        For an argument that does not fit.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> weight, bias = np.ones((2, 2)), np.ones(2)
    >>> pairs = [(weight, np.ones((2, 2))), (bias, np.ones(2))]
    >>> no_decay = {"params": lambda name, param: param.ndim == 1, "weight_decay": 0.0}
    >>> optimizer = fd.optim.SGD(pairs, lr=0.1, weight_decay=1.0, groups=[no_decay])
    >>> optimizer.step()
    >>> weight[0], bias
    (array([0.8, 0.8]), array([0.9, 0.9]))
    """

    rule: ClassVar[Rule]
    update: ClassVar[Callable[..., None]]
    update_rows: ClassVar[Callable[..., None] | None] = None  # the same on some rows of a table
    defaults: ClassVar[dict[str, Any]] = {}  # where a class differs from its function

    def __init__(
        self,
        parameters: Any,
        lr: float | None = None,
        *,
        groups: Sequence[Mapping[str, Any]] = (),
        clip_norm: float | None = None,
        clip_order: float = 2,
        nonfinite: str = "allow",
        accumulate: int = 1,
        lazy: bool = False,
        **settings: Any,
    ) -> None:
        if lr is not None:
            settings["lr"] = lr
        common = self._settings(self._known_settings(), settings)
        own = [self._settings(common, {k: v for k, v in one.items() if k != "params"}) for one in groups]
        if clip_norm is not None:
            number("clip_norm", clip_norm, 0)
        self.clip_norm = clip_norm
        self.clip_order = number("clip_order", clip_order, 0, open_low=True)
        self.nonfinite = choice("nonfinite", nonfinite, ("allow", "skip", "raise"))
        self.accumulate = integer("accumulate", accumulate, 1)
        self._memory = Memory(parameters)
        by_rows = inspect.signature(self.update_rows).parameters if self.update_rows else ()
        self._row_arguments = frozenset(by_rows)
        if choice("lazy", lazy, (True, False)):
            self._check_lazy([common, *own])
        chosen = self._memory.split([one["params"] for one in groups], lazy)
        self.groups = [
            Group(pieces, values, self.rule.states(values))
            for pieces, values in zip(chosen, [common, *own], strict=True)
        ]
        self.steps = 0
        self.skipped = 0
        self.norm = math.nan
        self._waiting = 0  # calls of `step` since the last step

    @classmethod
    def _known_settings(cls) -> dict[str, Any]:
        parameters = inspect.signature(cls.update).parameters.values()
        keywords = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
        return {name: keywords[name] for name in keywords if name not in ("step", "grad_scale")} | cls.defaults

    def _settings(self, base: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(given) - set(base))
        if unknown:
            raise TypeError(f"{type(self).__name__}: got {', '.join(unknown)}, expected some of {', '.join(base)}")
        settings = base | dict(given)
        check_settings(self.rule, settings)
        return settings

    def _check_lazy(self, settings: Sequence[Mapping[str, Any]]) -> None:
        states = {state for one in settings for state in self.rule.states(one)}
        if self.update_rows is None or not states <= self._row_arguments:
            raise ValueError(f"lazy: got True, for which {type(self).__name__} with these settings has no rule")

    @property
    def lr(self) -> float:
        """The first group's learning rate; setting it sets that of every group."""
        return self.groups[0].lr

    @lr.setter
    def lr(self, value: float) -> None:
        number("lr", value, 0)
        for group in self.groups:
            group.lr = value

    def step(self, *, grad_scale: float = 1.0) -> None:
        """Update the parameters from their gradients, in one pass over memory.

        Parameters
        ----------
        grad_scale : float, default 1.0
            Factor on the gradients, applied in the same pass: one over the loss scale, for example.

        Raises
        ------
        FloatingPointError
            With `nonfinite="raise"`, before anything is written.
        """
        self._waiting += 1
        if self._waiting < self.accumulate:
            return
        self._waiting = 0
        self._memory.settle()
        if self._memory.refrozen():
            for group in self.groups:
                group.gather()
        scale = grad_scale / self.accumulate
        if self.clip_norm is not None or self.nonfinite != "allow":
            self.norm = global_norm(self._memory.gradients, self.clip_order) * abs(scale)
            if not math.isfinite(self.norm) and self.nonfinite != "allow":
                if self.nonfinite == "raise":
                    raise FloatingPointError(f"gradients: got a norm of {self.norm}, expected finite gradients")
                self.skipped += 1
                self._memory.renew()
                return
            if self.clip_norm is not None:
                factor = self.clip_norm / (self.norm + 1e-6)  # (1.12)
                scale *= factor if not factor >= 1 else 1.0  # NaN passes, as in PyTorch
        self.steps += 1
        for group in self.groups:
            self._update(group, scale)
        self._memory.renew()

    def _update(self, group: Group, scale: float) -> None:
        batches = [*group.batches, *[batch for batch in group.tables if not self._updated_rows(group, batch, scale)]]
        if get_backend() == "reference":
            for run in (run for batch in batches for run in batch.runs):
                named = run.states | group.settings
                self.update(run.param, run.grad, **named, step=self.steps, grad_scale=scale)
            return
        kernel, scalars = self.rule.plan(self.steps, group.settings)
        scalars += shared_scalars(group.settings, scale)
        for batch in batches:
            run_kernel(self.rule.module, kernel, batch.arrays, batch.pieces, batch.size, scalars)

    def _updated_rows(self, group: Group, batch: Batch, scale: float) -> bool:
        """Update the rows that were written to; False, and nothing done, where any may have been."""
        (run,) = batch.runs
        rows = run.table.written_rows()
        if rows is None or self.update_rows is None:
            return False
        shape = run.table.shape
        states = {name: array.reshape(shape) for name, array in run.states.items()}
        settings = {name: value for name, value in group.settings.items() if name in self._row_arguments}
        values = run.grad.reshape(shape)[rows]
        param = run.param.reshape(shape)
        self.update_rows(param, rows, values, **states, **settings, step=self.steps, grad_scale=scale)
        return True

    def zero_grad(self) -> None:
        """Forget the gradients: an arena's next backward overwrites them, a list's arrays are set to 0."""
        self._memory.forget()

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state, the counts and the numeric settings: what an exact resume needs."""
        return {
            "steps": self.steps,
            "skipped": self.skipped,
            "waiting": self._waiting,
            "groups": [group.state_dict() for group in self.groups],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, into an optimizer made with the same arguments.

        Raises
        ------
        ValueError
            If it does not fit; nothing was changed then.
        """
        check_keys("state", state, ("groups", *_COUNTS))
        groups = state["groups"]
        if len(groups) != len(self.groups):
            raise ValueError(f"state: got {len(groups)} groups, expected {len(self.groups)}")
        steps, skipped, waiting = (integer(f"state[{name!r}]", state[name], 0) for name in _COUNTS)
        settings = []
        for group, saved in zip(self.groups, groups, strict=True):
            group.check_state(saved)
            settings.append(self._settings(group.settings, saved["settings"]))
        for group, saved, values in zip(self.groups, groups, settings, strict=True):
            group.load(saved, values)
        self.steps, self.skipped, self._waiting = steps, skipped, waiting
