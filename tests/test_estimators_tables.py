"""Tables as they come: what columns are taken as, estimators on them, and the commands on files."""

import io
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import fastdl as fd
from fastdl.cli import main
from fastdl.estimators import CodedColumns, MLPClassifier, TableClassifier, TableEncoder, TableRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def table(rows=400, seed=0):
    """Columns of all kinds, and targets that they tell."""
    rng = np.random.default_rng(seed)
    shops = [f"s{k}" for k in range(30)]
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows).round(1),
            "town": rng.choice(["Århus", "Rome", "Oslo"], rows),
            "shop": rng.choice(shops, rows),
            "day": pd.date_range("2024-01-01", periods=rows, freq="7h").astype(str),
            "member": rng.random(rows) > 0.5,
            "id": [f"x{k}" for k in range(rows)],
            "unit": "EUR",
        }
    )
    effect = pd.Series(np.random.default_rng(9).normal(size=30), index=shops)
    score = (
        frame["shop"].map(effect) + (frame["age"] - 40) / 10 + frame["town"].map({"Århus": 1, "Rome": -1, "Oslo": 0})
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::11, "town"] = None
    return frame, pd.Series(np.where(score > 0, "yes", "no"), name="buys"), 1000 + 50 * score.rename("price")


# ---- the encoder ------------------------------------------------------------------------------------------------


def test_what_columns_are_taken_as():
    frame, _, _ = table()
    encoder = TableEncoder().fit(frame)
    kinds = {one["name"]: one["kind"] for one in encoder.columns_}
    assert kinds == {
        "age": "number", "town": "category", "shop": "category", "day": "date", "member": "number",
        "id": "left out", "unit": "left out",
    }  # fmt: skip
    names = encoder.get_feature_names_out().tolist()
    assert names[:6] == ["age", "age=missing", "town=Oslo", "town=Rome", "town=Århus", "town=missing"]
    assert names[-1] == "shop"  # its codes come last
    assert encoder.levels_ == [31]
    found = encoder.transform(frame)
    assert found.shape == (400, len(names))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 0].mean(), 0, atol=1e-12)
    assert found[0, 0] == 0.0  # what is missing is the mean
    assert found[0, 1] == found[0, 5] == 1.0
    framed = TableEncoder().set_output(transform="pandas").fit_transform(frame)
    assert framed.columns.tolist() == names


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "number"),
        ([1.5, None, 3.0], "number"),
        (["1", "2", "x"], "category"),
        (["2024-01-01", None, "2024-02-01T10:30:00"], "date"),
        (["2024-01-01", "2024-13-01", "2024-02-01"], "category"),
        (["01/02/2024", "03/04/2024", "03/04/2024"], "category"),
        ([True, False, True], "number"),
        (pd.array([1, None, 3], "Int64"), "number"),
        (pd.array([True, None, False], "boolean"), "number"),
        (pd.Categorical(["a", "b", "a"]), "category"),
        (pd.to_datetime(["2024-01-01", None, "2024-03-01"]), "date"),
        (pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]).tz_localize("Europe/Oslo"), "date"),
        (np.array([1, 2.5, None], object), "number"),
        ([None, None, None], "left out"),
        ([5, 5, 5], "left out"),
        ([5, None, 5], "number"),
    ],
    ids=str,
)
def test_kinds_of_columns(values, kind):
    frame = pd.DataFrame({"this": values, "other": [1, 2, 4]})
    encoder = TableEncoder().fit(frame)
    assert encoder.columns_[0]["kind"] == kind
    assert np.isfinite(encoder.transform(frame)).all()
    assert encoder.transform(frame[:1]).shape == (1, len(encoder.get_feature_names_out()))


def test_dates_know_the_year_the_week_and_the_day():
    days = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=366)})
    encoder = TableEncoder().set_output(transform="pandas").fit(days)
    found = encoder.transform(days)
    assert not [name for name in found.columns if "hour" in name]
    weekday = np.arctan2(found["day.day_of_week.sin"], found["day.day_of_week.cos"]) / (2 * np.pi) * 7 % 7
    np.testing.assert_allclose(weekday, np.arange(366) % 7, atol=1e-9)
    assert found["day.time"].is_monotonic_increasing


