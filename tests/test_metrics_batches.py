"""A metric over batches is the function of the whole; it merges, copies, pickles and reads a model's outputs."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import fastdl as fd

m = fd.metrics
T, B, C = 9, 7, 5
RNG = np.random.default_rng(0)
LOGITS, TARGETS = RNG.standard_normal((T, B, C)), RNG.integers(0, C, (T, B))
CLASSES = LOGITS.argmax(-1)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
NUMBERS, TRUTHS = RNG.normal(3, 2, (T, B)), RNG.normal(3, 2, (T, B))
SERIES, QUANTILES = RNG.normal(3, 2, 30), np.sort(RNG.normal(3, 2, (T, B, 3)))
SAID = [" ".join(RNG.choice(["to", "be", "or", "not"], n)) for n in RNG.integers(1, 9, T)]
HEARD = [" ".join(RNG.choice(["to", "be", "or", "not"], n)) for n in RNG.integers(0, 9, T)]
MORE = {"labels": range(C)}
POOLED = {"multioutput": "pooled"}
NEEDED = {"mase": {"y_train": SERIES}}  # options without which there is no such metric
ERRORS = {"mse": m.mean_squared_error, "rmse": m.root_mean_squared_error, "mae": m.mean_absolute_error,
          "mape": m.mean_absolute_percentage_error, "smape": m.symmetric_mean_absolute_percentage_error,
          "pinball": m.mean_pinball_loss, "r2": m.r2_score, "arv": m.average_relative_variance}  # fmt: skip


def rows():
    """(name, options, outputs, targets, the function of the whole with sample weights)"""
    for name, function, options in (
        ("accuracy", m.accuracy_score, {}),
        ("balanced_accuracy", m.balanced_accuracy_score, {}),
        ("f1", m.f1_score, {"average": None}),
        ("f1_macro", m.f1_score, {"average": "macro"}),
        ("f1_micro", m.f1_score, {"average": "micro"}),
        ("f1_weighted", m.f1_score, {"average": "weighted"}),
        ("confusion_matrix", m.confusion_matrix, MORE),
    ):
        yield name, options, LOGITS, TARGETS, lambda f=function, o=options, **w: f(TARGETS, CLASSES, **o, **w)
    for name, function, options, scores in (
        ("log_loss", m.log_loss, MORE, PROBABILITIES),
        ("top_k_accuracy", m.top_k_accuracy_score, MORE | {"k": 3}, LOGITS),
        ("bits_per_character", m.bits_per_character, {}, LOGITS),
        ("perplexity", m.perplexity, {}, LOGITS),
    ):
        yield name, options, LOGITS, TARGETS, lambda f=function, o=options, s=scores, **w: f(TARGETS, s, **o, **w)
    for name, function in ERRORS.items():
        yield name, {}, NUMBERS, TRUTHS, lambda f=function, **w: f(TRUTHS, NUMBERS, **POOLED, **w)
    scale = {"y_train": SERIES, "period": 4}
    yield (
        "mase",
        scale,
        NUMBERS,
        TRUTHS,
        lambda **w: m.mean_absolute_scaled_error(TRUTHS, NUMBERS, **scale, **POOLED, **w),
    )
    ends = QUANTILES[..., 0], QUANTILES[..., -1]
    yield "coverage", {}, QUANTILES, TRUTHS, lambda **w: m.interval_coverage(TRUTHS, *ends, **POOLED, **w)
    for name, function in (("wer", m.word_error_rate), ("cer", m.character_error_rate)):
        yield name, {}, HEARD, SAID, lambda f=function, **w: f(SAID, HEARD, **w)
    yield (
        "edit_distance",
        {},
        HEARD,
        SAID,
        lambda sample_weight=None, **_: np.average(list(map(m.edit_distance, SAID, HEARD)), weights=sample_weight),
    )


ROWS = [pytest.param(*row, id=row[0]) for row in rows()]


def fed(metric, outputs, targets, cuts, weight=None):
    for start, end in itertools.pairwise(cuts):
        part = {} if weight is None else {"sample_weight": weight[start:end]}
        metric.update(outputs[start:end], targets[start:end], **part)
    return metric


def test_every_name_is_tested_here():
    assert {row[0] for row in rows()} == set(m._metric.NAMES)


@pytest.mark.parametrize(("name", "options", "outputs", "targets", "whole"), ROWS)
class TestEvery:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("cuts", [(0, T), (0, 1, 4, 4, T), tuple(range(T + 1))], ids=["one", "empty", "each"])
    def test_batches_are_the_whole(self, name, options, outputs, targets, whole, cuts, weighted):
        shape = np.shape(targets) if not weighted or isinstance(targets, np.ndarray) else (T,)
        weight = np.random.default_rng(1).uniform(0, 2, shape) if weighted else None
        found = fed(m.get(name, **options), outputs, targets, cuts, weight)
        expected = whole(sample_weight=weight)
        np.testing.assert_allclose(found.result(), expected, rtol=1e-12, atol=1e-14)
        assert np.shape(found.result()) == np.shape(expected)

    def test_merges_copies_pickles_and_goes_on(self, name, options, outputs, targets, whole):
        first = fed(m.get(name, **options), outputs, targets, (0, 3))
        others = copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first)), m.get(name, **options)
        others[3].load_state_dict(first.state_dict())
        second = fed(m.get(name, **options), outputs, targets, (3, T))
        for one in others:
            one.merge(second)
            one.merge(m.get(name, **options))  # which has seen nothing
            np.testing.assert_allclose(one.result(), whole(), rtol=1e-12, atol=1e-14)
        assert first.count < others[0].count == pytest.approx(fed(others[0], outputs, targets, (0, 0)).count)
        for key, value in first.state_dict().items():
            value[...] = value[::-1] if value.ndim else 0  # what was given out is a copy
            assert key in first.state_dict()
        first.reset()
        assert first.count == 0
        assert first.state_dict() == {}
        fed(first, outputs, targets, (0, T))
        np.testing.assert_allclose(first.result(), whole(), rtol=1e-12, atol=1e-14)

    def test_a_refused_batch_changes_nothing(self, name, options, outputs, targets, whole):
        metric = fed(m.get(name, **options), outputs, targets, (0, T))
        before = metric.result()
        for bad in (None, "x", np.full((T, B), math.nan), object()):
            with pytest.raises((TypeError, ValueError), match=r"^(outputs|targets)"):
                metric.update(bad, targets)
        np.testing.assert_array_equal(metric.result(), before)

    def test_nothing_has_no_result(self, name, options, outputs, targets, whole):
        metric = m.get(name, **options)
        for _ in range(2):
            with pytest.raises(ValueError, match=f"^{name}: nothing has counted yet"):
                metric.result()
            metric.update(outputs[:0], targets[:0])
        assert repr(m.get(name, **options)) == f"Metric({name!r})"
        assert m.get(metric) is metric


@pytest.mark.parametrize("name", [row[0] for row in rows() if isinstance(row[2], np.ndarray)])
def test_what_does_not_count_may_be_anything(name):
    _, options, outputs, targets, _ = next(row for row in rows() if row[0] == name)
    lengths = np.array([9, 1, 4, 0, 2, 9, 5])
    keep = np.arange(T)[:, None] < lengths
    clean = m.get(name, **options)
    for b in range(B):
        clean.update(outputs[: lengths[b], b], targets[: lengths[b], b])
    outputs, targets = outputs.copy(), targets.copy()
    outputs[~keep] = math.nan
    targets[~keep] = -1
    ways = [{"lengths": lengths}, {"mask": keep}]
    for way in ways:
        metric = m.get(name, **options)
        metric.update(outputs, targets, **way)
        np.testing.assert_allclose(metric.result(), clean.result(), rtol=1e-12)
    ignoring = m.get(name, ignore_index=-1, **options)
    ignoring.update(outputs, targets)
    np.testing.assert_allclose(ignoring.result(), clean.result(), rtol=1e-12)


def test_accuracy_reads_what_models_give():
    targets = np.array([0, 1, 1, 0])
    binary = np.array([-2.0, 3.0, -0.1, 0.0], np.float32)
    for outputs in (
        binary,
        binary[:, None],
        np.stack([-binary, binary], 1),
        (binary > 0).astype(np.int64),
        (binary > 0),
    ):
        metric = m.get("accuracy")
        metric.update(outputs, targets)
        assert metric.result() == 0.75
        assert metric.count == 4
    batch_first = m.get("accuracy")
    batch_first.update(LOGITS.swapaxes(0, 1), TARGETS.T)
    assert batch_first.result() == m.accuracy_score(TARGETS, CLASSES)
    with pytest.raises(ValueError, match=r"outputs\[1\]: got nan"):
        m.get("accuracy").update([[1.0, 2.0], [math.nan, 0.0]], [0, 1])
    with pytest.raises(ValueError, match=r"outputs: got shape \(2, 3\), expected \(4, 'C'\)"):
        m.get("accuracy").update(np.zeros((2, 3)), targets)


def test_a_function_of_one_s_own_is_weighted_by_counts():
    def worst(outputs, targets):
        return float(np.abs(outputs - targets).max())

    metric = m.get(worst)
    assert metric.name == "worst"
    assert metric.greater_is_better is None
    metric.update(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    metric.update(np.array([7.0]), np.zeros(1))
    assert metric.result() == (3 * 3.0 + 7.0) / 4
    counted = m.get(lambda z, y: fd.dense.LossValue(2.0, count=5))
    counted.update(np.zeros(3), np.zeros(3))
    assert counted.count == 5
    for reduction in ("mean", "sum"):
        loss = m.get(
            lambda z, y, reduction=reduction: fd.softmax_cross_entropy(z, y, ignore_index=-1, reduction=reduction)
        )
        for part in (slice(0, 2), slice(2, T)):
            loss.update(LOGITS[part], np.where(TARGETS == 3, -1, TARGETS)[part])
        expected = m.Metric("log_loss", ignore_index=3)
        expected.update(LOGITS, TARGETS)
        assert loss.result() == pytest.approx(expected.result(), rel=1e-12)
        assert loss.count == expected.count
    with pytest.raises(ValueError, match="mask: got .*, expected None for a function of one's own"):
        metric.update(np.zeros(2), np.zeros(2), mask=[True, True])
    with pytest.raises(TypeError, match=r"worse\(outputs, targets\): got 'x', expected a number"):
        m.get(type("worse", (), {"__call__": lambda *_: "x", "__name__": "worse"})()).update([0], [0])


def test_what_a_result_refuses_is_named_as_in_an_update():
    metric = m.get("arv")
    metric.update([1.0, 2.0], [3.0, 3.0])
    with pytest.raises(ValueError, match="^targets: does not vary"):
        metric.result()
    with pytest.raises(ValueError, match=r"^outputs: got shape \(2,\), expected \(3,\) as of targets"):
        metric.update([1.0, 2.0], [3.0, 3.0, 3.0])
    with pytest.raises(ValueError, match=r"^targets: got 4, expected 0 to 3 as of the logits, or a mask"):
        m.get("perplexity").update(np.zeros((1, 4)), [4])


def test_an_ignored_index_is_of_numbers():
    for targets in (["a", "b"], [["a"], ["b", "c"]]):
        with pytest.raises(TypeError, match="^targets: got"):
            m.get("wer", ignore_index=0).update(["a", "b"], targets)
    metric = m.get("accuracy", ignore_index=-1)
    metric.update([0, 1, 1], [0, -1, 0], mask=[True, True, False])
    assert (metric.result(), metric.count) == (1.0, 1)


def test_which_way_is_better():
    better = {name: m.get(name, **NEEDED.get(name, {})).greater_is_better for name in m._metric.NAMES}
    assert [name for name, value in better.items() if value] == [
        "accuracy", "balanced_accuracy", "f1", "f1_macro", "f1_micro", "f1_weighted", "top_k_accuracy", "r2",
    ]  # fmt: skip
    assert [name for name, value in better.items() if value is None] == ["confusion_matrix", "coverage"]


def test_functions_are_found_as_names_are():
    for function, name in m._metric.FUNCTIONS.items():
        assert m.get(function, **NEEDED.get(name, {})).name == name
    assert set(m.__all__) == {"Metric", "get", *(function.__name__ for function in m._metric.FUNCTIONS)}


def test_what_a_metric_needs_is_asked_for_at_once():
    with pytest.raises(ValueError, match="y_train: got None, expected the series that was trained on"):
        m.get("mase")


def test_outputs_beside_each_other_stay_apart():
    metric = m.get("rmse", multioutput="raw_values")
    metric.update(NUMBERS[:4], TRUTHS[:4])
    metric.update(NUMBERS[4:], TRUTHS[4:])
    expected = m.root_mean_squared_error(TRUTHS, NUMBERS, multioutput="raw_values")
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="targets: got 2 outputs, expected 7 as before"):
        metric.update(NUMBERS[:, :2], TRUTHS[:, :2])


def test_what_does_not_belong_is_not_merged_or_loaded():
    accuracy, top = m.get("accuracy"), m.get("top_k_accuracy")
    fed(accuracy, LOGITS, TARGETS, (0, T))
    with pytest.raises(ValueError, match="other: got Metric.*, expected one of accuracy with the same options"):
        accuracy.merge(top)
    with pytest.raises(ValueError, match="other: got"):
        m.get("mase", y_train=SERIES).merge(m.get("mase", y_train=SERIES + 1))
    with pytest.raises(TypeError, match="other: got 3, expected a Metric"):
        accuracy.merge(3)
    before = accuracy.result()
    for state, message in (
        ({"total": 1.0}, "state: names do not fit: missing .'weight'."),
        ({"total": 1.0, "weight": [1.0]}, r"state\['weight'\]|state\['total'\]: got shape"),
        ({"total": math.nan, "weight": 1.0}, r"state\['total'\]: got what is not finite"),
        ({"total": "x", "weight": 1.0}, r"state\['total'\]: got texts"),
        (3, "state: got int, expected a mapping of arrays"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            accuracy.load_state_dict(state)
    assert accuracy.result() == before


def test_many_classes_need_no_table():
    many = np.arange(200_000)
    metric = m.get("f1_macro")
    metric.update(many, many)
    metric.update(many[::-1].copy(), many)
    assert 0 < metric.result() <= 0.5 + 1e-9


# ---- edit distance


def by_the_table(one, other):
    """The dynamic programme as it is taught."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        corner, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1]


