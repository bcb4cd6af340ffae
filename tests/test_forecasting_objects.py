"""GlobalForecaster as an object: copies, files, threads, other libraries, and what it refuses."""

import copy
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd
from forecasting_cases import frame, promised, quick, waves
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastdl as fd

NAME = "GlobalForecaster"


# ---- as objects -------------------------------------------------------------------------------------------------
def test_copies_pickles_and_files_forecast_the_same(tmp_path):
    df = frame()
    model = quick(val_size=8, futr_exog_list=["promo"], stat_exog_list=["kind"], n_models=2).fit(df)
    known = {"futr_df": promised(df, 4), "level": [80], "n_samples": 2}
    expected = model.predict(**known)
    fd.save(model, tmp_path / "model.safetensors")
    for one in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)),
                fd.load(tmp_path / "model.safetensors")):  # fmt: skip
        assert one.predict(**known).equals(expected)
        assert one.get_params() == model.get_params()
    loaded = fd.load(tmp_path / "model.safetensors").partial_fit(df)
    assert not loaded.predict(**known).equals(expected)
    assert loaded.plot is not None


@pytest.mark.parametrize("data", [frame(), waves(), waves((50,))[0]], ids=["frame", "arrays", "one"])
def test_files_of_every_form_of_data(data, tmp_path):
    model = quick().fit(data)
    fd.save(model, tmp_path / "model")
    again, expected = fd.load(tmp_path / "model").predict(), model.predict()
    assert again.equals(expected) if isinstance(expected, pd.DataFrame) else np.array_equal(again, expected)


def test_clones_and_settings_as_scikit_learns():
    model = quick(cell="gru")
    twin = clone(model.fit(waves()))
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "model_")
    with pytest.raises(NotFittedError):
        twin.predict()
    assert "cell='gru'" in repr(twin)
    assert twin.set_params(h=2).fit(waves()).predict().shape == (3, 2)
    twin.set_params(learning_rate=0.01, epochs=1).partial_fit(waves())
    twin.set_params(hidden_size=9)
    for call in (twin.predict, lambda: twin.partial_fit(waves())):
        with pytest.raises(ValueError, match="hidden_size: got 9, expected 8 as in training: fit anew"):
            call()


def test_threads_share_a_fitted_forecaster():
    model = quick().fit(waves())
    expected, found = model.predict(), []
    threads = [threading.Thread(target=lambda: found.append(model.predict())) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert all(np.array_equal(one, expected) for one in found)
    assert len(found) == 4


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries_come_back_as_theirs(library):
    module = pytest.importorskip(library)
    pytest.importorskip("narwhals")
    df = frame().drop(columns="kind")
    native = {"polars": lambda: module.from_dict({k: df[k].to_numpy() for k in df}),
              "pyarrow": lambda: module.table({k: df[k].to_numpy() for k in df})}[library]()  # fmt: skip
    found = quick().fit(native).predict()
    assert type(found) is type(native)
    expected = quick().fit(df).predict()
    np.testing.assert_array_equal(np.asarray(found[NAME]), expected[NAME])
    assert list(np.asarray(found["ds"]).astype("datetime64[D]")) == list(expected.ds.to_numpy().astype("datetime64[D]"))


@pytest.mark.peer
def test_sktime_checks_the_adapter():
    checks = pytest.importorskip("sktime.utils.estimator_checks")
    results = checks.check_estimator(fd.estimators.sktime.GlobalForecaster, verbose=False)
    assert len(results) > 500
    assert set(results.values()) == {"PASSED"}


# ---- what is refused --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"h": 0}, "h: got 0"),
        ({"cell": "transformer"}, "cell: got 'transformer'"),
        ({"quantiles": [0.5, 0.1]}, "quantiles: got"),
        ({"quantiles": [0.5], "loss": "mse"}, "loss: got 'mse' with quantiles"),
        ({"cell_options": {"bidirectional": True}}, "cell_options: got 'bidirectional'"),
        ({"early_stopping": 2}, "early_stopping: got it with val_size=0"),
        ({"val_size": 100}, "val_size: got 100, expected less than 68"),
        ({"calendar": ["moon"]}, r"calendar\[0\]: got 'moon'"),
        ({"freq": "every day"}, "freq: got 'every day'"),
        ({"freq": "ME"}, "freq: got 'ME', of which 2024-01-01"),
        ({"futr_exog_list": "promo"}, "futr_exog_list: got 'promo', expected a list"),
        ({"futr_exog_list": ["price"]}, "has 0 columns 'price'"),
        ({"scaler_type": "best"}, "scaler_type: got 'best'"),
    ],
)
def test_bad_settings_are_refused_by_name(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        quick(**settings).fit(frame())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda df: df.drop(columns="y"), "df: has 0 columns 'y', expected 1 of 'unique_id', 'ds'"),
        (lambda df: df.assign(y=df.y.astype(str).where(df.index != 5, "many")), r"df\['y'\]: row 5 has 'many'"),
        (lambda df: df.assign(y=df.y.where(df.index != 5, np.inf)), r"df\['y'\]: row 5 has inf"),
        (lambda df: df.assign(y=df.y.where(df.unique_id != "s1")), "the series 's1' has no value"),
        (lambda df: df.assign(ds="soon"), r"df\['ds'\]: not read as dates"),
        (lambda df: df.assign(ds=df.ds.where(df.index != 7)), r"df\['ds'\]: row 7 has NaT"),
        (lambda df: df.assign(unique_id=df.unique_id.where(df.index != 7)), r"df\['unique_id'\]: row 7 is missing"),
        (
            lambda df: pd.concat([df, df.iloc[[9]]], ignore_index=True),
            "the series 's0' has 2024-01-10 .* twice, row 175",
        ),
        (lambda df: df.iloc[:0], "df: got no rows"),
        (lambda df: "data.csv", "df: got str, expected a data frame"),
        (lambda df: None, "df: got NoneType"),
    ],
)
def test_bad_frames_are_refused_with_the_place(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        quick().fit(change(frame()))


def test_frames_and_arrays_do_not_mix():
    with pytest.raises(TypeError, match="df: got list, expected a data frame, as the forecaster was fitted to"):
        quick().fit(frame()).predict(waves())
    with pytest.raises(TypeError, match="df: got a data frame, expected arrays"):
        quick().fit(waves()).predict(frame())
    with pytest.raises(TypeError, match="since there are covariates"):
        quick(futr_exog_list=["promo"]).fit(waves())
    model = quick().fit(frame())
    with pytest.raises(ValueError, match=r"which is not on the time axis"):
        model.predict(frame().assign(ds=frame().ds + pd.Timedelta(hours=1)))
    earlier = frame().assign(ds=frame().ds - pd.Timedelta(days=100))
    first = model.predict(earlier).ds.min()
    assert first == earlier.groupby("unique_id").ds.max().min() + pd.Timedelta(days=1)
