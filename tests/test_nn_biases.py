"""The biases of recurrent layers: torch's two, one, or none; and what is made of them elsewhere."""

import numpy as np
import pytest

import fastdl as fd

CELLS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "layer_norm": True}),
    ("LSTM", {}),
    ("LSTM", {"coupled": True, "peepholes": True}),
    ("LSTM", {"proj_size": 2, "weight_dropout": 0.3}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"truncate": 3, "bidirectional": True}),
]
BOTH = pytest.mark.parametrize("backend", ["compiled", "reference"])
EVERY = pytest.mark.parametrize(("kind", "options"), CELLS, ids=str)
X = np.random.default_rng(0).standard_normal((7, 3, 4))


def layer(kind, bias=True, **options):
    return getattr(fd.nn, kind)(4, 5, num_layers=2, bias=bias, rng=1, dtype=np.float64, **options)


def passed(model):
    """Outputs, and the gradients of all parameters by name."""
    model.zero_grad()
    y = model.forward(X)
    model.backward(np.cos(y))
    return y, {name: one.grad.copy() for name, one in model.named_parameters()}


@BOTH
@EVERY
def test_two_biases_are_one_that_is_their_sum(kind, options, backend):
    two, single = layer(kind, **options), layer(kind, "single", **options)
    single.load_state_dict(two.state_dict())
    single.load_random_state(two.random_state())
    with fd.backend(backend):
        (y, by_two), (expected, by_one) = passed(two), passed(single)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)
    assert by_two.keys() - by_one.keys()
    for name, gradient in by_one.items():
        if not name.startswith("bias"):
            np.testing.assert_allclose(by_two[name], gradient, rtol=1e-12, atol=1e-13)
            continue
        first, second = (by_two[name.replace("bias", f"bias_{which}")] for which in ("ih", "hh"))
        shared = 2 * first.size - gradient.size
        np.testing.assert_allclose(first, gradient[: first.size], rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(first[:shared], second[:shared])
        np.testing.assert_allclose(second[shared:], gradient[first.size :], rtol=1e-12, atol=1e-13)


@BOTH
@EVERY
def test_without_biases_a_layer_is_one_with_zeros(kind, options, backend):
    none, zeros = layer(kind, False, **options), layer(kind, **options)
    zeros.load_random_state(none.random_state())
    assert not [name for name, _ in none.named_parameters() if "bias" in name]
    zeros.load_state_dict(
        none.state_dict() | {name: 0 * array for name, array in zeros.state_dict().items() if "bias" in name}
    )
    with fd.backend(backend):
        (y, got), (expected, gradients) = passed(none), passed(zeros)
    np.testing.assert_array_equal(y, expected)
    for name, gradient in got.items():
        np.testing.assert_array_equal(gradient, gradients[name])


@pytest.mark.parametrize("bias", [True, "single"])
@EVERY
def test_gradients_of_several_backwards_add_up(kind, options, bias):
    model = layer(kind, bias, **options)
    once = passed(model)[1] if not options.get("weight_dropout") else None
    model.zero_grad()
    state = model.random_state()
    for _ in range(2):
        model.load_random_state(state)
        y = model.forward(X)
        model.backward(np.cos(y))
    twice = {name: one.grad.copy() for name, one in model.named_parameters()}
    if once is None:
        model.load_random_state(state)
        once = passed(model)[1]
    for name, gradient in twice.items():
        np.testing.assert_allclose(gradient, 2 * once[name], rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_two_that_are_tied_get_both_parts(kind):
    apart, tied = layer(kind), layer(kind)
    tied.load_state_dict(apart.state_dict() | {"bias_hh_l0": apart.bias_ih_l0.data})
    apart.load_state_dict(tied.state_dict())
    tied.bias_hh_l0 = tied.bias_ih_l0
    expected, got = passed(apart)[1], passed(tied)[1]
    both = expected["bias_ih_l0"] + expected["bias_hh_l0"]
    np.testing.assert_allclose(got["bias_ih_l0"], both, rtol=1e-12)


def test_initial_values_are_drawn_in_torchs_order():
    model = fd.nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True, init="torch", rng=7)
    shapes = []
    for k in range(2):
        for suffix in ("", "_reverse"):
            shapes += [(f"weight_ih_l{k}{suffix}", (4 if k else 3, 16)), (f"weight_hh_l{k}{suffix}", (2, 16))]
            shapes += [(f"bias_ih_l{k}{suffix}", (16,)), (f"bias_hh_l{k}{suffix}", (16,))]
            shapes += [(f"weight_hr_l{k}{suffix}", (4, 2))]
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in shapes]
    source = fd.random.Generator(7)
    for name, shape in shapes:
        np.testing.assert_array_equal(model._parameters[name].data, source.uniform(-0.5, 0.5, shape, np.float32))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_single_bias_has_torchs_names_in_a_state_and_adds_what_it_loads(kind):
    two, single = layer(kind), layer(kind, "single")
    given, H = single.state_dict(), 5
    assert given.keys() == two.state_dict().keys()
    assert not given["bias_hh_l0"][: 2 * H if kind == "GRU" else None].any()
    two.load_state_dict(given)  # as does a file from when there was one bias
    single.load_state_dict(two.state_dict())
    for name, array in single.state_dict().items():
        np.testing.assert_array_equal(array, given[name])
    given["bias_ih_l0"] += 1
    given["bias_hh_l0"] += 1
    before = single.bias_l0.data.copy()
    single.load_state_dict(given)
    both = 2 * H if kind == "GRU" else single.bias_l0.size
    np.testing.assert_allclose(single.bias_l0.data[:both], before[:both] + 2, rtol=1e-15)
    np.testing.assert_allclose(single.bias_l0.data[both:], before[both:] + 1, rtol=1e-15)


