"""A graph as it is written: values with NumPy's operators, each of which becomes a node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET, IR = 18, 8  # of December 2022; later runtimes read it


class Value:
    """An array of the graph: its name, how many axes it has, and its type."""

    def __init__(self, graph: "Graph", name: str, rank: int, dtype: Any) -> None:
        self.graph, self.name, self.rank, self.dtype = graph, name, rank, np.dtype(dtype)

    def _with(self, kind: str, other: Any, swapped: bool = False) -> "Value":
        other = self.graph.value(other, self.dtype)
        pair = (other, self) if swapped else (self, other)
        dtype = bool if kind in ("Less", "Equal", "Greater", "GreaterOrEqual") else self.dtype
        return self.graph.op(kind, *pair, rank=max(self.rank, other.rank), dtype=dtype)

    def __add__(self, other: Any) -> "Value":
        return self._with("Add", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Value":
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> "Value":
        return self._with("Sub", other, True)

    def __mul__(self, other: Any) -> "Value":
        return self._with("Mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Value":
        return self._with("Div", other)

    def __matmul__(self, other: Any) -> "Value":
        return self.graph.op("MatMul", self, self.graph.value(other, self.dtype), rank=self.rank)

    def __neg__(self) -> "Value":
        return self.graph.op("Neg", self)

    def __lt__(self, other: Any) -> "Value":
        return self._with("Less", other)

    def __gt__(self, other: Any) -> "Value":
        return self._with("Greater", other)

    def __ge__(self, other: Any) -> "Value":
        return self._with("GreaterOrEqual", other)

    def equals(self, other: Any) -> "Value":
        return self._with("Equal", other)

    # ---- functions --------------------------------------------------------------------------------------------
    def apply(self, kind: str, **attributes: Any) -> "Value":
        """An operator of one array that leaves its shape."""
        return self.graph.op(kind, self, **attributes)

    def cast(self, dtype: Any) -> "Value":
        return self.graph.op("Cast", self, to=type_of(dtype), dtype=dtype)

    def clipped(self, bound: float | None) -> "Value":
        if bound is None:
            return self
        low, high = (self.graph.value(one, self.dtype) for one in (-bound, bound))
        return self.graph.op("Clip", self, low, high)

    def split(self, parts: int, axis: int = -1) -> "list[Value]":
        return self.graph.ops("Split", self, outputs=parts, axis=axis, num_outputs=parts)

    def transposed(self, *axes: int) -> "Value":
        return self.graph.op("Transpose", self, perm=list(axes))

    def squeezed(self, axis: int) -> "Value":
        return self.graph.op("Squeeze", self, self.graph.integers(axis), rank=self.rank - 1)

    def unsqueezed(self, *axes: int) -> "Value":
        return self.graph.op("Unsqueeze", self, self.graph.integers(*axes), rank=self.rank + len(axes))

    def reduced(self, kind: str, *axes: int, keep: bool = False) -> "Value":
        rank = self.rank if keep else self.rank - len(axes)
        return self.graph.op(kind, self, self.graph.integers(*axes), rank=rank, keepdims=int(keep))

    def sizes(self, start: int, end: int | None = None) -> "Value":
        """The extents of some axes, as an array of them."""
        ends = {} if end is None else {"end": end}
        return self.graph.op("Shape", self, start=start, **ends, rank=1, dtype=np.int64)

    def cut(self, start: Any, end: Any, axis: int) -> "Value":
        places = [self.graph.value(one, np.int64) for one in (start, end)]
        return self.graph.op("Slice", self, *places, self.graph.integers(axis))

    def reshaped(self, *parts: Any, rank: int) -> "Value":
        """With the extents that `parts` have one after the other: numbers, or arrays of them."""
        joined = [self.graph.integers(one) if isinstance(one, int) else one for one in parts]
        shape = self.graph.op("Concat", *joined, axis=0)
        return self.graph.op("Reshape", self, shape, rank=rank, allowzero=1)


class Graph:
    """Nodes and constants of a graph, or of the body of a Scan, whose constants are those of the graph around it."""

    def __init__(self, around: "Graph | None" = None) -> None:
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.constants: dict[Any, Any] = {} if around is None else around.constants
        self._count: list[int] = [0] if around is None else around._count

    def fresh(self, what: str) -> str:
        self._count[0] += 1
        return f"{what.lower()}_{self._count[0]}"

    def input(self, name: str, shape: Sequence[Any], dtype: Any) -> Value:
        self.inputs.append(helper.make_tensor_value_info(name, type_of(dtype), list(shape)))
        return Value(self, name, len(shape), dtype)

    def output(self, name: str, value: Value, shape: Sequence[Any]) -> None:
        self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, type_of(value.dtype), list(shape)))

    def value(self, given: Any, dtype: Any) -> Value:
        """A value as it is; of numbers a constant."""
        if isinstance(given, Value):
            return given
        array = np.ascontiguousarray(given, dtype).reshape(np.shape(given))
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, self.fresh("constant"))
        return Value(self, self.constants[key].name, array.ndim, array.dtype)

    def integers(self, *numbers: int) -> Value:
        return self.value(list(numbers), np.int64)

    def op(
        self, kind: str, *inputs: Value | None, rank: int | None = None, dtype: Any = None, **attributes: Any
    ) -> Value:
        return self.ops(kind, *inputs, outputs=1, rank=rank, dtype=dtype, **attributes)[0]

    def ops(
        self, kind: str, *inputs: Value | None, outputs: int, rank: int | None = None, dtype: Any = None,
        **attributes: Any,
    ) -> list[Value]:  # fmt: skip
        """A node's outputs; their rank and type are those of the first input unless told otherwise."""
        first = next(one for one in inputs if one is not None)
        names = [self.fresh(kind) for _ in range(outputs)]
        given = ["" if one is None else one.name for one in inputs]
        self.nodes.append(helper.make_node(kind, given, names, name=self.fresh(f"node_{kind}"), **attributes))
        rank, dtype = first.rank if rank is None else rank, first.dtype if dtype is None else dtype
        return [Value(self, name, rank, dtype) for name in names]

    def where(self, condition: Value, one: Any, other: Any) -> Value:
        like = one if isinstance(one, Value) else other
        pair = [self.value(part, like.dtype) for part in (one, other)]
        rank = max(part.rank for part in (condition, *pair))
        return self.op("Where", condition, *pair, rank=rank, dtype=like.dtype)

    def larger(self, one: Value, other: Any) -> Value:
        return self.op("Max", one, self.value(other, one.dtype))

    def joined(self, values: Sequence[Value], axis: int) -> Value:
        return self.op("Concat", *values, axis=axis)

    def range(self, end: Value) -> Value:
        """0, 1, ... below a number, which is an array of one."""
        zero, one = (self.value(number, np.int64) for number in (0, 1))
        return self.op("Range", zero, end.squeezed(0), one, rank=1)

    def within(self, like: Value, lengths: Value, rank: int, steps: Value | None = None) -> Value:
        """Whether each step (T, B, 1, ...) of a value lies within the sequences' lengths (B,)."""
        times = self.range(like.sizes(0, 1) if steps is None else steps)
        times = times.unsqueezed(*range(1, rank))
        return times < lengths.unsqueezed(0, *range(2, rank))

    def proto(self, name: str, with_constants: bool) -> Any:
        constants = list(self.constants.values()) if with_constants else []
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, constants)


def type_of(dtype: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def model_of(graph: Graph, words: dict[str, str]) -> Any:
    """The checked model."""
    model = helper.make_model(
        graph.proto("fastdl", True), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, **words
    )
    onnx.checker.check_model(model, full_check=True)
    return model
