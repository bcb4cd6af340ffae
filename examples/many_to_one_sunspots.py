"""Many-to-one: the yearly sunspot numbers forecast one year ahead.

The mean of five LSTMs' forecasts, trained on 1700-1920 and tested on 1921-1955, against an autoregression of order 12
fitted by least squares to the same years and the value eleven years before (seasonal-naive). The average relative
variance (ARV) is the mean squared error over the variance of the whole series.
"""

import numpy as np
from _common import arguments, pyplot, save, size

import fastdl as fd

FIRST, TRAINED, TESTED = 1700, 1920, 1955
CYCLE = 11  # years


def autoregression(series, trained, order=12):
    """One-step forecasts of a linear autoregression with intercept, fitted to the first `trained` values."""
    windows = np.lib.stride_tricks.sliding_window_view(series, order)[:-1]
    inputs = np.column_stack([windows, np.ones(len(windows))])
    fitted = slice(trained - order)
    weights = np.linalg.lstsq(inputs[fitted], series[order:][fitted], rcond=None)[0]
    return np.concatenate([np.full(order, np.nan), inputs @ weights])


def forecast(series, trained, seed, epochs):
    """The LSTM, and its forecasts on square roots: counts vary with their size, their roots do not."""
    roots = np.sqrt(series)
    model = fd.models.Forecaster(window=12, rng=seed)
    model.fit(roots[:trained], epochs=epochs)
    return model, np.maximum(model.predict(roots)[:-1], 0) ** 2


def draw(series, forecasts, path):
    """The data from 1880 on, and the forecasts beside them."""
    years = np.arange(FIRST, FIRST + len(series))
    figure, axes = pyplot().subplots(figsize=(9, 4))
    axes.plot(years[180 : TESTED + 1 - FIRST], series[180 : TESTED + 1 - FIRST], "k", label="sunspot number")
    for name, values in forecasts.items():
        axes.plot(np.arange(TRAINED + 1, TESTED + 1), values, label=name, linewidth=1)
    axes.set(xlabel="year", title="Forecasts one year ahead")
    axes.legend()
    save(figure, path)


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    _, series = fd.datasets.sunspots().all
    trained, test = TRAINED - FIRST + 1, slice(TRAINED - FIRST + 1, TESTED - FIRST + 1)

    def arv(values):
        return float(np.mean((values[test] - series[test]) ** 2) / series.var())

    seeds, epochs = (range(1), 10) if options.quick else (range(5), 100)
    models, lstm = zip(*(forecast(series, trained, options.seed + seed, epochs) for seed in seeds), strict=True)
    linear = autoregression(series, trained)
    naive = np.concatenate([np.full(CYCLE, np.nan), series[:-CYCLE]])
    results = {"LSTM": arv(np.mean(lstm, 0)), "AR(12)": arv(linear), "naive": arv(naive)}
    each = " ".join(f"{arv(one):.4f}" for one in lstm)
    print(f"ARV {TRAINED + 1}-{TESTED}: mean of the LSTMs {results['LSTM']:.4f}, each {each}")
    print(f"AR(12) {results['AR(12)']:.4f}, the value {CYCLE} years before {results['naive']:.4f}")
    forecasts = {"LSTM": np.mean(lstm, 0)[test], "AR(12)": linear[test], f"{CYCLE} years before": naive[test]}
    draw(series, forecasts, options.out / "sunspots.png")
    return results | {"parameters": size(models[0])}


if __name__ == "__main__":
    main()
