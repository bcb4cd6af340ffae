"""Initial weights of recurrent layers, by the name of `init`."""

import numpy as np
import pytest

import fastdl as fd


def gates(array, count=4):
    return np.split(array, count, axis=-1)


def test_the_defaults_are_keras_of_an_lstm_and_torchs():
    for kind, init in ((fd.nn.RNN, "torch"), (fd.nn.LSTM, "keras"), (fd.nn.GRU, "torch")):
        one, other = kind(3, 4, rng=0), kind(3, 4, init=init, rng=0)
        np.testing.assert_array_equal(one.parameters().data, other.parameters().data)


@pytest.mark.parametrize("bias", [True, "single", False])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_keras_weights_are_glorots_and_orthogonal_and_only_the_forget_gate_has_a_bias(kind, bias):
    model = getattr(fd.nn, kind)(30, 20, 2, bidirectional=True, init="keras", bias=bias, rng=0, dtype=np.float64)
    for k, inputs in enumerate((30, 40)):
        for end in (f"_l{k}", f"_l{k}_reverse"):
            own = {name.removesuffix(end): one.data for name, one in model._parameters.items() if name.endswith(end)}
            wide = own["weight_hh"].shape[1]
            bound = np.sqrt(6 / (inputs + wide))
            assert 0.95 * bound < np.abs(own["weight_ih"]).max() <= bound
            assert abs(own["weight_ih"].std() / bound * np.sqrt(3) - 1) < 0.1
            np.testing.assert_allclose(own["weight_hh"] @ own["weight_hh"].T, np.eye(20), atol=1e-14)
            for name in ("bias", "bias_ih", "bias_hh"):
                if name in own:
                    first = kind == "LSTM" and name != "bias_hh"
                    expected = np.repeat([0, 1, 0, 0], 20) if first else np.zeros(own[name].size)
                    np.testing.assert_array_equal(own[name], expected)


def test_gers_biases_are_by_quarters_of_the_units():
    model = fd.nn.LSTM(5, 8, init="gers", rng=0)
    assert 0.15 < max(np.abs(one.data).max() for one in (model.weight_ih_l0, model.weight_hh_l0)) <= 0.2
    i, f, g, o = gates(model.bias_ih_l0.data)
    np.testing.assert_array_equal(i, [-0.5, -0.5, -1, -1, -1.5, -1.5, -2, -2])
    np.testing.assert_array_equal((f, g, o), (-i, 0 * i, i))
    assert not model.bias_hh_l0.data.any()
    i, g, o = gates(fd.nn.LSTM(5, 3, init="gers", coupled=True, rng=0).bias_ih_l0.data, 3)
    np.testing.assert_array_equal((i, g, o), ([-0.5, -1, -1.5], [0, 0, 0], [-0.5, -1, -1.5]))


def test_other_parts_of_a_layer_and_its_own_forget_bias():
    model = fd.nn.LSTM(5, 6, init="keras", proj_size=4, peepholes=True, layer_norm=True, forget_bias=2.0, rng=0)
    assert model.weight_hr_l0.data.any()
    assert not model.peephole_l0.data.any()
    assert (model.gain_l0.data == 1).all()
    assert (gates(model.bias_ih_l0.data)[1] == 2).all()
    W_h = model.weight_hh_l0.data
    np.testing.assert_allclose(W_h @ W_h.T, np.eye(4), atol=1e-6)
    assert repr(model).startswith("LSTM(5, 6, peepholes=True, proj_size=4, layer_norm=True)")


def test_orthogonal_matrices_are_drawn_evenly():
    """Every column of a random orthogonal matrix is uniform on the sphere: mean 0, and covariance 1/n."""
    model = [fd.nn.RNN(1, 3, init="keras", rng=seed, dtype=np.float64).weight_hh_l0.data for seed in range(600)]
    flat = np.reshape(model, (600, 9))
    np.testing.assert_allclose(flat.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(flat.T @ flat / 600, np.eye(9) / 3, atol=0.1)
    assert 230 < (np.linalg.det(model) > 0).sum() < 370


def test_a_seed_repeats_and_both_types_agree():
    for init in ("torch", "keras", "gers"):
        one, other = (fd.nn.LSTM(4, 8, init=init, rng=3) for _ in range(2))
        np.testing.assert_array_equal(one.parameters().data, other.parameters().data)


@pytest.mark.parametrize(
    ("kind", "init", "message"),
    [
        ("LSTM", "xavier", "^init: got 'xavier', expected"),
        ("GRU", "gers", "^init: got 'gers', expected 'torch' or 'keras' for a layer without"),
        ("RNN", 3, "^init: got 3, expected"),
    ],
)
def test_wrong_names_are_refused(kind, init, message):
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(fd.nn, kind)(3, 4, init=init)