def test_what_was_not_seen():
    frame, _, _ = table()
    encoder = TableEncoder().fit(frame)
    other = frame[:3].assign(town="Paris", shop="new", age=1e6)[::-1]
    found = dict(zip(encoder.get_feature_names_out(), encoder.transform(other)[0], strict=True))
    assert found["shop"] == found["town=Oslo"] == found["town=missing"] == 0
    shuffled = frame[list(frame.columns[::-1])].assign(more=1)  # columns are found by name
    assert np.array_equal(encoder.transform(shuffled), encoder.transform(frame))
    with pytest.raises(ValueError, match=r"X: has no column 'age', expected .*did it become 'Age'"):
        encoder.transform(frame.rename(columns={"age": "Age"}))
    with pytest.raises(ValueError, match="column 'age' holds a category, expected a number as before"):
        encoder.transform(frame.assign(age="old"))
    for bad in (frame.assign(age=np.inf), frame.assign(age=1j)):
        with pytest.raises(ValueError, match="the column 'age' holds"):
            TableEncoder().fit(bad)
    with pytest.raises(
        ValueError, match=r"no column that tells anything \(n_samples=400\): 'id' differs in every row; 'unit' has one"
    ):
        TableEncoder().fit(frame[["id", "unit"]])
    with pytest.raises(ValueError, match="got the column 'a' twice"):
        TableEncoder().fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ValueError, match=r"got 0 sample\(s\)"):
        TableEncoder().fit(pd.DataFrame({"a": []}))
    with pytest.raises(ValueError, match="categories: got 'one', expected one of 'auto'"):
        TableEncoder("one").fit(frame)
    with pytest.raises(NotFittedError):
        TableEncoder().transform(frame)


def test_arrays_and_mappings_are_tables_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    encoder = TableEncoder().fit(x)
    assert encoder.feature_names_in_.tolist() == ["0", "1", "2"]
    assert np.array_equal(encoder.transform(x), encoder.transform({"0": x[:, 0], "1": x[:, 1], "2": x[:, 2]}))
    pipe = make_pipeline(TableEncoder(categories="onehot"), MLPClassifier(max_iter=5))
    frame, y, _ = table()
    assert pipe.fit(frame, y).predict(frame).shape == (400,)


# ---- estimators -------------------------------------------------------------------------------------------------


def test_vectors_of_categories_are_learnt():
    layer = CodedColumns(2, [4, 3], [2, 5], rng=0, dtype=np.float64)
    x = np.array([[0.5, 1.5, 3, 0], [2.5, -1.0, 0, 2]])
    tables = [one.data for one in layer.parameters()]
    expected = np.concatenate([x[:, :2], tables[0][[3, 0]], tables[1][[0, 2]]], axis=1)
    assert np.array_equal(layer.forward(x), expected)
    dy = np.arange(18.0).reshape(2, 9)
    assert layer.backward(dy) is None
    assert np.array_equal(layer.tables[0].weight.grad[[3, 0]], dy[:, 2:4])
    assert np.array_equal(layer.tables[1].weight.grad[[0, 2]], dy[:, 4:])
    with pytest.raises(ValueError, match="sizes: got 1, expected 2"):
        CodedColumns(2, [4, 3], [2])
    for x in (np.zeros((2, 3)), np.zeros((2, 5)), np.zeros(4)):
        with pytest.raises(ValueError, match="^x: "):
            layer.forward(x)
    y = layer.forward(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="^dy: "):
        layer.backward(y[:, 1:])
    layer.backward(y)


@pytest.mark.parametrize("categories", ["auto", "onehot", "embed"])
def test_estimators_on_tables(categories):
    frame, y, price = table(1200)
    settings = {"categories": categories, "max_iter": 60, "random_state": 0, "batch_size": 64}
    classes = TableClassifier(**settings).fit(frame[:900], y[:900])
    assert classes.score(frame[900:], y[900:]) > 0.85
    numbers = TableRegressor(**settings).fit(frame[:900], price[:900])
    assert numbers.score(frame[900:], price[900:]) > 0.8
    found = classes.predict_table(frame[900:])
    assert found.columns.tolist() == ["buys", "probability_no", "probability_yes"]
    assert found.index.equals(frame.index[900:])
    assert numbers.predict_table(frame[:5]).columns.tolist() == ["price"]
    np.testing.assert_allclose(found[["probability_no", "probability_yes"]].sum(axis=1), 1, rtol=1e-5)


