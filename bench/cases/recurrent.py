"""Recurrent layers with every option that has a kernel of its own, forward and backward through time.

A tape may be used any number of times, so a backward's forward runs once, when the work is built.
"""

from typing import Any, NamedTuple

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import Work, call, case, drawn, integers, normals, sizes, there_and_back

SHAPES = sizes("steps batch inputs hidden", (3, 5, 9, 19), (16, 15, 64, 67), (64, 64, 512, 512))
# The reference takes ragged sequences one by one: a minute of them at the largest size above.
RAGGED = SHAPES | {"large": {"steps": 64, "batch": 32, "inputs": 256, "hidden": 256}}
BY_HEADS = {name: shape | {"hidden": shape["hidden"] + 1} for name, shape in SHAPES.items()}
BY_HEADS["large"] = SHAPES["large"]
HEADS = 4
STATES = sizes("steps batch hidden", (5, 7, 19), (16, 15, 67), (64, 256, 1024))


STATES_OF = {"lstm": 2, "slstm": 4}  # of the others one


class Layer(NamedTuple):
    """Arguments of a forward call, and what they cost."""

    arguments: tuple[np.ndarray, ...]  # x, the states, W_x, W_h, b
    options: dict[str, Any]
    multiply_adds: int  # forward
    output: int  # bytes of all states over time
    kept: int  # bytes the tape holds beside: the gates, and what a projection is made of


def _layer(
    dtype: np.dtype, gates: int, biases: int, states: int, steps: int, batch: int, inputs: int, hidden: int,
    option: str = "", recurrence: str = "dense",
) -> Layer:  # fmt: skip
    """A layer with standard normal inputs, weights of a size that keeps the gates alive, and one option by name."""
    out = hidden // 2 + 1 if option == "projection" else hidden
    rows = steps * batch
    options: dict[str, Any] = {}
    if option == "projection":
        options["projection"] = normals(dtype, hidden, out, seed=6) / np.sqrt(hidden).astype(dtype)
    elif option == "peepholes":
        options["peepholes"] = normals(dtype, 3, hidden, seed=6) / 10  # more, and rounding grows from step to step
    elif option == "layer norm":
        options["gains"] = 1 + normals(dtype, 2, gates, hidden, seed=6) / 10
    elif option == "zoneout":
        options["zoneout_h"] = integers(10, steps, batch, hidden, seed=6) == 0
    elif option == "ragged":  # quarters, in no order
        options["lengths"] = np.resize(-(-steps * np.array([3, 1, 4, 2]) // 4), batch)
        rows = int(options["lengths"].sum())
    scale = 1 / np.sqrt(inputs + out).astype(dtype)
    x, h0, c0, W_x, W_h, b = drawn(dtype, (steps, batch, inputs), (batch, out), (batch, hidden),
                                   (inputs, gates * hidden), (out, gates * hidden), (biases * hidden,))  # fmt: skip
    W_x, W_h = W_x * scale, W_h * scale
    if recurrence == "diagonal":
        W_h = W_h[0] / scale / 4
    elif recurrence == "heads":
        W_h = normals(dtype, HEADS, hidden // HEADS, gates * hidden // HEADS, seed=4) * scale
    weights = (W_x,) if recurrence == "none" else (W_x, W_h)
    others = {1: [], 2: [c0], 4: [0 * c0] * 3}[states]  # an sLSTM begins with zeros
    projected = hidden * out if option == "projection" else 0
    return Layer(
        (x, h0, *others, *weights, b),
        options,
        rows * (sum(one.size for one in weights) + projected),
        rows * (out + hidden * len(others)) * dtype.itemsize,
        rows * hidden * (gates + bool(projected)) * dtype.itemsize,
    )


def _enter(name: str, variant: str, gates: int, biases: int, recurrence: str = "dense", **options: Any) -> None:
    """The forward and the backward of a cell."""
    forward, backward = getattr(fd, f"{name}_forward"), getattr(fd, f"{name}_backward")
    slopes = 2 if name == "lstm" else 1  # of h, and none of c
    sizes = {"ragged": RAGGED}.get(variant, BY_HEADS if name == "slstm" else SHAPES)

    @there_and_back("recurrent", name, variant, **sizes)
    def build(dtype: np.dtype, **shape: int) -> tuple[Work, Work]:
        made = _layer(dtype, gates, biases, STATES_OF.get(name, 1), **shape, option=variant, recurrence=recurrence)
        given, how = made.arguments, {**made.options, **options}
        inputs = sum(one.nbytes for one in (*given, *how.values()) if isinstance(one, np.ndarray))
        h, *_, tape = forward(*given, **how)
        slope = normals(dtype, *h.shape, seed=7)
        there = Work(
            lambda: forward(*given, **how)[:-1],  # without the tape
            read=inputs,
            written=made.output + made.kept,
            multiply_adds=made.multiply_adds,
            tolerance=1e-4 if name == "slstm" else 1e-5,
        )
        return there, Work(
            lambda: backward(slope, *[None] * (slopes - 1), tape),
            read=inputs + made.output + slope.nbytes + made.kept,
            written=inputs,
            multiply_adds=2 * made.multiply_adds,
            tolerance=1e-4,
        )


for _variant in ("", "layer norm", "peepholes", "projection", "ragged", "zoneout"):
    _enter("lstm", _variant, 4, 4)
_enter("lstm", "coupled", 3, 3, coupled=True)
_enter("gru", "", 3, 4)
_enter("gru", "reset before", 3, 3, reset_after=False)
_enter("gru", "layer norm", 3, 4)
_enter("gru", "ragged", 3, 4)
_enter("rnn", "tanh", 1, 1)
_enter("rnn", "relu", 1, 1, nonlinearity="relu")
_enter("rnn", "layer norm", 1, 1)
_enter("mingru", "", 2, 2, "none")
_enter("mingru", "positive", 2, 2, "none", positive=True)
_enter("minlstm", "", 3, 3, "none")
_enter("minlstm", "positive", 3, 3, "none", positive=True)
_enter("minlstm", "not normalized", 3, 3, "none", normalized=False)
_enter("indrnn", "", 1, 1, "diagonal")
_enter("indrnn", "tanh", 1, 1, "diagonal", nonlinearity="tanh")
_enter("slstm", "", 4, 4)
_enter("slstm", "heads", 4, 4, "heads")


@case("recurrent", "lstm_forward", "without tape", **SHAPES)
def inference(dtype: np.dtype, **shape: int) -> Work:
    made = _layer(dtype, 4, 4, 2, **shape)
    return call(fd.lstm_forward, *made.arguments, training=False, written=made.output, multiply_adds=made.multiply_adds)


@case("recurrent", "last_step", **STATES)
def last_step(dtype: np.dtype, steps: int, batch: int, hidden: int) -> Work:
    h, lengths = normals(dtype, steps, batch, hidden), integers(steps, batch) + 1
    return call(fd.last_step, h, lengths, read=h[0].nbytes)  # a step of each


@case("recurrent", "last_step_backward", **STATES)
def last_step_backward(dtype: np.dtype, steps: int, batch: int, hidden: int) -> Work:
    slope, lengths = normals(dtype, batch, hidden), integers(steps, batch) + 1
    return call(fd.last_step_backward, slope, steps, lengths)
