"""Series, frames and small forecasters for the tests of forecasting."""

import numpy as np
import pandas as pd

from fastdl.estimators import GlobalForecaster


def quick(**settings):
    return GlobalForecaster(**{"h": 4, "season_length": 7, "hidden_size": 8, "head_size": 8, "epochs": 3,
                               "random_state": 0, **settings})  # fmt: skip


def waves(sizes=(60, 45, 70), seed=0):
    rng = np.random.default_rng(seed)
    return [
        50 * (i + 1) + 10 * np.sin(2 * np.pi * np.arange(n) / 7) + rng.normal(0, 0.5, n) for i, n in enumerate(sizes)
    ]


def frame(sizes=(60, 45, 70), **columns):
    parts = []
    for i, y in enumerate(waves(sizes)):
        ds = pd.date_range("2024-01-01", periods=y.size + 5 * i, freq="D")[5 * i :]
        parts.append(pd.DataFrame({"unique_id": f"s{i}", "ds": ds, "y": y}))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(promo=(found.ds.dt.day % 5 == 0).astype(int), kind=np.where(found.unique_id == "s1", "b", "a"))


def promised(df, h):
    """What is known of the h steps after each series."""
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range(one.ds.max(), periods=h + 1, freq="D")[1:], "promo": 1})
        for name, one in df.groupby("unique_id")
    ]
    return pd.concat(parts)
