"""Estimators over sequences: what X may be, what is learned, files, searches, errors."""

import copy
import os
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is imported, or the checks of array APIs are left out

import pandas as pd
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastdl as fd
from fastdl.estimators import SequenceClassifier, SequenceNetwork, SequenceRegressor, SequenceTagger
from fastdl.estimators._sequence_network import CELLS, POOLINGS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = [RNG.standard_normal((n, 2)).astype(np.float32) for n in RNG.integers(2, 9, 48)]
Y = np.array(["up" if one[:, 0].sum() > 0 else "down" for one in X])
NUMBERS = np.array([100 + 5 * one[:, 0].sum() for one in X])
TAGS = [np.where(np.cumsum(one[:, 0]) > 0, "P", "N") for one in X]
EQUAL = RNG.standard_normal((24, 5, 2))
TEXTS = [text.split() for text in ("so good", "good stuff", "really bad", "bad bad stuff", "all bad", "good")]
MOODS = [1, 1, 0, 0, 0, 1]


def quick(kind=SequenceClassifier, **settings):
    return kind(**{"hidden_size": 8, "max_iter": 3, "random_state": 0, **settings})


def learned(kind=SequenceClassifier, **settings):
    return quick(kind, **{"max_iter": 60, "learning_rate_init": 0.02, **settings})


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        quick(max_iter=60, learning_rate_init=0.01, hidden_size=16),
        quick(SequenceRegressor, max_iter=60, learning_rate_init=0.01, hidden_size=16),
    ]
)
def test_every_check_of_an_estimator(estimator, check):
    check(estimator)


# ---- what X may be ----------------------------------------------------------------------------------------------


def nested(arrays):
    """A frame as sktime's nested_univ."""
    columns = range(arrays[0].shape[1])
    return pd.DataFrame({f"f{j}": [pd.Series(one[:, j]) for one in arrays] for j in columns})


def objects(arrays):
    found = np.empty(len(arrays), dtype=object)
    found[:] = arrays
    return found


