"""Update rules against torch.optim, optax, and the formulas of Keras and ONNX: 100 steps, changing rate."""

import math

import numpy as np
import pytest

import fastdl as fd

STEPS = 100
N = 50
# Relative to the largest parameter. float32: peers round in another order (some fuse a multiply and an add).
TOLERANCES = {np.float64: 1e-12, np.float32: 4e-6}


def rate(lr, t):
    return lr * (1 + math.cos(t / 20)) / 2 + lr / 10


def gradients(dtype):
    rng = np.random.default_rng(5)
    return [rng.standard_normal(N).astype(dtype) for _ in range(STEPS)]


def start(dtype):
    return np.random.default_rng(6).standard_normal(N).astype(dtype)


def run(optimizer_type, dtype, lr, **settings):
    """The parameters after every step."""
    param, grad = start(dtype), np.empty(N, dtype)
    optimizer = optimizer_type([(param, grad)], lr, **settings)
    path = []
    for t, g in enumerate(gradients(dtype)):
        grad[:] = g
        optimizer.lr = rate(lr, t)
        optimizer.step()
        path.append(param.copy())
    return path


def assert_close(path, expected, dtype):
    for ours, theirs in zip(path, expected, strict=True):
        assert np.abs(ours - theirs).max() <= TOLERANCES[dtype] * max(1.0, np.abs(theirs).max())


# ---- torch ---------------------------------------------------------------------------------------------
DECAY = {"weight_decay": 0.05}
TORCH = [
    ("SGD", "SGD", {}, {}),
    ("SGD", "SGD", DECAY, DECAY),
    ("SGD", "SGD", {"momentum": 0.9}, {"momentum": 0.9}),
    ("SGD", "SGD", {"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.9, "dampening": 0.3}),
    ("SGD", "SGD", {"momentum": 0.9, "nesterov": True} | DECAY, {"momentum": 0.9, "nesterov": True} | DECAY),
    ("AdaGrad", "Adagrad", {}, {}),
    (
        "AdaGrad",
        "Adagrad",
        {"lr_decay": 0.1, "initial_accumulator": 0.3},
        {"lr_decay": 0.1, "initial_accumulator_value": 0.3},
    ),
    ("RMSProp", "RMSprop", {}, {}),
    ("RMSProp", "RMSprop", {"rho": 0.9, "momentum": 0.7}, {"alpha": 0.9, "momentum": 0.7}),
    # torch computes s - m^2, which loses digits to cancellation: eps keeps both away from 0.
    ("RMSProp", "RMSprop", {"centered": True, "eps": 0.1}, {"centered": True, "eps": 0.1}),
    (
        "RMSProp",
        "RMSprop",
        {"centered": True, "momentum": 0.5, "eps": 0.1},
        {"centered": True, "momentum": 0.5, "eps": 0.1},
    ),
    ("AdaDelta", "Adadelta", {}, {}),
    ("Adam", "Adam", {}, {}),
    ("Adam", "Adam", {"betas": (0.8, 0.95)} | DECAY, {"betas": (0.8, 0.95)} | DECAY),
    ("AMSGrad", "Adam", {}, {"amsgrad": True}),
    ("AdamW", "AdamW", {}, {}),
    ("AdamW", "AdamW", DECAY, DECAY),
    ("NAdam", "NAdam", {}, {}),
    ("NAdam", "NAdam", DECAY | {"decoupled_weight_decay": True}, DECAY | {"decoupled_weight_decay": True}),
    ("RAdam", "RAdam", {}, {}),
    ("RAdam", "RAdam", {"betas": (0.9, 0.9)}, {"betas": (0.9, 0.9)}),
    ("Adamax", "Adamax", DECAY, DECAY),
    ("Rprop", "Rprop", {}, {}),
    ("Rprop", "Rprop", *[{"etas": (0.4, 1.5), "step_sizes": (1e-3, 0.1)}] * 2),
]


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("ours", "theirs", "settings", "their_settings"), TORCH)
def test_torch(level, ours, theirs, settings, their_settings, maximize, dtype):
    torch = pytest.importorskip("torch")
    path = run(getattr(fd.optim, ours), dtype, 0.02, maximize=maximize, **settings)
    param = torch.nn.Parameter(torch.from_numpy(start(dtype)))
    optimizer = getattr(torch.optim, theirs)([param], lr=0.02, maximize=maximize, **their_settings)
    expected = []
    torch.set_default_dtype(torch.float64)  # torch keeps NAdam's product of momenta in the default type
    try:
        for t, g in enumerate(gradients(dtype)):
            param.grad = torch.from_numpy(g)
            optimizer.param_groups[0]["lr"] = rate(0.02, t)
            optimizer.step()
            expected.append(param.detach().numpy().copy())
    finally:
        torch.set_default_dtype(torch.float32)
    assert_close(path, expected, dtype)


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "settings", [{}, {"t0": 5.0, "lambd": 0.1, "alpha": 0.5}, {"t0": 0.0, "maximize": True, "weight_decay": 0.05}]
)
def test_torch_asgd(level, settings, dtype):
    torch = pytest.importorskip("torch")  # which goes by the rate of the step before: the rate is constant here
    ours, grad = start(dtype), np.empty(N, dtype)
    optimizer = fd.optim.ASGD([(ours, grad)], 0.1, **settings)
    theirs = torch.nn.Parameter(torch.from_numpy(start(dtype)))
    other = torch.optim.ASGD([theirs], lr=0.1, **settings)
    average = optimizer.groups[0].runs[0].states["average"]
    torch.set_default_dtype(torch.float64)  # of the scalars that torch keeps
    try:
        for g in gradients(dtype):
            grad[:], theirs.grad = g, torch.from_numpy(g)
            optimizer.step()
            other.step()
            assert_close([ours, average], [theirs.detach().numpy(), other.state[theirs]["ax"].numpy()], dtype)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.peer
