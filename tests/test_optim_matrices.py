"""Adafactor and Muon, whose rules take a matrix as a whole: against the reference, torch, and what they promise."""

import numpy as np
import pytest
from optim_cases import NOT_MATRICES, OPTIONS, identify

import fastdl as fd
from fastdl.optim import _rule
from fastdl.optim import adafactor as rule_of_adafactor
from fastdl.reference import optim as reference

SHAPES = [(1, 1), (3, 5), (5, 3), (70, 9), (9, 131), (130, 70)]
VECTORS = [(), (1,), (7,), (100,), (2, 3, 4), (0,), (0, 3), (3, 0), (2, 0, 3)]
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 3e-6, np.float64: 1e-13}
RULES = {"adafactor": fd.optim.Adafactor, "muon": fd.optim.Muon}


def both(name, shape, dtype, options, steps=4, **settings):
    """The kernels' and the reference's arrays after some steps on the same gradients."""
    rng = np.random.default_rng(0)
    param = rng.standard_normal(shape).astype(dtype)
    states = {key: np.zeros(one, dtype) for key, one in RULES[name].rule.shapes({}, shape).items()}
    twins = {key: one.copy() for key, one in states.items()}
    other = param.copy()
    for step in range(1, steps + 1):
        grad = rng.standard_normal(shape).astype(dtype)
        RULES[name].update(param, grad, **states, step=step, lr=0.05, **options, **settings)
        getattr(reference, f"{name}_update")(other, grad, **twins, step=step, lr=0.05, **options, **settings)
    return {"param": param, **states}, {"param": other, **twins}


def assert_near(ours, theirs, tolerance):
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        scale = np.abs(theirs[name]).max(initial=1.0)
        np.testing.assert_allclose(array, theirs[name], rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS, ids=identify)
def test_adafactor_is_its_reference(level, options, dtype):
    for shape in (*SHAPES, *VECTORS):
        assert_near(*both("adafactor", shape, dtype, options), TOLERANCE[dtype])
    assert_near(*both("adafactor", (5, 3), dtype, options, eps1=1e-3, d=0.2, beta2_decay=-0.5), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS, ids=identify)
def test_muon_is_its_reference(level, options, dtype):
    for shape in (*SHAPES, (0, 3), (3, 0)):
        assert_near(*both("muon", shape, dtype, options), 20 * TOLERANCE[dtype])
    more = {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "momentum": 0.5, "ns_steps": 2}
    assert_near(*both("muon", (7, 4), dtype, options, **more), 20 * TOLERANCE[dtype])


@pytest.mark.parametrize("name", RULES)
def test_same_bits_for_any_number_of_threads(level, name, monkeypatch):
    monkeypatch.setattr(_rule, "GRAIN", 64)
    monkeypatch.setattr(rule_of_adafactor, "GRAIN", 64, raising=False)
    for dtype in DTYPES:
        found = []
        for threads in (1, 2, 3, 8):
            fd.set_num_threads(threads)
            ours, _ = both(name, (300, 41), dtype, OPTIONS[-1], steps=2)
            found.append([array.tobytes() for array in ours.values()])
        assert all(one == found[0] for one in found)


def test_adafactor_of_rank_one_is_exact():
    # Where g^2 has rank 1, the product of its means is g^2: the first change is the sign of g, of root mean square 1.
    rng = np.random.default_rng(0)
    grad = np.outer(rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, 6)) * rng.choice([-1, 1], (4, 6))
    param = np.ones((4, 6))
    fd.optim.adafactor_update(param, grad, np.zeros(4), np.zeros(6), step=1, lr=0.01)
    np.testing.assert_allclose(1 - param, 0.01 * np.sign(grad), rtol=1e-12)


def test_muon_makes_singular_values_alike():
    rng = np.random.default_rng(0)
    for shape in ((8, 8), (20, 5), (5, 20)):
        change = np.zeros(shape)
        fd.optim.muon_update(change, rng.standard_normal(shape), np.zeros(shape), lr=1.0, ns_steps=10)
        values = np.linalg.svd(change, compute_uv=False) / max(1.0, shape[0] / shape[1]) ** 0.5
        assert values.min() > 0.6
        assert values.max() < 1.25


def test_what_is_no_matrix_is_refused_by_name():
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    with pytest.raises(ValueError, match=r"parameters\['0.bias'\]: got shape \(4,\), expected a matrix.* by groups"):
        fd.optim.Muon(model.parameters())
    with pytest.raises(ValueError, match=r"param: got shape \(3,\), expected a matrix"):
        fd.optim.muon_update(np.zeros(3), np.zeros(3), np.zeros(3))
    fd.optim.Muon(model.parameters(), groups=[NOT_MATRICES])


BAD = [
    ("muon", {"momentum": 1.0}, ValueError, "momentum"),
    ("muon", {"ns_steps": 0}, ValueError, "ns_steps"),
    ("muon", {"ns_coefficients": (1, 2)}, TypeError, "ns_coefficients"),
    ("muon", {"adjust_lr_fn": "mine"}, ValueError, "adjust_lr_fn"),
    ("muon", {"eps": 0.0}, ValueError, "eps"),
    ("muon", {"variant": "optax"}, ValueError, "variant"),
    ("adafactor", {"beta2_decay": 0.1}, ValueError, "beta2_decay"),
    ("adafactor", {"eps1": 0.0}, ValueError, "eps1"),
    ("adafactor", {"eps2": -1.0}, ValueError, "eps2"),
    ("adafactor", {"d": 0.0}, ValueError, "d: "),
]


