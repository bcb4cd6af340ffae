"""Models from Keras and to it: equal outputs, with whichever backend is there."""

import doctest
import importlib.util
import os

import numpy as np
import pytest

import fastdl as fd

if "KERAS_BACKEND" not in os.environ and importlib.util.find_spec("torch") is not None:
    os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.peer
nn, layers = fd.nn, keras.layers


def given(shape, words=False):
    rng = np.random.default_rng(0)
    return rng.integers(0, 7, shape) if words else rng.normal(size=shape).astype("f")


def filled(model):
    """Weights of Keras that are not its first ones."""
    rng = np.random.default_rng(1)
    values = [one + 0.2 * np.abs(rng.normal(size=one.shape)) for one in model.get_weights()]
    model.set_weights(values)
    return model


def theirs(model, x):
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))


CHAINS = {
    "dense": ((3,), [layers.Dense(4, activation="relu"), layers.BatchNormalization(), layers.Dense(2, use_bias=False)]),
    "words": ((None,), [layers.Embedding(7, 4), layers.LSTM(5, dropout=0.1, recurrent_dropout=0.1), layers.Dense(2)]),
    "rnn": ((None, 3), [layers.SimpleRNN(4, activation="relu", return_sequences=True), layers.SimpleRNN(3)]),
    "lstm": ((None, 3), [layers.Bidirectional(layers.LSTM(4, return_sequences=True), "sum"), layers.Softmax()]),
    "gru": ((None, 3), [layers.GRU(4, return_sequences=True), layers.GRU(5, reset_after=False, go_backwards=True)]),
    "both": ((None, 3), [layers.Bidirectional(layers.GRU(4)), layers.Dense(3, activation="softmax")]),
    "ave": ((None, 3), [layers.Bidirectional(layers.SimpleRNN(4, use_bias=False, return_sequences=True), "ave")]),
    "conv": (
        (9, 4),
        [
            layers.Conv1D(6, 3, padding="causal", dilation_rate=2, groups=2, activation="tanh"),
            layers.Conv1D(4, 4, padding="same", use_bias=False), layers.LayerNormalization(),
            layers.MaxPooling1D(2), layers.AveragePooling1D(2, 1), layers.Conv1D(3, 2, strides=2),
            layers.SpatialDropout1D(0.2), layers.Flatten(), layers.Dense(2),
        ],
    ),
    "activations": (
        (3,),
        [
            layers.Dense(4), layers.LeakyReLU(), layers.ELU(0.5), layers.ReLU(), layers.Activation("silu"),
            layers.Dropout(0.5), layers.Activation("gelu"), layers.GaussianNoise(0.1), layers.Activation("softplus"),
            layers.LayerNormalization(scale=False, center=False), layers.AlphaDropout(0.1), layers.Identity(),
            layers.ReLU(negative_slope=0.1), layers.Activation("leaky_relu"), layers.Activation("log_softmax"),
        ],
    ),
    "steps": ((5, 3), [layers.TimeDistributed(layers.Dense(4, activation="tanh")), layers.GaussianDropout(0.2)]),
}  # fmt: skip


def made(name):
    shape, parts = CHAINS[name]
    copies = [layers.deserialize(layers.serialize(one)) for one in parts]
    words = name == "words"
    model = filled(keras.Sequential([keras.Input(shape), *copies]))
    return model, given((2, *[one or 6 for one in shape]), words)