@pytest.mark.parametrize("symbols", [1, 2, 4, 50])
def test_edit_distance_is_the_table_s(symbols):
    rng = np.random.default_rng(symbols)
    for longest in (3, 20, 70, 140):  # beyond one machine word, and beyond two
        for _ in range(25):
            one, other = (rng.integers(0, symbols, rng.integers(0, longest)) for _ in range(2))
            expected = by_the_table(one.tolist(), other.tolist())
            assert m.edit_distance(one, other) == expected == m.edit_distance(other.tolist(), one.tolist())
    assert m.edit_distance("", "") == 0
    assert m.edit_distance("abc", "") == m.edit_distance("", "abc") == 3
    assert m.edit_distance("héllo", "hello") == 1


def test_error_rates_are_sums_over_sums():
    assert m.word_error_rate(["a b c d", "x"], ["a b c d", "y"]) == 0.2
    assert m.word_error_rate("  a\tb\n", "a b") == 0
    assert m.word_error_rate([["a", "b c"]], [["a", "b"]]) == 0.5
    assert m.word_error_rate(["", "a"], ["x y", "a"]) == 2  # what was put into an empty one counts
    assert m.character_error_rate([" ab "], ["ab"]) == 0
    assert m.word_error_rate(["a", "b"], ["x", "b"], mask=[False, True]) == 0
    assert m.word_error_rate(["a", "b c"], ["x", "b c"], sample_weight=[2, 1]) == 0.5


@pytest.mark.peer
def test_error_rates_are_jiwer_s():
    jiwer = pytest.importorskip("jiwer")
    rng = np.random.default_rng(14)
    words = ["to", "be", "or", "not", "that", "is", "the", "question", "ä", "it's"]
    said, heard = ([" ".join(rng.choice(words, n)) for n in rng.integers(1, 30, 60)] for _ in range(2))
    heard[3], said[5] = "", "  two   spaces "
    assert m.word_error_rate(said, heard) == pytest.approx(jiwer.wer(said, heard), rel=1e-15)
    assert m.character_error_rate(said, heard) == pytest.approx(jiwer.cer(said, heard), rel=1e-15)
    for one, other in zip(said, heard, strict=True):
        assert m.word_error_rate(one, other) == pytest.approx(jiwer.wer(one, other), rel=1e-15)
