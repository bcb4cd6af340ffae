"""The layers of a graph, from its output back to its input."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import numpy_helper

from ... import nn
from ..._files import shown
from ._nodes import attributes, unknown_use
from ._reading_stacks import OPERATORS, stack_of

TURN = "turn"  # in the place of a layer: the first two axes change places
_SHAPES = ("Shape", "Concat", "Slice", "Unsqueeze", "Expand", "ConstantOfShape", "Constant", "Cast", "Equal", "Where")


class Reading:
    """A graph whose nodes are looked up by what they give.

    Attributes
    ----------
    inputs : set of str
        What the graph is given, constants apart.
    """

    def __init__(self, graph: Any) -> None:
        self._constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self._givers = {name: node for node in graph.node for name in node.output if name}
        self.inputs = {one.name for one in graph.input} - self._constants.keys()
        self._output, self._nodes = graph.output[0].name, list(graph.node)
        for node in graph.node:
            if node.op_type == "Constant":
                value = attributes(node).get("value")
                if value is not None:
                    self._constants[node.output[0]] = numpy_helper.to_array(value)

    def layers(self) -> list[nn.Module]:
        """The layers in their order."""
        known = {*LAYERS, *_GLUE, *OPERATORS, *_SHAPES}
        unknown = [node for node in self._nodes if node.op_type not in known or node.domain not in ("", "ai.onnx")]
        if unknown:
            listed = ", ".join(sorted({shown(f"{node.domain}{node.op_type}", 80) for node in unknown}))
            raise ValueError(f"got operators that are not known here: {listed}; known are {', '.join(sorted(known))}")
        found, name = [], self._output
        while name not in self.inputs:
            name, layer = self._before(name)
            found += [] if layer is None else [layer]
        return _turned(found[::-1])

    def _before(self, name: str) -> tuple[str, Any]:
        """What a value was made of, and the layer that made it; None for none."""
        node = self.giver(name)
        if node is None:
            raise ValueError(f"{shown(name)!r} is a constant, expected what the input becomes")
        if node.op_type in LAYERS:
            return LAYERS[node.op_type](self, node)
        if node.op_type in _GLUE:
            return self._glued(node)
        if node.op_type in OPERATORS:
            raise unknown_use(node, "its output without a Squeeze, or another merge of two directions")
        raise unknown_use(node, "another use than for shapes and states")

    def _glued(self, node: Any) -> tuple[str, Any]:
        """What only shapes; with the recurrent layer whose output it shapes."""
        found, merge = self._recurrent(node)
        if found is not None:
            return found.input[0], stack_of(self, found, *merge)
        if node.op_type in ("Identity", "Dropout"):
            return node.input[0], None
        if node.op_type == "Transpose" and list(attributes(node).get("perm", ())) in ([1, 0, 2], [1, 0]):
            return node.input[0], TURN
        raise unknown_use(node, "another use than on what recurrent layers take and give")

    def _recurrent(self, node: Any) -> tuple[Any, tuple[str, str]]:
        """The recurrent operator before a shaping node, how its directions are merged, and which output it is."""
        below = self.giver(node.input[0])
        kind, axes, permuted = node.op_type, self._axes(node), None
        if kind == "Reshape" and below is not None and below.op_type == "Transpose":
            permuted, below = list(attributes(below).get("perm", ())), self.giver(below.input[0])
            name = self._giver_name(node.input[0])
        else:
            name = node.input[0]
        if below is not None and below.op_type == "Where":  # of sequences without a step
            name = below.input[2]
            below = self.giver(name)
        if below is None or below.op_type not in OPERATORS:
            return None, ("", "")
        output = "sequence" if list(below.output).index(name) == 0 else "last"
        merges = {"Squeeze": "concat", "ReduceSum": "sum", "ReduceMean": "mean", "Reshape": "concat"}
        fits = permuted == ([0, 2, 1, 3] if output == "sequence" else [1, 0, 2])
        fits = fits if kind == "Reshape" else axes == [1 if output == "sequence" else 0]
        if kind not in merges or not fits or name not in below.output[:2]:
            raise unknown_use(node, f"another use than to merge the directions of {below.op_type}")
        both = attributes(below).get("direction", b"forward") == b"bidirectional"
        if both != (kind != "Squeeze"):
            raise unknown_use(node, "a merge that does not fit the directions")
        return below, (merges[kind], output)

    def _giver_name(self, name: str) -> str:
        return str(self._givers[name].input[0])

    def _axes(self, node: Any) -> list[int] | None:
        found = attributes(node).get("axes")
        if found is None and len(node.input) > 1 and node.op_type in ("Squeeze", "ReduceSum", "ReduceMean"):
            array = self.constant(node.input[1])
            found = None if array is None else array.tolist()
        return None if found is None else list(found)

    # ---- what nodes ask ---------------------------------------------------------------------------------------
    def giver(self, name: str) -> Any:
        """The node that gives a value; None for constants and inputs."""
        return None if name in self._constants else self._givers.get(name)

    def constant(self, name: str) -> np.ndarray | None:
        """A constant's values, also where it is only renamed or transposed; None for what is computed."""
        if name in self._constants:
            return self._constants[name]
        node = self._givers.get(name)
        if node is None or node.op_type not in ("Identity", "Transpose"):
            return None
        array = self.constant(node.input[0])
        if array is None or node.op_type == "Identity":
            return array
        return array.transpose(attributes(node).get("perm"))

    def weights(self, node: Any, place: int) -> np.ndarray:
        """An input that has to be a constant of floats."""
        array = self.constant(node.input[place]) if len(node.input) > place else None
        if array is None or array.dtype not in (np.float32, np.float64):
            raise unknown_use(node, f"an input {place} that is no constant of float32 or float64")
        return array


