"""GlobalForecaster as its users have it: forecasts, covariates, intervals, backtests, pictures."""

import copy

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd
from forecasting_cases import frame, promised, quick, waves

import fastdl as fd
from fastdl.estimators import GlobalForecaster, baseline_forecast
from fastdl.estimators._forecasting import axis_of, season_of
from fastdl.estimators._forecasting._transform import applied, seasonal_indices, transform_of, undone

NAME = "GlobalForecaster"


# ---- forecasts --------------------------------------------------------------------------------------------------
def test_it_learns_what_series_have_in_common():
    series = waves((200, 150, 180))
    train, true = [one[:-7] for one in series], np.array([one[-7:] for one in series])
    found = GlobalForecaster(h=7, season_length=7, random_state=0, epochs=60).fit(train).predict()
    seasonal = baseline_forecast("SeasonalNaive", train, 7, 7)
    assert np.abs(found - true).mean() < np.abs(seasonal - true).mean()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "indrnn", "mingru", "minlstm", "slstm"])
@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_every_cell_and_strategy_forecasts_any_horizon(cell, strategy):
    model = quick(cell=cell, strategy=strategy, epochs=1, num_layers=2, dropout=0.2).fit(waves())
    assert model.predict().shape == (3, 4)
    found = model.predict(h=11)
    assert found.shape == (3, 11)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, :4], model.predict())


def test_options_of_the_layer():
    options = {"proj_size": 3, "zoneout": 0.1, "layer_norm": True}
    for head in (0, 4):
        model = quick(cell_options=options, head_size=head).fit(waves())
        assert model.predict().shape == (3, 4)
    with pytest.raises(TypeError, match="colour"):
        quick(cell_options={"colour": 3}).fit(waves())


def test_forms_of_arrays():
    one, several = waves((50,))[0], waves((50, 50))
    assert quick().fit(one).predict().shape == (4,)
    assert quick().fit(list(one)).predict().shape == (4,)
    assert quick().fit(pd.Series(one)).predict().shape == (4,)
    assert quick().fit(np.array(several)).predict().shape == (2, 4)
    with_level = quick(val_size=8).fit(several).predict(level=80, n_samples=3)
    assert set(with_level) == {NAME, f"{NAME}-lo-80", f"{NAME}-hi-80", *(f"{NAME}-sample-{i}" for i in range(3))}
    assert all(value.shape == (2, 4) for value in with_level.values())


def test_frames_go_on_from_the_end_of_each_series():
    df = frame()
    found = quick().fit(df.sample(frac=1, random_state=1)).predict()
    assert set(found.columns) == {"unique_id", "ds", NAME}
    for name, one in found.groupby("unique_id"):
        last = df.ds[df.unique_id == name].max()
        assert list(one.ds) == list(pd.date_range(last, periods=5, freq="D")[1:])


def test_the_order_of_rows_and_series_says_nothing():
    df = frame()
    mixed = df.sample(frac=1, random_state=0).sort_values("unique_id")
    one, other = (quick().fit(rows).predict() for rows in (df, mixed))
    assert one.equals(other)


@pytest.mark.parametrize(
    ("freq", "start"),
    [("MS", "2020-01-01"), ("ME", "2020-01-31"), ("W-SUN", "2020-01-05"), ("h", "2020-01-01"), ("B", "2020-01-01"),
     ("QE", "2010-03-31")],
)  # fmt: skip
def test_dates_of_any_step(freq, start):
    ds = pd.date_range(start, periods=44, freq=freq)
    df = pd.DataFrame({"unique_id": 1, "ds": ds[:40], "y": np.arange(40.0) + 5})
    assert list(quick().fit(df).predict().ds) == list(ds[40:])
    for form in ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M"):
        texts = df.assign(ds=df.ds.dt.strftime(form))
        assert list(quick(freq=freq).fit(texts).predict().ds) == list(ds[40:])


def test_dates_keep_their_zone_and_whole_numbers_their_step():
    df = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-03-01", periods=40, freq="D", tz="Europe/Paris"),
                       "y": np.arange(40.0)})  # fmt: skip
    found = quick().fit(df).predict()
    assert str(found.ds.dt.tz) == "Europe/Paris"
    df["ds"] = np.arange(40) * 10 + 3
    assert quick().fit(df).predict().ds.tolist() == [403, 413, 423, 433]
    assert quick(id_col=None).fit(df.drop(columns="unique_id")).predict().columns.tolist() == ["ds", NAME]


