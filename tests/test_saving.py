"""Models in files: what comes back is the model, what cannot come back is refused when it is saved."""

import copy
import json
import pickle
import re
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors

PAGE = Path(__file__).parents[1] / "docs" / "saving.md"
RNG = np.random.default_rng(2)
WORDS = fd.nn.Embedding(9, 4, rng=0)


class Own(fd.nn.Module):
    def __init__(self, size, *more, rate=0.5, table=None, **options):
        super().__init__()
        self.linear, self.drop = fd.nn.Linear(size, size, rng=0), fd.nn.Dropout(rate, rng=1)
        self.scale = fd.nn.Parameter("scale", np.ones(size, np.float32))
        self.register_buffer("table", np.zeros(3) if table is None else table)

    def forward(self, x):
        return self.drop(np.tanh(self.linear(x)) * self.scale.data)


def normalised():
    return fd.nn.Sequential(
        fd.nn.Conv1d(3, 4, 3, padding="causal", rng=0), fd.nn.BatchNorm1d(4), fd.nn.LayerNorm(4), fd.nn.MaxPool1d(2)
    )


MODELS = {
    "a chain, tied": lambda: fd.nn.Sequential(
        WORDS, fd.nn.LSTM(4, 4, num_layers=2, dropout=0.1, rng=1, bidirectional=True, merge="sum"),
        fd.nn.Linear(4, 9, bias=False, tied=WORDS),
    ),
    "tied by its parameter": lambda: (lambda e: fd.nn.Sequential(e, fd.nn.Linear(4, 9, tied=e.weight, rng=1)))(
        fd.nn.Embedding(9, 4, rng=2)
    ),
    "a class of one's own": lambda: fd.nn.Sequential(
        Own(4, 1, 2, rate=0.3, table=np.arange(5.0), z=[1, (2, 3.5)], inf=float("inf"), kind=np.float64, none=None),
        fd.nn.Residual(fd.nn.GELU("tanh")),
    ),
    "a layer twice": lambda: (lambda one: fd.nn.Sequential(one, fd.nn.Tanh(), one))(fd.nn.Linear(3, 3, rng=0)),
    "layers over time": normalised,
    "a dict": lambda: fd.nn.ModuleDict({"a": fd.nn.Linear(2, 2, rng=0), "b": fd.nn.ModuleList([fd.nn.ReLU()])}),
    "float64": lambda: fd.nn.GRU(3, 4, dtype=np.float64, learned_state=True, layer_norm=True, rng=0),
    "sLSTM": lambda: fd.nn.sLSTM(3, 4, heads=2, rng=0),
    "weights dropped": lambda: fd.nn.DropConnect(fd.nn.Linear(4, 4, rng=0), 0.3, rng=1),
    "attention": lambda: fd.nn.AdditiveAttention(3, 4, 5, rng=0),
    "by keyword": lambda: fd.nn.Linear(out_features=2, in_features=3, bias=False, rng=fd.random.Generator(3)),
    "Classifier": lambda: fd.models.Classifier(3, 2, hidden=4, rng=0),
    "Forecaster": lambda: fd.models.Forecaster(4, 3, rng=0),
    "SequenceClassifier": lambda: fd.models.SequenceClassifier(3, 2, 4, rng=0),
    "SequenceGenerator": lambda: fd.models.SequenceGenerator(2, 3, 2, 4, 5, rng=0),
    "Tagger": lambda: fd.models.Tagger(5, 3, 4, 4, rng=0),
    "Seq2Seq": lambda: fd.models.Seq2Seq(5, 4, 3, 4, rng=0),
    "CharLM": lambda: fd.models.CharLM(fd.text.Vocabulary("abc \u00e9"), 3, 4, rng=0),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_what_comes_back_is_the_model(name, tmp_path):
    model, path = MODELS[name](), tmp_path / "model.safetensors"
    for _, one in model.named_parameters():
        one.data = RNG.normal(size=one.shape)
    fd.save(model, path)
    again = fd.load(path, custom=[Own])
    assert repr(again) == repr(model)
    assert not again.training
    state, other = model.state_dict(), again.state_dict()
    assert list(state) == list(other)
    for key, array in state.items():
        assert array.dtype == other[key].dtype
        np.testing.assert_array_equal(array, other[key])
    assert again.random_state() == model.random_state()
    assert len(again.parameters()) == len(model.parameters())
    fd.save(again, path)  # what was loaded is saved
    assert fd.load(path, custom=[Own]).state_dict().keys() == state.keys()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), copy.copy])
