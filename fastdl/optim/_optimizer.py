"""Optimizers as objects: groups of parameters, their state, one kernel call for all of one type."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from .._dispatch import get_backend
from .._validate import choice, index_array, integer, iterated, number, shown, written_as
from ..norms import global_norm
from ..norms._clipping import factor_past_range
from ._groups import Batch, Group, Memory, check_keys, check_kind
from ._rule import LARGEST, LAST_STEP, Rule, check_settings, options_of, run_kernel

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
        needs too. Rules that keep squares count a norm (after the clipping) above the root of the type's largest
        number as not finite: about 1.8e19 in float32.
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
            ``l1 * |param|`` (1.9).
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
        self._memory = Memory(parameters)
        common = self._settings(self._known_settings(), settings)
        own = [
            self._settings(common, {k: v for k, v in one.items() if k != "params"}, f"groups[{i}]")
            for i, one in enumerate(_checked(groups))
        ]
        self.clip_norm = None if clip_norm is None else number("clip_norm", clip_norm, 0)
        self.clip_order = number("clip_order", clip_order, 0, open_low=True)
        self.nonfinite = choice("nonfinite", nonfinite, ("allow", "skip", "raise"))
        self.accumulate = integer("accumulate", accumulate, 1)
        by_rows = inspect.signature(self.update_rows).parameters if self.update_rows else ()
        self._row_arguments = frozenset(by_rows)
        if choice("lazy", lazy, (True, False)):
            self._check_lazy([common, *own])
        chosen = self._memory.split([one["params"] for one in groups], lazy)
        self._largest = LARGEST[self._memory.kind]
        self.groups = [
            Group(part, type(self), values, self._memory.kind)
            for part, values in zip(chosen, [common, *own], strict=True)
        ]
        self.steps = 0
        self.skipped = 0
        self.norm = math.nan
        self._waiting = 0  # calls of `step` since the last step

    def __copy__(self) -> "Optimizer":
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.groups = [group.copy() for group in self.groups]
        return twin

    def __repr__(self) -> str:
        own = self._known_settings()
        lines = []
        for group in self.groups:
            given = {name: value for name, value in group.settings.items() if name == "lr" or value != own[name]}
            size = sum(math.prod(shape) for shape in group.shapes)
            given |= {"parameters": f"{len(group.names)} ({size:,} elements)"}
            lines.append(", ".join(f"{name}={value}" for name, value in given.items()))
        extra = {name: getattr(self, name) for name in ("clip_norm", "nonfinite", "accumulate", "steps")}
        shown = ", ".join(
            f"{name}={value}"
            for name, value in extra.items()
            if value not in (None, "allow") and (name, value) != ("accumulate", 1)
        )
        if len(lines) == 1:
            return f"{type(self).__name__}({lines[0]}, {shown})"
        inside = "".join(f"\n  group {i}: {line}" for i, line in enumerate(lines))
        return f"{type(self).__name__}({shown},{inside}\n)"

    @classmethod
    def _known_settings(cls) -> dict[str, Any]:
        parameters = inspect.signature(cls.update).parameters.values()
        keywords = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
        return {name: keywords[name] for name in keywords if name not in ("step", "grad_scale")} | cls.defaults

    def _settings(self, base: dict[str, Any], given: Mapping[str, Any], group: str | None = None) -> dict[str, Any]:
        """Settings with those given in place of the base's; `group` says of which group, None for the optimizer."""
        unknown = sorted({shown(one) if not isinstance(one, str) else one for one in given if one not in base})
        if unknown:
            raise TypeError(
                f"{group or ', '.join(unknown)}: got {', '.join(unknown)}, "
                f"expected settings of {type(self).__name__}: {', '.join(base)}"
            )
        settings = base | dict(given)
        with written_as(**{name: f"{group}[{name!r}]" for name in given} if group else {}):
            check_settings(self.rule, settings, self._memory.kind)
        if "betas" in settings:
            settings["betas"] = tuple(settings["betas"])
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
        self._rate(["lr"] * len(self.groups), [value] * len(self.groups))

    def set_rates(self, rates: Sequence[float]) -> None:
        """Set each group's learning rate; none, if one of them is refused.

        Parameters
        ----------
        rates : sequence of float
            One for each group.

        Raises
        ------
        TypeError, ValueError
            For a rate that is no number from 0 up within the parameters' type.
        """
        given = list(iterated("rates", rates, "a learning rate for each group"))
        if len(given) != len(self.groups):
            raise ValueError(f"rates: got {len(given)}, expected {len(self.groups)}, one for each group")
        self._rate([f"rates[{i}]" for i in range(len(given))], given)

    def _rate(self, names: Sequence[str], rates: Sequence[Any]) -> None:
        """Set each group's rate, none if one is refused; `names` are what a caller wrote the rates as."""
        checked = [group.checked_lr(name, rate) for group, name, rate in zip(self.groups, names, rates, strict=True)]
        for group, rate in zip(self.groups, checked, strict=True):
            group._values["lr"] = rate

    def step(self, *, grad_scale: float = 1.0) -> None:
        """Update the parameters from their gradients, in one pass over memory.

        Parameters
        ----------
        grad_scale : float, default 1.0
            Factor on the gradients, applied in the same pass: one over the loss scale, for example.

        Raises
        ------
        FloatingPointError
            With `nonfinite="raise"`, before anything is written: the call counts as not made.
        TypeError, ValueError
            For a factor that is no finite number of the parameters' type, or parameters that moved into a larger
            model or were joined by others; before anything is written or counted, too. For gradients that were
            zeroed while they waited for the last of `accumulate` calls; the next call is the first again then.
        """
        scale = number("grad_scale", grad_scale, -self._largest, self._largest) / self.accumulate
        if self._waiting and not self._memory.kept():
            waiting, self._waiting = self._waiting, 0  # they are lost: the next call begins anew
            raise ValueError(
                f"gradients: those of {waiting} of {self.accumulate} calls of step were zeroed before the last; with "
                f"accumulate={self.accumulate}, call zero_grad() at most once for every {self.accumulate} calls of step"
            )
        if self._waiting + 1 < self.accumulate:
            self._waiting += 1
            self._memory.keep()
            return
        self._memory.settle()
        if self._memory.refrozen():
            for group in self.groups:
                group.gather()
        if self.clip_norm is not None or self.nonfinite != "allow":
            norm = global_norm(self._memory.gradients, self.clip_order) * abs(scale)
            factor = 1.0
            if self.clip_norm is not None:
                factor = self.clip_norm / (norm + 1e-6)  # (1.12)
                if norm == math.inf and scale:  # finite gradients may have a norm that is none
                    factor = factor_past_range(self._memory.gradients, self.clip_norm / abs(scale), self.clip_order)
                factor = factor if not factor >= 1 else 1.0  # NaN passes, as in PyTorch
            # Beyond its root, a square is beyond the range of the type.
            limit = math.sqrt(self._largest) if self.rule.squares else self._largest
            if self.nonfinite != "allow" and not (math.isfinite(norm) and norm * factor <= limit):
                if self.nonfinite == "raise":
                    squares = f" with squares within {self._memory.kind}" if math.isfinite(norm) else ""
                    raise FloatingPointError(f"gradients: got a norm of {norm}, expected finite gradients{squares}")
                self.norm, self._waiting = norm, 0
                self.skipped += 1
                self._memory.renew()
                return
            self.norm, scale = norm, scale * factor
        rows = [[self._written_rows(batch) for batch in group.tables] for group in self.groups]
        self._waiting = 0
        self.steps += 1
        for group, named in zip(self.groups, rows, strict=True):
            self._update(group, named, scale)
        self._memory.renew()

    def _update(self, group: Group, rows: Sequence[np.ndarray | None], scale: float) -> None:
        batches = list(group.batches)
        for batch, named in zip(group.tables, rows, strict=True):
            if named is None:
                batches.append(batch)
            else:
                self._update_named(group, batch, named, scale)
        if get_backend() == "reference":
            for run in (run for batch in batches for run in batch.runs):
                self.update(run.param, run.grad, **run.states, **group._values, step=self.steps, grad_scale=scale)
            return
        kernel, scalars = self.rule.plan(self.steps, group._values)
        options = options_of(group._values, scale)
        for batch in batches:
            run_kernel(self.rule.module, kernel, batch.arrays, batch.pieces, batch.size, scalars, options)

    def _written_rows(self, batch: Batch) -> np.ndarray | None:
        """The rows that were written to; None where any may have been, or there is no rule for rows."""
        table = batch.runs[0].table
        rows = table.written_rows() if self.update_rows is not None else None
        return None if rows is None else index_array(f"rows of {table.name}", rows, table.shape[0], (None,))

    def _update_named(self, group: Group, batch: Batch, rows: np.ndarray, scale: float) -> None:
        (run,) = batch.runs
        shape = run.table.shape
        states = {name: array.reshape(shape) for name, array in run.states.items()}
        settings = {name: value for name, value in group._values.items() if name in self._row_arguments}
        values = run.grad.reshape(shape)[rows]
        param = run.param.reshape(shape)
        update = cast(Callable[..., None], self.update_rows)
        update(param, rows, values, **states, **settings, step=self.steps, grad_scale=scale)

    def zero_grad(self) -> None:
        """Forget the gradients: an arena's next backward overwrites them, a list's arrays are set to 0."""
        self._memory.forget()

    def state_dict(self) -> dict[str, Any]:
        """Copies of what a run needs to go on.

        Returns
        -------
        dict
            "rule", the class; "steps", "skipped" and "waiting", the counts; "groups", for each its settings, the names,
            shapes and dtype of its parameters, and copies of the rule's states.
        """
        return {
            "rule": type(self).__name__,
            "steps": self.steps,
            "skipped": self.skipped,
            "waiting": self._waiting,
            "groups": [group.state_dict() for group in self.groups],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, into an optimizer made with the same arguments.

        The settings become the saved ones; what the optimizer is made of has to agree: its class, the variant, and
        each group's parameters in name, shape and dtype.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        TypeError, ValueError
            If it does not fit; nothing was changed then.
        """
        keys = ("rule", "groups", *_COUNTS)
        if isinstance(state, Mapping) and set(keys) - set(state) == {"rule"}:
            raise ValueError("state: saved by an earlier version, which did not say of which rule and parameters it is")
        check_keys("state", state, keys)
        check_kind("state", state["rule"], type(self).__name__)
        groups = state["groups"]
        if not isinstance(groups, (list, tuple)):
            raise TypeError(f"state['groups']: got {type(groups).__name__}, expected a list")
        if len(groups) != len(self.groups):
            raise ValueError(f"state: got {len(groups)} groups, expected {len(self.groups)}")
        steps, skipped = (integer(f"state[{name!r}]", state[name], 0, LAST_STEP - 1) for name in _COUNTS[:2])
        waiting = integer("state['waiting']", state["waiting"], 0, self.accumulate - 1)
        settings = [
            group.check_state(f"state['groups'][{i}]", saved)
            for i, (group, saved) in enumerate(zip(self.groups, groups, strict=True))
        ]
        for group, saved, values in zip(self.groups, groups, settings, strict=True):
            group.load(saved, values)
        self.steps, self.skipped, self._waiting = steps, skipped, waiting
        self._memory.keep()


def _checked(groups: Any) -> Sequence[Mapping[str, Any]]:
    """Refuse groups that are not a sequence of dicts with "params"."""
    if not isinstance(groups, (list, tuple)):
        raise TypeError(f"groups: got {type(groups).__name__}, expected a list of dicts")
    for i, one in enumerate(groups):
        if not isinstance(one, Mapping):
            raise TypeError(f"groups[{i}]: got {type(one).__name__}, expected a dict")
        if "params" not in one:
            raise ValueError(f'groups[{i}]: got {", ".join(map(str, one)) or "nothing"}, expected "params" too')
    return groups