FORMS = {
    "lists": lambda arrays: [one.tolist() for one in arrays],
    "tuple": tuple,
    "object array": objects,
    "series": pd.Series,
    "frames": lambda arrays: [pd.DataFrame(one) for one in arrays],
    "nested frame": nested,
    "objects in objects": lambda arrays: [objects(list(one)) for one in arrays],
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_sequences_are_the_same(form):
    plain, other = quick(dtype=np.float32).fit(X, Y), quick(dtype=np.float32).fit(FORMS[form](X), Y)
    np.testing.assert_array_equal(plain.predict_proba(X), other.predict_proba(FORMS[form](X)))
    np.testing.assert_array_equal(plain.predict_proba(X), other.predict_proba(X))
    assert other.n_features_in_ == 2


def test_an_array_is_a_list_of_equal_length():
    y = EQUAL[:, :, 0].sum(1) > 0
    whole, parts = quick().fit(EQUAL, y), quick().fit(list(EQUAL), y)
    np.testing.assert_array_equal(whole.predict_proba(EQUAL), parts.predict_proba(list(EQUAL)))
    assert whole.predict(EQUAL[:, :3]).shape == (24,)  # shorter ones
    assert whole.n_features_in_ == 2


def test_columns_of_a_table_are_the_steps_of_one_feature():
    table, y = EQUAL[..., 0], EQUAL[:, :, 0].sum(1) > 0
    flat, deep = quick().fit(table, y), quick().fit(table[..., None], y)
    np.testing.assert_array_equal(flat.predict_proba(table), deep.predict_proba(table[..., None]))
    assert (flat.n_features_in_, deep.n_features_in_) == (5, 1)
    with pytest.raises(ValueError, match="X has 3 features, but SequenceClassifier is expecting 5 features as input"):
        flat.predict(table[:, :3])
    assert flat.predict(list(table[:, :3])).shape == deep.predict(table[:, :3]).shape == (24,)
    named = quick().fit(pd.DataFrame(table, columns=list("abcde")), y)
    assert named.feature_names_in_.tolist() == list("abcde")
    rows = quick().fit([[1, 2, 3], [3, 2, 1]], [0, 1])
    assert rows.predict([[1, 2], [5]]).shape == (2,)


def test_the_network_is_of_the_data_s_type():
    for dtype, wanted in ((np.float32, np.float32), (np.float64, np.float64), (np.int64, np.float64)):
        model = quick().fit([one.astype(dtype) for one in X], Y)
        assert model.model_.parameters().dtype == model.predict_proba(X).dtype == wanted
    assert quick(dtype=np.float32).fit(EQUAL, [0, 1] * 12).predict_proba(EQUAL).dtype == np.float32


def test_a_prediction_does_not_depend_on_the_other_sequences():
    for cell in ("lstm", "mingru"):
        for pooling in POOLINGS:
            model = quick(cell=cell, pooling=pooling, bidirectional=True, conv_channels=(4,)).fit(X, Y)
            alone = np.concatenate([model.predict_proba([one]) for one in X])
            np.testing.assert_allclose(model.predict_proba(X), alone, rtol=1e-5, atol=1e-6)


# ---- tokens -----------------------------------------------------------------------------------------------------


def test_tokens_have_a_vocabulary_and_unknown_ones():
    model = learned(pooling="mean").fit(TEXTS, MOODS)
    assert model.predict([["truly", "good"], ["bad", "idea"]]).tolist() == [1, 0]
    assert model.vocabulary_["so"] == 1
    assert len(model.vocabulary_) == 6
    assert not hasattr(model, "n_features_in_")
    frame = pd.DataFrame({"text": TEXTS})
    np.testing.assert_array_equal(
        learned(pooling="mean").fit(frame, MOODS).predict_proba(frame), model.predict_proba(TEXTS)
    )


def test_numbers_are_tokens_where_an_embedding_is_asked_for():
    model = quick(embedding_size=4).fit([[7, 7], [9], [7, 9, 9]], [0, 1, 1])
    assert model.vocabulary_ == {7: 1, 9: 2}
    assert model.predict([np.array([9, 1000])]).shape == (1,)
    model.set_params(embedding_size=None).fit(X, Y)
    assert not hasattr(model, "vocabulary_")
    assert model.n_features_in_ == 2
    model.set_params(embedding_size=4).fit([["a"], ["b"]], [0, 1])
    assert not hasattr(model, "n_features_in_")


def test_the_unknown_token_is_learned():
    model = quick(unknown=0.5, max_iter=20).fit(TEXTS, MOODS)
    first = model._network(model._inputs(TEXTS, fresh=False), np.random.RandomState(0))
    table = "layers.0.embedding.weight"
    trained, before = model.model_.state_dict()[table], first.state_dict()[table]
    assert trained.shape == before.shape == (7, 64)
    moved = quick(unknown=0.0, max_iter=20).fit(TEXTS, MOODS).model_.state_dict()[table]
    same = quick(unknown=0.0, max_iter=1).fit(TEXTS, MOODS).model_.state_dict()[table]
    np.testing.assert_array_equal(moved[0], same[0])
    assert (trained[0] != moved[0]).any()


# ---- what is learned --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_with_every_pooling(cell):
    for pooling in POOLINGS:
        model = learned(cell=cell, pooling=pooling, hidden_size=12).fit(X, Y)
        assert model.score(X, Y) > 0.85, pooling


@pytest.mark.parametrize("settings", [{"pooling": one} for one in (None, *POOLINGS)] + [{"tokens": True}], ids=str)
def test_gradients_are_those_of_differences(settings):
    tokens = settings.get("tokens", False)
    network = SequenceNetwork(
        3, 2, cell="rnn", hidden_size=3, conv_channels=() if tokens else (2,), conv_kernel_size=2, rng=0,
        dtype=np.float64, **settings,
    )  # fmt: skip
    if network.standardization is not None:
        network.standardization.mean, network.standardization.scale = np.arange(3.0), np.arange(1.0, 4)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 3, (4, 3)) if tokens else rng.standard_normal((4, 3, 3))
    for name, one in network.named_parameters():
        if name.endswith("query"):
            one.data = rng.standard_normal(one.shape)
    checks = network.check_gradients((x, np.array([4, 1, 2])), entries=2)
    assert checks, checks


