"""Recipes of metrics and pictures: the options and the kinds of input that examples do not have."""

import copy
from typing import Any

import numpy as np

import fastdl as fd

from .extra import normals, recipe


def _fed(name: Any, outputs: Any, targets: Any, **how: Any) -> None:
    options = how.pop("options", {})
    metric, other = fd.metrics.get(name, **options), fd.metrics.Metric(name, **options)
    metric.update(outputs, targets, **how)
    other.update(outputs, targets)
    metric.merge(other)
    metric.result()
    metric.load_state_dict(copy.copy(other).state_dict())
    copy.deepcopy(metric).result()
    metric.reset()


@recipe
def metrics_over_batches() -> None:
    logits, targets = normals(5, 3, 4), np.random.default_rng(0).integers(0, 4, (5, 3))
    lengths, mask, weight = np.array([5, 2, 3]), np.ones((5, 3), bool), np.ones((5, 3))
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "confusion_matrix", "log_loss", "perplexity"):
        _fed(name, logits, targets, lengths=lengths, mask=mask, sample_weight=weight)
    _fed("top_k_accuracy", logits, targets, options={"k": 3, "ignore_index": 9})
    numbers, truths = normals(5, 3), normals(5, 3, seed=1)
    for name in ("rmse", "mape", "smape", "r2", "arv"):
        _fed(name, numbers, truths, lengths=lengths, sample_weight=weight)
    _fed("mase", numbers, truths, options={"y_train": normals(9), "period": 2})
    _fed("coverage", np.sort(normals(5, 3, 2)), truths, mask=mask)
    _fed("pinball", normals(5, 3, 2), truths, options={"alpha": [0.1, 0.9]})
    _fed("wer", ["to be", "or"], ["to bee", "or"], mask=[True, True])
    _fed("cer", [[1, 2], [3]], [np.array([1, 2]), [3, 4]], sample_weight=[1.0, 2.0])


@recipe
def metrics_own() -> None:
    def furthest(outputs: Any, targets: Any) -> float:
        return float(np.abs(np.subtract(outputs, targets)).max())

    _fed(furthest, normals(4), normals(4, seed=1))


@recipe
def metrics_as_functions() -> None:
    m = fd.metrics
    true, predicted = np.array([[0, 1], [2, 1]]), np.array([[0, 2], [2, 1]])
    counts = {"sample_weight": np.ones((2, 2)), "mask": np.ones((2, 2), bool), "lengths": np.array([2, 1])}
    m.accuracy_score(true, predicted, normalize=False, **counts)
    m.balanced_accuracy_score(true, predicted, adjusted=True, **counts)
    m.f1_score(true, predicted, labels=[0, 2], average="weighted", zero_division=1.0, **counts)
    m.f1_score(["a", "b"], ["b", "b"], pos_label="b")
    m.confusion_matrix(true, predicted, labels=[2, 0], normalize="all", **counts)
    proba = np.full((2, 2, 3), 1 / 3)
    m.log_loss(true, proba, labels=[0, 1, 2], normalize=False, **counts)
    m.top_k_accuracy_score(true, proba, labels=[0, 1, 2], k=1, normalize=False, **counts)
    m.bits_per_character(true, np.log(proba), **counts)
    m.perplexity(true, np.log(proba), **counts)
    y, p = normals(2, 2), normals(2, 2, seed=1)
    for name in ("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2_score"):
        getattr(m, name)(y, p, multioutput=[1.0, 2.0])
        getattr(m, name)(y, p, multioutput="pooled", **counts)
    m.mean_absolute_percentage_error(y, p, multioutput="raw_values", **counts)
    m.symmetric_mean_absolute_percentage_error(y, p, multioutput="raw_values", **counts)
    m.mean_absolute_scaled_error(y, p, normals(5, 2), period=2, multioutput="raw_values", **counts)
    m.mean_pinball_loss(y, np.stack([p, p], 2), alpha=[0.1, 0.9], multioutput="raw_values", **counts)
    m.interval_coverage(y, p, p + 1, multioutput="raw_values", **counts)
    m.average_relative_variance(y, p, variance=[1.0, 2.0], multioutput="raw_values", **counts)
    m.word_error_rate([["a", "b"], "c d"], ["a b", "c"], sample_weight=[1, 2], mask=[True, True])
    m.character_error_rate("abc", "abd", sample_weight=[1], mask=[True])


@recipe
def pictures() -> None:
    from matplotlib import pyplot

    p = fd.plots

    def fresh() -> Any:
        return pyplot.subplots()[1]

    try:
        history = fd.training.History()
        history.losses += [2.0, 1.0]
        history.epochs.append({"epoch": 1, "step": 2, "loss": 1.5, "validation_loss": 1.0})
        p.learning_curve(history, "loss", scale=2.0, label="bits", ax=fresh())
        p.confusion_matrix(np.eye(3), ["a", "b", "c"], ax=fresh())
        p.reliability_diagram([0, 1, 2], np.eye(3), bins=3, ax=fresh())
        ends = np.zeros(3), np.ones(3)
        p.forecast(
            normals(3), y_true=normals(3), past=normals(2), intervals={0.9: ends}, times=np.arange(5), ax=fresh()
        )
        p.attention_map(np.eye(3), source="abc", target=[1, 2, 3], ax=fresh())
        p.gates({"f": np.ones((3, 2)), "c": normals(3, 2)}, steps="abc", ax=[fresh(), fresh()])
        flow = fd.curvature.GradientFlow(np.ones((1, 1, 3, 2)))
        p.gradient_flow({"a": flow, "b": flow}, ax=fresh())
        layer = fd.nn.Linear(3, 2, rng=0)
        layer.forward(normals(4, 3))
        layer.backward(normals(4, 2))
        p.weight_histogram(layer, bins=5, ax=fresh())
        p.gradient_histogram(layer, bins=5, ax=fresh())
        limits = ((-1.0, 1.0), (-2.0, 2.0))
        path = {"SGD": normals(4, 2), "Adam": normals(3, 2)}
        p.optimizer_path(lambda x: float(x @ x), path, minimum=[0, 0], limits=limits, points=5, ax=fresh())
        p.spectrum(normals(9), width=0.1, points=20, ax=fresh())
    finally:
        pyplot.close("all")