@EVERY
def test_two_biases_go_through_a_state_without_loss(kind, options):
    one, other = layer(kind, **options), layer(kind, **options)
    other.parameters().data[:] = 0
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other.parameters().data, one.parameters().data)


def test_the_forget_gate_has_its_bias_in_the_first_and_zero_in_the_second():
    two, single = (fd.nn.LSTM(3, 4, 2, forget_bias=1.5, bias=bias, init="torch", rng=0) for bias in (True, "single"))
    for k in range(2):
        assert (two._parameters[f"bias_ih_l{k}"].data[4:8] == 1.5).all()
        assert not two._parameters[f"bias_hh_l{k}"].data[4:8].any()
        assert two._parameters[f"bias_hh_l{k}"].data[:4].all()
        assert (single._parameters[f"bias_l{k}"].data[4:8] == 1.5).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bias": "double"}, ValueError, "^bias: got 'double', expected True, False or 'single'"),
        ({"bias": 1}, TypeError, "^bias: got 1, expected True, False or 'single'"),
        ({"bias": None}, TypeError, "^bias: got None, expected True"),
        ({"bias": np.ones(3)}, TypeError, "^bias: got an array of shape"),
        ({"bias": False, "forget_bias": 1.0}, ValueError, "^forget_bias: got 1.0 with bias=False"),
    ],
)
def test_wrong_biases_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        fd.nn.LSTM(3, 4, **options)


def test_a_layer_says_which_biases_it_has():
    shown = [repr(fd.nn.GRU(3, 4, bias=bias, rng=0)) for bias in (True, "single", False, np.bool_(False))]
    assert shown[0] == "GRU(3, 4)  # 108 parameters"
    assert shown[1] == "GRU(3, 4, bias='single')  # 100 parameters"
    assert shown[2] == shown[3] == "GRU(3, 4, bias=False)  # 84 parameters"


