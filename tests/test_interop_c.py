"""Models as C headers: compiled without a warning as C and C++, under sanitizers, and equal to fastdl."""

import shutil
import subprocess

import numpy as np
import pytest

import fastdl as fd

nn = fd.nn
CC, CXX = shutil.which("cc"), shutil.which("c++")
pytestmark = pytest.mark.skipif(CC is None, reason="no C compiler")
T, SIZE = 9, 3

STACKS = [
    nn.RNN(SIZE, 5, rng=0),
    nn.RNN(SIZE, 5, nonlinearity="relu", layer_norm=True, clip=2.0, num_layers=2, rng=0),
    nn.LSTM(SIZE, 5, num_layers=2, learned_state=True, rng=0),
    nn.LSTM(SIZE, 5, peepholes=True, clip=0.6, cell_clip=0.5, bias="single", rng=0),
    nn.LSTM(SIZE, 5, coupled=True, peepholes=True, proj_size=2, zoneout=0.2, zoneout_cell=0.3, bias=False, rng=0),
    nn.LSTM(SIZE, 5, proj_size=2, num_layers=2, rng=0),
    nn.LSTM(SIZE, 5, layer_norm=True, rng=0),
    nn.GRU(SIZE, 5, rng=0),
    nn.GRU(SIZE, 5, reset_after=False, clip=0.7, rng=0),
    nn.GRU(SIZE, 5, layer_norm=True, zoneout=0.1, bias="single", rng=0),
    nn.GRU(SIZE, 5, layer_norm=True, reset_after=False, dtype=np.float64, rng=0),
    nn.IndRNN(SIZE, 5, rng=0),
    nn.IndRNN(SIZE, 5, nonlinearity="tanh", clip=0.5, learned_state=True, rng=0),
    nn.MinGRU(SIZE, 5, num_layers=2, rng=0),
    nn.MinGRU(SIZE, 5, positive=True, zoneout=0.3, rng=0),
    nn.MinLSTM(SIZE, 5, rng=0),
    nn.MinLSTM(SIZE, 5, positive=True, normalized=False, rng=0),
    nn.sLSTM(SIZE, 6, heads=2, rng=0),
    nn.sLSTM(SIZE, 6, forget_gate="exp", rng=0),
]
ACTIVATIONS = [
    nn.Tanh(), nn.Sigmoid(), nn.ReLU(), nn.LeakyReLU(0.3), nn.ELU(0.4), nn.Hardtanh(-0.1, 0.3), nn.Softplus(2.0, 1.5),
    nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Softmax(), nn.LogSoftmax(),
]  # fmt: skip
CHAINS = [
    nn.Sequential(nn.LSTM(SIZE, 8, rng=0), nn.Linear(8, 1, rng=1)),
    nn.Sequential(
        nn.Conv1d(SIZE, 4, 3, padding="causal", dilation=2, rng=0), nn.Tanh(),
        nn.Conv1d(4, 6, 2, padding="causal", groups=2, bias=False, rng=1), nn.LayerNorm(6), nn.BatchNorm1d(6),
        nn.Residual(nn.Sequential(nn.Linear(6, 6, bias=False, rng=2), nn.Dropout(0.5, rng=3))),
    ),
    nn.Sequential(nn.GaussianNoise(rng=0), nn.GRU(SIZE, 4, output="last", rng=1), nn.Linear(4, 2, rng=2), nn.Softmax()),
    nn.Residual(nn.DropConnect(nn.Linear(SIZE, SIZE, rng=0), rng=1)),
    nn.Sequential(nn.Dropout(0.2, scaling="classic", rng=2), nn.Linear(SIZE, 2, rng=0)),
    nn.Sequential(nn.LayerNorm(SIZE, elementwise_affine=False), nn.Conv1d(SIZE, 2, 1, padding="causal", rng=0)),
    fd.models.Classifier(SIZE, 2, hidden=6, rng=0),
    fd.models.SequenceClassifier(SIZE, 2, hidden=6, layers=2, rng=0),
    *[nn.Sequential(nn.Linear(SIZE, 4, rng=0), one) for one in ACTIVATIONS],
]  # fmt: skip
WORDS = [
    fd.models.CharLM(fd.text.Vocabulary("abcde"), 4, 6, layers=2, rng=0),
    fd.models.Tagger(6, 3, embedding=4, hidden=5, bidirectional=False, rng=0),
    nn.Sequential(nn.EmbeddingDropout(nn.Embedding(6, 4, rng=0), 6, rng=1), nn.MinGRU(4, 3, rng=1)),
]
MODELS = [*STACKS, *CHAINS, *WORDS]

MAIN = """
static long check_@N@(void)
{
    static float y[@COUNT@], again[@COUNT@];
    m@N@_state s;
    long t, wrong = 0;
    m@N@_reset(&s);
    m@N@_run(&s, x_@N@, y, @T@);
    m@N@_reset(&s);
    for (t = 0; t < @T@; t++)
        m@N@_step(&s, x_@N@ + t * M@N@_INPUTS, again + @STRIDE@);
    for (t = 0; t < @COUNT@; t++)
        wrong += !(y[t] == again[t]);
    fwrite(y, sizeof(float), @COUNT@, stdout);
    return wrong;
}
"""


def filled(model):
    rng = np.random.default_rng(0)
    for _, one in model.named_parameters():
        one.data = one.data + 0.3 * rng.normal(size=one.shape).astype(one.dtype)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean, layer.running_var = rng.normal(size=6).astype("f"), rng.uniform(0.5, 2, 6).astype("f")
    return model.eval()


def given(model):
    rng = np.random.default_rng(1)
    dtype = np.float64 if getattr(model, "dtype", None) == np.float64 else np.float32
    return rng.integers(0, 6, (T, 1)) if model in WORDS else rng.normal(size=(T, 1, SIZE)).astype(dtype)


