"""Models to ONNX and back: equal to fastdl in onnxruntime, on awkward shapes."""

import doctest

import numpy as np
import pytest

import fastdl as fd

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.peer
nn = fd.nn


def ran(path, **inputs):
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def filled(model, seed=0):
    """Biases, gains and averages that are not zeros and ones."""
    rng = np.random.default_rng(seed)
    for _, one in model.named_parameters():
        one.data = one.data + 0.3 * rng.normal(size=one.shape).astype(one.dtype)
    for name, _ in list(model.named_buffers()):
        path, _, last = name.rpartition(".")
        if last in ("running_mean", "running_var"):
            setattr(
                dict(model.named_modules())[path],
                last,
                rng.uniform(0.5, 2, getattr(dict(model.named_modules())[path], last).shape).astype("f"),
            )
    return model.eval()


def close(got, wanted, dtype=np.float32):
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=1e-6 if dtype == np.float32 else 1e-12, rtol=1e-6)


STACKS = [
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu", "bidirectional": True, "num_layers": 2}),
    (nn.RNN, {"layer_norm": True, "reverse": True}),
    (nn.RNN, {"clip": 0.5}),
    (nn.LSTM, {}),
    (nn.LSTM, {"num_layers": 2, "bidirectional": True, "learned_state": True}),
    (nn.LSTM, {"bias": "single", "merge": "sum", "bidirectional": True}),
    (nn.LSTM, {"peepholes": True}),
    (nn.LSTM, {"coupled": True, "bias": False}),
    (nn.LSTM, {"clip": 0.4}),
    (nn.LSTM, {"clip": 0.4, "peepholes": True}),
    (nn.LSTM, {"coupled": True, "clip": 0.4, "peepholes": True}),
    (nn.LSTM, {"coupled": True, "peepholes": True}),
    (nn.LSTM, {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
    (nn.LSTM, {"layer_norm": True, "cell_clip": 0.3, "dtype": np.float64}),
    (nn.LSTM, {"zoneout": 0.3, "zoneout_cell": 0.2, "reverse": True}),
    (nn.LSTM, {"output": "last", "bidirectional": True}),
    (nn.LSTM, {"dtype": np.float64, "bidirectional": True, "merge": "mean", "batch_first": True}),
    (nn.GRU, {"bidirectional": True}),
    (nn.GRU, {"reset_after": False, "num_layers": 2}),
    (nn.GRU, {"bias": "single", "clip": 0.4}),
    (nn.GRU, {"layer_norm": True, "reset_after": False, "output": "last", "reverse": True}),
    (nn.GRU, {"layer_norm": True, "zoneout": 0.2}),
    (nn.GRU, {"reverse": True, "batch_first": True}),
    (nn.IndRNN, {"nonlinearity": "tanh", "bidirectional": True}),
    (nn.IndRNN, {}),
    (nn.MinGRU, {"positive": True, "num_layers": 2}),
    (nn.MinGRU, {"reverse": True}),
    (nn.MinLSTM, {"bidirectional": True}),
    (nn.MinLSTM, {"normalized": False, "positive": True}),
    (nn.sLSTM, {"heads": 2, "bidirectional": True}),
    (nn.sLSTM, {"forget_gate": "exp", "reverse": True}),
    (nn.sLSTM, {"num_layers": 2}),
]


@pytest.mark.parametrize(("kind", "options"), STACKS)
def test_recurrent_layers(kind, options, tmp_path):
    path, T, B, D = str(tmp_path / "m.onnx"), 5, 3, 1 + options.get("bidirectional", False)
    layer = filled(kind(2, 6, rng=0, **options))
    dtype, rng = layer.dtype, np.random.default_rng(1)
    shape = (B, T, 2) if layer.batch_first else (T, B, 2)
    x, lengths = rng.normal(size=shape).astype(dtype), np.array([5, 0, 3])
    fd.interop.onnx.export(layer, path)
    close(ran(path, x=x)["y"], layer.forward(x), dtype)
    one = x[:1, :1]
    close(ran(path, x=one)["y"], layer.forward(one), dtype)
    fd.interop.onnx.export(layer, path, lengths=True, state=True)
    before = layer.initial_state(B)
    before = before if isinstance(before, tuple) else (before,)
    before = tuple(one + rng.normal(size=one.shape).astype(dtype) for one in before)
    if kind is nn.sLSTM:
        before = (before[0], before[1], np.abs(before[2]), before[3])
    given = {f"state.{name}": one for name, one in zip("hcnm", before, strict=False)}
    found = ran(path, x=x, lengths=lengths, **given)
    y, last = layer.forward(x, before if len(before) > 1 else before[0], lengths=lengths, return_state=True)
    close(found["y"], y, dtype)
    for name, one in zip("hcnm", last if isinstance(last, tuple) else (last,), strict=False):
        close(found[f"last.{name}"], one, dtype)
    assert D * layer.num_layers == before[0].shape[0]


LAYERS = [
    nn.Linear(2, 3, rng=0),
    nn.Linear(2, 3, bias=False, rng=0, dtype=np.float64),
    nn.LayerNorm(2),
    nn.LayerNorm(2, elementwise_affine=False),
    nn.BatchNorm1d(2),
    nn.BatchNorm1d(2, affine=False, track_running_stats=False),
    nn.Dropout(0.4, scaling="classic", rng=0),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.ELU(0.7),
    nn.Hardtanh(-0.5, 0.2),
    nn.Softplus(3.0, 2.0),
    nn.SiLU(),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.Softmax(),
    nn.Softmax(0),
    nn.LogSoftmax(1),
    nn.Flatten(),
    nn.Flatten(2),
    nn.Flatten(0, 1),
    nn.Flatten(batch_dim=1),
    nn.Identity(),
    nn.AlphaDropout(rng=0),
    nn.Residual(nn.Tanh()),
    nn.DropConnect(nn.Linear(2, 4, rng=0), rng=1),
    nn.GaussianNoise(rng=0),
    nn.GaussianDropout(rng=0),
    nn.Sequential(nn.Linear(2, 2, rng=0), nn.ReLU(), nn.Linear(2, 1, rng=0)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("shape", [(5, 3, 2), (1, 1, 2), (0, 3, 2), (7, 2)])
def test_layers_of_one_input(layer, shape, tmp_path):
    filled(layer)
    path, dtype = str(tmp_path / "m.onnx"), next((one.dtype for _, one in layer.named_parameters()), np.dtype("f"))
    x = 3 * np.random.default_rng(0).normal(size=shape).astype(dtype)
    try:
        wanted = layer.forward(x)
    except ValueError:
        pytest.skip("not for such")
    fd.interop.onnx.export(layer, path, shape=("A", "B", 2) if len(shape) == 3 else ("A", 2))
    close(ran(path, x=x)["y"], wanted, dtype)


WINDOWS = [
    nn.Conv1d(2, 4, 3, rng=0),
    nn.Conv1d(2, 4, 3, padding="causal", dilation=2, groups=2, rng=0),
    nn.Conv1d(2, 3, 4, padding="same", rng=0),
    nn.Conv1d(2, 3, 2, stride=2, padding=3, bias=False, batch_first=True, rng=0),
    nn.MaxPool1d(2),
    nn.MaxPool1d(3, 2, 1, dilation=2, ceil_mode=True),
    nn.MaxPool1d(3, 3, 1, ceil_mode=True),
    nn.AvgPool1d(3),
    nn.AvgPool1d(3, 2, 1, ceil_mode=True),
    nn.AvgPool1d(4, 3, 2, ceil_mode=True, count_include_pad=False),
    nn.AvgPool1d(2, 3, 1, ceil_mode=True),
]


@pytest.mark.parametrize("layer", WINDOWS, ids=str)
@pytest.mark.parametrize("T", [5, 8, 9])
def test_windows_with_true_lengths(layer, T, tmp_path):
    path, lengths = str(tmp_path / "m.onnx"), np.array([T, 0, T - 3, 1])
    filled(layer)
    shape = (4, T, 2) if layer.batch_first else (T, 4, 2)
    x = np.random.default_rng(0).normal(size=shape).astype("f")
    declared = ("B", "T", 2) if layer.batch_first else ("T", "B", 2)
    fd.interop.onnx.export(layer, path, shape=declared)
    close(ran(path, x=x)["y"], layer.forward(x))
    fd.interop.onnx.export(layer, path, shape=declared, lengths=True)
    close(ran(path, x=x, lengths=lengths)["y"], layer.forward(x, lengths=lengths))


def test_chains_hand_on_lengths_and_states(tmp_path):
    path = str(tmp_path / "m.onnx")
    model = nn.Sequential(
        nn.EmbeddingDropout(nn.Embedding(9, 4, rng=0), 9, rng=1),
        nn.Conv1d(4, 6, 3, stride=2, padding=1, rng=2),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.Residual(nn.LSTM(6, 6, rng=3)),
        nn.Dropout(0.5, rng=4),
        nn.GRU(6, 5, bidirectional=True, output="last", rng=5),
        nn.Linear(10, 3, rng=6),
    )
    filled(model)
    x, lengths = np.arange(36).reshape(9, 4) % 9, np.array([9, 4, 1, 7])
    fd.interop.onnx.export(model, path, lengths=True, state=True)
    y, states = model.forward(x, lengths=lengths, return_state=True)
    zeros = {
        "state.3.layer.h": np.zeros((1, 4, 6)),
        "state.3.layer.c": np.zeros((1, 4, 6)),
        "state.5.h": np.zeros((2, 4, 5)),
    }
    found = ran(path, x=x, lengths=lengths, **{name: one.astype("f") for name, one in zeros.items()})
    close(found["y"], y)
    close(found["last.3.layer.c"], states[3][1])
    close(found["last.5.h"], states[5])


def models():
    words = fd.text.Vocabulary("abcdef")
    T, B, rng = 6, 3, np.random.default_rng(0)
    lengths = np.array([6, 2, 4])
    tokens, vectors = rng.integers(0, 6, (T, B)), rng.normal(size=(T, B, 4)).astype("f")
    yield fd.models.CharLM(words, 5, 8, layers=2, dropout=0.3, rng=0), {"x": tokens}, tokens
    yield fd.models.Classifier(4, 3, hidden=7, rng=0), {"x": vectors[0]}, vectors[0]
    yield fd.models.Forecaster(window=4, hidden=6, rng=0), {"x": vectors[0]}, vectors[0]
    yield (
        fd.models.SequenceClassifier(4, 3, hidden=8, bidirectional=True, layers=2, rng=0),
        {"x": vectors, "lengths": lengths},
        (vectors, lengths),
    )
    model = fd.models.Tagger(6, 4, embedding=5, hidden=8, rng=0)
    yield model, {"x": tokens, "lengths": lengths}, (tokens, lengths)
    before = rng.integers(0, 5, (T, B, 2))
    yield (
        fd.models.SequenceGenerator(3, 6, 2, 5, hidden=8, rng=0),
        {"labels": np.arange(3), "before": before},
        (np.arange(3), before),
    )
    for attention, both, layers in (("dot", True, 1), ("additive", True, 2), ("dot", False, 2)):
        model = fd.models.Seq2Seq(6, 5, 4, 8, attention, layers=layers, bidirectional=both, rng=0)
        yield (
            model,
            {"sources": tokens, "lengths": lengths, "before": tokens[:4] % 6},
            (tokens, lengths, tokens[:4] % 6),
        )


@pytest.mark.parametrize(("model", "inputs", "given"), list(models()), ids=lambda one: type(one).__name__)
def test_ready_models(model, inputs, given, tmp_path):
    path = str(tmp_path / "m.onnx")
    filled(model)
    fd.interop.onnx.export(model, path)
    close(ran(path, **inputs)["y"], model.forward(given))


def test_states_of_ready_models(tmp_path):
    path = str(tmp_path / "m.onnx")
    model = filled(fd.models.CharLM(fd.text.Vocabulary("abcdef"), 5, 8, rng=0))
    fd.interop.onnx.export(model, path, state=True)
    first, second = np.arange(8).reshape(4, 2) % 7, np.arange(2)[None]
    zeros = np.zeros((1, 2, 8), "f")
    found = ran(path, x=first, **{"state.lstm.h": zeros, "state.lstm.c": zeros})
    found = ran(path, x=second, **{f"state.lstm.{name}": found[f"last.lstm.{name}"] for name in "hc"})
    close(found["y"][0], model.forward(np.concatenate([first, second]))[-1])


@pytest.mark.parametrize(
    "layer", [nn.DotAttention(), nn.DotAttention(scaled=True), nn.AdditiveAttention(4, 6, 5, rng=0)]
)
def test_attention(layer, tmp_path):
    path, rng = str(tmp_path / "m.onnx"), np.random.default_rng(0)
    size = 6 if isinstance(layer, nn.AdditiveAttention) else 4
    given = {
        "x": rng.normal(size=(3, 2, 4)).astype("f"),
        "source": rng.normal(size=(5, 2, size)).astype("f"),
        "lengths": np.array([5, 0]),
    }
    fd.interop.onnx.export(layer.eval(), path)
    close(ran(path, **given)["y"], layer.forward(*given.values()))


@pytest.mark.parametrize("both", [True, False])
def test_halves_of_a_seq2seq_write_token_by_token(both, tmp_path):
    model = filled(fd.models.Seq2Seq(6, 5, 4, 8, layers=2, bidirectional=both, rng=0))
    sources, lengths = np.arange(8).reshape(4, 2) % 6, np.array([4, 2])
    for part in ("encode", "decode"):
        fd.interop.onnx.export(model, str(tmp_path / part), part=part)
    found = ran(str(tmp_path / "encode"), sources=sources, lengths=lengths)
    encoded, state = model.encode(sources, lengths)
    close(found["y"], encoded)
    given = {"encoded": found["y"], "state.h": found["state.h"], "state.c": found["state.c"]}
    for token in ([[5, 5]], [[1, 2]], [[0, 4]]):
        logits, state = model.decode(np.array(token), state, encoded, lengths)
        found = ran(str(tmp_path / "decode"), x=np.array(token), lengths=lengths, **given)
        close(found["y"], logits)
        given |= {"state.h": found["last.h"], "state.c": found["last.c"]}
    close(given["state.c"], state[1])


class Own(nn.Module):
    def forward(self, x):
        return 2 * x


class Twice(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("model", "options", "word"),
    [
        (nn.Sequential(nn.Tanh(), Own()), {"shape": ("B", 2)}, "model.1: got Own"),
        (Twice(2, 3, rng=0), {}, "model: got Twice"),
        (nn.ModuleList([nn.Tanh()]), {"shape": ("B", 2)}, "ModuleList"),
        (nn.Tanh(), {}, "shape: got None"),
        (nn.Linear(2, 3, rng=0), {"lengths": True}, "lengths: got True"),
        (nn.Linear(2, 3, rng=0), {"state": True}, "state: got True"),
        (fd.models.Tagger(3, 2, rng=0), {"state": True}, "state: got True"),
        (fd.models.Classifier(3, 2, rng=0), {"shape": ("B", 3)}, "shape: got"),
        (nn.Linear(2, 3, rng=0), {"shape": ("B", 0)}, "shape\\[1\\]"),
        (fd.models.Tagger(3, 2, rng=0), {"part": "encode"}, "part: got 'encode', expected None"),
        (fd.models.Seq2Seq(3, 2, hidden=4, rng=0), {"part": "half"}, "part: got 'half'"),
        (fd.models.Seq2Seq(3, 2, hidden=4, rng=0), {"part": "decode", "state": True}, "state: got True"),
        ("model", {}, "model: got str"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_is(model, options, word, tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises((TypeError, ValueError), match=word):
        fd.interop.onnx.export(model, path, **options)
    assert not path.exists()


# ---- load ---------------------------------------------------------------------------------------------------------

CHAINS = [
    nn.Sequential(nn.RNN(2, 5, nonlinearity="relu", rng=0), nn.LayerNorm(5), nn.Linear(5, 3, rng=1), nn.Softmax()),
    nn.Sequential(
        nn.LSTM(2, 6, bidirectional=True, peepholes=True, num_layers=2, rng=0),
        nn.Tanh(),
        nn.Linear(12, 3, bias=False, rng=1),
        nn.Sigmoid(),
    ),
    nn.Sequential(
        nn.GRU(2, 6, bidirectional=True, merge="mean", reset_after=False, rng=0),
        nn.GRU(6, 4, output="last", rng=1),
        nn.Linear(4, 3, rng=2),
        nn.ReLU(),
    ),
    nn.Sequential(
        nn.LSTM(2, 6, coupled=True, learned_state=True, reverse=True, rng=0),
        nn.LSTM(6, 3, merge="sum", bidirectional=True, learned_state=True, rng=1),
    ),
    nn.Sequential(
        nn.GRU(2, 6, batch_first=True, rng=0), nn.LSTM(6, 4, bidirectional=True, batch_first=True, output="last", rng=1)
    ),
    nn.Sequential(
        nn.GRU(2, 3, batch_first=True, clip=0.5, bias=False, rng=0), nn.ELU(0.5), nn.LeakyReLU(0.3), nn.LogSoftmax()
    ),
]


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("model", CHAINS, ids=[str(place) for place in range(len(CHAINS))])
def test_chains_come_back(model, lengths, tmp_path):
    path, x = str(tmp_path / "m.onnx"), np.random.default_rng(0).normal(size=(5, 3, 2)).astype("f")
    filled(model)
    fd.interop.onnx.export(model, path, lengths=lengths, state=lengths and "learned" not in str(model))
    again = fd.interop.onnx.load(path)
    assert not again.training
    B = 5 if model[0].batch_first else 3
    given = {"lengths": np.array([2, 1, 3, 1, 2])[:B]} if lengths else {}
    assert (again.forward(x, **given) == model.forward(x, **given)).all()


def test_embeddings_come_back(tmp_path):
    path, x = str(tmp_path / "m.onnx"), np.array([[1, 2, 0]])
    model = nn.Sequential(nn.Embedding(4, 3, rng=0), nn.LSTM(3, 2, rng=1)).eval()
    fd.interop.onnx.export(model, path)
    assert (fd.interop.onnx.load(path).forward(x) == model.forward(x)).all()


def test_what_is_not_known_is_listed(tmp_path):
    path = tmp_path / "m.onnx"
    fd.interop.onnx.export(nn.Sequential(nn.MinGRU(2, 3, rng=0), nn.SiLU(), nn.Conv1d(3, 2, 2, rng=0)), path)
    with pytest.raises(ValueError, match="not known here: Conv, Mul, Scan; known are Add"):
        fd.interop.onnx.load(path)
    fd.interop.onnx.export(nn.Residual(nn.Linear(2, 2, rng=0)), path)
    with pytest.raises(ValueError, match=r"m\.onnx: Add 'node_add_\d' is not known here with another use"):
        fd.interop.onnx.load(path)
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match="not an ONNX model"):
        fd.interop.onnx.load(path)
    with pytest.raises(FileNotFoundError):
        fd.interop.onnx.load(tmp_path / "none.onnx")


def test_the_examples_of_the_docstrings():
    for function in (fd.interop.onnx.export, fd.interop.onnx.load):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        (example,) = doctest.DocTestFinder(recurse=False).find(function, globs={})
        assert runner.run(example).failed == 0


def test_models_of_torch_come_in(tmp_path):
    torch = pytest.importorskip("torch")
    path, x = str(tmp_path / "m.onnx"), np.random.default_rng(0).normal(size=(5, 3, 2)).astype("f")

    class Head(torch.nn.Module):
        def __init__(self, core, width):
            super().__init__()
            self.core, self.head = core, torch.nn.Linear(width, 3)

        def forward(self, x):
            return torch.tanh(self.head(self.core(x)[0]))

    for core, width in (
        (torch.nn.LSTM(2, 4, num_layers=2, bidirectional=True), 8),
        (torch.nn.GRU(2, 4, batch_first=True), 4),
        (torch.nn.RNN(2, 4, nonlinearity="relu", bias=False), 4),
    ):
        model = Head(core, width).eval()
        torch.onnx.export(model, (torch.from_numpy(x),), path, dynamo=False)
        with torch.no_grad():
            wanted = model(torch.from_numpy(x)).numpy()
        close(fd.interop.onnx.load(path).forward(x), wanted)
