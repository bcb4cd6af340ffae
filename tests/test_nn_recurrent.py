"""Recurrent layers as objects: states, directions, segments of time, what they drop, other frameworks' layouts."""

import copy

import numpy as np
import pytest

import fastdl as fd

LAYERS = {"RNN": fd.nn.RNN, "LSTM": fd.nn.LSTM, "GRU": fd.nn.GRU}
DROPPING = {"dropout": 0.3, "input_dropout": 0.2, "state_dropout": 0.3, "weight_dropout": 0.2, "zoneout": 0.2}
VARIANTS = [
    {},
    {"bidirectional": True, "merge": "sum"},
    {"bidirectional": True, "merge": "mean", "output": "last"},
    {"reverse": True, "output": "last", "learned_state": True},
    {"layer_norm": True, "learned_state": True, "clip": 2.0},
    {**DROPPING, "bidirectional": True},
    {"batch_first": True, "bidirectional": True},
    {"bias": "single"},
    {"bias": False, "checkpoint": True},
]


def layer(kind, **options):
    return LAYERS[kind](3, 5, options.pop("num_layers", 2), rng=1, dtype=np.float64, **options)


def data(T=7, B=4, seed=0):
    return np.random.default_rng(seed).standard_normal((T, B, 3)), np.array([3, 7, 0, 5])


def same_masks(model, run):
    """run(), with the masks of the last time."""
    state = model.random_state()
    result = run()
    model.load_random_state(state)
    return result


