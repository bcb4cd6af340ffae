"""Estimators as their users have them: settings, targets, searches, pipelines, threads, files, errors."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import joblib
import pandas as pd
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import QuantileRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as Theirs
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastdl as fd
from fastdl.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
NUMBERS = X[:, 3] + 0.5 * X[:, 0] ** 2


def quick(kind=MLPClassifier, **settings):
    return kind(**{"hidden_layer_sizes": 8, "max_iter": 12, "random_state": 0, **settings})


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.coefs_, other.coefs_, strict=True))


# ---- the same as scikit-learn -----------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"},
    {"solver": "sgd", "momentum": 0.0, "learning_rate": "adaptive", "max_iter": 60, "n_iter_no_change": 2, "tol": 0.01},
    {"solver": "lbfgs", "max_iter": 3},
    {"activation": "tanh", "batch_size": 7, "hidden_layer_sizes": (5, 4)},
    {"activation": "logistic", "shuffle": False, "alpha": 0.1},
    {"activation": "identity", "hidden_layer_sizes": 3, "early_stopping": True, "beta_1": 0.8, "epsilon": 1e-4},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_trained_as_scikit_learn_trains(settings, dtype):
    if settings.get("solver") == "lbfgs" and dtype == np.float32:
        pytest.skip("scikit-learn goes on in float64")
    x = X.astype(dtype)
    ours, theirs = quick(**settings), quick(Theirs, **settings)
    for y in (NAMES, Y == 2):
        ours.fit(x, y)
        theirs.fit(x, y)
        assert ours.n_iter_ == theirs.n_iter_
        near = {"rtol": 1e-7, "atol": 1e-9} if dtype == np.float64 else {"rtol": 2e-3, "atol": 2e-4}
        for one, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
            assert one.dtype == other.dtype == dtype
            np.testing.assert_allclose(one, other, **near)
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6 if dtype == np.float64 else 1e-3)
        assert (ours.predict(x) == theirs.predict(x)).all()
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), **near)
        for name in ("classes_", "n_features_in_", "n_layers_", "n_outputs_", "out_activation_", "t_"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
        for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
            if settings.get("solver") != "lbfgs" and getattr(theirs, name) is not None:
                np.testing.assert_allclose(
                    getattr(ours, name), getattr(theirs, name), rtol=1e-6 if dtype == np.float64 else 2e-3
                )


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_regressions_as_scikit_learn_has_them(loss, solver):
    y = np.abs(NUMBERS)
    weights = np.linspace(0.5, 2, len(y))
    ours, theirs = (
        quick(kind, loss=loss, solver=solver, max_iter=5).fit(X, y, sample_weight=weights)
        for kind in (MLPRegressor, TheirRegressor)
    )
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
    assert ours.out_activation_ == theirs.out_activation_


def test_partial_fit_as_scikit_learn_has_it():
    ours, theirs = quick(solver="sgd", learning_rate_init=0.1), quick(Theirs, solver="sgd", learning_rate_init=0.1)
    for _ in range(4):
        for part in (slice(0, 60), slice(60, 150)):
            ours.partial_fit(X[part], Y[part], classes=[0, 1, 2])
            theirs.partial_fit(X[part], Y[part], classes=[0, 1, 2])
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    assert (ours.t_, ours.n_iter_, len(ours.loss_curve_)) == (theirs.t_, theirs.n_iter_, len(theirs.loss_curve_))


def test_a_constructor_has_the_defaults_of_scikit_learn():
    for ours, theirs in ((MLPClassifier(), Theirs()), (MLPRegressor(), TheirRegressor())):
        assert theirs.get_params().items() <= ours.get_params().items()
    with pytest.raises(TypeError, match=r"MLPClassifier: .*hidden"):
        MLPClassifier(hidden=3)
    assert MLPClassifier((3,), "tanh").activation == "tanh"


# ---- more than scikit-learn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adamw", "nadam", "radam", "lion", "muon", "rmsprop", "adafactor", "rprop", "asgd"])
def test_every_optimizer_learns(solver):
    rate = {"asgd": 0.1, "muon": 0.02, "radam": 0.05}.get(solver, 0.01)
    assert quick(solver=solver, max_iter=60, learning_rate_init=rate).fit(X, NAMES).score(X, NAMES) > 0.8
    assert quick(solver=fd.optim.Adam).fit(X, Y).n_iter_ == 12


@pytest.mark.parametrize("rate", ["cosine", "one_cycle", "linear", fd.optim.schedules.step_decay(5)], ids=str)
def test_schedules(rate):
    with warnings.catch_warnings():
        if isinstance(rate, str):
            warnings.simplefilter("error")  # that max_iter is reached is the plan
        model = quick(learning_rate=rate, learning_rate_init=0.05, batch_size=50).fit(X, Y)
    rates = model.history_["learning_rate"]
    assert rates[-1] < 0.2 * max(rates)


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_dropout_and_normalization(normalization):
    settings = {"dropout": 0.2, "normalization": normalization, "batch_size": 149, "max_iter": 60}
    model = quick(hidden_layer_sizes=16, learning_rate_init=0.03, **settings).fit(
        X, Y
    )  # one example is left at the end of an epoch
    assert model.score(X, Y) > 0.85
    assert same(model, quick(hidden_layer_sizes=16, learning_rate_init=0.03, **settings).fit(X, Y))
    kinds = [type(one).__name__ for one in model.model_]
    norm = {"batch": ["BatchNorm1d"], "layer": ["LayerNorm"], None: []}[normalization]
    assert kinds == ["Linear", *norm, "ReLU", "Dropout", "Linear"]


def test_the_type_follows_x_or_is_given():
    assert quick().fit(X.astype(np.float32), Y).coefs_[0].dtype == np.float32
    assert quick().fit(X.astype(int), Y).coefs_[0].dtype == np.float64
    model = quick(dtype="float32").fit(X, Y)
    assert model.coefs_[0].dtype == model.predict_proba(X).dtype == np.float32


def test_quantiles():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 1))
    y = x[:, 0] + rng.exponential(size=400)
    for quantile in (0.1, 0.9):
        model = MLPRegressor("quantile", (), quantile=quantile, max_iter=300, learning_rate_init=0.05, alpha=0)
        model.set_params(random_state=0, batch_size=400, n_iter_no_change=np.inf, learning_rate="linear").fit(x, y)
        linear = QuantileRegressor(quantile=quantile, alpha=0).fit(x, y)
        np.testing.assert_allclose(model.predict(x), linear.predict(x), atol=0.1)
    assert quick(MLPRegressor, loss="absolute_error", max_iter=300).fit(X, NUMBERS).score(X, NUMBERS) > 0.3
    huber = quick(MLPRegressor, loss=lambda out, y: fd.huber_loss(out, y), max_iter=2).fit(X, NUMBERS)
    assert huber.predict(X).shape == (150,)


def test_a_loss_is_a_sum_over_outputs_whose_gradient_lbfgs_follows():
    x, y = make_regression(n_samples=80, n_features=4, n_targets=3, random_state=0)
    model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, max_iter=500, tol=1e-8).fit(x, y / 100)
    assert model.loss_ < 1e-8
    assert model.predict(x).shape == (80, 3)


def test_weights_of_classes():
    y = np.where(np.arange(150) < 20, "rare", "common")
    noise = np.random.default_rng(0).normal(size=(150, 2))
    found = {}
    for weight in (None, "balanced", {"rare": 50.0}):
        model = quick(class_weight=weight, max_iter=100).fit(noise, y)
        found[str(weight)] = (model.predict(noise) == "rare").mean()
    assert found["None"] < 0.1 < found["balanced"] < found[str({"rare": 50.0})]
    halves = quick(class_weight={0: 0.0}).fit(X, Y)  # what counts nothing is left out
    assert halves.t_ == 12 * 100
    with pytest.raises(ValueError, match="class_weight: got 'balanced', expected a mapping"):
        quick(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


def test_several_labels():
    x, y = make_multilabel_classification(n_samples=60, random_state=0)
    model = quick(max_iter=300, learning_rate_init=0.01).fit(x, y)
    assert model.score(x, y) > 0.6
    assert model.predict(x).shape == model.predict_proba(x).shape == y.shape
    sparse = quick().fit(x, scipy.sparse.csr_matrix(y))
    assert same(sparse, quick().fit(x, y))
    with pytest.raises(ValueError, match=r"several outputs of more than two classes.*MultiOutputClassifier"):
        quick().fit(x, y + np.arange(len(y))[:, None] % 3)


def test_callbacks_see_the_run_and_may_end_it():
    class Ender(fd.training.Callback):
        def on_epoch_end(self, run):
            if run.epoch == 4:
                run.stop()

    model = quick(callbacks=[Ender(), fd.training.TimeLimit(60)]).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.history_.epochs) == 4


def test_verbose(capsys):
    quick(verbose=True, max_iter=2, early_stopping=True).fit(X, Y)
    out = capsys.readouterr().out
    assert "Iteration 2, loss = " in out
    assert "Validation score: " in out
    quick(verbose="bar", max_iter=2).fit(X, Y)
    found = capsys.readouterr()
    assert not found.out
    assert "epoch 2/2" in found.err


def test_max_norm_and_options_of_the_solver():
    small = quick(solver="sgd", momentum=0.0, max_norm=1e-6, learning_rate_init=1.0, max_iter=1).fit(X, Y)
    start = quick(solver="sgd", momentum=0.0, learning_rate_init=1e-12, max_iter=1).fit(X, Y)
    np.testing.assert_allclose(small.coefs_[0], start.coefs_[0], atol=1e-4)
    decayed = quick(solver="adamw", solver_options={"weight_decay": 30.0}, max_iter=40).fit(X, Y)
    assert np.abs(decayed.coefs_[0]).sum() < 0.5 * np.abs(start.coefs_[0]).sum()


# ---- inputs of all kinds ----------------------------------------------------------------------------------------


def test_sparse_inputs_frames_and_lists():
    model = quick().fit(X, NAMES)
    for other in (scipy.sparse.csr_matrix(X), scipy.sparse.csc_array(X), X.tolist(), np.asfortranarray(X)):
        assert same(quick().fit(other, list(NAMES)), model)
        assert (model.predict(other) == model.predict(X)).all()
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = quick().fit(frame, pd.Series(NAMES))
    assert named.feature_names_in_.tolist() == list("abcd")
    assert same(named, model)
    with pytest.raises(ValueError, match="feature names"):
        named.predict(frame[list("bacd")])


def test_polars_frames():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({name: X[:, k] for k, name in enumerate("abcd")})
    model = quick().fit(frame, NAMES)
    assert model.feature_names_in_.tolist() == list("abcd")
    assert same(model, quick().fit(X, NAMES))


@pytest.mark.filterwarnings("ignore:batch_size")
def test_read_only_arrays_are_read():
    frozen = X.copy()
    frozen.setflags(write=False)
    assert same(quick(batch_size=1000).fit(frozen, Y), quick(batch_size=150).fit(X, Y))


# ---- in the company of scikit-learn -----------------------------------------------------------------------------


def test_pipelines_searches_and_clones():
    pipe = make_pipeline(StandardScaler(), quick(max_iter=60, learning_rate_init=0.02)).set_output(transform="pandas")
    assert cross_val_score(pipe, X, NAMES, cv=3).mean() > 0.85
    grid = {"mlpclassifier__hidden_layer_sizes": [(2,), (16,)], "mlpclassifier__dropout": [0.0, 0.1]}
    for backend in ("threading", "loky"):
        with joblib.parallel_backend(backend):
            search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(X, NAMES)
        assert search.best_score_ > 0.85
        assert same(search.best_estimator_[-1], clone(search.best_estimator_).fit(X, NAMES)[-1])


def test_a_cluster_of_dask_searches():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        search = GridSearchCV(quick(), {"alpha": [1e-4, 1.0]}, cv=2).fit(X, NAMES)
    assert same(search.best_estimator_, clone(search.best_estimator_).fit(X, NAMES))


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.2, "normalization": "batch"}, {"solver": "lbfgs"}], ids=str)
def test_copies_pickles_and_files(settings, tmp_path):
    model = quick(class_weight={"setosa": 2.0}, **settings).fit(pd.DataFrame(X, columns=list("abcd")), NAMES)
    joblib.dump(model, tmp_path / "model.joblib")
    fd.save(model, tmp_path / "model.safetensors")
    frame = pd.DataFrame(X, columns=list("abcd"))
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")]
    for other in (*copies, fd.load(tmp_path / "model.safetensors")):
        assert np.array_equal(other.predict_proba(frame), model.predict_proba(frame))
        assert other.get_params() == model.get_params()
        assert other.feature_names_in_.tolist() == list("abcd")
        assert same(clone(other).fit(frame, NAMES), clone(model).fit(frame, NAMES))
    if settings.get("solver") != "lbfgs":
        for one in (model, copies[0], copies[1]):
            one.partial_fit(frame, NAMES)  # the optimizer's state was copied, too
        assert same(model, copies[0])
        assert same(model, copies[1])


def test_what_a_file_cannot_hold(tmp_path):
    with pytest.raises(NotFittedError):
        fd.save(quick(), tmp_path / "no")
    model = quick(callbacks=[fd.training.TimeLimit(60)]).fit(X, Y)
    with pytest.raises(TypeError, match=r"model: its settings\['callbacks'\]\[0\] is <.*set_params"):
        fd.save(model, tmp_path / "no")

    class Mine(MLPClassifier):
        pass

    with pytest.raises(TypeError, match="model: got Mine, expected an estimator of fastdl.estimators"):
        fd.save(Mine(max_iter=1).fit(X, Y), tmp_path / "no")
    assert not os.listdir(tmp_path)


def test_subclasses():
    class Narrow(MLPClassifier):
        def __init__(self, hidden_layer_sizes=(2,), *, max_iter=3):
            super().__init__(hidden_layer_sizes=hidden_layer_sizes, max_iter=max_iter)

    model = clone(Narrow(max_iter=4)).fit(X, Y)
    assert (model.n_iter_, model.coefs_[0].shape) == (4, (4, 2))


def test_threads_predict_with_one_model():
    model, found = quick(dropout=0.3).fit(X, Y), []
    expected = model.predict_proba(X)
    threads = [threading.Thread(target=lambda: found.append(model.predict_proba(X))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert all(np.array_equal(one, expected) for one in found)
    assert len(found) == 8


# ---- going on, and failing --------------------------------------------------------------------------------------


def test_a_warm_start_goes_on():
    once = quick(solver="sgd", momentum=0.0, shuffle=False, max_iter=10, tol=0).fit(X, Y)
    twice = quick(solver="sgd", momentum=0.0, shuffle=False, max_iter=5, tol=0, warm_start=True)
    twice.fit(X, Y).fit(X, Y)
    np.testing.assert_allclose(once.coefs_[0], twice.coefs_[0], rtol=1e-12)
    assert len(twice.loss_curve_) == 10
    assert not same(quick().fit(X, Y), quick().fit(X, Y).fit(X, Y).partial_fit(X, Y))
    assert same(quick().fit(X, Y), quick().fit(X, Y).fit(X, Y))


def test_settings_that_change_between_two_trainings():
    model = quick(solver="lbfgs", warm_start=True).fit(X, Y)
    assert not hasattr(model, "loss_curve_")
    model.set_params(solver="adam").fit(X, Y)
    model.set_params(early_stopping=True, max_iter=3).fit(X, Y)
    assert (len(model.loss_curve_), len(model.validation_scores_), model.best_loss_) == (15, 3, None)
    model.set_params(early_stopping=False).fit(X, Y)
    assert (len(model.loss_curve_), model.validation_scores_) == (18, None)
    assert model.best_loss_ == min(model.loss_curve_[-3:])
    model.set_params(solver="lbfgs").fit(X, Y)
    assert not hasattr(model, "loss_curve_")
    for name, value in (("hidden_layer_sizes", 3), ("dropout", 0.1), ("activation", "tanh"), ("dtype", "float32")):
        with pytest.raises(
            ValueError, match=f"{name}: got .*, expected .*, since the training goes on with the network"
        ):
            clone(quick(warm_start=True)).fit(X, Y).set_params(**{name: value}).fit(X, Y)
    model.set_params(warm_start=False, hidden_layer_sizes=3).fit(X, Y)


def test_a_loss_that_gives_a_number_alone():
    def loss(outputs, targets):
        return ((outputs - targets) ** 2).mean() / 2

    for solver in ("adam", "lbfgs"):
        ours, own = (quick(MLPRegressor, loss=one, solver=solver, max_iter=5) for one in ("squared_error", loss))
        np.testing.assert_allclose(ours.fit(X, NUMBERS).predict(X), own.fit(X, NUMBERS).predict(X), rtol=1e-6)


BAD = [
    ({"solver_options": {"lr": 0.1}}, r"solver_options\['lr'\]: got 0.1, expected it as learning_rate_init"),
    ({"solver_options": {"beta": 0.1}}, r"solver_options\['beta'\]: got beta, expected settings of Adam"),
    ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes\[1\]: got 0, expected at least 1"),
    ({"hidden_layer_sizes": 2.5}, r"hidden_layer_sizes: got 2.5, expected an int"),
    ({"activation": "swish"}, r"activation: got 'swish', expected one of 'identity', 'logistic'"),
    ({"solver": "adm"}, r"solver: got 'adm', expected one of 'lbfgs', .*'adamw'"),
    ({"solver_options": {"nesterov": True}}, r"nesterov"),
    ({"alpha": -1}, r"alpha: got -1"),
    ({"alpha": float("nan")}, r"alpha: got nan"),
    ({"batch_size": "all"}, r"batch_size: got 'all', expected one of 'auto'"),
    ({"learning_rate": "step"}, r"learning_rate: got 'step', expected one of 'constant'"),
    ({"dropout": 1.0}, r"dropout: got 1.0"),
    ({"dropout": 0.1, "solver": "lbfgs"}, r"dropout: got 0.1, expected 0 with solver='lbfgs'"),
    ({"normalization": "group"}, r"normalization: got 'group', expected one of None, 'batch', 'layer'"),
    ({"shuffle": 1}, r"shuffle: got 1, expected True or False"),
    ({"validation_fraction": 1.0}, r"validation_fraction: got 1.0"),
    ({"early_stopping": True, "validation_fraction": 0.001}, r"validation set is too small"),
    ({"dtype": "float16"}, r"dtype: got 'float16', expected None, float32 or float64"),
    ({"max_iter": 0}, r"max_iter: got 0, expected at least 1"),
    ({"n_iter_no_change": 0}, r"n_iter_no_change: got 0"),
    ({"callbacks": [3]}, r"callbacks\[0\]: got int, expected a fastdl.training.Callback"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=str)
def test_bad_settings_change_nothing(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        quick(**settings).fit(X, Y)
    model = quick().fit(X, Y)
    before, state = [one.copy() for one in model.coefs_], vars(model).copy()
    model.set_params(**settings)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.coefs_, strict=True))
    assert all(vars(model)[name] is one for name, one in state.items() if name not in settings)
    assert vars(model).keys() == state.keys()


@pytest.mark.parametrize("weights", [[-1.0] * 150, [np.nan] * 150, [1.0] * 3, [0.0] * 150, ["a"] * 150])
def test_bad_weights(weights):
    with pytest.raises((TypeError, ValueError), match="sample_weight: got"):
        quick().fit(X, Y, sample_weight=weights)


def test_a_fit_that_diverges_ends_and_leaves_what_was():
    model = quick(MLPRegressor, solver="sgd", warm_start=True, max_iter=3).fit(X, NUMBERS)
    before, state = [one.copy() for one in model.coefs_], vars(model).copy()
    curve = list(model.loss_curve_)
    model.set_params(learning_rate_init=1e200)
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(X, NUMBERS)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.coefs_, strict=True))
    assert model.loss_curve_ == curve
    assert all(vars(model)[name] is one for name, one in state.items() if name != "learning_rate_init")
    other = quick(MLPRegressor, solver="sgd", batch_size=50, shuffle=False).partial_fit(X, NUMBERS)
    again, bad = copy.deepcopy(other), X.copy()
    bad[-1] = 1e200  # in the last batch: two steps were made before
    with pytest.raises(ValueError, match="non-finite"):
        other.partial_fit(bad, NUMBERS)
    assert same(other.partial_fit(X, NUMBERS), again.partial_fit(X, NUMBERS))  # the velocity is as it was, too


def test_an_interruption_keeps_what_was_learnt():
    class Interrupt(fd.training.Callback):
        def on_epoch_end(self, run):
            if run.epoch == 3:
                raise KeyboardInterrupt

    model = quick(callbacks=[Interrupt()])
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y)
    assert model.n_iter_ == 3
    assert model.predict(X).shape == (150,)
    assert not model.model_.training


def test_errors_of_use():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quick().predict(X)
    with pytest.raises(AttributeError, match="is not fitted yet"):
        _ = quick().coefs_
    with pytest.raises(ValueError, match="4 features"):
        quick().fit(X, Y).predict(X[:, :2])
    with pytest.raises(ValueError, match="contains NaN"):
        quick().fit(np.full((3, 2), np.nan), [0, 1, 0])
    with pytest.raises(ValueError, match="y: got 2 outputs, expected 1, as before"):
        quick(MLPRegressor).fit(X, NUMBERS).partial_fit(X, np.column_stack([NUMBERS, NUMBERS]))
    with pytest.raises(ValueError, match='expected counts of at least 0 for loss="poisson"'):
        quick(MLPRegressor, loss="poisson").fit(X, -np.ones(150))
    assert not hasattr(quick(solver="lbfgs"), "partial_fit")


def test_max_iter_is_told():
    with pytest.warns(ConvergenceWarning, match=r"max_iter=12.*hasn't converged"):
        quick().fit(X, Y)


def test_without_scikit_learn_the_extra_is_named():
    code = (
        "import sys; sys.modules['sklearn'] = None; import fastdl as fd; assert 'estimators' in dir(fd)\n"
        "try: fd.estimators\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'fastdl.estimators needs scikit-learn: pip install "fastdl[estimators]"'
    code = "import fastdl, sys; print([name for name in sys.modules if name in ('sklearn', 'pandas', 'scipy')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
