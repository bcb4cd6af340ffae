"""Products with the Jacobian and the Hessian of models: against jax, torch and differences; what must hold."""

import functools

import numpy as np
import pytest
from curvature_cases import CASES, LAYERS, X, case, jax_loss, layer_of

import fastdl as fd
from fastdl.curvature import LossPoint, ModelPoint, _affine, _recurrent

TOLERANCE = 1e-9
DIRECTIONS = ["two directions", "two directions, last", "backwards"]
NEWER = [name for name in CASES if name.startswith(("indrnn", "mingru", "minlstm", "slstm"))]  # torch has none of them
OTHERWISE = ("dense", "batch norm")  # classic dropout, and averages of the batch, train otherwise
WINDOWS = ["over time", "batch first windows", "batch norm"]


def loss_point(name, dtype=np.float64):
    model, loss, data, axis = case(name, dtype)
    return LossPoint(model, loss, data), axis


def direction(point, seed=1):
    return np.random.default_rng(seed).standard_normal(point.size).astype(point.dtype)


def model_gradient(model, loss, data):
    """By the layers' own backward."""
    model.train()
    for module in model.modules():
        if isinstance(module, fd.nn.Dropout) and module.scaling == "inverted":
            module.p = 0.0  # curvature is that of evaluation
    value, dz = loss(model.forward(data[0]), data[1])
    model.zero_grad()
    model.backward(dz)
    return value, np.concatenate([one.grad.reshape(-1) for one in model.parameters()])


@pytest.mark.parametrize("name", [name for name in CASES if name not in OTHERWISE])
def test_value_and_gradient_are_those_of_the_layers(level, name):
    model, loss, data, _ = case(name)
    point = LossPoint(model, loss, data)
    gradient = point.gradient
    value, expected = model_gradient(model, loss, data)
    assert point.value == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(point.output, model.eval().forward(data[0]))