def test_torch_sparse_adam(level):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    table = rng.standard_normal((20, 3))
    param = torch.nn.Parameter(torch.from_numpy(table.copy()))
    optimizer = torch.optim.SparseAdam([param], lr=0.02)
    m, v = np.zeros((2, 20, 3))
    for t in range(1, 51):
        rows, values = rng.integers(0, 20, 9), rng.standard_normal((9, 3))
        where, what = torch.from_numpy(rows[None]), torch.from_numpy(values)
        param.grad = torch.sparse_coo_tensor(where, what, (20, 3), check_invariants=True)
        optimizer.step()
        fd.optim.adam_update_rows(table, rows, values, m, v, step=t, lr=0.02, variant="keras", eps=1e-8)
    assert np.abs(table - param.detach().numpy()).max() < 1e-12


# ---- optax ---------------------------------------------------------------------------------------------
OPTAX = [
    ("SGD", {}, lambda o, lr: o.sgd(lr)),
    ("SGD", {"momentum": 0.9}, lambda o, lr: o.sgd(lr, momentum=0.9)),
    ("SGD", {"momentum": 0.9, "nesterov": True}, lambda o, lr: o.sgd(lr, momentum=0.9, nesterov=True)),
    ("AdaGrad", {}, lambda o, lr: o.adagrad(lr)),
    ("RMSProp", {}, lambda o, lr: o.rmsprop(lr)),
    ("RMSProp", {"momentum": 0.5}, lambda o, lr: o.rmsprop(lr, momentum=0.5)),
    ("RMSProp", {"centered": True, "eps": 0.01}, lambda o, lr: o.rmsprop(lr, centered=True, eps=0.01)),
    ("AdaDelta", {}, lambda o, lr: o.adadelta(lr)),
    ("Adam", {}, lambda o, lr: o.adam(lr)),
    ("AdamW", {"weight_decay": 0.05}, lambda o, lr: o.adamw(lr, weight_decay=0.05)),
    ("AMSGrad", {}, lambda o, lr: o.amsgrad(lr)),
    ("NAdam", {}, lambda o, lr: o.nadam(lr)),
    ("RAdam", {}, lambda o, lr: o.radam(lr)),
    ("Adamax", {}, lambda o, lr: o.adamax(lr)),
    ("Lion", {}, lambda o, lr: o.lion(lr, weight_decay=0.0)),
    (
        "Lion",
        {"weight_decay": 0.05, "decoupled_weight_decay": True},
        lambda o, lr: o.lion(lr, weight_decay=0.05),
    ),
]


@pytest.mark.peer
@pytest.mark.parametrize(("name", "settings", "make"), OPTAX)
def test_optax(level, name, settings, make):
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        path = run(getattr(fd.optim, name), np.float64, 0.02, variant="optax", **settings)
        rates = jax.numpy.asarray([rate(0.02, t) for t in range(STEPS)])
        optimizer = make(optax, lambda t: rates[t])
        param = jax.numpy.asarray(start(np.float64))
        state = optimizer.init(param)
        expected = []
        for g in gradients(np.float64):
            updates, state = optimizer.update(jax.numpy.asarray(g), state, param)
            param = optax.apply_updates(param, updates)
            expected.append(np.asarray(param))
    finally:
        jax.config.update("jax_enable_x64", before)
    assert_close(path, expected, np.float64)