def test_tables_in_searches_and_files(tmp_path):
    frame, y, price = table()
    model = TableClassifier(max_iter=20, random_state=0)
    assert cross_val_score(model, frame, y, cv=2).shape == (2,)
    for one, target in ((model, y), (TableRegressor(max_iter=3, random_state=0), price)):
        one.fit(frame, target)
        fd.save(one, tmp_path / "model.safetensors")
        again = fd.load(tmp_path / "model.safetensors")
        pd.testing.assert_frame_equal(again.predict_table(frame), one.predict_table(frame))
        assert np.array_equal(clone(again).fit(frame, target).predict(frame), one.predict(frame))
    two = TableRegressor(max_iter=5).fit(frame, np.column_stack([price, -price]))
    assert two.predict_table(frame).columns.tolist() == ["target_0", "target_1"]


def test_polars_tables():
    pl = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame, y, _ = table()
    one = TableClassifier(max_iter=2, random_state=0).fit(frame, y)
    other = TableClassifier(max_iter=2, random_state=0).fit(pl.from_pandas(frame), y)
    assert np.array_equal(one.predict_proba(frame), other.predict_proba(frame))


# ---- the commands -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    frame, y, price = table()
    frame.assign(buys=y, price=price.round(2)).to_csv(tmp_path / "shop.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


QUICK = ["--epochs", "30", "--hidden", "16", "--quiet"]


def test_train_and_predict(folder, capsys):
    assert main(["train", "table", "shop.csv", "--target", "buys", "--drop", "price", *QUICK]) == 0
    out = capsys.readouterr().out
    rows = {line.split("|")[1].strip(): float(line.split("|")[2]) for line in out.splitlines()[2:5]}
    assert rows["network"] > 0.7 > rows["the most frequent class"]
    assert sorted(one.name for one in (folder / "runs" / "table").iterdir()) == [
        "history.csv", "model.safetensors", "report.md", "report.png",
    ]  # fmt: skip
    report = (folder / "runs" / "table" / "report.md").read_text()
    assert "| shop | category | 30 categories, a vector each |" in report
    assert "| id | left out | differs in every row |" in report
    assert main(["predict", "runs/table", "shop.csv", "-o", "out.csv"]) == 0
    model = fd.load("runs/table/model.safetensors")
    found = pd.read_csv("out.csv")
    assert (found["buys"] == model.predict(pd.read_csv("shop.csv"))).all()
    capsys.readouterr()
    assert main(["predict", "runs/table/model.safetensors", "shop.csv"]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 400
    assert main(["info", "runs/table/model.safetensors"]) == 0
    assert "target: buys" in capsys.readouterr().out


def test_a_regression_of_a_file_from_elsewhere(folder, capsys):
    pd.read_csv("shop.csv").to_csv("west.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    given = ["train", "table", "west.csv", "--target", "price", "--drop", "buys", "--out", "west", *QUICK]
    assert main(given) == 2
    message = capsys.readouterr().err
    assert "west.csv: is not utf-8: byte 0xc5 in line" in message
    assert "--encoding names another, as cp1252" in message
    reading = ["--encoding", "cp1252", "--decimal", ","]
    assert main([*given, *reading]) == 0
    out = capsys.readouterr().out
    assert "root mean squared error" in out
    assert "the mean" in out
    assert main(["predict", "west", "west.csv", *reading]) == 0
    assert capsys.readouterr().out.startswith("price\n")


def test_what_is_missing_in_a_target_is_left_out(folder, capsys):
    frame = pd.read_csv("shop.csv")
    frame.loc[:9, "buys"] = None
    frame.to_csv("gaps.csv", index=False)
    assert main(["train", "table", "gaps.csv", "--target", "buys", *QUICK]) == 0
    assert "10 rows without buys are left out" in capsys.readouterr().err


def test_a_rare_class_and_few_rows(folder, capsys):
    frame = pd.read_csv("shop.csv")[:30]
    frame.loc[3, "buys"] = "perhaps"
    frame.to_csv("rare.csv", index=False)
    assert main(["train", "table", "rare.csv", "--target", "buys", *QUICK]) == 0
    assert main(["train", "table", "rare.csv", "--target", "price", *QUICK]) == 0
    capsys.readouterr()


def test_parquet(folder, capsys):
    pytest.importorskip("pyarrow")
    pd.read_csv("shop.csv").to_parquet("shop.parquet")
    assert main(["train", "table", "shop.parquet", "--target", "member", *QUICK]) == 0
    assert main(["predict", "runs/table", "shop.parquet", "-o", "out.parquet"]) == 0
    assert pd.read_parquet("out.parquet")["member"].dtype == bool
    (folder / "bad.parquet").write_bytes(b"no")
    assert main(["predict", "runs/table", "bad.parquet"]) == 2
    assert "bad.parquet: cannot be read as Parquet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: is empty"),
        (b"a,b\n", "t.csv: has 2 columns and no rows"),
        (b"a,a\n1,2\n", None),  # pandas names the second a.1
        (b"a,b\n" + b"1,2\n" * 4, "t.csv: has 4 rows with a target, expected at least 10"),
        (b"b\n" + b"1\n2\n" * 9, "t.csv: has no column beside the target"),
        (b"a,b\n" + b"1,2\n" * 20, "--target b: has one value alone, '2'"),
        (b"a,b\n" + b"1,x\n" * 20 + b"2,y,z\n", "t.csv: cannot be read as CSV: "),
        (b"a,b\n" + b"1,2,3\n" * 20, "t.csv: has rows with more fields than the first line has names"),
        (b"\x1f\x8b123", "t.csv: is compressed"),
        (b"PK\x03\x04\0\0", "t.csv: is binary, expected CSV"),
        ("a,b\n1,2\n".encode("utf-16"), "t.csv: is binary, expected CSV; that of Excel's Unicode text is --encoding"),
        (b"a,b\n" + b"".join(b"1,t%d\n" % k for k in range(30)), "--target b: has 30 different values in 30 rows"),
    ],
)
def test_bad_files(folder, capsys, content, message):
    (folder / "t.csv").write_bytes(content)
    status = main(["train", "table", "t.csv", "--target", "b", *QUICK])
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    if message is not None:
        assert message in error
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "table", "no.csv", "--target", "b"], "no.csv: No such file or directory"),
        (["train", "table", "shop.csv", "--target", "buy"], "--target buy: shop.csv has no such column (did you mean "),
        (["train", "table", "shop.csv", "--target", "buys", "--drop", "no"], "--drop no: shop.csv has no such column"),
        (["train", "table", "shop.csv", "--target", "buys", "--task", "regression"], "--target buys: holds "),
        (["train", "table", "shop.csv", "--target", "price", "--task", "classification"], "too many for classes"),
        (["train", "table", "a.xlsx", "--target", "b"], "a.xlsx: is Excel, expected CSV or Parquet: save it as CSV"),
        (["train", "table", "shop.csv", "--target", "b", "--encoding", "klingon"], "--encoding klingon: no encoding"),
        (["predict", "no", "shop.csv"], "no: No such file"),
        (["predict", "lstm.safetensors", "shop.csv"], "is a LSTM, expected a model of 'fastdl train table'"),
    ],
)  # fmt: skip
def test_bad_use(folder, capsys, words, message):
    fd.save(fd.nn.LSTM(2, 2, rng=0), "lstm.safetensors")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", [["--hidden", "12,x"], ["--hidden", "0"], ["--separator", "ab"], ["--lr", "0"]])
def test_bad_options(folder, words):
    with pytest.raises(SystemExit) as end:
        main(["train", "table", "shop.csv", "--target", "buys", *words])
    assert end.value.code == 2


def test_predictions_of_another_table(folder, capsys):
    assert main(["train", "table", "shop.csv", "--target", "price", "--drop", "buys", *QUICK]) == 0
    pd.DataFrame({"Age": [1]}).to_csv("other.csv", index=False)
    assert main(["predict", "runs/table", "other.csv"]) == 2
    assert "other.csv: has no column 'age', expected " in capsys.readouterr().err


def test_without_matplotlib_there_is_no_picture(folder, capsys, monkeypatch):
    for name in [one for one in sys.modules if one.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["train", "table", "shop.csv", "--target", "buys", *QUICK]) == 0
    assert "no report.png: matplotlib is not installed" in capsys.readouterr().err
    assert "![" not in (folder / "runs" / "table" / "report.md").read_text()