def test_copies_are_saved_too(copied, tmp_path):
    model = copied(MODELS["a class of one's own"]())
    fd.save(model, tmp_path / "model")
    assert repr(fd.load(tmp_path / "model", custom=[Own])) == repr(model)


def test_masks_go_on_and_frozen_parameters_stay_frozen(tmp_path):
    model = fd.nn.Sequential(fd.nn.Linear(4, 4, rng=0), fd.nn.Dropout(0.5, rng=1))
    model[0].bias.freeze()
    x = np.ones((3, 4), np.float32)
    model(x)
    fd.save(model, tmp_path / "model")
    again = fd.load(tmp_path / "model").train()
    np.testing.assert_array_equal(again(x), model(x))
    assert [one.frozen for one in again.parameters()] == [False, True]


def test_changes_of_settings_and_of_chains_are_saved(tmp_path):
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Dropout(0.2, rng=0))
    model[0].truncate, model[1].p = 5, 0.7
    model.append(fd.nn.Linear(4, 2, rng=1))
    fd.save(model, tmp_path / "model")
    again = fd.load(tmp_path / "model")
    assert (again[0].truncate, again[1].p, len(again)) == (5, 0.7, 3)


def changed():
    model = Own(4)
    model.more = fd.nn.Linear(2, 2, rng=0)
    return model


def replaced():
    model = Own(4)
    model.drop = fd.nn.Tanh()
    return model


class Function(fd.nn.Module):
    def __init__(self, function):
        super().__init__()

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (changed, ValueError, r"model: its modules are not .*: more is Linear\(2, 2\), made anew not there"),
        (replaced, ValueError, r"model: its modules are not .*: drop is Tanh\(\), made anew Dropout"),
        (lambda: Function(np.tanh), TypeError, r"model.function: got <ufunc 'tanh'>, which a file cannot hold"),
        (lambda: pickle.loads(pickle.dumps(fd.nn.Sequential(Function(3)))), None, ""),
        (lambda: fd.nn.Sequential(Function(lambda x: x)), TypeError, r"model.layers\[0\].function: got <function"),
        (lambda: Function({1: 2}), TypeError, r"model.function: got {1: 2}"),
        (lambda: 3, TypeError, "model: got int, expected a fastdl.nn.Module"),
    ],
)  # fmt: skip
def test_what_cannot_come_back_is_refused_when_it_is_saved(make, error, message, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"before")
    if error is None:
        fd.save(make(), path)
        return
    with pytest.raises(error, match=message):
        fd.save(make(), path)
    assert path.read_bytes() == b"before"


def test_reading_names_what_is_missing_and_executes_nothing(tmp_path):
    path = tmp_path / "model"
    fd.save(fd.nn.Sequential(Own(4)), path)
    with pytest.raises(
        ValueError, match=r"model: holds a Own, .*: give the class itself, fd.load\(path, custom=\[Own\]\)"
    ):
        fd.load(path)
    with pytest.raises(TypeError, match=r"custom\[0\]: got 3"):
        fd.load(path, custom=[3])
    _safetensors.save(path, {"weight": np.ones(3)}, {})
    with pytest.raises(ValueError, match="holds 1 arrays of another library and no model: .*load_state_dict"):
        fd.load(path)
    with pytest.raises(OSError, match="missing"):
        fd.load(tmp_path / "missing")
    for name in (
        "os.system",
        "fastdl.os.system",
        "fastdl.nn.Arena",
        "fastdl.nn._module.Module",
        "fastdl.nn.load",
        "",
        None,
    ):
        entry = {"modules": [{"class": name, "arguments": {}}], "frozen": [], "random": {"dict": {}}}
        _safetensors.save(path, {}, {"format": "fastdl model 1", "model": json.dumps(entry)})
        with pytest.raises(ValueError, match="no class of fastdl's"):
            fd.load(path)


@pytest.mark.parametrize(
    "modules",
    [
        None, [], 3, [{}], [{"class": "fastdl.nn.Linear"}], [{"class": "fastdl.nn.Linear", "arguments": []}],
        [{"class": "fastdl.nn.Linear", "arguments": {"in_features": -1, "out_features": 2}}],
        [{"class": "fastdl.nn.Linear", "arguments": {"in_features": 2, "out_features": 10**14}}],
        [{"class": "fastdl.nn.Sequential", "arguments": {"layers": [{"module": 0}]}}],
        [{"class": "fastdl.nn.Sequential", "arguments": {"layers": [{"module": 7}]}}],
        [{"class": "fastdl.nn.Sequential", "arguments": {"layers": [{"strange": 7}]}}],
        [{"class": "fastdl.nn.Sequential", "arguments": {"layers": [{"array": "no"}]}}],
        [{"class": "fastdl.nn.Sequential", "arguments": {"layers": [{"a": 1, "b": 2}]}}],
    ],
)  # fmt: skip
def test_damaged_descriptions_are_refused(modules, tmp_path):
    entry = {"modules": modules, "frozen": [], "random": {"dict": {}}}
    _safetensors.save(tmp_path / "model", {}, {"format": "fastdl model 1", "model": json.dumps(entry)})
    with pytest.raises((ValueError, MemoryError)):
        fd.load(tmp_path / "model")


