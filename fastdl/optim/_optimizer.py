"""Optimizers as objects: groups of parameters, their state, one kernel call for all of one type."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from .._dispatch import get_backend
from .._validate import choice, index_array, integer, iterated, number, shown, written_as
from ..norms import global_norm
from ..norms._clipping import factor_past_range
from ._define import rule_of
from ._describe import class_signature, describe_class
from ._groups import Batch, Group, are_pairs, check_group, check_groups, described
from ._parameters import Memory, chooser
from ._rule import LARGEST, LAST_STEP, Rule, check_settings, options_of, run_kernel
from ._states import check_keys, check_kind

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
        Parameters with settings of their own. Each dict has "params", which chooses, and the settings that differ.
        A choice is what the names begin with ("encoder" takes "encoder.weight", not "encoder2.weight"), a collection
        of names or positions, or a function of name and parameter that returns a bool.
        A parameter belongs to the first group that chooses it; the rest take the settings given here.
        Of a list of pairs, the names are "0", "1", ... With "optimizer", another class of optimizer, a group follows
        that one's rule, with its defaults. :meth:`add_group` adds one later.
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

    def __init_subclass__(
        cls,
        *,
        update: Callable[..., None] | None = None,
        update_rows: Callable[..., None] | None = None,
        **defaults: Any,
    ) -> None:
        """A class from its update function, whose signature and docstring become the class's; see `_define.rule`."""
        super().__init_subclass__()
        if update is not None:
            cls.rule, cls.update = rule_of(update), staticmethod(update)
            cls.update_rows = None if update_rows is None else staticmethod(update_rows)
        if not hasattr(cls, "rule"):
            return
        cls.defaults = cls.defaults | defaults
        settings = cls._known_settings()
        if update is not None or defaults:
            by_rows = cls.update_rows is not None
            cls.__doc__ = describe_class(cls.__doc__, cls.update.__doc__, list(settings), defaults, by_rows)
        cls.__signature__ = class_signature(cls, inspect.signature(Optimizer.__init__), settings)  # type: ignore[attr-defined]

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
        kinds = [(type(self), common)]
        kinds += [self._kind_of(one, f"groups[{i}]", common) for i, one in enumerate(check_groups(groups))]
        self.clip_norm = None if clip_norm is None else number("clip_norm", clip_norm, 0)
        self.clip_order = number("clip_order", clip_order, 0, open_low=True)
        self.nonfinite = choice("nonfinite", nonfinite, ("allow", "skip", "raise"))
        self.accumulate = integer("accumulate", accumulate, 1)
        self._lazy = choice("lazy", lazy, (True, False))
        if self._lazy:
            for kind, values in kinds:
                _check_lazy(kind, values)
        self._owners = self._memory.owners([one["params"] for one in groups])  # of each parameter, its group's number
        parts = self._memory.split(self._owners, [kind.rule.whole is not None for kind, _ in kinds], self._lazy)
        self._largest = LARGEST[self._memory.kind]
        self.groups = [
            Group(part, kind, values, self._memory.kind) for part, (kind, values) in zip(parts, kinds, strict=True)
        ]
        for group in self.groups:
            self._begin(group)
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
        own = {"clip_norm": self.clip_norm, "nonfinite": self.nonfinite, "accumulate": self.accumulate}
        usual = {"clip_norm": None, "nonfinite": "allow", "accumulate": 1}
        given = {name: value for name, value in own.items() if value != usual[name]}
        return described(type(self), self.groups, given | {"steps": self.steps})

    @classmethod
    def _known_settings(cls) -> dict[str, Any]:
        return dict(cls.rule.settings) | cls.defaults

    def _settings(
        self,
        base: dict[str, Any],
        given: Mapping[str, Any],
        group: str | None = None,
        kind: "type[Optimizer] | None" = None,
    ) -> dict[str, Any]:
        """Settings with those given in place of the base's; `group` says of which group, None for the optimizer."""
        kind = kind or type(self)
        unknown = sorted({shown(one) if not isinstance(one, str) else one for one in given if one not in base})
        if unknown:
            raise TypeError(
                f"{group or ', '.join(unknown)}: got {', '.join(unknown)}, "
                f"expected settings of {kind.__name__}: {', '.join(base)}"
            )
        settings = base | dict(given)
        with written_as(**{name: f"{group}[{name!r}]" for name in given} if group else {}):
            check_settings(kind.rule, settings, self._memory.kind)
        for name, value in settings.items():
            if isinstance(value, list):
                settings[name] = tuple(value)
        return settings

    def _kind_of(
        self, group: Mapping[str, Any], name: str, common: dict[str, Any]
    ) -> "tuple[type[Optimizer], dict[str, Any]]":
        """The class of optimizer that a group follows, and its settings; `name` is what the group is refused as."""
        kind, base = type(self), common
        if "optimizer" in group:
            kind = group["optimizer"]
            if not (isinstance(kind, type) and issubclass(kind, Optimizer) and hasattr(kind, "rule")):
                raise TypeError(f"{name}['optimizer']: got {shown(kind)}, expected a class such as fd.optim.AdamW")
            base = kind._known_settings()
        given = {key: value for key, value in group.items() if key not in ("params", "optimizer")}
        return kind, self._settings(base, given, name, kind)

    def _begin(self, group: Group) -> None:
        """What a class does with a group that is new."""

    def add_group(self, group: Mapping[str, Any]) -> None:
        """Give parameters a group of their own from now on, as torch's `add_param_group` does.

        The new group begins as a new optimizer would: its states anew, its steps counted from the next one. So it is
        for layers that were frozen so far, or new pairs of arrays. To change settings, assign to an existing group's.

        Parameters
        ----------
        group : dict
            As in `groups`: "params" and the settings that differ from the first group's. An optimizer of a list of
            pairs also takes further pairs as "params".

        Raises
        ------
        TypeError, ValueError
            If it does not fit; nothing was changed then.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> model = fd.nn.Sequential(fd.nn.Embedding(5, 3, rng=0), fd.nn.Linear(3, 5, rng=1))
        >>> _ = model[0].freeze()
        >>> optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
        >>> _ = model[0].unfreeze()
        >>> optimizer.add_group({"params": "0.", "lr": 0.001})
        >>> optimizer
        Adam(lr=0.01, steps=0), in groups:
          0: 2 (20 elements): 1.weight, 1.bias
          1: 1 (15 elements), lr=0.001: 0.weight
        """
        check_group("group", group)
        kind, values = self._kind_of(group, "group", dict(self.groups[0]._values))
        if self._lazy:
            _check_lazy(kind, values)
        memory, new = self._memory, len(self.groups)
        memory.refuse_stale()
        if are_pairs(group["params"]):
            memory = memory.joined_by(group["params"])
            owners = self._owners + [new] * (len(memory.named()) - len(self._owners))
        else:
            takes = chooser("group['params']", group["params"], memory.named())
            owners = [
                new if takes(i, name, one) else owner
                for i, ((name, one), owner) in enumerate(zip(memory.named(), self._owners, strict=True))
            ]
        if new not in owners:
            raise ValueError("group['params']: got a choice that takes no parameter, expected one or more")
        apart = [one.rule.whole is not None for one in self.groups] + [kind.rule.whole is not None]
        *parts, part = memory.split(owners, apart, self._lazy)
        with written_as(parameters="group"):
            added = Group(part, kind, values, memory.kind, self.steps)
        groups = [one.recut(of) for one, of in zip(self.groups, parts, strict=True)]
        self._begin(added)
        self._memory, self._owners, self.groups = memory, owners, [*groups, added]

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
        factor: float | None = 1.0
        if self.clip_norm is not None or self.nonfinite != "allow":
            factor = self._factor(scale)
        if factor is None:
            self.skipped += 1
            self._waiting = 0
            self._memory.renew()
            return
        rows = [[_written_rows(batch) for batch in group.tables] for group in self.groups]
        self._waiting = 0
        self.steps += 1
        for group, named in zip(self.groups, rows, strict=True):
            self._update(group, named, scale * factor)
        self._memory.renew()

    def _factor(self, scale: float) -> float | None:
        """What the clipping multiplies gradients of that scale by; None where the step is to be skipped."""
        norm, factor = global_norm(self._memory.gradients, self.clip_order) * abs(scale), 1.0
        if self.clip_norm is not None:
            factor = self.clip_norm / (norm + 1e-6)  # (1.12)
            if norm == math.inf and scale:  # finite gradients may have a norm that is none
                factor = factor_past_range(self._memory.gradients, self.clip_norm / abs(scale), self.clip_order)
            factor = factor if not factor >= 1 else 1.0  # NaN passes, as in PyTorch
        # Beyond its root, a square is beyond the range of the type.
        squares = any(group.rule.squares for group in self.groups)
        limit = math.sqrt(self._largest) if squares else self._largest
        finite = math.isfinite(norm) and norm * factor <= limit
        if self.nonfinite == "raise" and not finite:
            within = f" with squares within {self._memory.kind}" if math.isfinite(norm) else ""
            raise FloatingPointError(f"gradients: got a norm of {norm}, expected finite gradients{within}")
        self.norm = norm
        return None if self.nonfinite == "skip" and not finite else factor

    def _update(self, group: Group, rows: Sequence[np.ndarray | None], scale: float) -> None:
        batches = list(group.batches)
        for batch, named in zip(group.tables, rows, strict=True):
            if named is None:
                batches.append(batch)
            else:
                self._update_named(group, batch, named, scale)
        rule, step, values = group.optimizer.rule, self.steps - group.since, group._values
        if get_backend() == "reference":
            for run in (run for batch in batches for run in batch.runs):
                param, grad = run.shaped() if rule.whole else (run.param, run.grad)
                group.optimizer.update(param, grad, **run.states, **values, step=step, grad_scale=scale)
            return
        options = options_of(values, scale)
        if rule.whole is not None:
            for run in (run for batch in batches for run in batch.runs):
                rule.whole.run(*run.shaped(), run.states, step, values, options)
            return
        kernel, scalars = rule.plan(step, values)
        for batch in batches:
            run_kernel(rule.module, kernel, batch.arrays, batch.pieces, batch.size, scalars, options)

    def _update_named(self, group: Group, batch: Batch, rows: np.ndarray, scale: float) -> None:
        (run,) = batch.runs
        shape = run.table.shape
        states = {name: array.reshape(shape) for name, array in run.states.items()}
        known = _row_arguments(group.optimizer.update_rows)
        settings = {name: value for name, value in group._values.items() if name in known}
        values = run.grad.reshape(shape)[rows]
        param = run.param.reshape(shape)
        update = cast(Callable[..., None], group.optimizer.update_rows)
        update(param, rows, values, **states, **settings, step=self.steps - group.since, grad_scale=scale)

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
            group.check_state(f"state['groups'][{i}]", saved, steps)
            for i, (group, saved) in enumerate(zip(self.groups, groups, strict=True))
        ]
        for group, saved, values in zip(self.groups, groups, settings, strict=True):
            group.load(saved, values)
        self.steps, self.skipped, self._waiting = steps, skipped, waiting
        self._memory.keep()


def _written_rows(batch: Batch) -> np.ndarray | None:
    """The rows that were written to; None where any may have been."""
    table = batch.runs[0].table
    rows = table.written_rows()
    return None if rows is None else index_array(f"rows of {table.name}", rows, table.shape[0], (None,))


@functools.lru_cache
def _row_arguments(update_rows: Callable[..., None]) -> frozenset[str]:
    return frozenset(inspect.signature(update_rows).parameters)


def _check_lazy(kind: type[Optimizer], settings: Mapping[str, Any]) -> None:
    if kind.update_rows is None or not _row_arguments(kind.update_rows).issuperset(kind.rule.states(settings)):
        raise ValueError(f"lazy: got True, for which {kind.__name__} with these settings has no rule")
