"""scikit-learn's own checks: those of every estimator, and its tests of multi-layer perceptrons on ours."""

import importlib.util
import os
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is imported, or the checks of array APIs are left out

from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data, parametrize_with_checks

import fastdl as fd

ESTIMATORS = [
    fd.estimators.MLPClassifier(),
    fd.estimators.MLPRegressor(),
    fd.estimators.MLPRegressor(solver="adamw", normalization="layer", activation="gelu", max_iter=60),
    fd.estimators.TableClassifier(),
    fd.estimators.TableRegressor(),
    fd.estimators.TableEncoder(),
]
# What they ask of scikit-learn's classes beyond public attributes: a gradient function, an optimizer's attribute, and
# weights that are put in before there is a network.
PRIVATE = {
    "test_gradient": "_loss_grad_lbfgs",
    "test_learning_rate_warmstart": "_optimizer.learning_rate",
    "test_adaptive_learning_rate": "_optimizer.learning_rate",
    "test_fit": "_coef_grads",
}


def failing(estimator):
    """Columns are standardised over all rows alike, whatever they weigh; of the others none fails."""
    table = isinstance(estimator, (fd.estimators.TableClassifier, fd.estimators.TableRegressor))
    return {"check_sample_weight_equivalence_on_dense_data": "weights do not move a mean"} if table else {}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=failing)
def test_every_check_of_an_estimator(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [fd.estimators.MLPClassifier, fd.estimators.MLPRegressor])
def test_weights_are_repetitions_for_lbfgs_too(kind):
    check_sample_weight_equivalence_on_dense_data(kind.__name__, kind(solver="lbfgs"))


def theirs():
    """The installed file of scikit-learn's tests, with our classes in the place of theirs."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    if spec is None:  # a distribution without tests
        return {}, None
    source = Path(spec.origin).read_text()
    wanted = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    assert wanted in source
    ours = source.replace(wanted, wanted.replace("sklearn.neural_network", "fastdl.estimators"))
    names = {"__name__": "their_tests"}
    exec(compile(ours, spec.origin, "exec"), names)
    return names, source


NAMES, SOURCE = theirs()


@pytest.fixture
def global_random_seed():
    return 0


def adopted(name, test):
    if name in PRIVATE:
        assert PRIVATE[name].split(".")[0] in SOURCE
        return pytest.mark.skip(reason=f"asks for {PRIVATE[name]}")(test)
    return pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning")(test)


globals().update({f"{name}_of_theirs": adopted(name, one) for name, one in NAMES.items() if name.startswith("test_")})


def test_theirs_are_ours():
    if SOURCE is None:
        pytest.skip("scikit-learn came without its tests")
    assert NAMES["MLPClassifier"] is fd.estimators.MLPClassifier
    assert sum(name.startswith("test_") for name in NAMES) > 30
    assert set(NAMES) >= set(PRIVATE)