def test_what_training_has_saved_is_loaded_and_gone_on_with(tmp_path):
    x = RNG.normal(size=(32, 3)).astype(np.float32)
    y = x.sum(1, keepdims=True)
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.BatchNorm1d(4), fd.nn.Linear(4, 1, rng=1))
    best = fd.training.SaveBest(tmp_path / "best")
    options = {"loss": fd.mse_loss, "epochs": 3, "progress": False, "validation": (x, y)}
    optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
    fd.training.fit(model, optimizer, (x, y), callbacks=[best], checkpoint=tmp_path / "run", **options)
    for name in ("best", "run"):
        again = fd.load(tmp_path / name)
        np.testing.assert_array_equal(again(x), model.eval()(x))
    before = fd.training.evaluate(again, (x, y), loss=fd.mse_loss)
    more = fd.training.fit(again, fd.optim.Adam(again.parameters(), lr=0.01), (x, y), **options)
    assert more["validation_loss"][-1] < before


def test_a_checkpoint_of_what_cannot_be_described_says_so(tmp_path):
    x = RNG.normal(size=(8, 3)).astype(np.float32)
    model = fd.nn.Sequential(fd.nn.Linear(3, 1, rng=0), Function(np.tanh))
    options = {"loss": fd.mse_loss, "progress": False, "checkpoint": tmp_path / "run"}
    fd.training.fit(model, fd.optim.SGD(model.parameters()), (x, x[:, :1]), **options)
    with pytest.raises(ValueError, match="a checkpoint of a model that no file can describe"):
        fd.load(tmp_path / "run")


def test_character_models_keep_their_own_file(tmp_path):
    model = fd.models.CharLM(fd.text.Vocabulary("abc "), 3, 4, rng=0)
    model.save(tmp_path / "own")
    np.testing.assert_array_equal(
        fd.load(tmp_path / "own").state_dict()["linear.weight"], model.state_dict()["linear.weight"]
    )


def test_what_is_told_of_a_file(tmp_path, capsys):
    from fastdl.cli import main

    path = tmp_path / "model"
    fd.save(MODELS["a chain, tied"](), path, metadata={"by": "me"})
    found = fd.saving.info(path)
    assert found["classes"] == {"Sequential": 1, "Embedding": 1, "LSTM": 1, "Linear": 1}
    assert found["metadata"] == {"by": "me"}
    assert found["bytes"] == path.stat().st_size
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 x LSTM" in out
    assert "0.weight" in out
    assert "by: me" in out
    with pytest.raises(ValueError, match="metadata: got 'format'"):
        fd.save(fd.nn.ReLU(), path, metadata={"format": "x"})
    with pytest.raises(TypeError, match=r"metadata\['n'\]: got int"):
        fd.save(fd.nn.ReLU(), path, metadata={"n": 3})


def test_a_loaded_model_serves_threads(tmp_path):
    model = fd.nn.Sequential(fd.nn.LSTM(3, 8, rng=0), fd.nn.Linear(8, 2, rng=1))
    fd.save(model, tmp_path / "model")
    served = fd.load(tmp_path / "model")
    inputs = [RNG.normal(size=(5 + k, 2, 3)).astype(np.float32) for k in range(8)]
    alone = [served(x) for x in inputs]
    results = [None] * 8

    def run(k):
        for _ in range(20):
            results[k] = served(inputs[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for one, other in zip(alone, results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_page_serves_a_model_to_eight_clients_at_once(tmp_path, monkeypatch):
    """The page's own server under uvicorn, asked by real clients over the loopback interface."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "saving.md", "exec"), names)
    server = uvicorn.Server(uvicorn.Config(names["app"], host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    inputs = [RNG.normal(size=(2, 4 + k, 3)).tolist() for k in range(8)]

    def ask(one):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict", json.dumps(one).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["probabilities"]

    alone = [ask(one) for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(ask, inputs)) == alone
    server.should_exit = True
    thread.join(30)
    model = fd.load("model.safetensors")
    x = np.asarray(inputs[0], np.float32).swapaxes(0, 1).copy()
    assert alone[0] == fd.softmax(model(x)).tolist()