@pytest.mark.parametrize("lengths", [None, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_against_finite_differences(kind, options, lengths):
    options = dict(options)
    model = layer(kind, **options)
    x, lengths = data()[0], data()[1] if lengths else None
    if options.get("batch_first"):
        x = np.ascontiguousarray(x.swapaxes(0, 1))
    if options.get("output") == "last" and lengths is not None:
        lengths = np.maximum(lengths, 1)
    rng = np.random.default_rng(2)
    for name, parameter in model._parameters.items():
        if name.startswith(("h0", "c0")):
            parameter.data = rng.standard_normal(parameter.shape)

    def forward():
        return model.forward(x, lengths=lengths, return_state=True)

    y, state = same_masks(model, forward)
    arrays = state if isinstance(state, tuple) else (state,)
    dy, dstate = rng.standard_normal(y.shape), tuple(rng.standard_normal(s.shape) for s in arrays)

    def loss():
        y, state = same_masks(model, forward)
        arrays = state if isinstance(state, tuple) else (state,)
        model._tape.clear()
        for module in model.modules():
            module._tape.clear()
        return (y * dy).sum() + sum((s * d).sum() for s, d in zip(arrays, dstate, strict=True))

    for module in model.modules():
        module._tape.clear()
    same_masks(model, forward)
    model.zero_grad()
    dx = model.backward(dy, dstate if len(dstate) == 2 else dstate[0])
    for name, place, gradient in [
        ("x", x, dx),
        *((name, p.data, p.grad.copy()) for name, p in model._parameters.items()),
    ]:
        direction, before = rng.standard_normal(place.shape), place.copy()
        found = []
        for step in (1e-6, -1e-6):
            place[...] = before + step * direction
            found.append(loss())
        place[...] = before
        assert (gradient * direction).sum() == pytest.approx((found[0] - found[1]) / 2e-6, rel=3e-6, abs=1e-7), name


@pytest.mark.parametrize("lengths", [None, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("kind", LAYERS)
def test_checkpoints_change_memory_and_nothing_else(kind, lengths):
    x, lengths = data(23)[0], np.array([3, 23, 0, 11]) if lengths else None
    results = []
    for checkpoint in (False, True):
        model = layer(kind, bidirectional=True, checkpoint=checkpoint, **DROPPING)
        y, _ = model.forward(x, lengths=lengths, return_state=True)
        dx = model.backward(np.cos(y))
        results.append([y, dx, model.parameters().grad.copy()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", LAYERS)
def test_truncation_is_what_windows_with_carried_state_give(kind):
    x, dy = data(11)[0], np.random.default_rng(1).standard_normal((11, 4, 5))
    whole, windows = (layer(kind, num_layers=1, truncate=truncate) for truncate in (4, None))
    whole.zero_grad()
    y = whole.forward(x)
    dx = whole.backward(dy)
    windows.zero_grad()
    state, parts = None, []
    for begin in range(0, 11, 4):
        span = slice(begin, begin + 4)
        one, state = windows.forward(x[span], state, return_state=True)
        np.testing.assert_allclose(one, y[span], rtol=1e-13)
        parts.append(windows.backward(dy[span]))
    np.testing.assert_allclose(dx, np.concatenate(parts), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(whole.parameters().grad, windows.parameters().grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_truncation_gives_each_sequence_of_a_ragged_batch_what_it_gets_alone(kind, reverse):
    x, dy = data(11, 6)[0], np.random.default_rng(1).standard_normal((11, 6, 5))
    lengths = np.array([11, 3, 4, 1, 7, 8])
    model = layer(kind, num_layers=1, truncate=4, reverse=reverse)
    model.forward(x, lengths=lengths)
    dx, dstate = model.backward(dy, return_state=True)
    for b, length in enumerate(lengths):
        model.forward(x[:length, b : b + 1])
        alone, one = model.backward(np.ascontiguousarray(dy[:length, b : b + 1]), return_state=True)
        np.testing.assert_allclose(dx[:length, b : b + 1], alone, rtol=1e-12, atol=1e-14)
        for whole, single in zip(np.atleast_1d(dstate), np.atleast_1d(one), strict=True):
            np.testing.assert_allclose(whole[..., b : b + 1, :], single, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{"checkpoint": True}, {"output": "last"}, {"bidirectional": True}], ids=str)
def test_gradients_of_cells_join_those_of_states(options):
    x, _ = data()
    other = layer("LSTM", **options)
    rng = np.random.default_rng(5)
    y, (h, c), cells = other.forward(x, return_state=True, return_cells=True)
    dcells, dh, dc = rng.standard_normal(cells.shape), rng.standard_normal(h.shape), rng.standard_normal(c.shape)
    dx = other.backward(0 * y, (dh, dc), dcells)
    direction = rng.standard_normal(x.shape)
    found = []
    for step in (1e-6, -1e-6):
        _, (h, c), cells = other.eval().forward(x + step * direction, return_state=True, return_cells=True)
        found.append((cells * dcells).sum() + (h * dh).sum() + (c * dc).sum())
    assert (dx * direction).sum() == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-6)


def test_gradients_of_a_wrong_shape_are_refused_and_change_nothing():
    model = layer("GRU", bidirectional=True)
    x, _ = data()
    y = model.forward(x)
    for bad in (y[:3], y[..., :5], y.astype(np.float32), 3.0):
        with pytest.raises((TypeError, ValueError), match="dy: got"):
            model.backward(bad)
    with pytest.raises(ValueError, match="dcells: got an array, but GRU"):
        model.backward(y, dcells=y)
    assert model.backward(y).shape == x.shape


def test_gradients_that_were_assigned_are_added_to():
    model = layer("GRU", num_layers=1)
    x, _ = data()
    y = model.forward(x)
    model.zero_grad()
    model.backward(y)
    expected = {name: p.grad.copy() for name, p in model._parameters.items()}
    for given in ("bias_ih_l0", "bias_hh_l0", "weight_ih_l0"):
        model.zero_grad()
        model._parameters[given].grad = 0 * model._parameters[given].grad + 5
        model.forward(x)
        model.backward(y)
        for name, p in model._parameters.items():
            np.testing.assert_allclose(p.grad, expected[name] + 5 * (name == given), rtol=1e-12, err_msg=name)


def test_layers_from_ten_on_have_weights_of_their_own():
    model = fd.nn.GRU(2, 3, 12, rng=0)
    values = model.parameters().data.copy()
    model.import_weights("keras", model.export_weights("keras", 1), 1)
    np.testing.assert_array_equal(model.parameters().data, values)
    with pytest.raises(ValueError, match="layer: got 12, expected from 0 to 11"):
        model.export_weights("keras", 12)


@pytest.mark.parametrize("kind", LAYERS)
def test_steps_continue_a_sequence(kind):
    model = layer(kind, learned_state=True, dropout=0.5).eval()
    x, _ = data()
    y = model.forward(x)
    state = None
    for t in range(len(x)):
        one, state = model.step(x[t], state)
        np.testing.assert_allclose(one, y[t], rtol=1e-12)
    with pytest.raises(ValueError, match="step: a layer that reads the future"):
        layer(kind, bidirectional=True).step(x[0])


def test_cells_are_returned_and_differentiated():
    model = layer("LSTM", bidirectional=True, num_layers=1)
    x, _ = data()
    y, (_, c), cells = model.forward(x, return_state=True, return_cells=True)
    assert cells.shape == (7, 4, 10)
    np.testing.assert_array_equal(cells[-1, :, :5], c[0])
    np.testing.assert_array_equal(cells[0, :, 5:], c[1])
    dcells, direction = np.random.default_rng(3).standard_normal((2, *cells.shape))
    dx = model.backward(0 * y, dcells=dcells)
    direction = direction[:, :, :3]
    sides = [(model.eval().forward(x + s * direction, return_cells=True)[1] * dcells).sum() for s in (1e-6, -1e-6)]
    assert (dx * direction).sum() == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)
    with pytest.raises(ValueError, match="return_cells: got True, but GRU has no cell state"):
        layer("GRU").forward(x, return_cells=True)


def test_what_is_dropped_repeats_on_resume_and_not_in_evaluation():
    x, _ = data()
    model = layer("LSTM", candidate_dropout=0.2, zoneout_cell=0.1, **DROPPING)
    first = model.forward(x)
    state = model.random_state()
    second = model.forward(x)
    assert np.abs(first - second).max() > 0.01
    other = layer("LSTM", candidate_dropout=0.2, zoneout_cell=0.1, **DROPPING)
    other.load_random_state(state)
    np.testing.assert_array_equal(other.forward(x), second)
    model.eval()
    np.testing.assert_array_equal(model.forward(x), model.forward(x))
    with pytest.raises(ValueError, match="state: got"):
        model.load_random_state({"own": {"seed": 1}})


def test_regularisers_change_the_mean_little():
    """Dropout keeps the expectation of what enters a product, so outputs averaged over masks stay near."""
    x, _ = data()
    model = layer("LSTM", num_layers=1, input_dropout=0.1, state_dropout=0.1, weight_dropout=0.1, zoneout=0.1)
    mean = np.mean([model.forward(x) for _ in range(300)], axis=0)
    assert np.abs(mean - model.eval().forward(x)).max() < 0.05


def test_forget_bias_and_projection():
    model = fd.nn.LSTM(3, 5, proj_size=2, forget_bias=1.0, rng=0)
    assert (model.bias_ih_l0.data[5:10] == 1).all()
    assert not model.bias_hh_l0.data[5:10].any()
    y, (h, c) = model.forward(np.ones((4, 2, 3), np.float32), return_state=True)
    assert (y.shape, h.shape, c.shape) == ((4, 2, 2), (1, 2, 2), (1, 2, 5))
    assert repr(model).startswith("LSTM(3, 5, proj_size=2)")


def test_a_layer_says_what_it_is():
    model = fd.nn.GRU(3, 4, 2, 0.25, bidirectional=True, merge="sum", reset_after=False, state_dropout=0.1, rng=0)
    wanted = (
        "GRU(3, 4, num_layers=2, dropout=0.25, reset_after=False, bidirectional=True, merge='sum', state_dropout=0.1)"
    )
    assert repr(model).splitlines()[0].startswith(wanted)


@pytest.mark.parametrize("layout", ["keras", "onnx"])
@pytest.mark.parametrize(
    "model",
    [
        fd.nn.RNN(3, 4, 2, bias="single", bidirectional=True, rng=0),
        fd.nn.GRU(3, 4, 2, bidirectional=True, rng=0),
        fd.nn.GRU(3, 4, bias="single", reset_after=False, rng=0),
        fd.nn.LSTM(3, 4, 2, bias="single", bidirectional=True, rng=0),
    ],
    ids=repr,
)
def test_weights_go_out_and_come_back(model, layout):
    values = model.parameters().data.copy()
    exported = [model.export_weights(layout, k) for k in range(model.num_layers)]
    for parameter in model.parameters():
        parameter.data = 0 * parameter.data
    for k, arrays in enumerate(exported):
        model.import_weights(layout, arrays, k)
    np.testing.assert_array_equal(model.parameters().data, values)
    with pytest.raises(ValueError, match="missing"):
        model.import_weights(layout, {"what": np.zeros(3)})


def keras_gru(x, kernel, recurrent_kernel, bias):
    """Keras' GRU (reset_after=True), gates z, r, h, from keras.src.layers.rnn.gru.GRUCell.call."""
    h, outputs = np.zeros((x.shape[1], recurrent_kernel.shape[0])), []
    for x_t in x:
        x_z, x_r, x_h = np.split(x_t @ kernel + bias[0], 3, axis=1)
        h_z, h_r, h_h = np.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        z, r = 1 / (1 + np.exp(-(x_z + h_z))), 1 / (1 + np.exp(-(x_r + h_r)))
        h = z * h + (1 - z) * np.tanh(x_h + r * h_h)
        outputs.append(h)
    return np.array(outputs)


def keras_lstm(x, kernel, recurrent_kernel, bias):
    """Keras' LSTM, gates i, f, c, o, from keras.src.layers.rnn.lstm.LSTMCell.call."""
    h, outputs = np.zeros((x.shape[1], recurrent_kernel.shape[0])), []
    c = 0 * h
    for x_t in x:
        i, f, g, o = np.split(x_t @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(h)
    return np.array(outputs)


@pytest.mark.parametrize(("kind", "equations"), [("GRU", keras_gru), ("LSTM", keras_lstm)])
def test_weights_from_keras_give_its_outputs(kind, equations):
    rng = np.random.default_rng(4)
    model = layer(kind, num_layers=1)
    arrays = {name: rng.standard_normal(a.shape) for name, a in model.export_weights("keras").items()}
    model.import_weights("keras", arrays)
    x, _ = data()
    np.testing.assert_allclose(model.forward(x), equations(x, **arrays), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"merge": "product"}, ValueError, "merge: got 'product'"),
        ({"output": "all"}, ValueError, "output: got 'all'"),
        ({"bidirectional": True, "reverse": True}, ValueError, "reverse: got True with bidirectional"),
        ({"state_dropout": 1.0}, ValueError, "state_dropout: got 1.0"),
        ({"truncate": 0}, ValueError, "truncate: got 0"),
        ({"coupled": True, "forget_bias": 1.0}, ValueError, "forget_bias: got 1.0 with coupled"),
        ({"cell_clip": -1.0}, ValueError, "cell_clip: got -1.0"),
    ],
)
def test_wrong_settings_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        fd.nn.LSTM(3, 4, **change)


def test_coupled_gates_go_to_onnx_and_back():
    rng = np.random.default_rng(0)
    one, other = (fd.nn.LSTM(3, 4, coupled=True, peepholes=True, bidirectional=True, rng=k) for k in range(2))
    for parameter in one.parameters():
        parameter.data = rng.standard_normal(parameter.shape)
    arrays = one.export_weights("onnx")
    assert {name: array.shape for name, array in arrays.items()} == {
        "W": (2, 16, 3),
        "R": (2, 16, 4),
        "B": (2, 32),
        "P": (2, 12),
    }
    arrays["W"][:, 8:12] = np.nan  # f's, which is not read
    other.import_weights("onnx", arrays)
    np.testing.assert_array_equal(other.parameters().data, one.parameters().data)


def test_layouts_without_a_place_are_refused():
    with pytest.raises(ValueError, match="layout: keras has no place for peepholes=True"):
        fd.nn.LSTM(3, 4, peepholes=True).export_weights("keras")
    with pytest.raises(ValueError, match="layout: keras has no place for coupled=True"):
        fd.nn.LSTM(3, 4, coupled=True).export_weights("keras")
    with pytest.raises(ValueError, match="layout: onnx has no place for layer_norm=True"):
        fd.nn.GRU(3, 4, layer_norm=True).export_weights("onnx")


# ---- layers in a stack --------------------------------------------------------------------------
def test_what_is_assigned_later_counts():
    model, other = layer("LSTM"), layer("LSTM", clip=0.1, checkpoint=True)
    x, _ = data()
    plain = model.forward(x)
    model.clip, model.checkpoint = 0.1, True
    np.testing.assert_array_equal(model.forward(x), other.forward(x))
    np.testing.assert_array_equal(model.backward(x[:, :, :1] + plain), other.backward(x[:, :, :1] + plain))
    model.clip = None
    np.testing.assert_array_equal(model.forward(x), plain)


def test_a_shallow_copy_has_layers_of_its_own():
    model, x = layer("GRU"), data()[0]
    before = model.forward(x)
    other = copy.copy(model)
    other.weight_ih_l0 = fd.nn.Parameter("w", 2 * model.weight_ih_l0.data, transposed=True)
    assert np.abs(other.forward(x) - before).max() > 0.01
    np.testing.assert_array_equal(model.forward(x), before)
    assert model.weight_ih_l0 is not other.weight_ih_l0
    assert model.weight_hh_l0 is other.weight_hh_l0


def test_layers_share_by_assignment_in_a_stack():
    model, x = layer("RNN"), data()[0]
    model.forward(x)
    model.bias_hh_l1 = model.bias_hh_l0
    model.zero_grad()
    y = model.forward(x)
    model.backward(np.ones_like(y))
    np.testing.assert_allclose(model.bias_hh_l0.grad, model.bias_ih_l0.grad + model.bias_ih_l1.grad, rtol=1e-12)


def test_a_kind_of_ones_own_goes_where_its_cell_goes():
    class Mine(fd.nn.LSTM):
        def __init__(self):
            super().__init__(3, 4, rng=0)

    assert [one.__name__ for one in Mine.__mro__] == ["Mine", "LSTM", "Stack", "Module", "Stateful", "object"]
    for layout in ("keras", "onnx"):
        mine, plain = (model.export_weights(layout) for model in (Mine(), fd.nn.LSTM(3, 4, rng=0)))
        for name, array in plain.items():
            np.testing.assert_array_equal(mine[name], array)
