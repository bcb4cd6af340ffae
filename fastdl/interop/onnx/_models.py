"""Ready models and layers of several inputs: a table from the class to its inputs and a function that writes them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import models, nn
from ._graph import Graph, Value
from ._layers import Writer
from ._stacks import stack


class Whole(NamedTuple):
    """How a model is written: its inputs by name, each (shape, type or None for its own), and what they become."""

    inputs: Callable[[Any], dict[str, tuple[tuple[Any, ...], Any]]]
    write: Callable[[Writer, Any, dict[str, Value]], tuple[Value, tuple[Any, ...]]]
    lengths: bool = False  # whether one of the inputs is the lengths


def _char_lm(writer: Writer, model: models.CharLM, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    x, _ = writer.write(model.embedding, given["x"], None, "embedding")
    h, _ = writer.write(model.lstm, x, None, "lstm")
    return writer.write(model.linear, h, None, "linear")[0], ("T", "B", model.linear.out_features)


def _classifier(writer: Writer, model: models.Classifier, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    return writer.write(model.layers, given["x"], None, "layers")[0], ("B", model.classes)


def _forecaster(writer: Writer, model: models.Forecaster, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    last, _ = writer.write(model.lstm, given["x"].transposed(1, 0).unsqueezed(2), None, "lstm")
    return writer.write(model.linear, last, None, "linear")[0], ("B", 1)


def _sequence_classifier(writer: Writer, model: Any, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    last, _ = writer.write(model.lstm, given["x"], given["lengths"], "lstm")
    return writer.write(model.linear, last, None, "linear")[0], ("B", model.classes)


def _tagger(writer: Writer, model: models.Tagger, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    x, _ = writer.write(model.embedding, given["x"], None, "embedding")
    h, _ = writer.write(model.lstm, x, given["lengths"], "lstm")
    return writer.write(model.linear, h, None, "linear")[0], ("T", "B", model.tags)


def _sequence_generator(writer: Writer, model: Any, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    graph, before, kind = writer.graph, given["before"], model.linear.weight.dtype
    values = before.cast(kind) / (model.levels - 1)
    named = graph.op(
        "OneHot", given["labels"], graph.integers(model.classes), graph.value([0, 1], kind), rank=2, dtype=kind
    )
    wide = graph.joined([before.sizes(0, 2), graph.integers(model.classes)], 0)
    inputs = graph.joined([values, graph.op("Expand", named, wide, rank=3)], 2)
    h, _ = writer.write(model.lstm, inputs, None, "lstm")
    y, _ = writer.write(model.linear, h, None, "linear")
    shape = ("T", "B", model.features, model.levels)
    return y.reshaped(y.sizes(0, 2), model.features, model.levels, rank=4), shape


def _seq2seq(writer: Writer, model: models.Seq2Seq, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    encoded, states = _encoded(writer, model, given)
    return _decoded(writer, model, given["before"], states, encoded, given["lengths"])[0], _logits(model)


def _encode(writer: Writer, model: models.Seq2Seq, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    encoded, states = _encoded(writer, model, given)
    writer.finals += zip(("state.h", "state.c"), states, 2 * [_decoder_state(model)], strict=True)
    return encoded, ("S", "B", model.hidden)


def _decode(writer: Writer, model: models.Seq2Seq, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    before = [given["state.h"], given["state.c"]]
    y, states = _decoded(writer, model, given["x"], before, given["encoded"], given["lengths"])
    writer.finals += zip(("last.h", "last.c"), states, 2 * [_decoder_state(model)], strict=True)
    return y, _logits(model)


def _encoded(writer: Writer, model: models.Seq2Seq, given: dict[str, Value]) -> tuple[Value, list[Value]]:
    source, _ = writer.write(model.source_embedding, given["sources"], None, "source_embedding")
    encoded, ends = stack(writer.graph, model.encoder, source, None, given["lengths"])
    return encoded, [_joined_sides(model, one) for one in ends]


def _decoded(
    writer: Writer, model: models.Seq2Seq, tokens: Value, states: list[Value], encoded: Value, lengths: Value
) -> tuple[Value, list[Value]]:
    x, _ = writer.write(model.target_embedding, tokens, None, "target_embedding")
    h, ends = stack(writer.graph, model.decoder, x, states, None)
    context = attend(writer, model.attention, h, encoded, lengths)
    return writer.write(model.output, writer.graph.joined([h, context], 2), None, "output")[0], ends


def _logits(model: models.Seq2Seq) -> tuple[Any, ...]:
    return "T", "B", model.target_tokens + 1


def _decoder_state(model: models.Seq2Seq) -> tuple[Any, ...]:
    return model.decoder.num_layers, "B", model.hidden


def _decode_inputs(model: models.Seq2Seq) -> dict[str, tuple[tuple[Any, ...], Any]]:
    states = {name: (_decoder_state(model), None) for name in ("state.h", "state.c")}
    return {"x": _TOKENS, **states, "encoded": (("S", "B", model.hidden), None), "lengths": _LENGTHS}


def _joined_sides(model: models.Seq2Seq, states: Value) -> Value:
    """The encoder's states (layers * directions, B, width) as the decoder's, (layers, B, hidden)."""
    layers, rows = model.decoder.num_layers, states.sizes(1, 2)
    sides = states.reshaped(layers, len(model.encoder.directions), rows, model.encoder.hidden_size, rank=4)
    return sides.transposed(0, 2, 1, 3).reshaped(layers, rows, model.hidden, rank=3)


# ---- attention ----------------------------------------------------------------------------------------------------


def attend(writer: Writer, layer: Any, x: Value, source: Value, lengths: Value | None) -> Value:
    """The source's mean (T, B, V) under each query's weights."""
    graph = writer.graph
    if isinstance(layer, nn.DotAttention):
        scores = x.transposed(1, 0, 2) @ source.transposed(1, 2, 0)  # (B, T, S)
        if layer.scaled:
            last = x.sizes(2, 3).cast(x.dtype).apply("Sqrt")
            scores = scores / last
    else:
        query, _ = writer.write(layer.query, x, None, "query")
        keys, _ = writer.write(layer.key, source, None, "key")
        sums = query.transposed(1, 0, 2).unsqueezed(2) + keys.transposed(1, 0, 2).unsqueezed(1)
        scores = (sums.apply("Tanh") @ layer.v.data[:, None]).squeezed(3)
    within = None
    if lengths is not None:
        within = graph.within(source, lengths, 2).transposed(1, 0).unsqueezed(1)  # (B, 1, S)
        scores = graph.where(within, scores, float(np.finfo(x.dtype).min))
    weights = scores.apply("Softmax", axis=-1)
    if within is not None:
        weights = graph.where(within, weights, 0.0)
    return (weights @ source.transposed(1, 0, 2)).transposed(1, 0, 2)


def _attention(writer: Writer, layer: Any, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    size = "H" if isinstance(layer, nn.DotAttention) else layer.key.in_features
    return attend(writer, layer, given["x"], given["source"], given.get("lengths")), ("T", "B", size)


def _additive(layer: nn.AdditiveAttention) -> dict[str, tuple[tuple[Any, ...], Any]]:
    sizes = {"x": ("T", "B", layer.query.in_features), "source": ("S", "B", layer.key.in_features)}
    return {name: (shape, None) for name, shape in sizes.items()} | {"lengths": _LENGTHS}


def _zoneout(writer: Writer, layer: nn.Zoneout, given: dict[str, Value]) -> tuple[Value, tuple[Any, ...]]:
    return (1 - layer.p) * given["new"] + layer.p * given["old"], ("B", "H")


_LENGTHS = (("B",), np.int64)
_TOKENS = (("T", "B"), np.int64)

WHOLE: dict[type, Whole] = {
    models.CharLM: Whole(lambda model: {"x": _TOKENS}, _char_lm),
    models.Classifier: Whole(lambda model: {"x": (("B", model.features), None)}, _classifier),
    models.Forecaster: Whole(lambda model: {"x": (("B", model.window), None)}, _forecaster),
    models.SequenceClassifier: Whole(
        lambda model: {"x": (("T", "B", model.features), None), "lengths": _LENGTHS}, _sequence_classifier, True
    ),
    models.Tagger: Whole(lambda model: {"x": _TOKENS, "lengths": _LENGTHS}, _tagger, True),
    models.SequenceGenerator: Whole(
        lambda model: {"labels": _LENGTHS, "before": (("T", "B", model.features), np.int64)}, _sequence_generator
    ),
    models.Seq2Seq: Whole(
        lambda model: {"sources": (("S", "B"), np.int64), "lengths": _LENGTHS, "before": _TOKENS}, _seq2seq, True
    ),
    nn.DotAttention: Whole(
        lambda layer: {"x": (("T", "B", "H"), None), "source": (("S", "B", "H"), None), "lengths": _LENGTHS},
        _attention, True,
    ),
    nn.AdditiveAttention: Whole(_additive, _attention, True),
    nn.Zoneout: Whole(lambda layer: {"new": (("B", "H"), None), "old": (("B", "H"), None)}, _zoneout),
}  # fmt: skip

PARTS: dict[tuple[type, str], Whole] = {
    (models.Seq2Seq, "encode"): Whole(
        lambda model: {"sources": (("S", "B"), np.int64), "lengths": _LENGTHS}, _encode, True
    ),
    (models.Seq2Seq, "decode"): Whole(_decode_inputs, _decode, True),
}  # fmt: skip


def whole_of(model: nn.Module, part: str | None) -> Whole | None:
    """The entry of a model's class, or of a part of it, if its methods are those of the class."""
    for kind in type(model).__mro__:
        if part is not None and (kind, part) in PARTS and getattr(type(model), part) is getattr(kind, part):
            return PARTS[kind, part]
        if part is not None:
            continue
        if kind in WHOLE and type(model).forward is kind.forward:  # type: ignore[attr-defined]
            return WHOLE[kind]
    return None


def graph_of(model: nn.Module, whole: Whole, carries: bool, dtype: Any) -> tuple[Graph, Writer]:
    """The graph with everything but the last states."""
    graph = Graph()
    given = {
        name: graph.input(name, shape, dtype if kind is None else kind)
        for name, (shape, kind) in whole.inputs(model).items()
    }
    writer = Writer(graph, carries)
    y, shape = whole.write(writer, model, given)
    graph.output("y", y, shape)
    return graph, writer