def test_missing_values_and_rows_are_the_same():
    df = frame()
    gone = [10, 11, 30, 80]
    as_rows, as_nan = df.drop(index=gone), df.assign(y=df.y.where(~df.index.isin(gone)))
    one, other = quick().fit(as_rows).predict(), quick().fit(as_nan).predict()
    assert one.equals(other)
    assert np.isfinite(one[NAME]).all()


def test_a_series_whose_last_values_are_missing_goes_on_at_its_level():
    y = waves((200,))[0]
    late = y.copy()
    late[-30:] = np.nan
    found = quick(epochs=10).fit(waves((200, 200))).predict([late])
    assert np.abs(found - 50).max() < 25
    assert np.isfinite(quick().fit([late, y]).predict()).all()


def test_short_constant_and_zero_series_do_no_harm():
    series = [*waves(), np.array([3.0, 4.0]), np.full(40, 7.0), np.zeros(40), np.array([5.0])]
    for settings in ({}, {"loss": "poisson"}, {"loss": "mse", "scaler_type": "robust"}, {"scaler_type": "none"}):
        found = quick(**settings).fit(series).predict()
        assert np.isfinite(found).all(), settings
        assert (found >= 0).all(), settings
    single = quick().fit([*waves(), np.array([3.0, 4.0])])
    assert single.predict(np.full(30, 1e12)).shape == (4,)


def test_units_say_nothing():
    series = waves()
    for settings in ({}, {"transform": None}, {"transform": None, "scaler_type": "level"}, {"loss": "poisson"}):
        plain = quick(**settings).fit(series).predict()
        for power in (-900, 900):  # squares of these are beyond double
            found = quick(**settings).fit([np.ldexp(one, power) for one in series]).predict()
            np.testing.assert_allclose(np.ldexp(found, -power), plain, rtol=1e-4)


def test_zeros_that_come_later_have_a_logarithm():
    late = [np.r_[one, 0.0, 0.0] for one in waves()]
    assert np.isfinite(quick(transform="log", val_size=4).fit(late).predict(level=80)[NAME]).all()
    assert (quick().fit(waves()).predict(late) >= 0).all()


def test_counts_with_many_zeros_have_a_mean():
    rng = np.random.default_rng(0)
    counts = [rng.poisson(0.4, 120).astype(float) for _ in range(30)]
    found = GlobalForecaster(h=6, loss="poisson", epochs=15, random_state=0, hidden_size=16).fit(counts).predict()
    assert 0.25 < found.mean() < 0.55
    assert (found > 0).all()
    median = GlobalForecaster(h=6, epochs=15, random_state=0, hidden_size=16).fit(counts).predict()
    assert median.mean() < found.mean()  # which is 0


def test_negative_values_are_no_counts_and_have_no_logarithm():
    with pytest.raises(ValueError, match=r"y: got -1, .* loss='poisson'"):
        quick(loss="poisson").fit([np.arange(30.0) - 1])
    with pytest.raises(ValueError, match=r"y: got -1, .* transform='log'"):
        quick(transform="log").fit([np.arange(30.0) - 1])
    with pytest.raises(ValueError, match="y: got -3 in the series 0, expected at least 0 as in training"):
        quick().fit(waves()).predict([np.array([5.0, -3.0, 4.0])])
    assert (quick().fit([np.arange(30.0) - 100]).predict() < 0).all()


def test_an_ensemble_is_the_median_of_its_members():
    whole = quick(n_models=3).fit(waves())
    members = []
    for network in whole.model_:
        one = copy.deepcopy(whole)
        one.model_ = fd.nn.ModuleList([network])
        members.append(one.predict())
    np.testing.assert_allclose(np.median(members, 0), whole.predict(), rtol=1e-6)
    assert len(whole.history_) == 3