# ---- Keras 3 (keras/src/optimizers/*.py), written out ------------------------------------------------------
class Keras:
    """Keras' formulas, with Keras' defaults."""

    def sgd(x, g, s, t, lr):
        return x - lr * g

    def momentum(x, g, s, t, lr):
        s["v"] = 0.9 * s.get("v", 0) - lr * g
        return x + s["v"]

    def nesterov(x, g, s, t, lr):
        s["v"] = 0.9 * s.get("v", 0) - lr * g
        return x + (0.9 * s["v"] - lr * g)

    def adagrad(x, g, s, t, lr):
        s["a"] = s.get("a", 0.1) + g * g
        return x - lr * g / np.sqrt(s["a"] + 1e-7)

    def rmsprop(x, g, s, t, lr):
        s["v"] = 0.9 * s.get("v", 0) + (1 - 0.9) * g * g
        return x - lr * g / np.sqrt(s["v"] + 1e-7)

    def rmsprop_centered_momentum(x, g, s, t, lr):
        s["v"] = 0.9 * s.get("v", 0) + (1 - 0.9) * g * g
        s["m"] = 0.9 * s.get("m", 0) + (1 - 0.9) * g
        s["u"] = 0.5 * s.get("u", 0) + lr * g / np.sqrt(s["v"] - s["m"] ** 2 + 0.01)
        return x - s["u"]

    def adadelta(x, g, s, t, lr):
        s["a"] = 0.95 * s.get("a", 0) + (1 - 0.95) * g * g
        delta = -np.sqrt(s.get("d", 0) + 1e-7) / np.sqrt(s["a"] + 1e-7) * g
        s["d"] = 0.95 * s.get("d", 0) + (1 - 0.95) * delta * delta
        return x + lr * delta

    def adam(x, g, s, t, lr):
        alpha = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        s["m"] = s.get("m", 0) + (g - s.get("m", 0)) * (1 - 0.9)
        s["v"] = s.get("v", 0) + (g * g - s.get("v", 0)) * (1 - 0.999)
        return x - s["m"] * alpha / (np.sqrt(s["v"]) + 1e-7)

    def adamw(x, g, s, t, lr):
        return Keras.adam(x - x * 0.004 * lr, g, s, t, lr)

    def amsgrad(x, g, s, t, lr):
        Keras.adam(x, g, s, t, lr)
        alpha = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        s["top"] = np.maximum(s.get("top", 0), s["v"])
        return x - s["m"] * alpha / (np.sqrt(s["top"]) + 1e-7)

    def nadam(x, g, s, t, lr):
        u_t, u_next = 0.9 * (1 - 0.5 * 0.96**t), 0.9 * (1 - 0.5 * 0.96 ** (t + 1))
        s["u"] = s.get("u", 1) * u_t
        Keras.adam(x, g, s, t, lr)
        m_hat = u_next * s["m"] / (1 - s["u"] * u_next) + (1 - u_t) * g / (1 - s["u"])
        return x - m_hat * lr / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)

    def adamax(x, g, s, t, lr):
        s["m"] = s.get("m", 0) + (g - s.get("m", 0)) * (1 - 0.9)
        s["u"] = np.maximum(0.999 * s.get("u", 0), np.abs(g))
        return x - lr * s["m"] / ((1 - 0.9**t) * (s["u"] + 1e-7))

    def lion(x, g, s, t, lr):
        x = x - lr * np.sign(s.get("m", 0) * 0.9 + g * (1 - 0.9))
        s["m"] = s.get("m", 0) * 0.99 + g * (1 - 0.99)
        return x


KERAS = [
    (Keras.sgd, "SGD", {}),
    (Keras.momentum, "SGD", {"momentum": 0.9}),
    (Keras.nesterov, "SGD", {"momentum": 0.9, "nesterov": True}),
    (Keras.adagrad, "AdaGrad", {}),
    (Keras.rmsprop, "RMSProp", {}),
    (Keras.rmsprop_centered_momentum, "RMSProp", {"centered": True, "momentum": 0.5, "eps": 0.01}),
    (Keras.adadelta, "AdaDelta", {}),
    (Keras.adam, "Adam", {}),
    (Keras.adamw, "AdamW", {"weight_decay": 0.004}),
    (Keras.amsgrad, "AMSGrad", {}),
    (Keras.nadam, "NAdam", {}),
    (Keras.adamax, "Adamax", {}),
    (Keras.lion, "Lion", {}),
]


