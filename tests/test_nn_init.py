"""fd.nn.init: shapes and fans as torch has them, statistics, seeds; and Module.apply."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl.nn import init

DRAWN = {
    "uniform_": {"a": -0.5, "b": 2.0},
    "normal_": {"mean": 1.0, "std": 0.5},
    "trunc_normal_": {"mean": 0.1, "std": 0.5, "a": -0.4, "b": 1.0},
    "xavier_uniform_": {"gain": 2.0},
    "xavier_normal_": {"gain": 0.5},
    "kaiming_uniform_": {"a": 0.2},
    "kaiming_normal_": {"mode": "fan_out", "nonlinearity": "relu"},
    "orthogonal_": {"gain": 3.0},
    "sparse_": {"sparsity": 0.25},
}
drawn = pytest.mark.parametrize("name", DRAWN)


@drawn
def test_a_seed_repeats_and_another_does_not(name):
    for dtype in (np.float32, np.float64):
        one, same, other = (np.empty((20, 12), dtype) for _ in range(3))
        for array, seed in ((one, 3), (same, fd.random.Generator(3)), (other, 4)):
            assert getattr(init, name)(array, **DRAWN[name], rng=seed) is array
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()
        assert np.isfinite(one).all()
    fd.random.seed(5)
    first = getattr(init, name)(one, **DRAWN[name]).copy()
    fd.random.seed(5)
    np.testing.assert_array_equal(getattr(init, name)(one, **DRAWN[name]), first)


@drawn
def test_a_parameter_is_written_in_place(name):
    layer = fd.nn.Linear(12, 20, rng=0)
    arena = layer.parameters()
    grad = layer.weight.grad
    assert getattr(init, name)(layer.weight, **DRAWN[name], rng=0) is layer.weight
    assert np.shares_memory(arena.data, layer.weight.data)
    assert layer.weight.grad is grad
    assert not grad.any()


def std_of(name, target, **options):
    getattr(init, name)(target, **options, rng=0)
    return float(getattr(target, "data", target).std()) if isinstance(target, fd.nn.Parameter) else float(target.std())


def test_fans_are_those_of_torchs_layout():
    linear, table = fd.nn.Linear(300, 100, rng=0).weight, fd.nn.Embedding(300, 100, rng=0).weight
    recurrent = fd.nn.LSTM(50, 70, rng=0)
    for target, fan_in, fan_out in (
        (linear, 300, 100),
        (table, 100, 300),
        (np.empty((100, 300)), 300, 100),
        (np.empty((20, 30, 5)), 150, 100),  # outputs, inputs, a window of five
        (recurrent.weight_ih_l0, 50, 280),
        (recurrent.weight_hh_l0, 70, 280),
    ):
        for kind in ("uniform_", "normal_"):
            assert std_of(f"xavier_{kind}", target) == pytest.approx(math.sqrt(2 / (fan_in + fan_out)), rel=0.05)
            for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
                found = std_of(f"kaiming_{kind}", target, mode=mode, nonlinearity="relu")
                assert found == pytest.approx(math.sqrt(2 / fan), rel=0.05)
        bound = math.sqrt(6 / ((1 + 0.3**2) * fan_in))
        values = init.kaiming_uniform_(target, a=0.3, rng=0)
        values = values.data if isinstance(values, fd.nn.Parameter) else values
        assert 0.98 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


def test_distributions():
    large = np.empty((400, 500))
    init.uniform_(large, -1, 3, rng=0)
    assert (large.min(), large.max(), large.mean()) == pytest.approx((-1, 3, 1), abs=0.01)
    init.normal_(large, 2, 0.5, rng=0)
    assert (large.mean(), large.std()) == pytest.approx((2, 0.5), abs=0.01)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (1, 0.5, 0, 1.2), (0, 1, 5, 9), (0, 1, -1e6, 1e6), (0, 1, -1e-3, 1e-3), (3, 2, -900, -3),
     (0, 1, 40, 41), (0, 1, -1, 1e30)],
)  # fmt: skip
def test_cut_normals(mean, std, a, b):
    from scipy import stats

    values = init.trunc_normal_(np.empty(50_000), mean, std, a, b, rng=0)
    assert a <= values.min() <= values.max() <= b
    exact = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    grid = np.quantile(values, [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    np.testing.assert_allclose(exact.cdf(grid), [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99], atol=0.012)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (1, 4), (4, 1), (3, 2, 4)])
def test_orthogonal(shape):
    for target in (np.empty(shape), fd.nn.Parameter("w", np.empty(shape), transposed=len(shape) == 2)):
        init.orthogonal_(target, 2.0, rng=0)
        values = target if isinstance(target, np.ndarray) else target.data
        flat = values.reshape(shape[0], -1) / 2
        small = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-14)


def test_sparse_counts_by_column_of_torchs_layout():
    array = init.sparse_(np.empty((10, 40)), 0.35, std=2.0, rng=0)
    np.testing.assert_array_equal((array == 0).sum(0), np.full(40, 4))
    assert array[array != 0].std() == pytest.approx(2.0, rel=0.1)
    weight = init.sparse_(fd.nn.Linear(40, 10, rng=0).weight, 0.35, rng=0)  # torch's is (10, 40)
    np.testing.assert_array_equal((weight.data == 0).sum(1), np.full(40, 4))
    assert not init.sparse_(np.empty((3, 2)), 1.0, rng=0).any()
    assert init.sparse_(np.empty((3, 2)), 0.0, rng=0).all()


def test_cuts_far_from_the_mean():
    for mean, std, a, b in (
        (1e307, 1, -2, 2),
        (-1e307, 1, -2, 2),
        (0, 1e-308, 1, 2),
        (0, 1e-308, -1, 2),
        (0, 1e307, -1, 1),
    ):
        values = init.trunc_normal_(np.empty(100), mean, std, a, b, rng=0)
        assert a <= values.min() <= values.max() <= b


def test_constants_and_gains():
    layer = fd.nn.Linear(3, 2, rng=0)
    assert (init.constant_(layer.bias, 0.25).data == 0.25).all()
    assert (init.ones_(layer.weight).data == 1).all()
    assert not init.zeros_(layer.weight).data.any()
    gains = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75, "leaky_relu": (2 / 1.0001) ** 0.5}
    for name, gain in gains.items():
        assert init.calculate_gain(name) == pytest.approx(gain, rel=1e-14)
    assert init.calculate_gain("leaky_relu", 3) == pytest.approx(0.2**0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.uniform_([1.0]), "^target: got list, expected a numpy array to write into"),
        (lambda: init.uniform_(np.empty(3, int)), "^target: got dtype int64"),
        (lambda: init.uniform_(np.empty((3, 3)).T[::2]), "^target: got strides"),
        (lambda: init.uniform_(np.empty(3), 1, 0), r"^b: got 0, expected a number in \[1, "),
        (lambda: init.normal_(np.empty(3), std=-1), "^std: got -1"),
        (lambda: init.trunc_normal_(np.empty(3), a=1, b=1), "^b: got 1"),
        (lambda: init.trunc_normal_(np.empty(3), std=0), "^std: got 0"),
        (lambda: init.xavier_normal_(np.empty(3)), r"^target: got shape \(3,\), expected at least two axes"),
        (lambda: init.orthogonal_(fd.nn.Linear(2, 3, rng=0).bias), r"^target: got shape \(3,\)"),
        (lambda: init.kaiming_normal_(np.empty((3, 2)), mode="fan"), "^mode: got 'fan'"),
        (lambda: init.kaiming_normal_(np.empty((3, 2)), nonlinearity="swish"), "^nonlinearity: got 'swish'"),
        (lambda: init.sparse_(np.empty((3, 2, 1)), 0.1), r"^target: got shape \(3, 2, 1\), expected two axes"),
        (lambda: init.sparse_(np.empty((3, 2)), 1.1), "^sparsity: got 1.1"),
        (lambda: init.uniform_(np.empty(3), rng=np.random.default_rng(0)), "^rng: got numpy.random.Generator"),
        (lambda: init.constant_(np.empty(3), "x"), "^val: got 'x'"),
        (lambda: init.calculate_gain("leaky_relu", "steep"), "^param: got 'steep'"),
        (lambda: fd.nn.Tanh().apply(3), "^fn: got int, expected a function of a module"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_empty_arrays():
    for name, given in DRAWN.items():
        for shape in ((0, 3), (3, 0)):
            assert getattr(init, name)(np.empty(shape), **given, rng=0).shape == shape


def test_apply_goes_from_the_leaves_to_the_root():
    model = fd.nn.Sequential(fd.nn.Sequential(fd.nn.Linear(2, 3, rng=0), fd.nn.Tanh()), fd.nn.Linear(3, 1, rng=1))
    seen = []
    assert model.apply(seen.append) is model
    assert [type(one).__name__ for one in seen] == ["Linear", "Tanh", "Sequential", "Linear", "Sequential"]
    model.apply(lambda layer: init.zeros_(layer.bias) if isinstance(layer, fd.nn.Linear) else None)
    assert not model[1].bias.data.any()
    with pytest.raises(RuntimeError, match="mine"):
        model.apply(_fails)


def _fails(layer):
    raise RuntimeError("mine")


@pytest.mark.peer
@drawn
def test_torch_has_the_same_spread(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn.init, name)(torch.empty(300, 200), **DRAWN[name]).numpy()
    mine = getattr(init, name)(fd.nn.Linear(200, 300, rng=0).weight, **DRAWN[name], rng=0).data.T
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(np.quantile(mine, np.linspace(0, 1, 11)[1:-1]),
                               np.quantile(theirs, np.linspace(0, 1, 11)[1:-1]), atol=0.03 * theirs.std())  # fmt: skip


@pytest.mark.peer
def test_torchs_gains():
    torch = pytest.importorskip("torch")
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