def test_numbers_are_standardised_whatever_their_scale():
    moved = [1000 * one.astype(np.float64) + 5e5 for one in X]
    plain = quick(dtype=np.float64).fit([one.astype(np.float64) for one in X], Y)
    np.testing.assert_allclose(quick().fit(moved, Y).predict_proba(moved), plain.predict_proba(X), rtol=1e-5, atol=1e-6)
    steps = np.concatenate(X)
    np.testing.assert_allclose(plain.mean_, steps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(plain.scale_, steps.std(0), rtol=1e-5)
    constant = quick().fit([np.ones((3, 1)), np.ones((2, 1))], [0, 1])
    assert constant.scale_.tolist() == [1]
    assert quick(standardize=False).fit(X, Y).mean_ is None


def test_regression_on_any_scale_of_targets():
    model = learned(SequenceRegressor).fit(X, NUMBERS)
    assert model.score(X, NUMBERS) > 0.9
    np.testing.assert_allclose(model.target_mean_, NUMBERS.mean())
    far = learned(SequenceRegressor).fit(X, 1e6 * NUMBERS)
    np.testing.assert_allclose(far.predict(X), 1e6 * model.predict(X), rtol=1e-4)
    both = learned(SequenceRegressor).fit(X, np.stack([NUMBERS, -NUMBERS], 1))
    assert both.predict(X).shape == (48, 2)
    assert both.score(X, np.stack([NUMBERS, -NUMBERS], 1)) > 0.9
    median = learned(SequenceRegressor, loss="quantile", quantile=0.9, max_iter=150).fit(X, NUMBERS)
    assert (median.predict(X) >= NUMBERS).mean() > 0.6
    counts = quick(SequenceRegressor, loss="poisson").fit(X, [len(one) for one in X])
    assert counts.target_scale_.tolist() == [1]
    assert (counts.predict(X) > 0).all()


def test_what_counts_nothing_is_not_seen():
    weights = np.array([1.0, 0.0] * 24)
    for kind, y in ((SequenceClassifier, Y), (SequenceRegressor, NUMBERS)):
        some, weighed = quick(kind).fit(X[::2], y[::2]), quick(kind).fit(X, y, weights)
        np.testing.assert_array_equal(weighed.model_.parameters().data, some.model_.parameters().data)
        np.testing.assert_array_equal(weighed.predict(X), some.predict(X))
    tagger = quick(SequenceTagger).fit(X, TAGS, weights)
    other = quick(SequenceTagger).fit(X[::2], TAGS[::2])
    np.testing.assert_array_equal(tagger.predict_proba(X)[1], other.predict_proba(X)[1])


@pytest.mark.parametrize(
    ("kind", "y"),
    [(SequenceClassifier, Y), (SequenceRegressor, NUMBERS), (SequenceTagger, TAGS)],
    ids=["classifier", "regressor", "tagger"],
)
def test_a_weight_is_so_many_repetitions(kind, y):
    weights = np.arange(48) % 3
    again = np.repeat(np.arange(48), weights)
    x = [one.astype(np.float64) for one in X]  # in float64, since the sums are in another order
    weighed = quick(kind).fit(x, y, weights)
    repeated = quick(kind).fit([x[k] for k in again], [y[k] for k in again])
    near = {"rtol": 1e-6, "atol": 1e-8}
    np.testing.assert_allclose(weighed.mean_, repeated.mean_, **near)
    np.testing.assert_allclose(weighed.scale_, repeated.scale_, **near)
    np.testing.assert_allclose(weighed.model_.parameters().data, repeated.model_.parameters().data, **near)


def test_classes_count_what_they_are_said_to():
    y = np.array(["rare"] * 6 + ["common"] * 42)
    noise = [RNG.standard_normal((3, 1)) for _ in y]
    plain, balanced = (
        learned(max_iter=10, class_weight=one).fit(noise, y).predict_proba(noise)[:, 1].mean()
        for one in (None, "balanced")
    )
    assert plain < 0.25 < 0.35 < balanced


def test_training_goes_on_stops_and_tells():
    seen = []

    class Note(fd.training.Callback):
        def on_epoch_end(self, run):
            seen.append(run.epoch)

    model = quick(warm_start=True, callbacks=[Note()]).fit(X, Y)
    first = model.loss_
    assert model.fit(X, Y).loss_ < first
    assert seen == [1, 2, 3, 1, 2, 3]
    early = learned(early_stopping=True, n_iter_no_change=3).fit(X, Y)
    assert early.best_validation_score_ == max(early.validation_scores_)
    assert early.n_iter_ < 60
    part = quick().partial_fit(X[:9], Y[:9], classes=["down", "up"]).partial_fit(X, Y)
    assert len(part.loss_curve_) == 2
    for solver in ("lbfgs", "sgd", "adamw"):
        assert np.isfinite(quick(solver=solver).fit(X, Y).loss_)
    assert quick(cell_options={"zoneout": 0.2, "merge": "sum"}, bidirectional=True).fit(X, Y).predict(X).shape == (48,)
    several = quick().fit(EQUAL, RNG.integers(0, 2, (24, 3)))
    assert several.predict(EQUAL).shape == several.predict_proba(EQUAL).shape == (24, 3)


# ---- taggers ----------------------------------------------------------------------------------------------------


def test_a_tagger_tags_every_step():
    tagger = learned(SequenceTagger).fit(X, TAGS)
    assert tagger.score(X, TAGS) > 0.9
    predicted, probabilities = tagger.predict(X), tagger.predict_proba(X)
    for x, tags, shares in zip(X, predicted, probabilities, strict=True):
        assert tags.shape == (len(x),)
        assert shares.shape == (len(x), 2)
        assert (tags == tagger.classes_[shares.argmax(1)]).all()
        np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    right = np.concatenate(predicted) == np.concatenate(TAGS)
    assert tagger.score(X, TAGS) == right.mean()
    weights = np.arange(48.0)
    np.testing.assert_allclose(
        tagger.score(X, TAGS, weights), np.average(right, weights=np.repeat(weights, [len(one) for one in X]))
    )
    assert tagger.score(X[:2], [["?"] * len(one) for one in X[:2]]) == 0


def test_a_tagger_of_arrays_gives_arrays():
    y = (EQUAL[..., 0] > 0).astype(int)
    tagger = quick(SequenceTagger).fit(EQUAL, y)
    assert tagger.predict(EQUAL).shape == (24, 5)
    assert tagger.predict_proba(EQUAL).shape == (24, 5, 2)
    parts = quick(SequenceTagger).fit(list(EQUAL), list(y))
    np.testing.assert_array_equal(np.stack(parts.predict(list(EQUAL))), tagger.predict(EQUAL))


def test_a_tagger_learns_as_the_others_do():
    assert quick(SequenceTagger, early_stopping=True).fit(X, TAGS).validation_scores_
    part = quick(SequenceTagger).partial_fit(X[:2], [["N"] * len(one) for one in X[:2]], classes=["N", "P"])
    assert len(part.partial_fit(X, TAGS).loss_curve_) == 2
    shares = [
        np.concatenate(learned(SequenceTagger, class_weight=one, max_iter=10).fit(X, TAGS).predict_proba(X))[
            :, 1
        ].mean()
        for one in ({"P": 0.1}, "balanced", {"P": 10.0})
    ]
    assert shares[0] + 0.1 < shares[1] < shares[2] - 0.1
    assert np.isfinite(quick(SequenceTagger, solver="lbfgs").fit(X, TAGS).loss_)
    assert len(cross_val_score(quick(SequenceTagger), X, TAGS, cv=2)) == 2
    for y, text in (
        (None, "y: got None"),
        (Y, "y: got"),
        (TAGS[:-1], "y: got 47 sequences of tags, expected 48"),
        ([one[1:] for one in TAGS], r"y\[0\]: got shape"),
        ([np.linspace(0, 1, len(one)) for one in TAGS], r"y\[0\]: .* whole numbers or texts"),
    ):
        with pytest.raises(ValueError, match=text):
            quick(SequenceTagger).fit(X, y)
    with pytest.raises(ValueError, match=r"the tags \['Z'\]"):
        part.partial_fit(X, [["Z"] * len(one) for one in X])


# ---- as scikit-learn's --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "x", "y"),
    [(SequenceClassifier, X, Y), (SequenceRegressor, X, NUMBERS), (SequenceTagger, X, TAGS),
     (SequenceClassifier, TEXTS, MOODS)],
    ids=["classifier", "regressor", "tagger", "tokens"],
)  # fmt: skip
def test_copies_and_files_predict_the_same(kind, x, y, tmp_path):
    model = quick(kind, dropout=0.1, num_layers=2, pooling="attention") if kind is not SequenceTagger else quick(kind)
    model.fit(x, y)
    wanted = np.concatenate([np.atleast_1d(one) for one in model.predict(x)])
    fd.save(model, tmp_path / "model.safetensors")
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), fd.load(tmp_path / "model.safetensors")]
    for other in copies:
        assert type(other) is kind
        assert other.get_params() == model.get_params()
        np.testing.assert_array_equal(np.concatenate([np.atleast_1d(one) for one in other.predict(x)]), wanted)
    assert not hasattr(clone(model), "model_")
    assert copies[2].partial_fit(x, y).t_ > model.t_ - 1


