"""What is frozen is moved by nothing and counted by nothing, and is trained again when it is unfrozen."""

import numpy as np
import pytest
from optim_cases import FOR_MODELS, optimizers

import fastdl as fd

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 7, (2, 8, 4, 3))
OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "l1": 0.01}),
    ("Adam", {"lazy": True}),
    ("AdamW", {"weight_decay": 0.3, "clip_norm": 0.5}),
    *[(one.__name__, FOR_MODELS.get(one.__name__, {})) for one in optimizers()],
]


def model(dtype=np.float32):
    return fd.nn.Sequential(
        fd.nn.Embedding(7, 4, rng=0, dtype=dtype),
        fd.nn.GRU(4, 5, rng=1, dtype=dtype),
        fd.nn.Linear(5, 7, rng=2, dtype=dtype),
    )


def train(net, optimizer, first, last):
    for k in range(first, last):
        _, gradient = fd.softmax_cross_entropy(net(X[k]), Y[k])
        net.backward(gradient)
        fd.optim.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()


def moved(net, before):
    return {name for (name, one), old in zip(net.named_parameters(), before, strict=True) if (one.data != old).any()}


def snapshot(net):
    return [one.data.copy() for one in net.parameters()]


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_no_optimizer_moves_what_is_frozen(name, settings, backend):
    with fd.backend(backend):
        net = model()
        optimizer = getattr(fd.optim, name)(net.parameters(), **{"lr": 0.05, **settings})
        train(net, optimizer, 0, 3)  # momentum and moments of before
        everything = {name for name, _ in net.named_parameters()}
        net[0].weight.freeze()
        net[1].bias_ih_l0.requires_grad = False
        before = snapshot(net)
        train(net, optimizer, 3, 5)
        assert moved(net, before) == everything - {"0.weight", "1.bias_ih_l0"}
        state = optimizer.state_dict()
        net.unfreeze()
        optimizer.load_state_dict(state)
        train(net, optimizer, 5, 7)
        assert moved(net, before) == everything


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_the_others_train_as_if_alone(name, settings):
    """The parts that are left are updated as all of it is where nothing is frozen, given the same gradients."""
    nets = [model(), model()]
    for net, freeze in zip(nets, (True, False), strict=True):
        optimizer = getattr(fd.optim, name)(net.parameters(), **{"lr": 0.05, **settings, "lazy": False} | {"l1": 0.0})
        optimizer.clip_norm = None
        if freeze:
            net[1].weight_hh_l0.freeze()
        for k in range(3):
            for j, one in enumerate(net.parameters()):
                one.grad = np.full(one.shape, 0.1 * (j + k + 1))
            optimizer.step()
    for (path, one), (_, other) in zip(nets[0].named_parameters(), nets[1].named_parameters(), strict=True):
        assert np.array_equal(one.data, other.data) == (path != "1.weight_hh_l0")


def test_norms_penalties_and_constraints_leave_it_out():
    net = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0, dtype=np.float64), fd.nn.Linear(2, 2, rng=1, dtype=np.float64))
    arena = net.parameters()
    net[0].freeze()
    for one in arena:
        one.grad = np.full(one.shape, 2.0)
    assert fd.optim.clip_grad_norm_(arena, 1e9) == pytest.approx(np.sqrt(6 * 4))
    trained = np.concatenate([net[1].weight.data.ravel(), net[1].bias.data])
    for penalty in (fd.norms.L2(2.0), fd.norms.ElasticNet(l2=2.0)):
        arena.renew_gradients()
        assert penalty.add(arena) == pytest.approx((trained**2).sum())
        assert not net[0].weight.grad.any()
    only = fd.norms.Orthogonal(1.0).add([net[1].weight])
    assert fd.norms.Orthogonal(1.0).add(arena) == only
    before = net[0].weight.data.copy()
    fd.norms.MaxNorm(1e-3).apply(arena)
    np.testing.assert_array_equal(net[0].weight.data, before)
    assert np.linalg.norm(net[1].weight.data) <= 1e-3 + 1e-12


@pytest.mark.parametrize("name", ["LBFGS", "Newton", "NewtonCG", "AdaHessian"])
def test_optimizers_with_a_closure_leave_it(name):
    x, y = RNG.normal(size=(9, 3)), RNG.normal(size=(9, 2))
    net = fd.nn.Sequential(
        fd.nn.Linear(3, 3, rng=0, dtype=np.float64), fd.nn.Tanh(), fd.nn.Linear(3, 2, rng=1, dtype=np.float64)
    )
    optimizer = getattr(fd.curvature, name)(net.parameters())

    def closure():
        if name != "LBFGS":
            return fd.curvature.LossPoint(net, fd.mse_loss, (x, y))
        loss, gradient = fd.mse_loss(net(x), y)
        net.backward(gradient)
        return loss

    optimizer.step(closure)
    before = snapshot(net)
    net[0].freeze()
    losses = [optimizer.step(closure) for _ in range(4)]
    assert moved(net, before) == {"2.weight", "2.bias"}
    assert losses[-1] < losses[0]


def test_levenberg_marquardt_leaves_it():
    net = fd.nn.Linear(2, 1, rng=0, dtype=np.float64)
    x, y = RNG.normal(size=(9, 2)), RNG.normal(size=(9, 1))
    optimizer = fd.curvature.LevenbergMarquardt(net.parameters())
    net.bias.freeze()
    bias = net.bias.data.copy()

    def closure():
        residuals = (x @ net.weight.data + net.bias.data - y).ravel()
        return fd.curvature.Residuals(residuals, np.concatenate([x, np.ones((9, 1))], 1))

    for _ in range(9):
        optimizer.step(closure)
    np.testing.assert_array_equal(net.bias.data, bias)
    np.testing.assert_allclose(net.weight.data, np.linalg.lstsq(x, y - bias, rcond=None)[0], rtol=1e-6)


def test_gradients_of_it_never_reach_a_norm_even_if_not_finite():
    net = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0), fd.nn.Linear(2, 1, rng=1))
    optimizer = fd.optim.Adam(net.parameters(), nonfinite="raise")
    net[0].freeze()
    net[0].weight.grad = np.full((2, 2), np.nan)
    net[1].weight.grad = np.ones((2, 1))
    optimizer.step()
    assert optimizer.norm == pytest.approx(np.sqrt(2))


def test_whole_layers():
    net = model()
    assert net[1].freeze() is net[1]
    assert [one.frozen for one in net.parameters()] == [False, *[True] * 4, False, False]
    assert (net[1].requires_grad, net.requires_grad) == (False, True)
    net.requires_grad = False
    before = snapshot(net)
    train(net, fd.optim.Adam(net.parameters()), 0, 2)
    assert moved(net, before) == set()
    assert net.unfreeze().requires_grad
    assert "frozen" in repr(net[0].freeze().weight)
    with pytest.raises(TypeError, match="requires_grad: got 'no', expected True or False"):
        net[0].weight.requires_grad = "no"


def test_an_arena_says_how_many_are_frozen():
    layer = fd.nn.Linear(3, 2, rng=0)
    layer.bias.freeze()
    assert repr(layer.parameters()) == "Arena(2 parameters, 8 elements, float32, 1 frozen)"
    layer.bias.unfreeze()
    assert repr(layer.parameters()) == "Arena(2 parameters, 8 elements, float32)"
