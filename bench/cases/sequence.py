"""CTC, attention, convolution and pools over time. (Decoding has no kernel, so it has no case.)"""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import Work, call, case, drawn, integers, normals, sizes, there_and_back

SOURCES = sizes("queries batch sources width", (3, 3, 7, 19), (12, 5, 31, 67), (64, 64, 128, 256))


LABELS = sizes("steps batch classes labels", (11, 2, 19, 4), (50, 5, 67, 15), (200, 32, 256, 30))


@case("sequence", "ctc_loss", **LABELS)
def ctc_loss(dtype: np.dtype, steps: int, batch: int, classes: int, labels: int) -> Work:
    logits, targets = normals(dtype, steps, batch, classes), 1 + integers(classes - 1, batch, labels)
    lengths = steps - integers(steps // 4 + 1, batch, seed=1), labels - integers(labels // 2 + 1, batch, seed=2)
    return call(fd.ctc_loss, logits, targets, *lengths, tolerance=1e-4)


def _attention(kind: str) -> None:
    """Keys that are values too; every source is seen, but of the last sequence a half."""
    forward: Callable[..., Any] = getattr(fd, f"{kind}_attention_forward")
    backward: Callable[..., Any] = getattr(fd, f"{kind}_attention_backward")

    @there_and_back("sequence", f"{kind}_attention", **SOURCES)
    def build(dtype: np.dtype, queries: int, batch: int, sources: int, width: int) -> tuple[Work, Work]:
        arrays = [normals(dtype, steps, batch, width, seed=steps) for steps in (queries, sources, sources)]
        if kind == "dot":
            arrays[0] /= np.sqrt(width).astype(dtype)  # as `scaled` would
        vector = [normals(dtype, width)] if kind == "additive" else []
        lengths = np.full(batch, sources)
        lengths[-1] = sources // 2
        given, product = [*arrays, *vector, lengths], queries * int(lengths.sum()) * width
        context, weights = forward(*given)
        slope = normals(dtype, *context.shape, seed=1)
        there = call(forward, *given, multiply_adds=2 * product)
        return there, call(backward, slope, weights, *given, multiply_adds=4 * product, tolerance=1e-4)


_attention("dot")
_attention("additive")


STEPS = sizes("steps batch inputs outputs", (11, 3, 5, 19), (70, 5, 40, 67), (512, 32, 256, 256))
INPUTS = sizes("steps batch inputs", (11, 3, 5), (70, 5, 40), (512, 32, 256))
TAPS = 3


def _convolution(variant: str, **options: Any) -> None:
    depthwise = variant == "depthwise"

    @there_and_back("sequence", "conv1d", variant, **STEPS)
    def build(dtype: np.dtype, steps: int, batch: int, inputs: int, outputs: int) -> tuple[Work, Work]:
        wide, columns = (1, inputs) if depthwise else (inputs, outputs)
        x, W, bias = drawn(dtype, (steps, batch, inputs), (TAPS, wide, columns), (columns,))
        how = options | ({"groups": inputs} if depthwise else {})
        how |= {"lengths": steps - integers(steps // 2 + 1, batch)} if variant == "ragged" else {}
        dy = normals(dtype, *fd.conv1d_forward(x, W, bias, **how).shape, seed=3)
        cost = {"multiply_adds": dy.shape[0] * batch * W.size, "tolerance": 1e-4}
        return (
            call(fd.conv1d_forward, x, W, bias, **how, **cost),
            call(fd.conv1d_backward, dy, x, W, **how, **cost | {"multiply_adds": 2 * cost["multiply_adds"]}),
        )


_convolution("", padding="same")
_convolution("dilated", padding="causal", dilation=2)
_convolution("depthwise", padding="same")
_convolution("ragged", padding=1, stride=2)


def _pool(name: str) -> None:
    forward, backward = getattr(fd, f"{name}_pool1d_forward"), getattr(fd, f"{name}_pool1d_backward")

    @there_and_back(
        "sequence", f"{name}_pool1d", **sizes("steps batch inputs", (11, 3, 5), (70, 5, 40), (512, 32, 256))
    )
    def build(dtype: np.dtype, steps: int, batch: int, inputs: int) -> tuple[Work, Work]:
        x = normals(dtype, steps, batch, inputs)
        y, tape = forward(x, 2)
        dy = normals(dtype, *y.shape, seed=1)
        there = Work(lambda: forward(x, 2)[0], read=x.nbytes, written=y.nbytes)
        return there, Work(lambda: backward(dy, tape), read=dy.nbytes, written=x.nbytes)


_pool("max")
_pool("avg")
