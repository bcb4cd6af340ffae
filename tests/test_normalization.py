"""Layer and batch normalisation: beside the reference, finite differences and torch; on odd arrays; in models."""

import copy
import pickle

import numpy as np
import pytest
from awkward import layouts, values

import fastdl as fd
from fastdl.dense import _grains

RNG = np.random.default_rng(0)
SHAPES = [
    ((5, 7), (7,)),
    ((3, 4, 33), (33,)),
    ((2, 3, 4, 5), (4, 5)),
    ((70, 129), (129,)),
    ((4, 1), (1,)),
    ((0, 3), (3,)),
]
BATCHES = [
    ((5, 7), None), ((9, 3, 33), None), ((9, 3, 33), [9, 0, 4]), ((70, 130), None), ((4, 2, 3), [0, 0]), ((0, 3), None),
    ((3, 0, 2), None), ((33, 1, 17), [20]),
]  # fmt: skip
DTYPES = [pytest.param(np.float64, 1e-10, id="float64"), pytest.param(np.float32, 2e-4, id="float32")]
PRESENT = [(True, True), (True, False), (False, True), (False, False)]


def normals(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def layer_norm(x, weight, bias, dy):
    y, tape = fd.layer_norm_forward(x, weight, bias)
    return y, *fd.layer_norm_backward(dy, tape)


def batch_norm(x, weight, bias, dy, lengths=None):
    mean, var = np.zeros(x.shape[-1], x.dtype), np.ones(x.shape[-1], x.dtype)
    y, tape = fd.batch_norm_forward(x, weight, bias, mean, var, lengths=lengths)
    later = fd.batch_norm_forward(x, weight, bias, mean, var, training=False, lengths=lengths)
    assert later[1] is None
    return y, *fd.batch_norm_backward(dy, tape), mean, var, later[0]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("shape", "wide"), SHAPES)
def test_layer_norm_is_the_reference_s(shape, wide, dtype, tolerance, level):
    x, weight, bias, dy = (normals(*one, dtype=dtype, seed=k) for k, one in enumerate((shape, wide, wide, shape)))
    for has in PRESENT if len(wide) == 1 else PRESENT[:3]:
        given = x, weight if has[0] else None, bias if has[1] else None, dy
        found = layer_norm(*given)
        with fd.backend("reference"):
            close(found, layer_norm(*given), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("shape", "lengths"), BATCHES)
def test_batch_norm_is_the_reference_s(shape, lengths, dtype, tolerance, level):
    x, dy = normals(*shape, dtype=dtype), normals(*shape, dtype=dtype, seed=1)
    weight, bias = normals(shape[-1], dtype=dtype, seed=2), normals(shape[-1], dtype=dtype, seed=3)
    for has in PRESENT:
        given = x, weight if has[0] else None, bias if has[1] else None, dy, lengths
        found = batch_norm(*given)
        with fd.backend("reference"):
            close(found, batch_norm(*given), tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3, 64, 1000])
def test_no_bit_depends_on_the_threads(dtype, size, monkeypatch, level):
    monkeypatch.setattr(_grains, "ELEMENTS", 1)
    x, dy = normals(201, size, dtype=dtype), normals(201, size, dtype=dtype, seed=1)
    weight, bias = normals(size, dtype=dtype, seed=2), normals(size, dtype=dtype, seed=3)
    results = []
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        results.append([one.tobytes() for one in (*layer_norm(x, weight, bias, dy), *batch_norm(x, weight, bias, dy))])
    assert results[0] == results[1] == results[2]


# ---- gradients ----------------------------------------------------------------------------------------------
def differences(loss, array, step=1e-6):
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + step
        above = loss()
        array[place] = before - step
        gradient[place] = (above - loss()) / (2 * step)
        array[place] = before
    return gradient