# ---- other layouts ------------------------------------------------------------------------------
@pytest.mark.parametrize("bias", [True, "single", False])
@pytest.mark.parametrize("layout", ["keras", "onnx"])
@pytest.mark.parametrize(("kind", "options"), [("RNN", {}), ("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})])
def test_biases_in_other_layouts(kind, options, layout, bias):
    one, other = (layer(kind, bias, bidirectional=True, **options) for _ in range(2))
    other.parameters().data[:] = 0
    for k in range(2):
        arrays = one.export_weights(layout, k)
        assert any(name.endswith(("bias", "B")) for name in arrays) == bool(bias)
        other.import_weights(layout, arrays, k)
    if bias is not True or layout == "onnx" or (kind == "GRU" and not options):
        np.testing.assert_array_equal(other.parameters().data, one.parameters().data)
    np.testing.assert_allclose(other.eval().forward(X), one.eval().forward(X), rtol=1e-13)
    if not bias:
        with pytest.raises(ValueError, match="^arrays: missing none, unknown"):
            one.import_weights(layout, layer(kind, bidirectional=True, **options).export_weights(layout))


# ---- training -----------------------------------------------------------------------------------
def test_one_bias_is_trained_as_a_bias_given_to_the_functions():
    """Clipping, decay and the curve of one bias: those of the same steps on the functions' arrays."""
    model = fd.nn.LSTM(4, 5, bias="single", rng=1)
    x = X.astype(np.float32)
    target = np.random.default_rng(1).standard_normal((7, 3, 5)).astype(np.float32)
    arrays = [one.data.copy() for one in model.parameters()]
    pairs = [(array, np.zeros_like(array)) for array in arrays]
    rules = [fd.optim.AdamW(one, lr=0.05, weight_decay=0.1, clip_norm=0.5) for one in (model.parameters(), pairs)]
    zeros = np.zeros((3, 5), np.float32)
    for _ in range(10):
        loss, slope = fd.mse_loss(model.forward(x), target)
        model.backward(slope)
        h, _, tape = fd.lstm_forward(x, zeros, zeros, *arrays)
        own, slope = fd.mse_loss(h, target)
        fd.lstm_backward(slope, None, tape, tuple(gradient for _, gradient in pairs))
        assert loss == own
        for rule in rules:
            rule.step()
    for one, array in zip(model.parameters(), arrays, strict=True):
        np.testing.assert_array_equal(one.data, array)


def test_an_optimizers_state_of_one_bias_is_refused_by_name():
    two, single = fd.nn.LSTM(3, 4, rng=0), fd.nn.LSTM(3, 4, bias="single", rng=0)
    state = fd.optim.Adam(single.parameters()).state_dict()
    optimizer = fd.optim.Adam(two.parameters())
    missing = r"missing \['bias_ih_l0', 'bias_hh_l0'\], unknown \['bias_l0'\]"
    with pytest.raises(ValueError, match=rf"got the state of 3 parameters, expected 4: {missing}"):
        optimizer.load_state_dict(state)
    fd.optim.Adam(single.parameters()).load_state_dict(state)


@pytest.mark.peer
@pytest.mark.parametrize("rule", ["Adam", "AdamW", "SGD"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_ported_training_run_has_torchs_curve(kind, rule):
    """30 steps with clipping and decay, of two layers in both directions: every loss and norm, and the weights."""
    torch = pytest.importorskip("torch")
    settings = {"lr": 0.1, "momentum": 0.9} if rule == "SGD" else {"lr": 0.01}
    settings["weight_decay"] = 0.05
    mine = fd.nn.Sequential(getattr(fd.nn, kind)(4, 6, 2, bidirectional=True, rng=3), fd.nn.Linear(12, 5, rng=4))
    cell, linear = getattr(torch.nn, kind)(4, 6, 2, bidirectional=True), torch.nn.Linear(12, 5)
    theirs = torch.nn.ModuleList([cell, linear])
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in mine.state_dict().items()})
    ours = getattr(fd.optim, rule)(mine.parameters(), **settings)
    optimizer = getattr(torch.optim, rule)(theirs.parameters(), **settings)
    rng, curves = np.random.default_rng(0), []
    for _ in range(30):
        x, y = rng.standard_normal((9, 3, 4)).astype(np.float32), rng.integers(0, 5, (9, 3))
        loss, slope = fd.softmax_cross_entropy(mine.forward(x), y)
        mine.backward(slope)
        norm = fd.optim.clip_grad_norm_(mine.parameters(), 0.3)
        ours.step()
        optimizer.zero_grad()
        out = torch.nn.functional.cross_entropy(
            linear(cell(torch.from_numpy(x))[0]).flatten(0, 1), torch.tensor(y).ravel()
        )
        out.backward()
        their_norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.3)
        optimizer.step()
        curves.append((loss, norm, out.item(), their_norm.item()))
    losses, norms, their_losses, their_norms = np.array(curves).T
    np.testing.assert_allclose(losses, their_losses, rtol=2e-6)
    np.testing.assert_allclose(norms, their_norms, rtol=2e-5)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    for name, array in mine.state_dict().items():
        np.testing.assert_allclose(array, state[name], rtol=0, atol=2e-5, err_msg=name)
    mine.load_state_dict(state)
    for name, array in mine.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
