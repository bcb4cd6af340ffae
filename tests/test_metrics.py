"""Metrics equal scikit-learn's where it has them, on data that is awkward; and what is refused is named."""

import math

import numpy as np
import pytest

import fastdl as fd

sklearn = pytest.importorskip("sklearn.metrics")
m = fd.metrics
pytestmark = pytest.mark.filterwarnings("ignore")  # scikit-learn's, of classes that are missing


def classes(seed=0, n=60, k=4):
    rng = np.random.default_rng(seed)
    return rng.integers(0, k, n), rng.integers(0, k, n), rng.uniform(0, 3, n).round(1)


def awkward_classes():
    true, predicted, weight = classes()
    yield "plain", true, predicted, None
    yield "weighted", true, predicted, weight
    yield "weights of 0", true, predicted, np.where(true == 2, 0.0, weight)
    yield "a class never true", np.minimum(true, 2), predicted, weight
    yield "a class never predicted", true, np.minimum(predicted, 1), None
    yield "one class", np.zeros(5, int), np.zeros(5, int), None
    yield "one sample", [3], [1], None
    yield "negative and far apart", true * 10**12 - 5, predicted * 10**12 - 5, weight
    yield "whole floats", true.astype(np.float32), predicted, weight
    yield "texts", np.array(list("abcd"))[true], np.array(list("abcd"))[predicted], weight
    yield "objects", np.array(list("abcd"))[true].astype(object), np.array(list("abcd"))[predicted].tolist(), None
    yield "nothing right", true, (true + 1) % 4, None
    yield "booleans", true > 1, predicted > 1, weight
    yield "small integers", true.astype(np.uint8), predicted.astype(np.int16), None


CLASSES = [pytest.param(*row[1:], id=row[0]) for row in awkward_classes()]


def same(ours, theirs):
    assert type(ours) is type(theirs) or isinstance(ours, (float, np.ndarray))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("true", "predicted", "weight"), CLASSES)
class TestClasses:
    def test_accuracy(self, true, predicted, weight):
        for normalize in (True, False):
            options = {"normalize": normalize, "sample_weight": weight}
            same(m.accuracy_score(true, predicted, **options), sklearn.accuracy_score(true, predicted, **options))

    def test_balanced_accuracy(self, true, predicted, weight):
        for adjusted in (False, True):
            options = {"adjusted": adjusted, "sample_weight": weight}
            if adjusted and len(np.unique(true)) == 1:
                assert math.isnan(m.balanced_accuracy_score(true, predicted, **options))
            else:
                theirs = sklearn.balanced_accuracy_score(true, predicted, **options)
                same(m.balanced_accuracy_score(true, predicted, **options), theirs)

    def test_f1(self, true, predicted, weight):
        present = sorted({*np.asarray(true).tolist(), *np.asarray(predicted).tolist()})
        for average in ("micro", "macro", "weighted", None):
            for zero_division in (0.0, 1.0, math.nan):
                never = "never" if isinstance(present[0], str) else 77
                for labels in (None, present[:2], present[::-1], [never, present[0]], [never]):
                    options = {"average": average, "zero_division": zero_division, "labels": labels}
                    options["sample_weight"] = weight
                    same(m.f1_score(true, predicted, **options), sklearn.f1_score(true, predicted, **options))

    def test_f1_of_one_class(self, true, predicted, weight):
        present = sorted({*np.asarray(true).tolist(), *np.asarray(predicted).tolist()})
        options = {"sample_weight": weight, "pos_label": present[-1]}
        if len(present) > 2:
            with pytest.raises(ValueError, match="average: got 'binary', expected another one for"):
                m.f1_score(true, predicted, **options)
            chosen = present[0]
            true, predicted = np.asarray(true) == chosen, np.asarray(predicted) == chosen
            options["pos_label"] = 1
        same(m.f1_score(true, predicted, **options), sklearn.f1_score(true, predicted, **options))

    def test_confusion_matrix(self, true, predicted, weight):
        seen = np.unique(true).tolist()
        for labels in (None, seen[:1], seen[::-1]):
            for normalize in (None, "true", "pred", "all"):
                options = {"labels": labels, "normalize": normalize, "sample_weight": weight}
                ours, theirs = (one.confusion_matrix(true, predicted, **options) for one in (m, sklearn))
                same(ours, theirs)
                assert ours.dtype == theirs.dtype

    def test_masks_and_lengths_leave_out(self, true, predicted, weight):
        n = len(true)
        keep = np.random.default_rng(1).random(n) < 0.7
        keep[0] = True
        left = np.asarray(true)[keep], np.asarray(predicted)[keep]
        kept = None if weight is None else weight[keep]
        assert m.accuracy_score(true, predicted, sample_weight=weight, mask=keep) == pytest.approx(
            m.accuracy_score(*left, sample_weight=kept)
        )
        np.testing.assert_allclose(
            m.confusion_matrix(true, predicted, sample_weight=weight, mask=keep),
            m.confusion_matrix(*left, sample_weight=kept),
        )
        column = (np.asarray(true)[:, None], np.asarray(predicted)[:, None])
        first = n // 2 + 1
        assert m.accuracy_score(*column, lengths=[first]) == m.accuracy_score(true[:first], predicted[:first])