@pytest.mark.parametrize(
    ("function", "shape", "options"),
    [
        ("layer_norm", (3, 5), {}),
        ("layer_norm", (1, 2, 4), {"eps": 0.1}),
        ("batch_norm", (4, 3), {}),
        ("batch_norm", (5, 3, 2), {"lengths": [5, 0, 2], "eps": 0.1}),
        ("batch_norm", (1, 2, 3), {}),
    ],
)
def test_gradients_are_those_of_finite_differences(function, shape, options):
    forward, backward = getattr(fd, f"{function}_forward"), getattr(fd, f"{function}_backward")
    x, weight, bias = normals(*shape), normals(shape[-1], seed=1), normals(shape[-1], seed=2)
    weigh = normals(*shape, seed=3)
    tape = forward(x.copy(), weight.copy(), bias.copy(), **options)[1]
    found = backward(weigh, tape)
    loss = lambda: float((forward(x, weight, bias, **options)[0] * weigh).sum())  # noqa: E731
    for one, array in zip(found, (x, weight, bias), strict=True):
        np.testing.assert_allclose(one, differences(loss, array), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("function", ["layer_norm", "batch_norm"])
def test_gradients_go_where_they_are_told(function):
    forward, backward = getattr(fd, f"{function}_forward"), getattr(fd, f"{function}_backward")
    x, dy, ones = normals(6, 5), normals(6, 5, seed=1), np.ones(5)
    tape = forward(x, ones, ones)[1]
    dweight, dbias = backward(dy, tape)[1:]
    out = np.full(5, 2.0), np.full(5, 3.0)
    result = backward(dy, tape, out, True, False)
    assert result[0] is None
    assert result[1] is out[0]
    np.testing.assert_allclose(out[0], 2 + dweight, rtol=1e-12)
    np.testing.assert_allclose(out[1], 3 + dbias, rtol=1e-12)
    backward(dy, tape, out)
    np.testing.assert_array_equal(out[0], dweight)
    one_alone = forward(x, ones)[1]
    place = np.full(5, 2.0)
    backward(dy, one_alone, (place, None), True)
    np.testing.assert_allclose(place, 2 + dweight, rtol=1e-12)
    shared = np.zeros(5)
    for wrong, error in [
        ((shared, shared), ValueError), ((None, dbias), ValueError), ((dweight, None), ValueError),
        ((dweight, ones[:4]), ValueError), (dweight, TypeError), ((dy[0], dbias), ValueError),
    ]:  # fmt: skip
        with pytest.raises(error, match=r"^out"):
            backward(dy, tape, wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_layouts_and_numbers(dtype):
    for name, x in layouts(dtype):
        if x.ndim < 2 or x.size == 0:
            continue
        y, _ = fd.layer_norm_forward(x)
        plain, near = np.ascontiguousarray(x, dtype), {"rtol": 1e-4, "atol": 1e-5, "err_msg": name}
        np.testing.assert_allclose(y, fd.layer_norm_forward(plain)[0], **near)
        if x.ndim in (2, 3):
            np.testing.assert_allclose(fd.batch_norm_forward(x)[0], fd.batch_norm_forward(plain)[0], **near)
    for name, x in values(dtype):
        y = fd.layer_norm_forward(x[None])[0]
        if np.isnan(x).any() or np.isinf(x).any():
            assert np.isnan(y).all(), name
        elif "huge" not in name and "all scales" not in name:  # their squares overflow
            assert np.isfinite(y).all(), name
    x = normals(4, 3, dtype=dtype)
    x[1, 1] = np.nan
    assert np.isnan(fd.layer_norm_forward(x)[0]).sum() == 3
    assert np.isnan(fd.batch_norm_forward(x)[0]).sum() == 4


def test_a_large_mean_does_not_swallow_the_variance():
    x = (1e4 + normals(8, 256)).astype(np.float32)
    for function in (fd.layer_norm_forward, fd.batch_norm_forward):
        np.testing.assert_allclose(function(x)[0], function(x.astype(np.float64))[0], atol=2e-2)


def test_what_stands_past_the_lengths_is_not_read():
    x, dy, lengths = normals(6, 3, 4), normals(6, 3, 4, seed=1), np.array([6, 2, 0])
    past = np.arange(6)[:, None] >= lengths
    results = []
    for rubbish in (np.nan, 1e300):
        x[past], dy[past] = rubbish, rubbish
        results.append(batch_norm(x, np.ones(4), np.zeros(4), dy, lengths))
    close(*results, 0)
    y, dx, *_, later = results[0]
    assert not y[past].any()
    assert not dx[past].any()
    assert not later[past].any()
    rows = x[~past]
    np.testing.assert_allclose(y[~past], fd.batch_norm_forward(rows)[0], rtol=1e-10)
    np.testing.assert_allclose(results[0][4], 0.1 * rows.mean(0), rtol=1e-12)


def test_refusals_name_what_came():
    x = normals(3, 4)
    for call, match in [
        (lambda: fd.layer_norm_forward(np.zeros((3, 0))), "^x: got shape"),
        (lambda: fd.layer_norm_forward(np.zeros(())), "^x: got shape"),
        (lambda: fd.layer_norm_forward(x, np.ones(3)), "^weight: got shape"),
        (lambda: fd.layer_norm_forward(x, np.ones(4), np.ones((1, 4))), "^bias: got shape"),
        (lambda: fd.layer_norm_forward(x, np.ones((1, 1, 4))), "^x: got shape"),
        (lambda: fd.layer_norm_forward(x, eps=-1), "^eps: got -1"),
        (lambda: fd.batch_norm_forward(np.zeros((1, 4))), "^x: got one row"),
        (lambda: fd.batch_norm_forward(np.zeros((2, 2, 4)), lengths=[1, 0]), "^x: got one row"),
        (lambda: fd.batch_norm_forward(np.zeros((2, 2, 2, 4))), "^x: got shape"),
        (lambda: fd.batch_norm_forward(x, lengths=[1]), "^x: got shape"),
        (lambda: fd.batch_norm_forward(x, training=False), "^running_mean, running_var: got None"),
        (lambda: fd.batch_norm_forward(x, None, None, np.zeros(4)), "^running_var: got None"),
        (lambda: fd.batch_norm_forward(x, None, None, np.zeros(4), np.ones(3)), "^running_var: got shape"),
        (lambda: fd.batch_norm_forward(x, momentum=2), "^momentum: got 2"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
    for call, match in [
        (lambda: fd.layer_norm_forward([[1.0]]), "^x: got list"),
        (lambda: fd.layer_norm_forward(x, np.ones(4, np.float32)), "^weight: got dtype"),
        (lambda: fd.layer_norm_backward(x, None), "^tape: got NoneType"),
        (lambda: fd.batch_norm_backward(x, fd.layer_norm_forward(x)[1]), "^tape: got LayerNormTape"),
        (lambda: fd.batch_norm_forward(x, training=1), "^training: got 1"),
    ]:
        with pytest.raises(TypeError, match=match):
            call()


def test_a_refused_batch_leaves_the_averages():
    mean, var = np.zeros(4), np.ones(4)
    for x, options in [(normals(1, 4), {}), (normals(3, 4), {"eps": -1}), (normals(3, 5), {})]:
        with pytest.raises(ValueError, match="x|eps|running_mean"):
            fd.batch_norm_forward(x, None, None, mean, var, **options)
    fd.batch_norm_forward(normals(2, 2, 4), None, None, mean, var, lengths=[0, 0])
    assert not mean.any()
    assert (var == 1).all()
    shared = np.zeros(4)
    with pytest.raises(ValueError, match="overlaps"):
        fd.batch_norm_forward(normals(3, 4), None, None, shared, shared)


# ---- layers -------------------------------------------------------------------------------------------------
def test_layers_are_the_functions():
    x, dy = normals(5, 3, 4, dtype=np.float32), normals(5, 3, 4, dtype=np.float32, seed=1)
    layer = fd.nn.LayerNorm((3, 4))
    layer.weight.data, layer.bias.data = normals(3, 4, seed=2), normals(3, 4, seed=3)
    np.testing.assert_array_equal(layer(x), fd.layer_norm_forward(x, layer.weight.data, layer.bias.data)[0])
    dx = layer.backward(dy)
    tape = fd.layer_norm_forward(x, layer.weight.data, layer.bias.data)[1]
    close((dx, layer.weight.grad, layer.bias.grad), fd.layer_norm_backward(dy, tape), 0)
    layer(x)
    layer.backward(dy, input_gradient=False)
    np.testing.assert_allclose(layer.bias.grad, 2 * dy.sum(0), rtol=1e-5)
    plain = fd.nn.LayerNorm([3, 4], elementwise_affine=False)
    assert list(plain.parameters()) == []
    np.testing.assert_allclose(plain(x), fd.layer_norm_forward(x.reshape(5, 12))[0].reshape(x.shape), atol=1e-6)
    assert plain.backward(dy).shape == x.shape
    assert list(fd.nn.LayerNorm(4, bias=False).state_dict()) == ["weight"]


def test_running_averages_follow_training_alone():
    layer, x = fd.nn.BatchNorm1d(3, dtype=np.float64), normals(8, 3)
    layer(x)
    np.testing.assert_allclose(layer.running_mean, 0.1 * x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-12)
    assert int(layer.num_batches_tracked) == 1
    before = layer.state_dict()
    layer.eval()
    y = layer(x[:1])
    expected = (x[:1] - before["running_mean"]) / np.sqrt(before["running_var"] + layer.eps)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    assert not layer._tape
    close(layer.state_dict().values(), before.values(), 0)
    mean = fd.nn.BatchNorm1d(3, momentum=None, dtype=np.float64)
    for k in range(3):
        mean(x + k)
    np.testing.assert_allclose(mean.running_mean, x.mean(0) + 1, rtol=1e-12)
    own = fd.nn.BatchNorm1d(3, track_running_stats=False, affine=False, dtype=np.float64).eval()
    np.testing.assert_allclose(own(x), fd.batch_norm_forward(x)[0], rtol=1e-12)
    assert own.state_dict() == {}
    assert not own._tape


def test_a_forward_that_fails_behind_it_leaves_the_averages():
    norm = fd.nn.BatchNorm1d(4)
    model = fd.nn.Sequential(norm, fd.nn.Linear(3, 2, rng=0))
    before = norm.state_dict()
    with pytest.raises(ValueError, match="x: got shape"):
        model(normals(5, 4, dtype=np.float32))
    close(norm.state_dict().values(), before.values(), 0)
    assert not norm._tape


@pytest.mark.parametrize("make", [lambda: fd.nn.LayerNorm(4), lambda: fd.nn.BatchNorm1d(4)])
def test_a_day_with_a_layer(make):
    x, dy = normals(6, 2, 4, dtype=np.float32), normals(6, 2, 4, dtype=np.float32, seed=1)
    layer = make()
    layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other.eval()(x), make_like(layer, make)(x))
        assert other.weight is not layer.weight
    model = fd.nn.Sequential(fd.nn.Linear(4, 4, rng=0), layer, fd.nn.Tanh(), layer)  # twice, one set of parameters
    y = model(x)
    assert model.backward(np.ones_like(y)).shape == x.shape
    assert len(list(model.parameters())) == 4
    layer.freeze()
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    before = layer.weight.data.copy()
    model(x)
    model.backward(dy)
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.data, before)
    with pytest.raises(RuntimeError, match="no forward to undo"):
        layer.backward(dy)
    with pytest.raises(ValueError, match=r"^x: got shape"):
        layer(x[..., :3])
    with pytest.raises(TypeError, match=r"^x: got dtype float64"):
        layer(x.astype(np.float64))
    layer.train()
    layer(x)
    with pytest.raises(ValueError, match=r"^dy: got shape"):
        layer.backward(dy[:1])
    assert layer.backward(dy).shape == x.shape


def make_like(layer, make):
    other = make()
    other.load_state_dict(layer.state_dict())
    return other.eval()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}, {"eps": 0.1}])