@pytest.mark.parametrize("name", CASES)
def test_hessian_products_against_differences_of_the_gradient(level, name):
    model, loss, data, _ = case(name)
    point = LossPoint(model, loss, data)
    values, v = point.layout.values(), direction(point)

    def gradient(step):
        point.layout.assign(values + 0.01 * step[0] * v)  # short: no relu turns on the way
        return LossPoint(model, loss, data).gradient

    expected, error = fd.curvature.jacobian(gradient, np.zeros(1), "central", return_error=True)
    point.layout.assign(values)
    assert error.max() < 1e-11
    np.testing.assert_allclose(point.hvp(v), expected[:, 0] / 0.01, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("hidden", [33, 64, 128])
@pytest.mark.parametrize("kind", LAYERS)
def test_wide_layers(level, kind, hidden, dtype, tolerance):
    """Hidden sizes at which the tape pads its gates, or its rows of them; the product is symmetric."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 5, 2)).astype(dtype), rng.standard_normal((3, 5, hidden)).astype(dtype)
    model, data = layer_of(kind, 2, hidden, rng=0, dtype=dtype), (x, y)
    point = LossPoint(model, fd.mse_loss, data)
    expected = model_gradient(model, fd.mse_loss, data)[1]
    np.testing.assert_allclose(point.gradient, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    v, w = direction(point), direction(point, 2)
    scale = np.linalg.norm(point.hvp(v)) * np.linalg.norm(w)
    assert abs(point.hvp(v) @ w - point.hvp(w) @ v) < tolerance * scale


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 4), (6, 1), (2, 150)])
@pytest.mark.parametrize("kind", LAYERS)
def test_few_steps_few_sequences_and_many(level, kind, steps, batch):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((steps, batch, 2)), rng.standard_normal((steps, batch, 3))
    model = layer_of(kind, 2, 3, 2, rng=1, dtype=np.float64)
    point = LossPoint(model, fd.mse_loss, (x, y))
    values, v, u = point.layout.values(), direction(point), rng.standard_normal(y.shape)
    np.testing.assert_allclose(point.gradient, model_gradient(model, fd.mse_loss, (x, y))[1], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose((point.jvp(v) * u).sum(), point.vjp(u) @ v, rtol=1e-11)
    np.testing.assert_allclose(point.sample_gradients(1).sum(0), point.gradient, rtol=0, atol=1e-14)
    Hv, sides = point.hvp(v), []
    for step in (1e-7, -1e-7):  # short: no sign that a cell chooses by turns on the way
        point.layout.assign(values + step * v)
        sides.append(LossPoint(model, fd.mse_loss, (x, y)).gradient)
    np.testing.assert_allclose(Hv, (sides[0] - sides[1]) / 2e-7, rtol=0, atol=1e-6 * np.abs(Hv).max())


@pytest.mark.parametrize("positive", [False, True])
def test_shares_of_gates_near_zero_have_tangents(level, positive):
    """Where a product of two gates is lost in float32, that of their shares is not."""
    a_f, a_i = [-60.0, -75.0, 70.0, -400.0, -70.0], [-58.0, -75.0, -70.0, -400.0, 70.0]
    x, weights = np.random.default_rng(0).standard_normal((3, 2, 2)), np.random.default_rng(2).standard_normal((2, 15))
    found = []
    for dtype in (np.float64, np.float32):
        layer = fd.nn.MinLSTM(2, 5, positive=positive, rng=0, dtype=dtype)
        layer.weight_ih_l0.data[...], layer.bias_l0.data[...] = weights, [*a_f, *a_i, *np.linspace(-1, 1, 5)]
        point = LossPoint(layer, fd.mse_loss, (x.astype(dtype), np.ones((3, 2, 5), dtype)))
        v = direction(point)
        found.append([point.jvp(v), point.gradient, point.hvp(v)])
    for wide, narrow in zip(*found, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=5e-5 * np.abs(wide).max())


@pytest.mark.parametrize("gate", ["sigmoid", "exp"])
def test_large_exponential_gates_have_tangents(level, gate):
    """Where the stabilizer keeps exp(a_i) finite, whichever gate is the greater; in float32 as in float64."""
    a_i, a_f = [500.0, -300.0, 90.0, 0.0, -90.0], [2.0, 1.0, 95.0, -200.0, -1.0]
    x, weights = np.random.default_rng(0).standard_normal((6, 2, 2)), np.random.default_rng(2).standard_normal((7, 20))
    found = []
    for dtype in (np.float64, np.float32):
        layer = fd.nn.sLSTM(2, 5, forget_gate=gate, rng=0, dtype=dtype)
        layer.weight_ih_l0.data[...], layer.weight_hh_l0.data[...] = weights[:2], weights[2:] / 2
        layer.bias_l0.data[...] = [*a_i, *a_f, *np.linspace(-1, 1, 10)]
        point = LossPoint(layer, fd.mse_loss, (x.astype(dtype), np.ones((6, 2, 5), dtype)))
        v = direction(point)
        found.append([point.jvp(v), point.gradient, point.hvp(v)])
    for wide, narrow in zip(*found, strict=True):
        assert np.isfinite(wide).all()
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=1e-3 * np.abs(wide).max())


def test_at_the_kink_of_the_stabilizer_there_is_none_of_the_loss(level):
    """With a_i = log f + m at every step each gate is the greater one on one side, and the Hessian the same on both."""
    layer = fd.nn.sLSTM(2, 5, forget_gate="exp", init="torch", rng=0, dtype=np.float64)
    layer.weight_ih_l0.data[:, :10], layer.weight_hh_l0.data[:, :10], layer.bias_l0.data[:10] = 0, 0, 0
    point = LossPoint(layer, fd.mse_loss, (X, np.ones((*X.shape[:2], 5))))
    values, v = point.layout.values(), direction(point)

    def gradient(step):
        point.layout.assign(values + 0.01 * step[0] * v)
        return LossPoint(layer, fd.mse_loss, (X, np.ones((*X.shape[:2], 5)))).gradient

    expected, error = fd.curvature.jacobian(gradient, np.zeros(1), "central", return_error=True)
    assert error.max() < 1e-11
    np.testing.assert_allclose(point.hvp(v), expected[:, 0] / 0.01, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_what_holds_for_every_hessian(name):
    point, _ = loss_point(name)
    v, w = direction(point), direction(point, 2)
    Hv = point.hvp(v)
    np.testing.assert_allclose(point.hvp(2.5 * v - 3 * w), 2.5 * Hv - 3 * point.hvp(w), rtol=0, atol=1e-13)
    H = point.hessian()
    np.testing.assert_allclose(H, H.T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(H @ v, Hv, rtol=0, atol=1e-13)
    u = np.random.default_rng(3).standard_normal(point.output.shape)
    np.testing.assert_allclose((point.jvp(v) * u).sum(), point.vjp(u) @ v, rtol=1e-12)
    point.gauss_newton_product(v)
    np.testing.assert_array_equal(point.hvp(v), Hv)  # whatever was asked for in between


@pytest.mark.parametrize("name", CASES)
def test_jacobians_agree_with_products_and_the_gauss_newton_matrix_with_jacobians(name):
    point, _ = loss_point(name)
    J, v = point.jacobian().reshape(-1, point.size), direction(point)
    np.testing.assert_allclose(J @ v, point.jvp(v).reshape(-1), rtol=0, atol=1e-13)
    HJ = np.stack([point.loss.hvp(column.reshape(point.output.shape)).reshape(-1) for column in J.T], axis=1)
    np.testing.assert_allclose(point.hessian(matrix="gauss_newton"), J.T @ HJ, rtol=0, atol=1e-13)
    if name == "words":
        with pytest.raises(TypeError, match="x: got dtype int64, expected real numbers"):
            point.jacobian(wrt="input")
        return
    by_input = point.jacobian(wrt="input").reshape(point.output.size, -1)
    step = 0.01 * np.random.default_rng(4).standard_normal(by_input.shape[1])  # short: no relu turns on the way
    x = point._x
    expected = fd.curvature.jacobian(
        lambda t: point._model.eval().forward(x + t[0] * step.reshape(x.shape)), np.zeros(1), "central"
    )
    np.testing.assert_allclose(by_input @ step, expected.reshape(-1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_sample_gradients_are_those_of_each_sample_alone(level, name):
    model, loss, (x, y), axis = case(name)
    point = LossPoint(model, loss, (x, y))
    rows = point.sample_gradients(axis)
    of_input = 1 if point.output.ndim < x.ndim else axis  # the last step alone has no axis of time
    np.testing.assert_allclose(rows.sum(0), point.gradient, rtol=0, atol=1e-14)
    whole = point.loss.gradient
    for b in range(rows.shape[0]):
        one = ModelPoint(model, np.take(x, [b], of_input))
        np.testing.assert_allclose(rows[b], one.vjp(np.take(whole, [b], axis)), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("hidden", [7, 64])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_same_bits_for_any_number_of_threads(level, kind, hidden, monkeypatch):
    monkeypatch.setattr(_affine, "_GRAIN", 1)
    monkeypatch.setattr(_recurrent, "_GRAIN", 1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 9, 3)).astype(np.float32), rng.integers(0, 4, (5, 9))
    model = fd.nn.Sequential(layer_of(kind, 3, hidden, 2, rng=0), fd.nn.Linear(hidden, 4, rng=1))
    results = []
    for count in (1, 2, 3, 8):
        fd.set_num_threads(count)
        point = LossPoint(model, fd.softmax_cross_entropy, (x, y))
        v = direction(point)
        results.append([point.hvp(v), point.jvp(v), point.gradient, point.sample_gradients(1)])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", CASES)
def test_float32_has_its_digits(level, name):
    wide, _ = loss_point(name)
    narrow, _ = loss_point(name, np.float32)
    wide.layout.assign(narrow.layout.values().astype(np.float64))
    wide = LossPoint(wide._model, wide._loss, (wide._x, wide._targets))
    v = direction(narrow)
    for one, two in [
        (narrow.hvp(v), wide.hvp(v.astype(np.float64))),
        (narrow.gauss_newton_product(v), wide.gauss_newton_product(v.astype(np.float64))),
    ]:
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, two, rtol=0, atol=3e-6 * np.abs(two).max())


def test_blocks_of_layers():
    point, _ = loss_point("words")
    H = point.hessian()
    places = point.layout.places(["2"])
    np.testing.assert_array_equal(point.hessian(["2.weight", "2.bias"]), H[np.ix_(places, places)])
    with pytest.raises(ValueError, match="parameters: got '3', expected some of 0.weight, 1.0.weight_ih_l0"):
        point.hessian(["3"])


def test_shared_parameters_add_up():
    tied = fd.nn.Linear(3, 3, rng=0, dtype=np.float64)
    model = fd.nn.Sequential(tied, fd.nn.Tanh(), tied)
    rng = np.random.default_rng(0)
    point = LossPoint(model, fd.mse_loss, (rng.standard_normal((4, 3)), rng.standard_normal((4, 3))))
    H = point.hessian()
    np.testing.assert_allclose(H, H.T, atol=1e-15)
    np.testing.assert_allclose(point.sample_gradients(0).sum(0), point.gradient, atol=1e-15)


class Scale(fd.nn.Module):
    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


def test_what_has_no_derivative_is_named():
    x, y = np.zeros((2, 3)), np.zeros((2, 3))
    with pytest.raises(TypeError, match="model: Scale has no jvp"):
        LossPoint(fd.nn.Sequential(Scale()), fd.mse_loss, (x, y))
    with pytest.raises(TypeError, match="model: Zoneout has no jvp"):
        ModelPoint(fd.nn.Zoneout(0.5, rng=0), x)
    for options in ({"layer_norm": True}, {"zoneout": 0.1}, {"truncate": 2}):
        with pytest.raises(TypeError, match=f"model: GRU has no jvp with {next(iter(options))}"):
            ModelPoint(fd.nn.GRU(3, 2, rng=0, dtype=np.float64, **options), np.zeros((4, 2, 3)))
    for kind, options in (
        ("IndRNN", {"clip": 0.5}),
        ("IndRNN", {"zoneout": 0.1}),
        ("MinGRU", {"learned_state": True}),
        ("MinLSTM", {"truncate": 2}),
        ("sLSTM", {"zoneout": 0.1}),
    ):
        with pytest.raises(TypeError, match=f"model: {kind} has no jvp with {next(iter(options))}"):
            ModelPoint(getattr(fd.nn, kind)(3, 2, rng=0, dtype=np.float64, **options), np.zeros((4, 2, 3)))
    model = fd.nn.Linear(3, 3, rng=0, dtype=np.float64)
    with pytest.raises(TypeError, match="loss: got .*, expected one whose Hessian is known: .*mse_loss"):
        LossPoint(model, lambda z, y: (0.0, z), (x, y))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p.hvp(np.zeros(3)), ValueError, r"v: got shape \(3,\), expected \(.*,\)"),
        (lambda p: p.hvp(np.zeros(p.size, np.float32)), TypeError, "v: got dtype float32, expected float64"),
        (lambda p: p.vjp(np.zeros((4, 3))), ValueError, r"u: got shape \(4, 3\)"),
        (lambda p: p.jvp(np.zeros(p.size), "weights"), ValueError, "wrt: got 'weights'"),
        (lambda p: p.hessian(memory_limit=1000), MemoryError, "memory_limit: got 1,000 bytes, but a matrix of"),
        (lambda p: p.jacobian(memory_limit=1000), MemoryError, "memory_limit: got 1,000 bytes, but a Jacobian"),
        (lambda p: p.sample_gradients(1, 1000), MemoryError, "but gradients of 3 samples take"),
        (lambda p: p.sample_gradients(0), ValueError, "axis: got 0, expected the batch axis of a recurrent layer, 1"),
        (lambda p: p.hessian(matrix="fisher"), ValueError, "matrix: got 'fisher'"),
    ],
)
def test_wrong_use_is_refused(call, error, message):
    point, _ = loss_point("lstm")
    with pytest.raises(error, match=message):
        call(point)


def test_losses_that_are_no_number_are_refused():
    model, _, (x, y), _ = case("dense")
    with pytest.raises(ValueError, match=r"loss: got an array of shape \(4, 3, 3\), expected one number"):
        LossPoint(model, functools.partial(fd.mse_loss, reduction="none"), (x, y))
    with pytest.raises(ValueError, match="model: its output here is not finite"):
        LossPoint(model, fd.mse_loss, (x * np.nan, y))
    with pytest.raises(ValueError, match="loss: got nan"):
        LossPoint(model, fd.mse_loss, (x, y * np.nan))
    with pytest.raises(TypeError, match=r"data: got ndarray, expected \(x, targets\)"):
        LossPoint(model, fd.mse_loss, x)


@pytest.mark.peer
@pytest.mark.parametrize(
    "name", ["dense", "batch first", "words", "relu", "last", *WINDOWS, *DIRECTIONS, *NEWER]
)  # each layer once
def test_equals_jax(name):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        model, loss, data, _ = case(name)
        point = LossPoint(model, loss, data)
        value, output = jax_loss(model, loss, data)
        flat, v = point.layout.values(), direction(point)

        def all_at_once(flat):  # compiled once
            product = jax.vmap(lambda along: jax.jvp(jax.grad(value), (flat,), (along,))[1])
            return value(flat), jax.jacfwd(output)(flat), product(np.eye(point.size))

        expected, J, H = (np.array(one) for one in jax.jit(all_at_once)(flat))
    assert point.value == pytest.approx(expected, rel=1e-12)
    scale = np.abs(H).max()
    np.testing.assert_allclose(point.hvp(v), H @ v, rtol=0, atol=TOLERANCE * scale)
    np.testing.assert_allclose(point.hessian(), H, rtol=0, atol=TOLERANCE * scale)
    np.testing.assert_allclose(point.jacobian(), J, rtol=0, atol=TOLERANCE * np.abs(J).max())
    values = np.linalg.eigvalsh(H)
    ends = fd.curvature.eigenpairs(point, 2, "both").values
    np.testing.assert_allclose(ends, values[[0, 1, -2, -1]], rtol=0, atol=TOLERANCE * scale)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_equals_torch(kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3, 2)), rng.standard_normal((4, 3, 5))
    model = getattr(fd.nn, kind)(2, 5, num_layers=2, rng=0, dtype=np.float64)
    point = LossPoint(model, fd.mse_loss, (x, y))
    v = direction(point)

    def for_torch(flat):  # a vector in the layout of torch's parameters
        values = point.layout.values()
        point.layout.assign(flat)
        state = {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
        point.layout.assign(values)
        return state

    theirs = getattr(torch.nn, kind)(2, 5, num_layers=2, dtype=torch.float64)
    theirs.load_state_dict(for_torch(point.layout.values()))
    parameters = dict(theirs.named_parameters())
    value = ((theirs(torch.from_numpy(x))[0] - torch.from_numpy(y)) ** 2).mean()
    gradients = torch.autograd.grad(value, parameters.values(), create_graph=True)
    along = for_torch(v)
    inner = sum((g * along[name]).sum() for name, g in zip(parameters, gradients, strict=True))
    expected = dict(zip(parameters, torch.autograd.grad(inner, parameters.values()), strict=True))
    got = for_torch(point.hvp(v))
    for name, one in expected.items():
        np.testing.assert_allclose(got[name].numpy(), one.numpy(), rtol=0, atol=TOLERANCE)
