"""Functions of this library that have a backward: within a derived forward each is one operation of its record.

Each row says which arguments have a gradient, which results, and how the backward is called.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ... import _tracing, dense, dropout, norms, recurrent, sequence
from ..._dispatch import kernels
from ...dense import _losses
from ...dense._pointwise import ACTIVATIONS, Activation
from .._links import floats_of, is_float
from .._trace import Trace
from .._traced import TABLE, Traced, check_here, kept, plain, traced_in, unknown, written

# How to go back: from the gradients of the results (zeros where one of several has none), the results and all arguments
# by name, to the gradients by argument.
Back = Callable[[Sequence[Any], Sequence[Any], Mapping[str, Any]], Mapping[str, Any]]


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A public function called while some thread traces: on the record if it has stand-ins among its arguments."""
    first = args[0].__class__ if args else None
    if first is not Traced and traced_in(args) is None and traced_in(kwargs) is None:
        with _tracing.recording(None):
            return function(*args, **kwargs)
    known = TABLE.get(function)
    if known is None:
        raise unknown(f"fd.{function.__name__}")
    return known(*args, **kwargs)


_Caller: Any = kernels.calls.Caller


class Several(_Caller):
    """A row for a function with a backward of its own.

    Parameters
    ----------
    function : callable
        As users call it.
    differentiated : str
        Names of the arguments that have a gradient.
    results : int
        How many results have one, from the first on. Arrays that follow are for reading: what is made of them has no
        gradient, and says so.
    back : callable
        See above.
    """

    here = _tracing.here
    is_float = staticmethod(is_float)

    def __init__(self, function: Callable[..., Any], differentiated: str, results: int, back: Back) -> None:
        parameters = inspect.signature(function).parameters.values()
        defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
        places = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        least = len(parameters) - len(defaults)  # arguments without a default, which come first
        super().__init__(function, differentiated.split(), results, back, places, least, defaults)

    # ---- what calls.Caller calls --------------------------------------------------------------------
    def bound(self, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        """What was given, by name, where it does not fit at first sight: Python says what is wrong with it."""
        return dict(inspect.signature(self.function).bind(*args, **options).arguments)

    def held(self, name: str, one: Any, places: list[tuple[str, int]], parents: list[int]) -> Any:
        """An argument as the record keeps it: an array, or what holds some; stand-ins among them are its parents."""
        inside = traced_in(one)
        if name == "out":
            raise written(f"fd.{self.function.__name__}(..., out=...)")
        if inside is None:
            return kept(one)
        check_here(inside)
        if name not in self.differentiated or one.__class__ is not tuple:
            self.refuse_argument(name)
        for place, leaf in enumerate(floats_of(one)):
            if leaf.__class__ is Traced:
                places.append((name, place))
                parents.append(leaf._at)
        return plain(one)

    def refuse_record(self, trace: Trace) -> None:
        check_here(trace)

    def refuse_argument(self, name: str) -> NoReturn:
        function = f"fd.{self.function.__name__}"
        raise written(f"{function}(..., out=...)") if name == "out" else unknown(f"{function} with respect to {name}")

    def refuse_result(self, place: int) -> NoReturn:
        raise unknown(f"fd.{self.function.__name__}, its result {place + 1} or a later one,")


def several(function: Callable[..., Any], differentiated: str, results: int, back: Back) -> None:
    TABLE[function] = Several(function, differentiated, results, back)


def _whole(dy: Any) -> np.ndarray:
    return dy if dy.flags.c_contiguous else np.ascontiguousarray(dy)


# ---- dense ------------------------------------------------------------------------------------------------------
def _linear(dys, results, a):
    dx, dW, db = dense.linear_backward(_whole(dys[0]), a["x"], a["W"])
    return {"x": dx, "W": dW, "b": None if a["b"] is None else db}


several(dense.linear_forward, "x W b", 1, _linear)
several(
    dense.embedding_forward, "W", 1,
    lambda dys, results, a: {"W": dense.embedding_backward(_whole(dys[0]), a["index"], a["W"])},
)  # fmt: skip


def _activation(one: Activation) -> None:
    def back(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        settings = {name: a[name] for name in one.settings}
        return {"x": one.backward(_whole(dys[0]), results[0] if one.kept == "y" else _whole(a["x"]), **settings)}

    several(one.forward, "x", 1, back)


for _one in ACTIVATIONS.values():
    _activation(_one)


def _loss(function: Callable[..., Any]) -> None:
    """A row for a loss, which gives its gradient with respect to its first argument along with the value."""
    argument = next(iter(inspect.signature(function).parameters))

    def back(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        gradients = results[1] if isinstance(results[1], tuple) else (results[1],)
        found = tuple(gradient * _spread(dys[0], gradient) for gradient in gradients)
        return {argument: found if isinstance(results[1], tuple) else found[0]}

    several(function, argument, 1, back)


def _spread(dy: Any, gradient: np.ndarray) -> np.ndarray:
    """dy at each element of the gradient: of reduction="none" there is one for each target."""
    if dy.dtype is not gradient.dtype:
        dy = dy.astype(gradient.dtype)
    return dy.reshape(dy.shape + (1,) * (gradient.ndim - dy.ndim)) if dy.ndim else dy


for _name in _losses.__all__:
    _loss(getattr(dense, _name))
for _function in (
    dense.softmax_cross_entropy,
    dense.nll_loss,
    dense.cosine_embedding_loss,
    dense.error_to_signal_ratio,
):
    _loss(_function)
_loss(sequence.ctc_loss)


def _linear_loss(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
    if a["reduction"] == "none":
        raise TypeError("fd.linear_cross_entropy: got reduction='none' within a derived forward, expected 'mean'")
    if not (a["gradients"] and a["input_gradient"]):
        raise TypeError("fd.linear_cross_entropy: got no gradients within a derived forward, expected all")
    found = zip("xWb", results[1], strict=True)
    return {name: None if one is None else one * one.dtype.type(dys[0]) for name, one in found}


several(dense.linear_cross_entropy, "x W b", 1, _linear_loss)


# ---- normalisation, convolution, pools ------------------------------------------------------------------------------
def _by_tape(forward: Callable[..., Any], back: Callable[..., Any], names: str) -> None:
    """Of a function that gives (y, tape); `names` are the arguments in the order of the gradients of `back`."""

    def through(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        found = back(_whole(dys[0]), results[1])
        return dict(zip(names.split(), found if isinstance(found, tuple) else (found,), strict=True))

    several(forward, names, 1, through)


def _convolution(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
    options = {name: one for name, one in a.items() if name not in ("x", "W", "b")}
    found = sequence.conv1d_backward(_whole(dys[0]), a["x"], a["W"], **options)
    return dict(zip(("x", "W", "b"), found, strict=True))


_by_tape(dense.layer_norm_forward, dense.layer_norm_backward, "x weight bias")
_by_tape(dense.batch_norm_forward, dense.batch_norm_backward, "x weight bias")
_by_tape(sequence.max_pool1d_forward, sequence.max_pool1d_backward, "x")
_by_tape(sequence.avg_pool1d_forward, sequence.avg_pool1d_backward, "x")
several(sequence.conv1d_forward, "x W b", 1, _convolution)


# ---- recurrent: h, what is carried beside it, a tape ------------------------------------------------------------
def _cell(forward: Callable[..., Any], back: Callable[..., Any], states: int, names: str) -> None:
    """`names` are the arguments in the order of the gradients that `back` returns."""
    order = names.split()
    own = inspect.signature(forward).parameters

    def through(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        dys = [_whole(one) for one in dys]
        tape = results[-1]
        if tape is None:
            raise TypeError(f"fd.{forward.__name__}: got training=False within a derived forward, expected True")
        gradients = back(*dys[:2], tape) if states == 2 else back(dys[0], tape)
        return dict(zip(order, gradients, strict=True))

    several(forward, " ".join(name for name in order if name in own), states, through)


_cell(recurrent.rnn_forward, recurrent.rnn_backward, 1, "x h0 W_x W_h b gains")
_cell(recurrent.gru_forward, recurrent.gru_backward, 1, "x h0 W_x W_h b gains")
_cell(recurrent.lstm_forward, recurrent.lstm_backward, 2, "x h0 c0 W_x W_h b projection peepholes gains")
_cell(recurrent.indrnn_forward, recurrent.indrnn_backward, 1, "x h0 W_x u b")
_cell(recurrent.mingru_forward, recurrent.mingru_backward, 1, "x h0 W_x b")
_cell(recurrent.minlstm_forward, recurrent.minlstm_backward, 1, "x h0 W_x b")
_cell(recurrent.slstm_forward, recurrent.slstm_backward, 1, "x h0 c0 n0 W_x W_h b")
several(
    recurrent.last_step, "h", 1,
    lambda dys, results, a: {
        "h": recurrent.last_step_backward(_whole(dys[0]), len(a["h"]), a["lengths"], a["reverse"])
    },
)  # fmt: skip


# ---- sequence ---------------------------------------------------------------------------------------------------
def _attention(back: Callable[..., Any], *names: str) -> Back:
    """Of the context; the weights beside it have no gradient."""

    def through(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        given = {name: one for name, one in a.items() if name not in names}
        arrays = [a[name] for name in names]
        return dict(zip(names, back(_whole(dys[0]), results[1], *arrays, **given), strict=True))

    return through


several(
    sequence.dot_attention_forward, "query keys values", 1,
    _attention(sequence.dot_attention_backward, "query", "keys", "values"),
)  # fmt: skip
several(
    sequence.additive_attention_forward, "query keys values v", 1,
    _attention(sequence.additive_attention_backward, "query", "keys", "values", "v"),
)  # fmt: skip


# ---- dropout: linear, with the same masks -------------------------------------------------------------------------
def _masked(forward: Callable[..., Any], back: Callable[..., Any], *leave: str) -> None:
    def through(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": back(_whole(dys[0]), **{name: one for name, one in a.items() if name not in ("x", *leave)})}

    several(forward, "x", 1, through)


_masked(dropout.dropout_forward, dropout.dropout_backward, "out", "return_mask")
_masked(dropout.alpha_dropout_forward, dropout.alpha_dropout_backward)
_masked(dropout.gaussian_dropout_forward, dropout.gaussian_dropout_backward)
_masked(dropout.gaussian_noise, lambda dy, **given: dy)
_masked(dropout.embedding_dropout, dropout.embedding_dropout)


def _zoneout(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
    where = {name: one for name, one in a.items() if name not in ("new", "old")}
    return dict(zip(("new", "old"), dropout.zoneout_backward(_whole(dys[0]), **where), strict=True))


several(dropout.zoneout_forward, "new old", 1, _zoneout)


# ---- norms --------------------------------------------------------------------------------------------------------
def _norm(function: Callable[..., Any], order: Callable[[Mapping[str, Any]], float]) -> None:
    def through(dys: Sequence[Any], results: Sequence[Any], a: Mapping[str, Any]) -> Mapping[str, Any]:
        dy = np.asarray(dys[0])
        if not a["keepdims"] and a["axis"] is not None:
            dy = np.expand_dims(dy, a["axis"])
        return {"x": dy * norms.norm_gradient(a["x"], order(a), a["axis"])}

    several(function, "x", 1, through)


_norm(norms.norm, lambda a: 2 if a["ord"] is None else a["ord"])
_norm(norms.l1, lambda a: 1)
_norm(norms.l2, lambda a: 2)
_norm(norms.linf, lambda a: np.inf)
_norm(norms.lp, lambda a: a["p"])

_tracing.call = call