@pytest.mark.parametrize(("formula", "name", "settings"), KERAS)
def test_keras_formula(level, formula, name, settings):
    path = run(getattr(fd.optim, name), np.float64, 0.02, variant="keras", **settings)
    x, state, expected = start(np.float64), {}, []
    for t, g in enumerate(gradients(np.float64)):
        x = formula(x, g, state, t + 1, rate(0.02, t))
        expected.append(x)
    assert_close(path, expected, np.float64)


# ---- ONNX (ai.onnx.preview.training, operators Adagrad, Adam, Momentum), written out -----------------------
def onnx_adagrad(x, g, s, t, lr):
    r = lr / (1 + t * 0.1)
    g_regularized = 0.05 * x + g
    s["h"] = s.get("h", 0) + g_regularized * g_regularized
    return x - r * g_regularized / (np.sqrt(s["h"]) + 1e-6)


def onnx_adam(x, g, s, t, lr):
    g_regularized = 0.05 * x + g
    s["v"] = 0.9 * s.get("v", 0) + (1 - 0.9) * g_regularized
    s["h"] = 0.999 * s.get("h", 0) + (1 - 0.999) * g_regularized * g_regularized
    adjusted = lr * np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
    return x - adjusted * s["v"] / (np.sqrt(s["h"]) + 1e-6)


def onnx_momentum(x, g, s, t, lr):
    g_regularized = 0.05 * x + g
    s["v"] = 0.9 * s.get("v", 0) + (0.8 if t > 0 else 1) * g_regularized
    return x - lr * s["v"]


def onnx_nesterov(x, g, s, t, lr):
    g_regularized = 0.05 * x + g
    s["v"] = 0.9 * s.get("v", 0) + g_regularized
    return x - lr * (g_regularized + 0.9 * s["v"])


ONNX = [
    (onnx_adagrad, "AdaGrad", {"lr_decay": 0.1, "eps": 1e-6}),
    (onnx_adam, "Adam", {"variant": "keras", "eps": 1e-6}),
    (onnx_momentum, "SGD", {"momentum": 0.9, "dampening": 0.2}),
    (onnx_nesterov, "SGD", {"momentum": 0.9, "nesterov": True}),
]


@pytest.mark.parametrize(("formula", "name", "settings"), ONNX)
def test_onnx_formula(level, formula, name, settings):
    path = run(getattr(fd.optim, name), np.float64, 0.02, weight_decay=0.05, **settings)
    x, state, expected = start(np.float64), {}, []
    for t, g in enumerate(gradients(np.float64)):
        x = formula(x, g, state, t, rate(0.02, t))
        expected.append(x)
    assert_close(path, expected, np.float64)


# ---- The paper's and the course's forms, where no package has them -----------------------------------------
def graves(x, g, s, t, lr):
    s["n"] = 0.95 * s.get("n", 0) + 0.05 * g * g
    s["g"] = 0.95 * s.get("g", 0) + 0.05 * g
    s["d"] = 0.9 * s.get("d", 0) - lr * g / np.sqrt(s["n"] - s["g"] ** 2 + 1e-2)
    return x + s["d"]


def course_momentum(x, g, s, t, lr):
    s["v"] = 0.9 * s.get("v", 0) - lr * g  # (the course subtracts this, and climbs)
    return x + s["v"]


def reddi(x, g, s, t, lr):
    s["m"] = 0.9 * s.get("m", 0) + (1 - 0.9) * g
    s["v"] = 0.999 * s.get("v", 0) + (1 - 0.999) * g * g
    s["top"] = np.maximum(s.get("top", 0), s["v"])
    return x - lr * s["m"] / (np.sqrt(s["top"]) + 1e-8)


PAPERS = [
    (graves, "RMSProp", "paper", {"rho": 0.95, "eps": 1e-2, "centered": True, "momentum": 0.9}),
    (course_momentum, "SGD", "course", {"momentum": 0.9}),
    (course_momentum, "SGD", "paper", {"momentum": 0.9}),
    (reddi, "AMSGrad", "paper", {}),
    (Keras.adamax, "Adamax", "paper", {"eps": 1e-7}),
]


@pytest.mark.parametrize(("formula", "name", "variant", "settings"), PAPERS)
def test_paper_formula(level, formula, name, variant, settings):
    path = run(getattr(fd.optim, name), np.float64, 0.02, variant=variant, **settings)
    x, state, expected = start(np.float64), {}, []
    for t, g in enumerate(gradients(np.float64)):
        x = formula(x, g, state, t + 1, rate(0.02, t))
        expected.append(x)
    assert_close(path, expected, np.float64)
