"""Many-to-many, Tx != Ty: 24 months are read and 18 forecast, by one network for all series of a competition.

The 1,428 monthly series of M3. Eight LSTM networks learn all of them together and the median of their forecasts
counts. Beside it, fitted to each series alone: the value a year before, exponential smoothing (ETS) and the Theta
method, which won with a published sMAPE of 13.85 per cent. Settings were chosen on the last 18 values of the series to
train on. The picture shows two series and their forecasts.
"""

import numpy as np
from _common import arguments, pyplot, save, size

import fastdl as fd

SEASON = 12
SETTINGS = {"hidden_size": 96, "head_size": 128, "input_size": 24, "learning_rate": 5e-3, "epochs": 10}


def smape(true, found):
    """In per cent, the mean of all series and months."""
    return 100 * float(fd.metrics.symmetric_mean_absolute_percentage_error(true.ravel(), found.ravel()))


def draw(past, future, forecasts, path):
    """The last four years of some series, what came then, and the forecasts."""
    figure, grid = pyplot().subplots(len(past), figsize=(9, 2.6 * len(past)))
    for k, axes in enumerate(grid):
        before, months = past[k][-4 * SEASON :], np.arange(future.shape[1])
        axes.plot(np.arange(-len(before), 0), before, "k")
        axes.plot(months, future[k], "k--", label="came")
        for name, found in forecasts.items():
            axes.plot(months, found[k], label=name, linewidth=1)
        axes.set(xlabel="month", ylabel="value")
    grid[0].legend(fontsize=8)
    save(figure, path)


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    past, future, *_ = fd.datasets.m3("monthly").all
    each, networks, settings = (40, 1, SETTINGS | {"epochs": 3}) if options.quick else (1, 8, SETTINGS)
    past, future = past[::each], np.array(future[::each])
    months = future.shape[1]
    names = ("SeasonalNaive", "ETS", "Theta")
    forecasts = {name: fd.estimators.baseline_forecast(name, past, months, SEASON) for name in names}
    model = fd.estimators.GlobalForecaster(
        h=months, season_length=SEASON, n_models=networks, random_state=options.seed, **settings
    )
    forecasts["GlobalForecaster"] = np.asarray(model.fit(past).predict())
    results = {name: smape(future, found) for name, found in forecasts.items()}
    for name, value in results.items():
        print(f"{name:18}{value:6.2f} per cent of sMAPE, {len(past):,} series")
    shown = [0, len(past) // 2]
    some = {name: forecasts[name][shown] for name in ("Theta", "GlobalForecaster")}
    draw([past[k] for k in shown], future[shown], some, options.out / "m3.png")
    return results | {"parameters": size(model.model_)}


if __name__ == "__main__":
    main()