# ---- covariates -------------------------------------------------------------------------------------------------
def test_covariates_of_all_kinds_are_seen():
    rng = np.random.default_rng(0)
    parts = []
    for i in range(8):
        promo = rng.integers(0, 2, 150)
        ds = pd.date_range("2024-01-01", periods=150, freq="D")
        y = 20 + 10 * promo + rng.normal(0, 0.1, 150)
        parts.append(pd.DataFrame({"unique_id": i, "ds": ds, "y": y, "promo": promo}))
    df = pd.concat(parts)
    model = GlobalForecaster(
        h=3, futr_exog_list=["promo"], epochs=60, random_state=0, hidden_size=16, deseasonalize=False
    )
    model.fit(df)
    plan = np.tile([1, 0, 1], 8)  # each step has its own
    found = model.predict(futr_df=promised(df, 3).assign(promo=plan))[NAME].to_numpy()
    assert (found[plan == 0] < 23).all()
    assert (found[plan == 1] > 27).all()


def test_static_and_past_covariates_from_either_frame():
    df = frame().assign(rain=np.arange(175) % 3.0)
    settings = {"stat_exog_list": ["kind"], "hist_exog_list": ["rain"], "calendar": ["dayofweek", "month"]}
    beside = df.groupby("unique_id", as_index=False).kind.first()
    within, apart = quick(**settings).fit(df), quick(**settings).fit(df, static_df=beside.iloc[::-1])
    assert within.predict().equals(apart.predict())
    other = within.predict(df.assign(kind="a"))
    assert not other.equals(within.predict())
    assert np.isfinite(within.predict(df.assign(kind="never seen"))[NAME]).all()


def test_what_is_not_told_of_the_future_is_missed_by_name():
    df = frame()
    model = quick(futr_exog_list=["promo"]).fit(df)
    with pytest.raises(ValueError, match=r"futr_df: got None, expected a frame with promo"):
        model.predict()
    with pytest.raises(ValueError, match=r"futr_df: has no row of 's0' at 2024-03-04"):
        model.predict(futr_df=promised(df, 3))
    assert len(model.predict(futr_df=promised(df, 9), h=9)) == 27


# ---- intervals --------------------------------------------------------------------------------------------------
def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    series = [100 + rng.normal(0, 1 + i % 3, 120).cumsum() * 0.1 + rng.normal(0, 1 + i % 3, 120) for i in range(60)]
    train, true = [one[:-4] for one in series], np.array([one[-4:] for one in series])
    model = quick(h=4, val_size=12, epochs=5, season_length=1).fit(train)
    found = model.predict(level=[50, 90], quantiles=[0.1, 0.5, 0.9], n_samples=40)
    for level in (50, 90):
        inside = (found[f"{NAME}-lo-{level}"] <= true) & (true <= found[f"{NAME}-hi-{level}"])
        assert abs(inside.mean() - level / 100) < 0.1
    assert (found[f"{NAME}-q-0.1"] <= found[f"{NAME}-q-0.9"]).all()
    paths = np.stack([found[f"{NAME}-sample-{i}"] for i in range(40)])
    assert 0.7 < ((found[f"{NAME}-lo-90"] <= paths) & (paths <= found[f"{NAME}-hi-90"])).mean() < 1
    assert model.predict(h=9, level=90)[f"{NAME}-hi-90"].shape == (60, 9)


def test_quantiles_that_the_network_learns():
    model = quick(quantiles=[0.1, 0.5, 0.9], epochs=10).fit(waves())
    found = model.predict(level=80, quantiles=0.1)
    np.testing.assert_array_equal(found[f"{NAME}-lo-80"], found[f"{NAME}-q-0.1"])
    assert (found[f"{NAME}-lo-80"] <= found[NAME]).all()
    assert (found[NAME] <= found[f"{NAME}-hi-80"]).all()
    with pytest.raises(ValueError, match="level: got some, but nothing tells how large errors are"):
        model.predict(level=95)
    calibrated = quick(quantiles=[0.1, 0.5, 0.9], val_size=8).fit(waves()).predict(level=[80, 95])
    assert set(calibrated) >= {f"{NAME}-lo-80", f"{NAME}-hi-95"}


def test_without_held_out_values_there_are_no_intervals():
    model = quick().fit(waves())
    for asked in ({"level": 80}, {"quantiles": [0.2]}, {"n_samples": 2}):
        with pytest.raises(ValueError, match="expected a forecaster with val_size of at least h"):
            model.predict(**asked)


