"""CTC, attention, convolution and pools over time. (Decoding has no kernel, so it has no case.)"""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd
from fastdl.cli._bench._table import Work, call, case, integers, normals

SOURCES = {
    "small": {"queries": 3, "batch": 3, "sources": 7, "width": 19},
    "medium": {"queries": 12, "batch": 5, "sources": 31, "width": 67},
    "large": {"queries": 64, "batch": 64, "sources": 128, "width": 256},
}


LABELS = {
    "small": {"steps": 11, "batch": 2, "classes": 19, "labels": 4},
    "medium": {"steps": 50, "batch": 5, "classes": 67, "labels": 15},
    "large": {"steps": 200, "batch": 32, "classes": 256, "labels": 30},
}


@case("sequence", "ctc_loss", **LABELS)
def ctc_loss(dtype: np.dtype, steps: int, batch: int, classes: int, labels: int) -> Work:
    logits, targets = normals(dtype, steps, batch, classes), 1 + integers(classes - 1, batch, labels)
    lengths = steps - integers(steps // 4 + 1, batch, seed=1), labels - integers(labels // 2 + 1, batch, seed=2)
    return call(fd.ctc_loss, logits, targets, *lengths, tolerance=1e-4)


def _attention(kind: str) -> None:
    """Keys that are values too; every source is seen, but of the last sequence a half."""
    forward: Callable[..., Any] = getattr(fd, f"{kind}_attention_forward")
    backward: Callable[..., Any] = getattr(fd, f"{kind}_attention_backward")

    def arguments(dtype: np.dtype, queries: int, batch: int, sources: int, width: int) -> tuple[list[Any], int]:
        arrays = [normals(dtype, steps, batch, width, seed=steps) for steps in (queries, sources, sources)]
        if kind == "dot":
            arrays[0] /= np.sqrt(width).astype(dtype)  # as `scaled` would
        vector = [normals(dtype, width)] if kind == "additive" else []
        lengths = np.full(batch, sources)
        lengths[-1] = sources // 2
        return [*arrays, *vector, lengths], queries * int(lengths.sum()) * width

    @case("sequence", f"{kind}_attention_forward", **SOURCES)
    def run_forward(dtype: np.dtype, **shape: int) -> Work:
        given, product = arguments(dtype, **shape)
        return call(forward, *given, multiply_adds=2 * product)

    @case("sequence", f"{kind}_attention_backward", **SOURCES)
    def run_backward(dtype: np.dtype, **shape: int) -> Work:
        given, product = arguments(dtype, **shape)
        context, weights = forward(*given)
        slope = normals(dtype, *context.shape, seed=1)
        return call(backward, slope, weights, *given, multiply_adds=4 * product, tolerance=1e-4)


_attention("dot")
_attention("additive")


STEPS = {
    "small": {"steps": 11, "batch": 3, "inputs": 5, "outputs": 19},
    "medium": {"steps": 70, "batch": 5, "inputs": 40, "outputs": 67},
    "large": {"steps": 512, "batch": 32, "inputs": 256, "outputs": 256},
}
TAPS = 3


def _convolution(variant: str, **options: Any) -> None:
    depthwise = variant == "depthwise"

    def arguments(dtype: np.dtype, steps: int, batch: int, inputs: int, outputs: int) -> list[Any]:
        wide, columns = (1, inputs) if depthwise else (inputs, outputs)
        return [normals(dtype, steps, batch, inputs), normals(dtype, TAPS, wide, columns, seed=1)]

    def settings(x: np.ndarray) -> dict[str, Any]:
        ends = {"lengths": len(x) - integers(len(x) // 2 + 1, x.shape[1])} if variant == "ragged" else {}
        return options | ends | ({"groups": x.shape[2]} if depthwise else {})

    @case("sequence", "conv1d_forward", variant, **STEPS)
    def run_forward(dtype: np.dtype, **shape: int) -> Work:
        x, W = arguments(dtype, **shape)
        bias = normals(dtype, W.shape[2], seed=2)
        y = fd.conv1d_forward(x, W, bias, **settings(x))
        return Work(
            lambda: fd.conv1d_forward(x, W, bias, **settings(x)),
            read=x.nbytes + W.nbytes,
            written=y.nbytes,
            multiply_adds=y.shape[0] * y.shape[1] * W.size,
            tolerance=1e-4,
        )

    @case("sequence", "conv1d_backward", variant, **STEPS)
    def run_backward(dtype: np.dtype, **shape: int) -> Work:
        x, W = arguments(dtype, **shape)
        dy = normals(dtype, *fd.conv1d_forward(x, W, **settings(x)).shape, seed=2)
        return Work(
            lambda: fd.conv1d_backward(dy, x, W, **settings(x)),
            read=x.nbytes + W.nbytes + dy.nbytes,
            written=x.nbytes + W.nbytes,
            multiply_adds=2 * dy.shape[0] * dy.shape[1] * W.size,
            tolerance=1e-4,
        )


_convolution("", padding="same")
_convolution("dilated", padding="causal", dilation=2)
_convolution("depthwise", padding="same")
_convolution("ragged", padding=1, stride=2)


def _pool(name: str) -> None:
    forward, backward = getattr(fd, f"{name}_pool1d_forward"), getattr(fd, f"{name}_pool1d_backward")
    sizes = {size: {key: n for key, n in shape.items() if key != "outputs"} for size, shape in STEPS.items()}

    @case("sequence", f"{name}_pool1d_forward", **sizes)
    def run_forward(dtype: np.dtype, steps: int, batch: int, inputs: int) -> Work:
        x = normals(dtype, steps, batch, inputs)
        return Work(lambda: forward(x, 2)[0], read=x.nbytes, written=x.nbytes // 2)

    @case("sequence", f"{name}_pool1d_backward", **sizes)
    def run_backward(dtype: np.dtype, steps: int, batch: int, inputs: int) -> Work:
        x = normals(dtype, steps, batch, inputs)
        y, tape = forward(x, 2)
        dy = normals(dtype, *y.shape, seed=1)
        return Work(lambda: backward(dy, tape), read=dy.nbytes, written=x.nbytes)


_pool("max")
_pool("avg")