@pytest.mark.parametrize(("name", "settings", "error", "match"), BAD)
def test_bad_settings(name, settings, error, match):
    with pytest.raises(error, match=match):
        RULES[name]([(np.zeros((2, 2)), np.zeros((2, 2)))], **settings)


def test_states_of_other_shapes_are_refused():
    param = np.zeros((3, 4))
    with pytest.raises(ValueError, match="row_var"):
        fd.optim.adafactor_update(param, param + 1, np.zeros(4), np.zeros(4), step=1)
    with pytest.raises(TypeError, match="col_var: got None"):
        fd.optim.adafactor_update(param, param + 1, np.zeros(3), step=1)
    with pytest.raises(ValueError, match="variance: got an array"):
        fd.optim.adafactor_update(param, param + 1, np.zeros(3), np.zeros(4), np.zeros((3, 4)), step=1)
    assert not param.any()


@pytest.mark.parametrize("name", RULES)
def test_a_model_learns_saves_and_resumes(name):
    def make():
        model = fd.nn.Sequential(fd.nn.Embedding(4, 8, rng=0), fd.nn.LSTM(8, 16, rng=1), fd.nn.Linear(16, 4, rng=2))
        return model, RULES[name](model.parameters(), 0.03, groups=[NOT_MATRICES])

    def train(model, optimizer, steps):
        x = np.arange(24).reshape(4, 6) % 4
        for _ in range(steps):
            loss, slope = fd.softmax_cross_entropy(model.forward(x), (x + 1) % 4)
            model.backward(slope)
            optimizer.step()
        return loss

    whole, parts, resumed = make(), make(), make()
    assert train(*whole, 60) < 0.2
    train(*parts, 30)
    resumed[0].load_state_dict(parts[0].state_dict())
    resumed[1].load_state_dict(parts[1].state_dict())
    train(*resumed, 30)
    assert np.array_equal(whole[0].parameters().data, resumed[0].parameters().data)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_gradients_that_are_not_finite(name, bad):
    param, grad = np.ones((4, 5), np.float32), np.ones((4, 5), np.float32)
    grad[1, 2] = bad
    skipping = RULES[name]([(param, grad)], nonfinite="skip")
    skipping.step()
    assert skipping.skipped == (1 if name == "adafactor" or not np.isfinite(bad) else 0)
    with np.errstate(all="raise"):  # no warning of NumPy's either
        RULES[name]([(param, grad)]).step()


# ---- torch ----------------------------------------------------------------------------------------------


def torch_path(torch, make, shape, dtype, steps=40):
    rng = np.random.default_rng(1)
    param = torch.nn.Parameter(torch.from_numpy(rng.standard_normal(shape).astype(dtype)))
    optimizer = make([param])
    for t in range(steps):
        param.grad = torch.from_numpy(rng.standard_normal(shape).astype(dtype))
        optimizer.param_groups[0]["lr"] = 0.02 / (1 + t / 10)
        optimizer.step()
        yield param.detach().numpy().copy()


def our_path(kind, shape, dtype, settings, steps=40):
    rng = np.random.default_rng(1)
    param, grad = rng.standard_normal(shape).astype(dtype), np.empty(shape, dtype)
    optimizer = kind([(param, grad)], **settings)
    for t in range(steps):
        grad[...] = rng.standard_normal(shape)
        optimizer.lr = 0.02 / (1 + t / 10)
        optimizer.step()
        yield param.copy()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3), (3, 7), (6,), (2, 3, 4), (80, 20)])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        (
            {"maximize": True, "weight_decay": 0.1, "decoupled_weight_decay": True},
            {"maximize": True, "weight_decay": 0.1},
        ),
        (
            {"eps1": 0.01, "eps2": 0.1, "d": 1.1, "beta2_decay": -0.6},
            {"eps": (0.01, 0.1), "d": 1.1, "beta2_decay": -0.6},
        ),
    ],
)
def test_torch_adafactor(level, ours, theirs, shape, dtype):
    torch = pytest.importorskip("torch")
    expected = torch_path(torch, lambda p: torch.optim.Adafactor(p, **theirs), shape, dtype)
    for one, other in zip(our_path(fd.optim.Adafactor, shape, dtype, ours), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol={np.float32: 2e-5, np.float64: 1e-12}[dtype])


@pytest.mark.peer
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3), (3, 7), (6, 6), (40, 20)])
@pytest.mark.parametrize("settings", [{}, {"nesterov": False, "momentum": 0.8}, {"adjust_lr_fn": "match_rms_adamw"}])
def test_torch_muon(level, settings, shape, dtype, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # else torch multiplies in 8 bits
    expected = torch_path(torch, lambda p: torch.optim.Muon(p, **settings), shape, dtype)
    for one, other in zip(our_path(fd.optim.Muon, shape, dtype, settings), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol={np.float32: 1e-4, np.float64: 1e-10}[dtype])


@pytest.mark.peer
def test_torch_muon_as_it_is():
    torch = pytest.importorskip("torch")
    expected = torch_path(torch, torch.optim.Muon, (30, 20), np.float32)
    for one, other in zip(our_path(fd.optim.Muon, (30, 20), np.float32, {}), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=0.02)
