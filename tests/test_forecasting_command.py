"""``fastdl train series`` and ``fastdl predict`` on files of series."""

import csv
import os

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd

import fastdl as fd
from fastdl.cli import main

QUICK = ["--epochs", "2", "--hidden", "8", "--quiet", "--threads", "1"]
OWN = ["--time", "day", "--target", "sold", "--series", "shop", "--horizon", "5"]


@pytest.fixture
def sales(tmp_path):
    rng, parts = np.random.default_rng(0), []
    for i in range(3):
        day = pd.date_range("2024-01-01", periods=70 + 9 * i, freq="D")
        sold = 30 * (i + 1) + 8 * np.sin(2 * np.pi * np.arange(day.size) / 7) + rng.normal(0, 1, day.size)
        parts.append(
            pd.DataFrame(
                {"shop": f"shop {i}", "day": day, "sold": sold, "promo": day.day % 3 == 0, "kind": "ab"[i % 2]}
            )
        )
    path = tmp_path / "sales.csv"
    pd.concat(parts).to_csv(path, index=False)
    return str(path)


def fails(capsys, *argv):
    """The message of a command that ends with status 2."""
    try:
        status = main(argv)
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_it_trains_reports_and_predicts(sales, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "series", sales, *OWN, "--static", "kind", "--out", str(out), *QUICK]) == 0
    printed, err = capsys.readouterr()
    assert err == ""
    assert {"GlobalForecaster", "Naive", "SeasonalNaive"} <= {
        line.split()[0] for line in printed.splitlines() if line[:1].isalpha()
    }
    files = {"model.safetensors", "report.md", "report.png", "forecasts.csv", "history.csv"}
    assert set(os.listdir(out)) == files
    report = (out / "report.md").read_text()
    for word in ("# sold", "coverage-80", "| season | 7 steps |", "| series | 3 |", "2024-01-01 to", "| 5 | "):
        assert word in report
    with open(out / "forecasts.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    assert rows[0]["day"] == "2024-03-11"
    assert float(rows[0]["GlobalForecaster-lo-95"]) <= float(rows[0]["GlobalForecaster-hi-95"])
    assert main(["predict", str(out), sales, "-o", str(tmp_path / "found.csv")]) == 0
    assert (tmp_path / "found.csv").read_text() == (out / "forecasts.csv").read_text()
    assert isinstance(fd.load(out / "model.safetensors"), fd.estimators.GlobalForecaster)


def test_what_is_known_of_the_future_stands_after_the_values(sales, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "series", sales, *OWN, "--future", "promo", "--out", str(out), *QUICK]) == 0
    assert not (out / "forecasts.csv").exists()
    capsys.readouterr()
    frame = pd.read_csv(sales)
    assert "futr_df: has no row of 'shop 0' at 2024-03-11" in fails(capsys, "predict", str(out), sales)
    later = pd.concat(
        pd.DataFrame(
            {"shop": name, "day": pd.date_range(one.day.max(), periods=6, freq="D")[1:].astype(str), "promo": True}
        )
        for name, one in frame.groupby("shop")
    )
    pd.concat([frame, later]).to_csv(tmp_path / "more.csv", index=False)
    assert main(["predict", str(out), str(tmp_path / "more.csv")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 16
    assert (
        main(["train", "series", str(tmp_path / "more.csv"), *OWN, "--future", "promo", "--out", str(out), *QUICK]) == 0
    )


def test_one_series_of_numbers(tmp_path, capsys):
    pd.DataFrame({"t": range(40), "y": np.arange(40.0)}).to_csv(tmp_path / "one.csv", index=False)
    argv = ["train", "series", str(tmp_path / "one.csv"), "--time", "t", "--target", "y", "--horizon", "3"]
    assert main([*argv, "--out", str(tmp_path / "run"), *QUICK]) == 0
    rows = pd.read_csv(tmp_path / "run" / "forecasts.csv")
    assert rows.t.tolist() == [40, 41, 42]


@pytest.mark.parametrize(
    ("change", "argv", "message"),
    [
        ({}, ["--time", "date"], "--time date: "),
        ({}, ["--future", "price"], "--future price: "),
        ({}, ["--time", "shop"], "['shop']: not read as dates"),
        ({}, ["--horizon", "90"], "no series has"),
        ({}, ["--freq", "never"], "freq: got 'never'"),
        ({}, ["--cell", "transformer"], "cell: got 'transformer'"),
        ({"sold": "many"}, [], "['sold']: row 0 has 'many'"),
        ({"day": "2024-01-01"}, ["--freq", "D"], "twice"),
    ],
)
def test_errors_say_what_and_where(change, argv, message, sales, tmp_path, capsys):
    pd.read_csv(sales).assign(**change).to_csv(sales, index=False)
    assert message in fails(capsys, "train", "series", sales, *OWN, *argv, "--out", str(tmp_path / "run"), *QUICK)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "series", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "--horizon" in out
    assert all(len(line) < 100 for line in out.splitlines())