# ---- scores


def probabilities(seed, n, k, dtype=np.float64):
    z = np.random.default_rng(seed).standard_normal((n, k))
    return (np.exp(z) / np.exp(z).sum(1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss(dtype, weighted):
    true, _, weight = classes()
    proba = probabilities(2, 60, 4, dtype)
    proba[3] = np.eye(4, dtype=dtype)[(true[3] + 1) % 4]  # certain, and wrong
    for normalize in (True, False):
        options = {"sample_weight": weight if weighted else None, "normalize": normalize}
        ours, theirs = m.log_loss(true, proba, **options), sklearn.log_loss(true, proba, **options)
        assert ours == pytest.approx(theirs, rel=1e-12 if dtype == np.float64 else 1e-6)
    names = np.array(["x", "b", "z", "a"])
    order = np.argsort(names)
    texts = {"labels": names[order], "sample_weight": weight}
    assert m.log_loss(names[true], proba, **texts) == pytest.approx(sklearn.log_loss(names[true], proba, **texts), 1e-6)
    second = proba[:, 0].clip(0, 1)
    assert m.log_loss(true > 1, second) == pytest.approx(sklearn.log_loss(true > 1, second), rel=1e-6)
    one = m.log_loss([2, 2], [[0.5, 0.25, 0.25]] * 2, labels=[0, 1, 2])
    assert one == pytest.approx(sklearn.log_loss([2, 2], [[0.5, 0.25, 0.25]] * 2, labels=[0, 1, 2]))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_top_k_with_ties(k):
    true, _, weight = classes(3)
    scores = np.random.default_rng(4).integers(0, 3, (60, 4)).astype(np.float32)
    for options in ({}, {"normalize": False}, {"sample_weight": weight}, {"normalize": False, "sample_weight": weight}):
        ours, theirs = (one.top_k_accuracy_score(true, scores, k=k, **options) for one in (m, sklearn))
        assert ours == pytest.approx(theirs, rel=1e-12)
    for binary in (scores[:, 0] - 1, probabilities(5, 60, 2)[:, 1]):
        ours, theirs = (one.top_k_accuracy_score(true > 1, binary, k=k) for one in (m, sklearn))
        assert ours == theirs


def test_bits_and_perplexity_are_of_the_loss():
    rng = np.random.default_rng(6)
    logits, targets = 5 * rng.standard_normal((7, 3, 11)), rng.integers(0, 11, (7, 3))
    lengths = np.array([7, 2, 5])
    loss, _ = fd.softmax_cross_entropy(logits, targets, lengths=lengths)
    assert m.bits_per_character(targets, logits, lengths=lengths) == pytest.approx(loss / math.log(2), rel=1e-12)
    assert m.perplexity(targets, logits, lengths=lengths) == pytest.approx(math.exp(loss), rel=1e-12)
    logits[3, 0, (targets[3, 0] + 1) % 11] = -np.inf
    assert np.isfinite(m.perplexity(targets, logits))
    logits[3, 0, targets[3, 0]] = -np.inf  # what cannot be, was
    assert m.perplexity(targets, logits) == math.inf
    huge = np.array([[1e308, -1e308], [1e308, 1e308]])
    assert m.bits_per_character([0, 1], huge) == pytest.approx(0.5)


# ---- numbers


def awkward_numbers():
    rng = np.random.default_rng(7)
    true, predicted, weight = rng.normal(3, 2, (40, 3)), rng.normal(3, 2, (40, 3)), rng.uniform(0, 2, 40)
    yield "one output", true[:, 0], predicted[:, 0], None
    yield "weighted", true[:, 0], predicted[:, 0], weight
    yield "three outputs", true, predicted, weight
    yield "float32", true.astype(np.float32), predicted.astype(np.float32), weight
    yield "zeros", np.where(true > 3, 0, true), np.where(predicted > 3, 0, predicted), None
    yield "a constant output", np.where([True, False, False], 2.0, true), predicted, None
    yield "all right", true, true.copy(), None
    yield "constant and right", np.ones((4, 2)), np.ones((4, 2)), None
    yield "integers", true.round().astype(int), predicted.round().astype(int), None
    yield "far from 0", true + 1e6, predicted + 1e6, weight
    yield "lists", true[:, 0].tolist(), predicted[:, 0].tolist(), None
    yield "strided", true[::2, ::-1], predicted[::2, ::-1], None


NUMBERS = [pytest.param(*row[1:], id=row[0]) for row in awkward_numbers()]
ERRORS = (
    "mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_pinball_loss", "r2_score",
)  # fmt: skip


@pytest.mark.parametrize(("true", "predicted", "weight"), NUMBERS)
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, true, predicted, weight):
    outputs = 1 if np.ndim(true) == 1 else np.shape(true)[1]
    tolerance = 2e-6 if getattr(true, "dtype", None) == np.float32 else 1e-9
    ways = ["uniform_average", "raw_values", *([np.arange(1.0, outputs + 1)] if outputs > 1 else [])]
    for way in ways + ["variance_weighted"] * (name == "r2_score"):
        variants = [{"alpha": 0.0}, {"alpha": 0.3}, {"alpha": 1.0}] if name == "mean_pinball_loss" else [{}]
        variants += [{"force_finite": False}] * (name == "r2_score")
        for variant in variants:
            options = {"multioutput": way, "sample_weight": weight, **variant}
            ours, theirs = (getattr(one, name)(true, predicted, **options) for one in (m, sklearn))
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("name", [*ERRORS, "symmetric_mean_absolute_percentage_error", "average_relative_variance"])
def test_masked_numbers_may_be_anything(name):
    rng = np.random.default_rng(8)
    true, predicted = rng.normal(size=(6, 4, 2)), rng.normal(size=(6, 4, 2))
    lengths = np.array([6, 2, 0, 5])
    keep = np.arange(6)[:, None] < lengths
    true[~keep], predicted[~keep] = np.nan, np.inf
    function = getattr(m, name)
    expected = function(true[keep], predicted[keep])
    assert function(true, predicted, lengths=lengths) == pytest.approx(expected, rel=1e-12)
    assert function(true, predicted, mask=keep) == pytest.approx(expected, rel=1e-12)
    assert function(true, predicted, mask=np.stack([keep, keep], 2)) == pytest.approx(expected, rel=1e-12)
    each = function(true[..., 0], predicted[..., 0], lengths=lengths, multioutput="raw_values")
    assert np.isnan(each).tolist() == [False, False, True, False]  # no step of that sequence counts
    column = function(true[:2, 1, 0], predicted[:2, 1, 0])
    assert each[1] == pytest.approx(column, rel=1e-12)
    mean = function(true[..., 0], predicted[..., 0], lengths=lengths)
    assert mean == pytest.approx(np.nanmean(each), rel=1e-12)


def test_smape_and_mase_are_the_m4_competition_s():
    """The formulas of its benchmark code: 200 / h sum |y - f| / (|y| + |f|); and the mean error over the mean of
    |y_t - y_{t-m}| in sample."""
    rng = np.random.default_rng(9)
    series, future, forecast = rng.uniform(5, 50, 60), rng.uniform(5, 50, 12), rng.uniform(5, 50, 12)
    smape = 200 / 12 * sum(abs(y - f) / (abs(y) + abs(f)) for y, f in zip(future, forecast, strict=True))
    assert 100 * m.symmetric_mean_absolute_percentage_error(future, forecast) == pytest.approx(smape, rel=1e-12)
    for period in (1, 12):
        scale = sum(abs(series[t] - series[t - period]) for t in range(period, 60)) / (60 - period)
        mase = sum(abs(y - f) for y, f in zip(future, forecast, strict=True)) / 12 / scale
        found = m.mean_absolute_scaled_error(future, forecast, series, period=period)
        assert found == pytest.approx(mase, rel=1e-12)
    naive = m.mean_absolute_scaled_error(series[1:], series[:-1], series)
    assert naive == pytest.approx(1.0, rel=1e-12)
    two = m.mean_absolute_scaled_error(
        np.stack([future, 2 * future], 1), np.stack([forecast, 2 * forecast], 1), np.stack([series, 2 * series], 1),
        multioutput="raw_values",
    )  # fmt: skip
    assert two[0] == pytest.approx(two[1], rel=1e-12)
    together = m.get("mase", y_train=np.stack([series, 2 * series], 1))  # one mean error over one scale
    together.update(np.stack([forecast, forecast], 1), np.stack([future, future], 1))
    error, scale = np.abs(future - forecast).mean(), 1.5 * np.abs(np.diff(series)).mean()
    assert together.result() == pytest.approx(error / scale, rel=1e-12)


def test_coverage_counts_both_ends():
    assert m.interval_coverage([0.0, 1.0, 2.0], [0.0, 0.0, 2.1], [0.5, 1.0, 3.0]) == pytest.approx(2 / 3)
    normal = np.random.default_rng(10).standard_normal(20_000)
    found = m.interval_coverage(normal, np.full(20_000, -1.6449), np.full(20_000, 1.6449))
    assert found == pytest.approx(0.9, abs=0.01)
    with pytest.raises(ValueError, match="y_lower: got 2 above 1, expected at most the upper end, y_upper"):
        m.interval_coverage([1.0], [2.0], [1.0])


def test_pinball_of_several_levels_is_the_quantile_loss():
    rng = np.random.default_rng(11)
    true, predicted = rng.normal(size=(9, 2)), rng.normal(size=(9, 2, 3))
    levels = [0.1, 0.5, 0.9]
    loss, _ = fd.quantile_loss(predicted, true, quantiles=levels)
    assert m.mean_pinball_loss(true, predicted, alpha=levels) == pytest.approx(loss, rel=1e-12)


def test_arv_is_one_minus_r2_unless_the_variance_is_given():
    rng = np.random.default_rng(12)
    true, predicted, weight = rng.normal(size=20), rng.normal(size=20), rng.uniform(size=20)
    arv = m.average_relative_variance(true, predicted, sample_weight=weight)
    assert arv == pytest.approx(1 - m.r2_score(true, predicted, sample_weight=weight), rel=1e-12)
    over = m.average_relative_variance(true, predicted, variance=3.0)
    assert over == pytest.approx(np.mean((true - predicted) ** 2) / 3)
    with pytest.raises(ValueError, match="y_true: does not vary"):
        m.average_relative_variance([1.0, 1.0], [1.0, 2.0])


def test_what_does_not_vary_has_no_spread_to_the_bit():
    weight = np.random.default_rng(13).uniform(size=30)
    constant, other = np.full(30, 0.1), np.arange(30.0)
    assert m.r2_score(constant, other, sample_weight=weight) == 0.0
    metric = m.get("r2")
    for part in np.array_split(np.arange(30), 4):
        metric.update(other[part], constant[part], sample_weight=weight[part])
    assert metric.result() == 0.0


# ---- what is refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: m.accuracy_score([0, math.nan], [0, 1]), r"y_true\[1\]: got nan, expected a class"),
        (lambda: m.accuracy_score([0, 1], [0.5, 1]), r"y_pred\[0\]: got 0.5, expected a class"),
        (lambda: m.accuracy_score([0, 1], ["a", "b"]), "y_pred: got texts, expected integers like y_true"),
        (lambda: m.accuracy_score([0, 1], [0]), r"y_pred: got shape \(1,\), expected \(2,\)"),
        (lambda: m.accuracy_score([], []), "y_true: got nothing that counts"),
        (lambda: m.accuracy_score([1], [1], mask=[False]), "y_true: got nothing that counts"),
        (lambda: m.accuracy_score([1], [1], mask=[1]), "mask: got dtype int64, expected bool"),
        (lambda: m.accuracy_score([1], [1], sample_weight=[-1]), "sample_weight: got -1, expected numbers of"),
        (lambda: m.accuracy_score([1], [1], sample_weight=[math.nan]), r"sample_weight\[0\]: got nan"),
        (lambda: m.accuracy_score([1], [1], lengths=[1]), r"y_true: got shape \(1,\), expected \(T, B, ...\)"),
        (lambda: m.accuracy_score([[1]], [[1]], lengths=[2]), "lengths: got values from 2 to 2, expected 0 to 1"),
        (lambda: m.f1_score(["a"], ["b"]), "pos_label: got 1, expected one of"),
        (lambda: m.f1_score([0, 1], [0, 1], average="samples"), "average: got 'samples', expected one of"),
        (lambda: m.confusion_matrix([0, 1], [0, 1], labels=[5]), "labels: got none of the classes of y_true"),
        (lambda: m.confusion_matrix([0, 1], [0, 1], labels=[0, 0]), "labels: got .*each once"),
        (lambda: m.log_loss([0, 1], [[0.5, 0.4], [0.5, 0.5]]), "y_proba: got a row whose sum is 0.9"),
        (lambda: m.log_loss([0, 1], [[2.0, -1.0], [0.5, 0.5]]), "y_proba: got -1, expected probabilities"),
        (lambda: m.log_loss([0, 1], [[math.nan, 1.0], [0.5, 0.5]]), r"y_proba\[0, 0\]: got nan"),
        (lambda: m.log_loss([0, 0], [[0.5, 0.5]] * 2), "y_proba: got 2 classes, expected 1 as of y_true"),
        (lambda: m.top_k_accuracy_score([0, 5], [[1, 2, 3]] * 2, labels=[0, 1, 2]), "y_true: got the class 5"),
        (lambda: m.perplexity([4], np.zeros((1, 4))), "y_true: got 4, expected 0 to 3"),
        (lambda: m.perplexity([0], [[math.nan, 1.0]]), r"logits\[0\]: got nan"),
        (lambda: m.r2_score([1.0], [1.0]), "y_true: got one value that counts .*, expected two or more"),
        (lambda: m.mean_absolute_error([1.0, math.inf], [1.0, 1.0]), r"y_true\[1\]: got inf"),
        (lambda: m.mean_absolute_error([1.0], [[1.0]]), r"y_pred: got shape \(1, 1\), expected \(1,\)"),
        (lambda: m.mean_absolute_error([1.0], [1.0], multioutput=[1.0, 2.0]), "multioutput: got 2 weights, expected 1"),
        (lambda: m.mean_absolute_error([1.0], [1.0], multioutput="x"), "multioutput: got 'x', expected one of"),
        (lambda: m.mean_absolute_scaled_error([1.0], [1.0], [2.0, 2.0]), "y_train: repeats itself"),
        (lambda: m.mean_absolute_scaled_error([1.0], [1.0], [2.0], period=3), "y_train: got 1 values, expected more"),
        (lambda: m.mean_pinball_loss([1.0], [1.0], alpha=1.5), r"alpha: got 1.5, expected a number in \[0, 1\]"),
        (lambda: m.edit_distance("a", 3), "hypothesis: got 3, expected several symbols"),
        (lambda: m.word_error_rate(["a"], ["a", "b"]), "hypothesis: got 2 texts, expected 1 as of the reference"),
        (lambda: m.word_error_rate([""], ["a"]), "reference: got nothing that counts"),
        (lambda: m.word_error_rate(["a", [None]], ["a", "b"]), r"reference\[1\]: got None in a sequence"),
        (lambda: m.get("acuracy"), "metric: got 'acuracy', expected one of accuracy, "),
        (lambda: m.get(3), "metric: got 3, expected a name or a function"),
        (lambda: m.get("accuracy", k=3), "k: got 3, expected of this metric's options: normalize"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