def test_searches_and_cross_validation():
    assert len(cross_val_score(quick(), X, Y, cv=3, n_jobs=2)) == 3
    assert cross_val_predict(quick(), X, Y, cv=2, method="predict_proba").shape == (48, 2)
    search = GridSearchCV(quick(), {"cell": ["gru", "mingru"], "conv_channels": [(), (4,)]}, cv=2).fit(X, Y)
    assert search.best_params_["cell"] in ("gru", "mingru")
    assert GridSearchCV(quick(), {"hidden_size": [2, 3]}, cv=2).fit(nested(X), Y).predict(nested(X)).shape == (48,)


def test_refusals_name_what_is_wrong_and_leave_everything():
    model = quick().fit(X, Y)
    before = model.predict_proba(X)
    bad = [
        (ValueError, "X: got 0 sequences", [], []),
        (ValueError, r"X\[0\]: got shape \(0, 2\)", [np.zeros((0, 2)), np.zeros((1, 2))], [0, 1]),
        (ValueError, r"X\[1\]: got 3 features, expected 2", [np.zeros((2, 2)), np.zeros((1, 3))], [0, 1]),
        (ValueError, r"X\[1\] contains NaN", [np.zeros((2, 2)), np.full((1, 2), np.nan)], [0, 1]),
        (ValueError, r"X\[0\]: got steps of different sizes", [[[1, 2], [3]], [[1, 2]]], [0, 1]),
        (TypeError, r"X\[0\]: got 'the cat', expected a list of tokens", ["the cat", "a dog"], [0, 1]),
        (TypeError, r"X\[0\]: got .*, expected numbers", [np.array([{"a": 1}])], [0]),
        (ValueError, "inconsistent numbers of samples: X has 48, y has 47", X, Y[:-1]),
        (ValueError, r"X: got shape \(2, 0, 3\)", np.zeros((2, 0, 3)), [0, 1]),
        (ValueError, "row 0", pd.DataFrame({"a": [[1, 2]], "b": [[1]]}), [0]),
    ]
    for error, text, x, y in bad:
        with pytest.raises(error, match=text):
            model.fit(x, y)
    for x, text in (
        (X[0], "a single sequence goes into a list"),
        ([np.zeros((2, 3))], "X has 3 features, but SequenceClassifier is expecting 2"),
        (nested(X).rename(columns={"f0": "g"}), "X: got the features"),
    ):
        with pytest.raises(ValueError, match=text):
            quick().fit(nested(X), Y).predict(x)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    for settings, text in (
        ({"cell": "transformer"}, "cell: got 'transformer'"),
        ({"pooling": "sum"}, "pooling: got 'sum'"),
        ({"conv_channels": 4}, "conv_channels: got 4"),
        ({"cell_options": {"output": "last"}}, "cell_options: got 'output'"),
        ({"cell_options": {"zonout": 0.1}}, "cell_options: LSTM has no 'zonout'"),
        ({"dropout": 1.0}, "dropout"),
        ({"noise": -1.0}, "noise"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            quick(**settings).fit(X, Y)
    for kind in (SequenceClassifier, SequenceRegressor, SequenceTagger):
        with pytest.raises(NotFittedError):
            kind().predict(X)
        with pytest.raises(TypeError, match=f"{kind.__name__}: got an unexpected keyword argument 'hidden_sizes'"):
            kind(hidden_sizes=3)


# ---- aeon and sktime --------------------------------------------------------------------------------------------


def test_adapters_say_what_they_need(monkeypatch):
    for name in ("aeon", "sktime"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        monkeypatch.delitem(__import__("sys").modules, f"fastdl.estimators._{name}", raising=False)
        with pytest.raises(ImportError, match=f"fastdl.estimators.{name} needs {name}: pip install {name}"):
            getattr(fd.estimators, name)
    with pytest.raises(AttributeError, match="no attribute 'prophet'"):
        fd.estimators.prophet  # noqa: B018
    assert {"aeon", "sktime"} <= set(dir(fd.estimators))


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["SequenceClassifier", "SequenceRegressor"])
def test_aeon_checks_the_adapter(name):
    checks = pytest.importorskip("aeon.testing.estimator_checking")
    results = checks.check_estimator(getattr(fd.estimators.aeon, name))
    assert len(results) > 30
    assert {key: one for key, one in results.items() if one != "PASSED"} == {}


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["SequenceClassifier", "SequenceRegressor"])
def test_sktime_checks_the_adapter(name):
    checks = pytest.importorskip("sktime.utils.estimator_checks")
    results = checks.check_estimator(getattr(fd.estimators.sktime, name), verbose=False)
    assert len(results) > 100
    assert {key: one for key, one in results.items() if one != "PASSED"} == {}
