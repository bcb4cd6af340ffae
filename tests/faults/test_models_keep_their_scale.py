"""What a model standardises by goes wherever its weights go, is of any size, and is set by a fit that succeeds."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from model_cases import SERIES

import fastdl as fd

BATCHES = [(np.zeros((1, 5), np.float32), np.zeros((1, 1), np.float32))]


def fitted(series=SERIES, **options):
    model = fd.models.Forecaster(5, 6, 0.0, rng=0)
    model.fit(series, epochs=3, **options)
    return model


def new():
    return fd.models.Forecaster(5, 6, 0.0, rng=9)


def by_state_dict(model, path):
    other = new()
    other.load_state_dict(model.state_dict())
    return other


def by_save_best(model, path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = path / "best.safetensors"
    options = {"loss": fd.mse_loss, "callbacks": [fd.training.SaveBest(path)], "progress": False}
    fd.training.fit(model, fd.optim.SGD(model.parameters(), lr=1e-9), BATCHES, **options)
    other = new()
    other.load_state_dict(safetensors.load_file(path))
    return other


def by_checkpoint(model, path):
    options = {"loss": fd.mse_loss, "checkpoint": path / "c.safetensors", "progress": False}
    fd.training.fit(model, fd.optim.SGD(model.parameters(), lr=1e-9), BATCHES, **options)
    other = new()
    fd.training.fit(other, fd.optim.SGD(other.parameters(), lr=1e-9), BATCHES, resume=True, **options)
    return other


@pytest.mark.parametrize(
    "way",
    [
        by_state_dict, by_save_best, by_checkpoint, lambda m, _: copy.deepcopy(m), lambda m, _: copy.copy(m),
        lambda m, _: pickle.loads(pickle.dumps(m)),
    ],
)  # fmt: skip
def test_a_forecaster_that_was_stored_forecasts_the_same(way, tmp_path):
    model = fitted()
    other = way(model, tmp_path)
    np.testing.assert_array_equal(other.predict(SERIES), model.predict(SERIES))
    assert (other.mean, other.std) == (model.mean, model.std) == (SERIES.mean(), SERIES.std())
    assert 900 < other.predict(SERIES)[-1] < 1100


@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e306, 1e-305, 1e30, -1e200])
def test_a_series_of_any_size_is_forecast_as_its_like(scale):
    power = 2.0 ** np.round(np.log2(abs(scale))) * np.sign(scale)
    series = np.sin(np.arange(40) / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = fitted(series * power).predict(series * power)
    np.testing.assert_allclose(got[5:] / power, np.sign(scale) * fitted(series * np.sign(scale)).predict(
        series * np.sign(scale))[5:], rtol=1e-12)  # fmt: skip


def test_both_ends_of_double_in_one_series():
    largest = np.finfo(np.float64).max
    series = np.where(np.arange(30) % 2, largest, -largest)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(fitted(series).predict(series)[5:]).any()


@pytest.mark.parametrize("value", [0.1, 0, -7, 1e300, 1e-320])
def test_a_constant_series_is_forecast_as_it_is(value):
    model = fitted(np.full(40, value), learning_rate=0.02)
    assert (model.mean, model.std) == (value, 1.0)
    assert abs(model.predict(np.full(6, value))[-1] - value) < max(1.0, abs(value) * 1e-6)


@pytest.mark.parametrize(
    "series",
    [SERIES.tolist(), SERIES.astype(np.float32), SERIES.round().astype(int), tuple(SERIES), SERIES[::2]],
)
def test_a_series_may_be_anything_that_is_one(series):
    assert np.isfinite(fitted(series).predict(series)[5:]).all()


def test_the_shortest_series():
    model = fitted(SERIES[:6])
    assert model.predict(SERIES[:5]).shape == (6,)
    with pytest.raises(ValueError, match=r"series: got shape \(4,\), expected \(5 or more,\)"):
        model.predict(SERIES[:4])
    with pytest.raises(ValueError, match=r"series: got shape \(5,\), expected \(6 or more,\)"):
        model.fit(SERIES[:5])


def test_missing_values_are_forecast_as_missing_and_no_more():
    model = fitted()
    series = SERIES.copy()
    series[12] = np.nan
    expected = model.predict(SERIES)
    got = model.predict(series)
    assert np.flatnonzero(np.isnan(got)).tolist() == [0, 1, 2, 3, 4, 13, 14, 15, 16, 17]
    np.testing.assert_array_equal(got[~np.isnan(got)], expected[~np.isnan(got)])


@pytest.mark.parametrize(("value", "message"), [
    (np.inf, r"series\[7\]: got inf, expected finite numbers, or NaN where one is missing"),
    (1e60, r"series\[7\]: got 1e\+60, expected what float32 holds on the model's scale"),
])  # fmt: skip
def test_what_has_no_forecast_is_refused(value, message):
    series = SERIES.copy()
    series[7] = value
    with pytest.raises(ValueError, match=message):
        fitted().predict(series)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_refit_that_is_refused_leaves_the_forecaster_as_it_was(bad):
    model = fitted()
    expected = model.predict(SERIES)
    series = SERIES.copy()
    series[11] = bad
    with pytest.raises(ValueError, match=rf"series\[11\]: got {bad}, expected finite numbers"):
        model.fit(series)
    np.testing.assert_array_equal(model.predict(SERIES), expected)
