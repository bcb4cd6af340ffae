"""Settings of estimators: one table says of each its default, its check and what a docstring tells.

scikit-learn reads an estimator's settings off the signature of its constructor. Each class gets one made of this table,
so that what several estimators share is written once.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import nn, optim, training
from .._validate import choice, integer, mapping, members, number, shown
from ..dense import _pointwise as pointwise

Check = Callable[[str, Any], Any]


class Setting(NamedTuple):
    """One argument of a constructor."""

    default: Any
    check: Check
    kind: str  # its type, as a docstring has it
    told: str


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: got {shown(value)}, expected True or False")
    return bool(value)


def _real(low: float, high: float = np.inf, *, open_low: bool = False, open_high: bool = False) -> Check:
    def check(name: str, value: Any) -> float:
        return number(name, value, low, high, open_low=open_low, open_high=open_high or high == np.inf)

    return check


def _whole(low: int) -> Check:
    return lambda name, value: integer(name, value, low)


def _or(words: tuple[Any, ...], check: Check) -> Check:
    """One of some words (None too), or what `check` takes."""

    def either(name: str, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return choice(name, value, words)
        return check(name, value)

    return either


def _anything(name: str, value: Any) -> Any:
    return value


def sizes(name: str, value: Any) -> list[int]:
    """Sizes of layers: one, or several in a row."""
    several = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    return [integer(f"{name}[{place}]" if len(several) > 1 else name, one, 1) for place, one in enumerate(several)]


OPTIMIZERS = {
    name.lower(): getattr(optim, name)
    for name in optim.__all__
    if isinstance(getattr(optim, name), type)
    and issubclass(getattr(optim, name), optim.Optimizer)
    and hasattr(getattr(optim, name), "rule")
}
SCHEDULES = ("cosine", "one_cycle", "linear")
RATES = ("constant", "invscaling", "adaptive", *SCHEDULES)
_OTHERS = ("softmax", "log_softmax", "sigmoid")  # along an axis; or under scikit-learn's word
ACTIVATIONS: dict[str, Any] = {"identity": None, "logistic": nn.Sigmoid} | {  # scikit-learn's words first
    name: one
    for one in (getattr(nn, kind) for kind in nn._activations.__all__)
    for name, definition in pointwise.ACTIVATIONS.items()
    if one._definition is definition and name not in _OTHERS
}


def _solver(name: str, value: Any) -> Any:
    if isinstance(value, type) and issubclass(value, optim.Optimizer) and hasattr(value, "rule"):
        return value
    return choice(name, value, ("lbfgs", *OPTIMIZERS))


def _rate(name: str, value: Any) -> Any:
    return value if callable(value) else choice(name, value, RATES)


def _callbacks(name: str, value: Any) -> list[training.Callback]:
    found = [] if value is None else members(name, value, "callbacks")
    for place, one in enumerate(found):
        if not isinstance(one, training.Callback):
            kind = type(one).__name__
            raise TypeError(f"{name}[{place}]: got {kind}, expected a fastdl.training.Callback")
    return found


def _dtype(name: str, value: Any) -> Any:
    if value is not None and np.dtype(value) not in (np.float32, np.float64):
        raise ValueError(f"{name}: got {shown(value)}, expected None, float32 or float64")
    return value


TRAINING = {
    "solver": Setting(
        "adam", _solver, "str or subclass of fastdl.optim.Optimizer",
        '"lbfgs" (SciPy\'s, on the whole data at once), "adam", "sgd", or another of :mod:`fastdl.optim` in small '
        'letters, as "adamw"; or the class.',
    ),
    "solver_options": Setting(
        None, _or((None,), lambda name, value: mapping(name, value, "names to settings")), "mapping, optional",
        'Further settings of the optimizer, as ``{"weight_decay": 0.01}``.',
    ),
    "alpha": Setting(
        1e-4, _real(0), "float >= 0", "Of the penalty alpha / 2 * sum of squared weights, over the examples of a batch."
    ),
    "batch_size": Setting(
        "auto", _or(("auto",), _whole(1)), 'int or "auto"', 'Examples a batch; "auto" is at most 200.'
    ),
    "learning_rate": Setting(
        "constant", _rate, "str or callable",
        '"constant"; "invscaling", learning_rate_init / t ** power_t after t examples; "adaptive", a fifth whenever '
        "training would end; both not for Adam, as in scikit-learn. "
        '"cosine", "one_cycle" and "linear" fall over max_iter epochs of ``fit``. Or a function of the step that gives '
        "a factor (:mod:`fastdl.optim.schedules`).",
    ),
    "learning_rate_init": Setting(1e-3, _real(0, open_low=True), "float > 0", "The learning rate at first."),
    "power_t": Setting(0.5, _real(0), "float >= 0", 'Exponent of "invscaling".'),
    "max_iter": Setting(200, _whole(1), "int", "Epochs at most; with lbfgs its iterations."),
    "shuffle": Setting(True, _boolean, "bool", "Whether each epoch has an order of its own."),
    "random_state": Setting(
        None, _anything, "int, RandomState or None", "Where weights, orders, masks and the validation split come from."
    ),
    "tol": Setting(
        1e-4, _real(0), "float >= 0", "An epoch that betters the loss (or the validation score) by less counts nothing."
    ),
    "verbose": Setting(
        False, _or(("bar",), _anything), 'bool, int or "bar"',
        'Whether to print a line for each epoch; "bar" shows progress as :func:`fastdl.training.fit` does.',
    ),
    "warm_start": Setting(
        False, _boolean, "bool", "Whether ``fit`` goes on from the present weights instead of drawing new ones."
    ),
    "momentum": Setting(0.9, _real(0, 1), "float from 0 to 1", "Of sgd."),
    "nesterovs_momentum": Setting(True, _boolean, "bool", "Whether it is Nesterov's. Of sgd."),
    "early_stopping": Setting(
        False, _boolean, "bool",
        "Whether to hold out examples and to end by their score, with the weights of the best epoch.",
    ),
    "validation_fraction": Setting(0.1, _real(0, 1, open_high=True), "float in [0, 1)", "The share held out."),
    "beta_1": Setting(0.9, _real(0, 1, open_high=True), "float in [0, 1)", "Of Adam and its kin."),
    "beta_2": Setting(0.999, _real(0, 1, open_high=True), "float in [0, 1)", "Of Adam and its kin."),
    "epsilon": Setting(1e-8, _real(0, open_low=True), "float > 0", "Of Adam and its kin."),
    "n_iter_no_change": Setting(
        10, lambda name, value: value if value == np.inf else integer(name, value, 1), "int or inf",
        "So many epochs that count nothing end the training.",
    ),
    "max_fun": Setting(15000, _whole(1), "int", "Of lbfgs: how often it may ask for the loss."),
    "max_norm": Setting(
        None, _or((None,), _real(0, open_low=True)), "float, optional",
        "Gradients are scaled down to this global 2-norm where theirs is larger.",
    ),
    "dtype": Setting(
        None, _dtype, "dtype, optional",
        "float32 or float64; by default that of X, and float64 where X is neither.",
    ),
    "callbacks": Setting(
        None, _callbacks, "sequence of fastdl.training.Callback, optional",
        "Called in the run of :func:`fastdl.training.fit`; not with lbfgs.",
    ),
}  # fmt: skip
CLASS_WEIGHT = {
    "class_weight": Setting(
        None, _anything, 'mapping, "balanced" or None',
        "How much each class counts; of several labels a list of mappings.",
    ),
}  # fmt: skip
LAYERS = {
    "hidden_layer_sizes": Setting((100,), sizes, "int or sequence of int", "Units of the hidden layers."),
    "activation": Setting(
        "relu", lambda name, value: choice(name, value, tuple(ACTIVATIONS)), "str",
        f"Of the hidden layers: {', '.join(ACTIVATIONS)}.",
    ),
}  # fmt: skip
REGULARIZATION = {
    "dropout": Setting(
        0.0, _real(0, 1, open_high=True), "float in [0, 1)", "Probability of dropping a hidden unit in training."
    ),
    "normalization": Setting(
        None, _or((None, "batch", "layer"), _anything), '{"batch", "layer"}, optional',
        "What normalises hidden layers, before the activation.",
    ),
}  # fmt: skip


def constructor(positional: Mapping[str, Setting], by_name: Mapping[str, Setting]) -> Callable[..., None]:
    """An ``__init__`` that sets an attribute for each setting, and nothing else."""
    parameters = [
        inspect.Parameter(name, kind, default=one.default)
        for some, kind in (
            (positional, inspect.Parameter.POSITIONAL_OR_KEYWORD),
            (by_name, inspect.Parameter.KEYWORD_ONLY),
        )
        for name, one in some.items()
    ]
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([own, *parameters])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        bound.apply_defaults()
        for name, value in list(bound.arguments.items())[1:]:
            setattr(self, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def described(settings: Mapping[str, Setting]) -> str:
    """The lines of a docstring's section Parameters."""
    lines = []
    for name, one in settings.items():
        shown_default = f'"{one.default}"' if isinstance(one.default, str) else repr(one.default)
        default = "" if "optional" in one.kind else f", default {shown_default}"
        lines.append(f"{name} : {one.kind}{default}")
        lines += textwrap.wrap(one.told, 112, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


def checked(estimator: Any, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """The values of an estimator's settings, each as its check gives it."""
    return {name: one.check(name, getattr(estimator, name)) for name, one in settings.items()}


def takes_steps(estimator: Any) -> bool:
    """Whether an estimator has ``partial_fit``, for scikit-learn's available_if."""
    if estimator.solver == "lbfgs":
        raise AttributeError(f"partial_fit: got solver={estimator.solver!r}, which takes all data at once")
    return True