# ---- training ---------------------------------------------------------------------------------------------------
def test_held_out_values_end_training_and_are_not_seen():
    epochs = []

    class Count(fd.training.Callback):
        def on_epoch_end(self, run):
            epochs.append(run.history.epochs[-1]["validation_loss"])

    series = waves()
    model = quick(val_size=6, early_stopping=1, epochs=40, learning_rate=0.1, callbacks=[Count()], refit=False).fit(
        series
    )
    assert len(model.history_[0].epochs) < 40
    assert len(epochs) == len(model.history_[0].epochs)
    spoilt = [np.r_[one[:-6], np.full(6, 1e3)] for one in series]  # what is held out changes no weight
    one, other = (quick(epochs=1, val_size=6, refit=False).fit(some).model_.state_dict() for some in (series, spoilt))
    assert all(np.array_equal(array, other[name]) for name, array in one.items())


def test_refit_learns_from_all_values():
    held, whole = quick(val_size=8, refit=False).fit(waves()), quick(val_size=8).fit(waves())
    np.testing.assert_array_equal(held.errors_, whole.errors_)
    assert not np.array_equal(held.predict(), whole.predict())


def test_partial_fit_goes_on():
    model = quick().partial_fit(waves())
    before = copy.deepcopy(model)
    model.partial_fit(waves(seed=1))
    weights = model.model_.state_dict()
    assert any(not np.array_equal(one, weights[name]) for name, one in before.model_.state_dict().items())
    assert not np.array_equal(before.predict(), model.predict())
    assert before.history_[0].losses != model.history_[0].losses


def test_the_same_seed_gives_the_same_bits_and_a_failure_changes_nothing():
    model = quick().fit(waves())
    expected = model.predict()
    np.testing.assert_array_equal(quick().fit(waves()).predict(), expected)
    assert not np.array_equal(quick(random_state=1).fit(waves()).predict(), expected)
    for bad in ([np.array([1.0, 2.0])], [np.array([np.nan])], [np.array([1.0, np.inf])], [], [["a"]]):
        with pytest.raises((TypeError, ValueError)):
            model.fit(bad)
        with pytest.raises((TypeError, ValueError)):
            model.partial_fit(bad)
    np.testing.assert_array_equal(model.predict(), expected)


# ---- how good they are ------------------------------------------------------------------------------------------
def test_cross_validation_forecasts_from_what_was_known_before():
    df = frame()
    model = quick(val_size=4)
    found = model.cross_validation(df, n_windows=3, step_size=2, level=80, baselines=["Naive", "SeasonalNaive"])
    assert not hasattr(model, "model_")
    assert len(found) == 3 * 3 * 4
    merged = found.merge(df, on=["unique_id", "ds"], suffixes=("", "_given"))
    assert (merged.y == merged.y_given).all()
    for (name, cutoff), one in found.groupby(["unique_id", "cutoff"]):
        known = df[(df.unique_id == name) & (df.ds <= cutoff)].y.to_numpy()
        assert (one.ds > cutoff).all()
        assert (one.Naive == known[-1]).all()
        np.testing.assert_array_equal(one.SeasonalNaive, known[-7:][:4])
    changed = df.assign(y=df.y.where(df.ds < df.groupby("unique_id").ds.transform("max") - pd.Timedelta(days=7), 1.0))
    first = lambda rows: rows[rows.cutoff == rows.groupby("unique_id").cutoff.transform("min")][NAME].to_numpy()  # noqa: E731
    again = model.cross_validation(changed, n_windows=3, step_size=2)
    np.testing.assert_array_equal(first(found), first(again))


def test_a_backtest_scores_all_methods_on_the_same_values():
    series = waves((90, 80, 100))
    report = quick(val_size=8, epochs=10).backtest(series, n_windows=2, level=80, refit=True)
    assert {"GlobalForecaster", "Naive", "SeasonalNaive"} <= set(report.scores)
    assert report.forecasts == 6
    assert report.series == 3
    assert set(report.scores[NAME]) == {"mae", "rmse", "smape", "mase", "coverage-80"}
    assert report.scores["SeasonalNaive"]["mae"] < report.scores["Naive"]["mae"]
    assert report.by_step["Naive"].shape == (4,)
    assert "smape" in repr(report)
    true, found = np.array([one[-4:] for one in series]), np.stack([one[-11:-7] for one in series])
    once = quick().backtest(series, n_windows=1, baselines=["SeasonalNaive"]).scores["SeasonalNaive"]
    assert once["smape"] == pytest.approx(100 * fd.metrics.symmetric_mean_absolute_percentage_error(true, found))
    mase = [
        fd.metrics.mean_absolute_scaled_error(t, f, one[:-4], period=7)
        for t, f, one in zip(true, found, series, strict=True)
    ]
    assert once["mase"] == pytest.approx(np.mean(mase))