def _turned(found: list[Any]) -> list[nn.Module]:
    """Without the turns: layers between two of them read (B, T, ...)."""
    layers, turned = [], False
    for one in found:
        if one is TURN:
            turned = not turned
        else:
            layers.append(one)
            if turned and hasattr(one, "batch_first"):
                one.batch_first = True
                turned = one.output == "sequence"
    if turned:
        raise ValueError("Transpose is not known here with another use than around recurrent layers")
    return layers


# ---- layers -------------------------------------------------------------------------------------------------------


def linear(W: np.ndarray, b: np.ndarray | None) -> nn.Linear:
    layer = nn.Linear(W.shape[0], W.shape[1], bias=b is not None, rng=0, dtype=W.dtype)
    layer.weight.data = W
    if b is not None:
        layer.bias.data = b
    return layer


def _gemm(reading: Reading, node: Any) -> tuple[str, Any]:
    given = attributes(node)
    if given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1 or given.get("transA", 0):
        raise unknown_use(node, "alpha, beta or transA")
    W = reading.weights(node, 1)
    b = reading.weights(node, 2) if len(node.input) > 2 and node.input[2] else None
    W = W.T if given.get("transB", 0) else W
    return node.input[0], linear(W, None if b is None else np.broadcast_to(b.reshape(-1), W.shape[1:]))


def _matmul(reading: Reading, node: Any) -> tuple[str, Any]:
    W = reading.weights(node, 1)
    if W.ndim != 2:
        raise unknown_use(node, f"weights of shape {W.shape}")
    return node.input[0], linear(W, None)


def _add(reading: Reading, node: Any) -> tuple[str, Any]:
    for one, other in (node.input, reversed(node.input)):
        product, b = reading.giver(one), reading.constant(other)
        if product is not None and product.op_type == "MatMul" and b is not None and b.ndim == 1:
            before, layer = _matmul(reading, product)
            return before, linear(layer.weight.data, np.broadcast_to(b, (layer.out_features,)))
    raise unknown_use(node, "another use than a bias behind MatMul")


def _gather(reading: Reading, node: Any) -> tuple[str, Any]:
    table = reading.weights(node, 0)
    if table.ndim != 2 or attributes(node).get("axis", 0):
        raise unknown_use(node, "another use than a table of vectors")
    layer = nn.Embedding(*table.shape, rng=0, dtype=table.dtype)
    layer.weight.data = table
    return node.input[1], layer


def _layer_norm(reading: Reading, node: Any) -> tuple[str, Any]:
    given, weight = attributes(node), reading.weights(node, 1)
    b = reading.weights(node, 2) if len(node.input) > 2 and node.input[2] else None
    if given.get("axis", -1) != -weight.ndim:
        raise unknown_use(node, f"axis={given.get('axis')} and weights of shape {weight.shape}")
    eps = float(given.get("epsilon", 1e-5))
    layer = nn.LayerNorm(weight.shape, eps, bias=b is not None, dtype=weight.dtype)
    layer.weight.data = weight
    if b is not None:
        layer.bias.data = b
    return node.input[0], layer


def _function(kind: type, **settings: tuple[str, Any]) -> Callable[[Reading, Any], tuple[str, Any]]:
    def make(reading: Reading, node: Any) -> tuple[str, Any]:
        given = attributes(node)
        return node.input[0], kind(**{own: given.get(name, value) for own, (name, value) in settings.items()})

    return make


LAYERS: dict[str, Callable[[Reading, Any], tuple[str, Any]]] = {
    "Gemm": _gemm, "MatMul": _matmul, "Add": _add, "Gather": _gather, "LayerNormalization": _layer_norm,
    "Softmax": _function(nn.Softmax, axis=("axis", -1)), "LogSoftmax": _function(nn.LogSoftmax, axis=("axis", -1)),
    "Relu": _function(nn.ReLU), "Tanh": _function(nn.Tanh), "Sigmoid": _function(nn.Sigmoid),
    "LeakyRelu": _function(nn.LeakyReLU, negative_slope=("alpha", 0.01)),
    "Elu": _function(nn.ELU, alpha=("alpha", 1.0)),
}  # fmt: skip
_GLUE = ("Identity", "Dropout", "Squeeze", "Transpose", "Reshape", "ReduceSum", "ReduceMean")