@pytest.mark.parametrize("suffix", ["", ".keras"])
@pytest.mark.parametrize("name", CHAINS)
def test_models_come_in(name, suffix, tmp_path):
    model, x = made(name)
    source = model
    if suffix:
        source = tmp_path / f"m{suffix}"
        model.save(source)
    ours = fd.interop.keras.from_keras(source)
    assert not ours.training
    np.testing.assert_allclose(ours.forward(x), theirs(model, x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", CHAINS)
def test_what_came_in_goes_out_again(name, tmp_path):
    model, x = made(name)
    ours = fd.interop.keras.from_keras(model)
    again = fd.interop.keras.to_keras(ours, shape=CHAINS[name][0])
    np.testing.assert_allclose(theirs(again, x), theirs(model, x), atol=1e-6, rtol=1e-5)


def test_a_graph_that_is_a_chain_comes_in():
    begin = keras.Input((None, 3))
    model = keras.Model(begin, layers.Dense(2)(layers.LSTM(4)(begin)))
    x = given((2, 6, 3))
    np.testing.assert_allclose(fd.interop.keras.from_keras(model).forward(x), theirs(model, x), atol=1e-6)
    twice = layers.Dense(3)
    h = twice(begin)
    with pytest.raises(ValueError, match="a graph that branches at layer"):
        fd.interop.keras.from_keras(keras.Model(begin, layers.Add()([h, layers.Dense(3)(h)])))


OURS = [
    nn.Sequential(nn.LSTM(3, 4, 2, 0.2, bidirectional=True, merge="mean", rng=0), nn.Linear(4, 2, rng=1)),
    nn.Sequential(nn.GRU(3, 4, num_layers=2, output="last", rng=0), nn.Linear(4, 2, rng=1), nn.ELU(0.3)),
    nn.Sequential(nn.RNN(3, 4, reverse=True, output="last", bias=False, rng=0), nn.LeakyReLU(0.1), nn.LayerNorm(4)),
    nn.Sequential(nn.Conv1d(3, 4, 3, padding="causal", rng=0), nn.Hardtanh(), nn.BatchNorm1d(4), nn.AvgPool1d(2)),
    nn.Sequential(nn.GRU(3, 4, bias="single", reset_after=False, bidirectional=True, rng=0), nn.Softplus()),
]  # fmt: skip


@pytest.mark.parametrize("model", OURS, ids=[str(place) for place in range(len(OURS))])
def test_models_go_out_and_weights_come_back(model, tmp_path):
    x = given((6, 2, 3))
    model.eval()
    out = fd.interop.keras.to_keras(model)
    wanted = model.forward(x)
    turned = wanted.swapaxes(0, 1) if wanted.ndim == 3 else wanted
    np.testing.assert_allclose(theirs(out, x.swapaxes(0, 1).copy()), turned, atol=1e-6)
    path = tmp_path / "m.weights.h5"
    out.save_weights(path)
    values = model.parameters().data.copy()
    model.parameters().data[...] = 0
    assert fd.interop.keras.from_keras(path, into=model) is model
    np.testing.assert_allclose(model.forward(x), wanted, atol=1e-6)
    filled(out)
    fd.interop.keras.from_keras(out, into=model)
    assert not np.array_equal(model.parameters().data, values)


class Own(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (nn.Sequential(nn.MinGRU(2, 3, rng=0)), "model.0: got MinGRU, which Keras has not"),
        (nn.Sequential(nn.Linear(2, 2, rng=0), Own()), "model.1: got Own"),
        (nn.LSTM(2, 3, peepholes=True, rng=0), "model: got LSTM.*no place for peepholes"),
        (nn.LSTM(2, 3, zoneout=0.1, rng=0), "without zone_h"),
        (nn.LSTM(2, 3, reverse=True, rng=0), "reverse=False, or one layer"),
        (nn.Conv1d(2, 3, 2, padding=1, rng=0), "padding 0, 'same' or 'causal'"),
        (nn.GELU("tanh"), "the default settings"),
        (nn.Tanh(), "shape: got None"),
        ("model", "model: got str"),
    ],
)
def test_what_keras_has_not_is_refused_by_name(model, word):
    with pytest.raises((TypeError, ValueError), match=word):
        fd.interop.keras.to_keras(model)


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (layers.PReLU(), "got PReLU, which is not known here"),
        (layers.Dense(2, activation="exponential"), "activation 'exponential', expected one of linear"),
        (layers.LSTM(2, activation="relu"), "LSTM: got .*relu"),
        (layers.GRU(2, go_backwards=True, return_sequences=True), "since its outputs are turned"),
        (layers.Bidirectional(layers.GRU(2), "mul"), "merge_mode='mul'"),
        (layers.Conv1D(2, 2, padding="same", strides=2), "stride 1"),
        (layers.MaxPooling1D(2, padding="same"), "padding='same'"),
    ],
)
def test_what_fastdl_has_not_is_refused_by_name(layer, word):
    with pytest.raises((TypeError, ValueError), match=word):
        fd.interop.keras.from_keras(keras.Sequential([keras.Input((4, 3)), layer]))


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    fd.interop.keras.to_keras(nn.Linear(2, 3, rng=0)).save_weights(path)
    with pytest.raises(ValueError, match="into: got None"):
        fd.interop.keras.from_keras(path)
    other = nn.Linear(2, 4, rng=0)
    before = other.weight.data.copy()
    with pytest.raises(ValueError, match="Keras cannot read it here"):
        fd.interop.keras.from_keras(path, into=other)
    assert (other.weight.data == before).all()
    with pytest.raises(FileNotFoundError):
        fd.interop.keras.from_keras(tmp_path / "none.keras")
    with pytest.raises(TypeError, match="model: got int"):
        fd.interop.keras.from_keras(3)
    model = keras.Sequential([keras.Input((None,)), layers.Embedding(4, 2, mask_zero=True)])
    with pytest.warns(UserWarning, match="mask_zero=True is not carried over"):
        fd.interop.keras.from_keras(model)


def test_the_examples_of_the_docstrings():
    for function in (fd.interop.keras.from_keras, fd.interop.keras.to_keras):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        (example,) = doctest.DocTestFinder(recurse=False).find(function, globs={})
        assert runner.run(example).failed == 0


def test_settings_of_training_come_along():
    model, _ = made("words")
    lstm = fd.interop.keras.from_keras(model)[1]
    assert (lstm.rates["input"], lstm.rates["state"], lstm.bias) == (0.1, 0.1, "single")
    model, _ = made("dense")
    norm = fd.interop.keras.from_keras(model)[2]
    assert (norm.eps, round(norm.momentum, 6)) == (1e-3, 0.01)
    out = fd.interop.keras.to_keras(fd.interop.keras.from_keras(model))
    assert round(out.layers[2].momentum, 6) == 0.99


def test_float64_stays(tmp_path):
    model = nn.Sequential(nn.GRU(3, 4, rng=0, dtype=np.float64), nn.Linear(4, 2, rng=1, dtype=np.float64)).eval()
    out, x = fd.interop.keras.to_keras(model), np.random.default_rng(0).normal(size=(2, 5, 3))
    wanted = model.forward(x.swapaxes(0, 1).copy()).swapaxes(0, 1)
    np.testing.assert_allclose(theirs(out, x), wanted, atol=1e-7)  # Keras rounds within its GRU
    assert {one.dtype for one in out.weights} == {"float64"}
    again = fd.interop.keras.from_keras(out)
    assert again[0].dtype == np.float64
    np.testing.assert_allclose(again.forward(x), wanted, atol=1e-12)
    assert keras.config.dtype_policy().name == "float32"


def test_older_files_come_in(tmp_path):
    pytest.importorskip("h5py")
    model, x = made("both")
    model.save(tmp_path / "m.h5")
    np.testing.assert_allclose(fd.interop.keras.from_keras(tmp_path / "m.h5").forward(x), theirs(model, x), atol=1e-6)