def test_baselines():
    y = np.r_[np.arange(1.0, 8), np.arange(2.0, 8), np.nan]
    np.testing.assert_array_equal(baseline_forecast("Naive", y, 2, 7), [7, 7])
    np.testing.assert_array_equal(baseline_forecast("SeasonalNaive", y, 8, 7), [2, 3, 4, 5, 6, 7, 7, 2])
    with pytest.raises(ValueError, match="series: got no value"):
        baseline_forecast("Naive", np.full(3, np.nan), 2)
    pytest.importorskip("statsmodels")
    for name in ("ETS", "Theta"):
        found = baseline_forecast(name, waves((80,))[0], 7, 7)
        assert np.abs(found - 50 - 10 * np.sin(2 * np.pi * np.arange(80, 87) / 7)).max() < 3, name
        np.testing.assert_array_equal(baseline_forecast(name, np.full(20, 3.0), 2, 7), [3, 3])


def test_theta_is_half_the_slope_added_to_the_smoothed_level():
    pytest.importorskip("statsmodels")
    y = np.arange(30.0) + np.random.default_rng(0).normal(0, 0.1, 30)
    found = baseline_forecast("Theta", y, 3)
    slope = np.polyfit(np.arange(30), y, 1)[0]
    np.testing.assert_allclose(np.diff(found), slope / 2, rtol=1e-6)


def test_pictures():
    pytest.importorskip("matplotlib")
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    model = quick(val_size=8).fit(frame())
    axes = model.plot()
    assert [ax.get_title() for ax in axes] == ["s0", "s1", "s2"]
    assert "95 %" in [one.get_text() for one in axes[0].get_legend().get_texts()]
    assert len(model.plot("s1", level=50, history=10, ax=pyplot.figure().gca())) == 1
    with pytest.raises(ValueError, match="ids: got 'nobody'"):
        model.plot(["s1", "nobody"])
    pyplot.close("all")


# ---- parts ------------------------------------------------------------------------------------------------------
def test_transforms_are_undone():
    y = np.exp(waves((70,))[0] / 40)
    for log in (False, True):
        found = transform_of(y, 3, 60, log, 7, True)
        np.testing.assert_allclose(undone(found, applied(found, y, 3), 3), y)
        assert abs(found.season.mean()) < 1e-12
    season = seasonal_indices(10 * np.sin(2 * np.pi * (np.arange(70) + 3) / 7), 3, 7)
    np.testing.assert_allclose(season, 10 * np.sin(2 * np.pi * np.arange(7) / 7), atol=1e-6)
    assert transform_of(np.random.default_rng(0).normal(size=80), 0, 80, False, 7, "auto").season is None


def test_axes_and_seasons_of_dates():
    for freq, season in (("MS", 12), ("D", 7), ("B", 5), ("h", 24), ("W-SUN", 52), ("QE", 4), ("YE", 1)):
        df = pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=12, freq=freq)})
        assert season_of(axis_of(df, "ds", None)) == season, freq
    with pytest.raises(ValueError, match="freq: got None, and none is seen"):
        axis_of(pd.DataFrame({"ds": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-15"])}), "ds", None)


def test_gradients_of_the_network():
    rng = np.random.default_rng(0)
    for head in (0, 5):
        net = fd.estimators.ForecastNet(3, 2, 4, "gru", 6, 1, 0.0, head, rng=0)
        x, known = rng.normal(size=(5, 2, 3)).astype(np.float32), rng.normal(size=(5, 2, 2)).astype(np.float32)
        dy = rng.normal(size=(5, 2, 4)).astype(np.float32)
        net((x, known))
        net.backward(dy)
        for name, one in net.named_parameters():
            place = np.unravel_index(int(np.abs(one.grad).argmax()), one.shape)
            values = []
            for step in (1e-2, -1e-2):
                moved = one.data.copy()
                moved[place] += step
                kept, one.data = one.data.copy(), moved
                values.append(float((net((x, known)).astype(np.float64) * dy).sum()))
                one.data = kept
            assert (values[0] - values[1]) / 2e-2 == pytest.approx(float(one.grad[place]), rel=0.02, abs=1e-3), name