def wanted(model, x):
    if isinstance(model, fd.models.Classifier):
        return model.forward(x[:, 0])
    ready = isinstance(model, (fd.models.Tagger, fd.models.SequenceClassifier))
    return model.forward((x, np.array([T])) if ready else x)


def program(folder):
    """A main that runs all models, and what each should give."""
    text, calls, results = ["#include <stdio.h>"], [], []
    for place, model in enumerate(MODELS):
        filled(model)
        fd.interop.c.export(model, folder / f"m{place}.h", prefix=f"m{place}")
        x = given(model)
        y = np.asarray(wanted(model, x), np.float32).ravel()
        kind, numbers = ("int", x.ravel()) if model in WORDS else ("float", x.astype("f").ravel())
        listed = ", ".join(f"{one}" if kind == "int" else f"{float(one)!r}f" for one in numbers)
        text += [f'#include "m{place}.h"', f"static const {kind} x_{place}[] = {{{listed}}};"]
        last = any(getattr(layer, "output", "") == "last" for layer in model.modules())
        stride = "0" if last else f"t * M{place}_OUTPUTS"
        for mark, value in {"N": place, "COUNT": y.size, "T": T, "STRIDE": stride}.items():
            text = [*text, MAIN] if mark == "N" else text
            text[-1] = text[-1].replace(f"@{mark}@", str(value))
        calls.append(f"wrong += check_{place}();")
        results.append(y)
    text += ["int main(void) {", "long wrong = 0;", *calls, "return wrong != 0;", "}"]
    return "\n".join(text) + "\n", results


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("headers")
    text, results = program(folder)
    for name in ("main.c", "main.cpp"):
        (folder / name).write_text(text)
    return folder, results


STRICT = ["-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
BUILDS = {
    "C99": (CC, ["-std=c99", "-pedantic", "-O1", "-Wshadow", "-Wstrict-prototypes", *STRICT, "main.c"]),
    "sanitizers": (CC, ["-std=c99", "-g0", "-O0", *SANITIZED, *STRICT, "main.c"]),
    "C++": (CXX, ["-std=c++11", "-O0", *STRICT, "main.cpp"]),
}


@pytest.mark.parametrize("build", BUILDS)
def test_all_models_of_one_program_are_equal_to_fastdl(built, build):
    (compiler, flags), (folder, results) = BUILDS[build], built
    if compiler is None:
        pytest.skip("no such compiler")
    target = folder / build.replace(" ", "_")
    made = subprocess.run([compiler, *flags, "-o", target, "-lm"], cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    ran = subprocess.run([target], capture_output=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()[-4000:]
    found = np.split(np.frombuffer(ran.stdout, np.float32), np.cumsum([one.size for one in results]))[:-1]
    for model, got, y in zip(MODELS, found, results, strict=True):
        np.testing.assert_allclose(got, y, atol=1e-6, rtol=1e-6, err_msg=str(model))


def test_a_word_that_is_not_known_gives_nan(tmp_path):
    fd.interop.c.export(nn.Embedding(3, 2, rng=0), tmp_path / "e.h", prefix="e")
    main = '#include <stdio.h>\n#include "e.h"\nint main(void) { e_state s; float y[2]; int x[1] = {3};'
    (tmp_path / "e.c").write_text(main + ' e_reset(&s); e_step(&s, x, y); printf("%d", y[0] != y[0]); return 0; }')
    subprocess.run([CC, "-std=c99", *STRICT, "e.c", "-o", "e", "-lm"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "e"], capture_output=True, check=True).stdout == b"1"


class Own(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "options", "word"),
    [
        (nn.Sequential(nn.Linear(2, 2, rng=0), Own()), {}, "model.1: got Own"),
        (nn.LSTM(2, 3, bidirectional=True, rng=0), {}, "model: got LSTM.*reverse=False and bidirectional=False"),
        (fd.models.Tagger(4, 2, hidden=4, rng=0), {}, "model.lstm: got LSTM"),
        (nn.Sequential(nn.GRU(2, 3, rng=0), nn.Conv1d(3, 2, 3, rng=1)), {}, "model.1: got Conv1d.*padding='causal'"),
        (nn.Sequential(nn.GRU(2, 3, rng=0), nn.Linear(2, 2, rng=1)), {}, "model.1: got Linear.*takes 3 numbers"),
        (nn.Tanh(), {}, "model: got no layer that says how many"),
        (nn.Sequential(nn.Linear(2, 2, rng=0), nn.Embedding(2, 2, rng=0)), {}, "model.1: got Embedding.*2 numbers"),
        (nn.BatchNorm1d(2, track_running_stats=False), {}, "track_running_stats"),
        (fd.models.Seq2Seq(3, 3, hidden=4, rng=0), {}, "model: got Seq2Seq"),
        (nn.Linear(2, 2, rng=0), {"prefix": "2a"}, "prefix: got '2a'"),
        (nn.Linear(2, 2, rng=0), {"prefix": 3}, "prefix: got"),
        ("model", {}, "model: got str"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_a_file_is(model, options, word, tmp_path):
    with pytest.raises((TypeError, ValueError), match=word):
        fd.interop.c.export(model, tmp_path / "m.h", **options)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_refused(tmp_path):
    layer = nn.Linear(2, 2, rng=0)
    for wrong in (layer, nn.Linear(2, 2, rng=0, dtype=np.float64)):
        wrong.weight.data[0, 0] = 1e300 if wrong.weight.dtype == np.float64 else np.inf
        with pytest.raises(ValueError, match="model: got a weight that is not finite"):
            fd.interop.c.export(wrong, tmp_path / "m.h")
