"""Files of RTNeural and Neural Amp Modeler: there and back, and by these projects' own code where it is there."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

nn, audio = fd.nn, fd.interop.audio

PROGRAM = """
#include <cstdio>
#include <RTNeural/RTNeural.h>
int main(int, char** argv)
{
    std::ifstream file(argv[1]);
    auto model = RTNeural::json_parser::parseJson<float>(file, false);
    float x[16] = {};
    model->reset();
    while (fread(x, sizeof(float), model->getInSize(), stdin) == (size_t)model->getInSize()) {
        model->forward(x);
        fwrite(model->getOutputs(), sizeof(float), model->getOutSize(), stdout);
    }
    return 0;
}
"""


def filled(model):
    rng = np.random.default_rng(0)
    for _, one in model.named_parameters():
        one.data = one.data + 0.2 * rng.normal(size=one.shape).astype(one.dtype)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            size = layer.num_features
            layer.running_mean = rng.normal(size=size).astype("f")
            layer.running_var = rng.uniform(0.5, 2, size).astype("f")
    return model.eval()


def signal(inputs, steps=50):
    return np.random.default_rng(1).normal(size=(steps, 1, inputs)).astype("f")


def captured(inputs=1, layers=1, **options):
    return filled(nn.Sequential(nn.LSTM(inputs, 6, layers, rng=0, **options), nn.Linear(6, 1, rng=1)))


CHAINS = {
    "lstm": nn.Sequential(nn.LSTM(1, 6, rng=0), nn.Dropout(0.2, rng=1), nn.Linear(6, 1, rng=2)),
    "gru": nn.Sequential(nn.GRU(2, 5, bias="single", rng=0), nn.Linear(5, 3, rng=1), nn.Sigmoid(), nn.ELU()),
    "two": nn.Sequential(nn.GRU(2, 5, rng=0), nn.LSTM(5, 4, bias=False, rng=1), nn.Linear(4, 2, bias=False, rng=2)),
    "conv": nn.Sequential(
        nn.Linear(1, 4, rng=0), nn.Tanh(), nn.Conv1d(4, 6, 3, padding="causal", dilation=2, groups=2, rng=1),
        nn.BatchNorm1d(6), nn.LeakyReLU(0.3), nn.Conv1d(6, 4, 1, padding="causal", bias=False, rng=2), nn.ReLU(),
        nn.BatchNorm1d(4, affine=False), nn.Linear(4, 3, rng=3), nn.Softmax(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_chains_come_back_from_rtneural(name, tmp_path):
    model = filled(CHAINS[name])
    inputs = model[0].input_size if hasattr(model[0], "input_size") else 1
    audio.export_rtneural(model, tmp_path / "m.json")
    again = audio.load_rtneural(tmp_path / "m.json")
    x = signal(inputs)
    np.testing.assert_allclose(again.forward(x), model.forward(x), atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "two"])
def test_state_dicts_come_back(name, tmp_path):
    model = filled(CHAINS[name])
    audio.export_rtneural(model, tmp_path / "m.json", layout="torch")
    x = signal(model[0].input_size)
    again = audio.load_rtneural(tmp_path / "m.json")
    assert (again.forward(x) == model.forward(x)).all()


def test_a_file_that_adds_the_input(tmp_path):
    model, x = captured(), signal(1)
    audio.export_rtneural(model, tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.aidax").write_text(json.dumps(content | {"in_skip": 1, "in_gain": 0}))
    again = audio.load_rtneural(tmp_path / "m.aidax")
    np.testing.assert_allclose(again.forward(x), x + model.forward(x), atol=1e-6)
    audio.export_rtneural(model, tmp_path / "m.json", layout="torch")
    state = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "g.json").write_text(json.dumps({"model_data": {"skip": 1, "unit_type": "LSTM"}, "state_dict": state}))
    np.testing.assert_allclose(audio.load_rtneural(tmp_path / "g.json").forward(x), x + model.forward(x), atol=1e-6)


@pytest.mark.peer
@pytest.mark.parametrize("name", CHAINS)
def test_rtneural_itself_gives_the_same(name, tmp_path):
    folder = os.environ.get("RTNEURAL")
    if folder is None or shutil.which("c++") is None:
        pytest.skip("RTNEURAL names no checkout of RTNeural")
    model = filled(CHAINS[name])
    inputs = model[0].input_size if hasattr(model[0], "input_size") else 1
    audio.export_rtneural(model, tmp_path / "m.json")
    program = Path(folder) / "fastdl_check"
    if not program.exists():
        (tmp_path / "main.cpp").write_text(PROGRAM)
        flags = ["-std=c++17", "-O1", "-DRTNEURAL_DEFAULT_ALIGNMENT=16", "-DRTNEURAL_USE_STL=1", f"-I{folder}"]
        flags += [f"-I{folder}/modules/json"]
        subprocess.run(["c++", *flags, tmp_path / "main.cpp", "-o", program], check=True)
    x = signal(inputs)
    ran = subprocess.run([program, tmp_path / "m.json"], input=x.tobytes(), capture_output=True, check=True)
    y = np.frombuffer(ran.stdout, np.float32).reshape(len(x), 1, -1)
    np.testing.assert_allclose(y, model.forward(x), atol=2e-6)


@pytest.mark.peer
def test_files_that_rtneural_brings_are_read():
    folder = os.environ.get("RTNEURAL")
    if folder is None:
        pytest.skip("RTNEURAL names no checkout of RTNeural")
    for name in ("lstm_1d", "gru_1d", "lstm", "gru", "dense", "full_model"):
        assert len(audio.load_rtneural(Path(folder) / "models" / f"{name}.json")) > 1
    with pytest.raises(ValueError, match="PReLU of several slopes"):
        audio.load_rtneural(Path(folder) / "models" / "conv.json")


# ---- Neural Amp Modeler -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [captured(), captured(2, 3, learned_state=True), captured(bias=False, batch_first=True), captured(bias="single")],
    ids=["plain", "three layers", "no bias", "one bias"],
)
def test_captures_come_back(model, tmp_path):
    path, x = tmp_path / "m.nam", signal(model[0].input_size)
    audio.export_nam(model, path, silence=0, sample_rate=44100.0, metadata={"name": "made up"})
    again, details = audio.load_nam(path, return_details=True)
    assert details == {"version": "0.7.0", "metadata": {"name": "made up"}, "sample_rate": 44100.0}
    wanted = model.forward(x.swapaxes(0, 1).copy()).swapaxes(0, 1) if model[0].batch_first else model.forward(x)
    np.testing.assert_allclose(again.forward(x), wanted, atol=1e-6)
    assert all(type(one) is float for one in json.loads(path.read_text())["weights"])


def test_players_begin_after_silence(tmp_path):
    model, x = captured(learned_state=True), signal(1)
    audio.export_nam(model, tmp_path / "m.nam", silence=300)
    again = audio.load_nam(tmp_path / "m.nam")
    wanted = model.forward(np.concatenate([np.zeros((300, 1, 1), np.float32), x]))[300:]
    np.testing.assert_allclose(again.forward(x), wanted, atol=1e-6)


def test_the_order_of_the_numbers(tmp_path):
    model = captured(2)
    audio.export_nam(model, tmp_path / "m.nam", silence=0)
    numbers = np.array(json.loads((tmp_path / "m.nam").read_text())["weights"], np.float32)
    state = model.state_dict()
    rows = np.concatenate([state["0.weight_ih_l0"], state["0.weight_hh_l0"]], axis=1)
    biases = state["0.bias_ih_l0"] + state["0.bias_hh_l0"]
    wanted = [rows, biases, np.zeros(12), state["1.weight"], state["1.bias"]]
    assert (numbers == np.concatenate([one.ravel() for one in wanted]).astype("f")).all()


@pytest.mark.peer
@pytest.mark.parametrize("layers", [1, 2])
def test_neural_amp_modeler_itself_gives_the_same(layers, tmp_path):
    pytest.importorskip("nam")
    torch = pytest.importorskip("torch")
    from nam.models.recurrent import LSTM

    model, x = captured(layers=layers, learned_state=True), signal(1)
    audio.export_nam(model, tmp_path / "m.nam", silence=0)
    content = json.loads((tmp_path / "m.nam").read_text())
    theirs = LSTM(content["config"].pop("hidden_size"), **content["config"]).eval()
    theirs.import_weights(np.array(content["weights"], np.float32))
    with torch.no_grad():
        y = theirs._forward(torch.from_numpy(x[:, 0].T.copy())).numpy()[0]
    np.testing.assert_allclose(y, model.forward(x)[:, 0, 0], atol=1e-6)
    theirs.export(tmp_path, basename="theirs")
    again = audio.load_nam(tmp_path / "theirs.nam")
    audio.export_nam(model, tmp_path / "m.nam")
    wanted = audio.load_nam(tmp_path / "m.nam")
    np.testing.assert_allclose(again.forward(x), wanted.forward(x), atol=1e-6)


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("export", "model", "word"),
    [
        (audio.export_nam, nn.Sequential(nn.GRU(1, 3, rng=0), nn.Linear(3, 1, rng=0)), "got GRU, Linear, expected"),
        (audio.export_nam, captured(bidirectional=True, merge="sum"), "got LSTM.*expected Sequential"),
        (audio.export_nam, captured(peepholes=True), "got LSTM.*peepholes"),
        (audio.export_nam, "model", "model: got str"),
        (audio.export_rtneural, nn.Sequential(nn.MinGRU(1, 3, rng=0)), "model.0: got MinGRU, expected one of Linear"),
        (audio.export_rtneural, nn.GRU(1, 3, reset_after=False, rng=0), "without reset_after"),
        (audio.export_rtneural, nn.LSTM(1, 3, learned_state=True, rng=0), "no place for learned_state"),
        (audio.export_rtneural, nn.LSTM(1, 3, 2, rng=0), "without num_layers"),
        (audio.export_rtneural, nn.Conv1d(1, 3, 2, rng=0), "padding='causal'"),
        (audio.export_rtneural, nn.Tanh(), "got Tanh.* in the first place"),
        (audio.export_rtneural, nn.Sequential(nn.Linear(1, 2, rng=0), nn.ELU(0.5)), "default settings"),
        (audio.export_rtneural, nn.Sequential(), "got no layer"),
    ],
)
def test_what_has_no_place_is_refused_before_a_file_is_written(export, model, word, tmp_path):
    with pytest.raises((TypeError, ValueError), match=word):
        export(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_weights_that_json_has_not_are_refused(tmp_path):
    model = captured()
    for wrong, kind in ((np.ones(2), TypeError), (np.nan, ValueError)):
        with pytest.raises(kind, match="metadata: got what JSON does not hold"):
            audio.export_nam(model, tmp_path / "m.nam", metadata={"gain": wrong})
    model[1].bias.data[:] = np.nan
    with pytest.raises(ValueError, match="a weight that is not finite"):
        audio.export_nam(model, tmp_path / "m.nam", silence=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("load", "text", "word"),
    [
        (audio.load_nam, "no JSON", "m: Expecting value"),
        (audio.load_nam, "[]", "m: got list, expected an object"),
        (audio.load_nam, "{}", "m: 'architecture' is missing"),
        (audio.load_nam, '{"architecture": "WaveNet"}', "architecture 'WaveNet' is not known here"),
        (
            audio.load_nam,
            '{"architecture": "LSTM", "config": {"input_size": 1, "hidden_size": 2, "num_layers": 1}, "weights": [1]}',
            r"weights: got shape \(1,\), expected \(39,\)",
        ),
        (audio.load_rtneural, "{}", "got an empty state dict"),
        (audio.load_rtneural, '{"in_shape": [1], "layers": [{"type": "conv2d"}]}', "not known here: conv2d"),
        (audio.load_rtneural, '{"layers": [], "in_gain": 3}', "in_gain: got 3"),
        (audio.load_rtneural, '{"a.weight": [[1, 2], [3]]}', "a.weight: got no numbers in even rows"),
        (audio.load_rtneural, '{"a.gain": [1]}', "a: got arrays gain"),
        (
            audio.load_rtneural,
            '{"in_shape": [1], "layers": [{"type": "dense", "shape": [2], "weights": [[[1]]]}]}',
            r"layers\[0\].weights\[0\]: got shape \(1, 1\), expected \(1, 2\)",
        ),
    ],
)
def test_damaged_files_are_refused_with_the_reason(load, text, word, tmp_path):
    (tmp_path / "m").write_text(text)
    with pytest.raises(ValueError, match=word):
        load(tmp_path / "m")