def test_layer_norm_is_torch_s(dtype, options):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LayerNorm((5, 7), dtype=getattr(torch, dtype), **options)
    with torch.no_grad():
        for one in theirs.parameters():
            one.copy_(torch.from_numpy(normals(5, 7, dtype=dtype, seed=one.ndim)))
    mine = fd.nn.LayerNorm((5, 7), dtype=dtype, **options)
    mine.load_state_dict({name: one.numpy() for name, one in theirs.state_dict().items()})
    beside_torch(torch, mine, theirs, normals(6, 5, 7, dtype=dtype), lambda a: a)
    theirs.load_state_dict({name: torch.from_numpy(one) for name, one in mine.state_dict().items()})


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}])
@pytest.mark.parametrize("shape", [(6, 7), (9, 4, 7)])
def test_batch_norm_is_torch_s(dtype, options, shape):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.BatchNorm1d(7, dtype=getattr(torch, dtype), **options)
    mine = fd.nn.BatchNorm1d(7, dtype=dtype, **options)
    turn = (lambda a: a) if len(shape) == 2 else lambda a: a.transpose(1, 2, 0)  # (T, B, C) is (B, C, T)
    for seed in range(3):
        x = normals(*shape, dtype=dtype, seed=seed) + seed
        beside_torch(torch, mine, theirs, x, turn)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for name, one in theirs.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[name], one.numpy(), rtol=tolerance, atol=tolerance)
    theirs.load_state_dict({name: torch.from_numpy(one) for name, one in mine.state_dict().items()})
    mine.load_state_dict({name: one.numpy() for name, one in theirs.state_dict().items()})
    theirs.eval()
    given = torch.from_numpy(np.ascontiguousarray(turn(x)))
    np.testing.assert_allclose(turn(mine.eval()(x)), theirs(given).detach().numpy(), rtol=1e-4, atol=1e-5)


def beside_torch(torch, mine, theirs, x, turn):
    given = torch.from_numpy(np.ascontiguousarray(turn(x))).requires_grad_()
    y = theirs(given)
    dy = normals(*x.shape, dtype=x.dtype, seed=9)
    theirs.zero_grad()
    y.backward(torch.from_numpy(np.ascontiguousarray(turn(dy))))
    mine.zero_grad()
    tolerance = 2e-5 if x.dtype == np.float32 else 1e-11
    kept = {"rtol": tolerance, "atol": 10 * tolerance}
    np.testing.assert_allclose(turn(mine(x)), y.detach().numpy(), **kept)
    np.testing.assert_allclose(turn(mine.backward(dy)), given.grad.numpy(), **kept)
    for (name, one), (same, other) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == same
        np.testing.assert_allclose(one.grad, other.grad.numpy(), **kept)
