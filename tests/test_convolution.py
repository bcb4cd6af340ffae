"""Convolution and pooling over time: beside the reference, finite differences and torch; ragged; as layers."""

import copy
import pickle

import numpy as np
import pytest
from awkward import layouts
from test_normalization import close, differences, normals

import fastdl as fd
from fastdl.sequence import _convolution, _pooling

DTYPES = [pytest.param(np.float64, 1e-9, id="float64"), pytest.param(np.float32, 3e-4, id="float32")]
RAGGED = [12, 0, 7, 3, 1]
# T, B, C, O, K, stride, padding, dilation, groups, lengths
CONVOLUTIONS = [
    (7, 3, 4, 5, 3, 1, 0, 1, 1, None), (7, 3, 4, 5, 3, 1, 1, 1, 1, None), (9, 2, 4, 6, 3, 2, 1, 1, 2, None),
    (12, 5, 3, 33, 4, 1, "causal", 2, 1, None), (12, 5, 8, 8, 3, 1, "same", 1, 8, None),
    (12, 5, 8, 8, 3, 2, 2, 3, 8, RAGGED), (12, 5, 3, 40, 4, 1, "causal", 2, 1, RAGGED),
    (12, 5, 6, 9, 4, 1, "same", 1, 3, RAGGED), (12, 5, 6, 9, 4, 3, 3, 1, 1, RAGGED), (1, 1, 1, 1, 1, 1, 0, 1, 1, None),
    (1, 4, 2, 3, 5, 1, "same", 1, 1, None), (2, 70, 5, 7, 2, 1, 1, 1, 1, None), (300, 2, 3, 17, 9, 2, 4, 1, 1, None),
    (300, 1, 1, 16, 9, 1, "causal", 4, 1, None), (0, 3, 2, 2, 3, 1, "same", 1, 1, None),
    (5, 0, 2, 2, 3, 1, "same", 1, 1, None), (4, 3, 2, 4, 2, 3, 0, 1, 1, None), (5, 3, 2, 4, 1, 2, 0, 1, 1, None),
    (6, 2, 3, 4, 3, 1, 7, 1, 1, None), (40, 7, 37, 70, 3, 1, 1, 1, 1, [40, 3, 0, 8, 20, 1, 2]),
]  # fmt: skip
# T, B, C, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, lengths
POOLS = [
    (7, 3, 4, 3, None, 0, 1, False, True, None), (7, 3, 4, 3, 2, 1, 1, True, True, None),
    (8, 3, 300, 3, 2, 1, 1, True, False, [8, 0, 3]), (8, 3, 5, 2, 1, 1, 2, False, False, [8, 2, 3]),
    (1, 1, 1, 1, 1, 0, 1, False, True, None), (0, 2, 3, 2, 2, 1, 1, False, True, None),
    (9, 2, 3, 4, 3, 2, 1, True, True, [1, 5]), (5, 2, 3, 2, 3, 0, 1, True, True, None),
    (5, 2, 3, 2, 5, 0, 1, True, True, None), (6, 3, 3, 2, 5, 1, 1, True, False, [4, 6, 1]),
]  # fmt: skip


def convolved(dtype, T, B, C, O, K, stride, padding, dilation, groups, lengths):  # noqa: E741
    x, W, b = normals(T, B, C, dtype=dtype), normals(K, C // groups, O, dtype=dtype, seed=1), normals(O, dtype=dtype)
    given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "lengths": lengths}
    y = fd.conv1d_forward(x, W, b, **given)
    dy = normals(*y.shape, dtype=dtype, seed=2)
    out = np.ones_like(W), np.ones_like(b)
    assert fd.conv1d_backward(dy, x, W, out, True, False, **given)[0] is None
    return y, *fd.conv1d_backward(dy, x, W, **given), *out


def pooled(dtype, T, B, C, size, stride, padding, dilation, ceil, include, lengths):
    x = normals(T, B, C, dtype=dtype)
    if T > 3:
        x[2, 0, 0] = np.nan
    y, tape = fd.max_pool1d_forward(x, size, stride, padding, dilation, ceil, lengths)
    dy = normals(*y.shape, dtype=dtype, seed=1)
    mean, other = fd.avg_pool1d_forward(x, size, stride, padding, ceil, include, lengths)
    slope = normals(*mean.shape, dtype=dtype, seed=1)
    return y, tape.best, fd.max_pool1d_backward(dy, tape), mean, fd.avg_pool1d_backward(slope, other)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution_is_the_reference_s(case, dtype, tolerance, level):
    found = convolved(dtype, *case)
    with fd.backend("reference"):
        close(found, convolved(dtype, *case), tolerance * max(1, case[0] * case[1] / 50))


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("case", POOLS, ids=str)
def test_pools_are_the_reference_s(case, dtype, tolerance, level):
    found = pooled(dtype, *case)
    with fd.backend("reference"):
        close(found, pooled(dtype, *case), tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_bit_depends_on_the_threads(dtype, monkeypatch, level):
    monkeypatch.setattr(_convolution, "_GRAIN", 1)
    monkeypatch.setattr(_pooling, "_GRAIN", 1)
    results = []
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        found = [one for case in CONVOLUTIONS for one in convolved(dtype, *case)]
        found += [one for case in POOLS for one in pooled(dtype, *case)]
        results.append([one.tobytes() for one in found])
    assert results[0] == results[1] == results[2]


SMALL = [
    (6, 2, 3, 4, 3, 1, 1, 1, 1, None), (7, 3, 4, 6, 2, 2, 1, 2, 2, [7, 0, 4]), (5, 2, 3, 3, 3, 1, "causal", 1, 3, None),
    (1, 2, 1, 2, 3, 1, "same", 1, 1, None), (6, 1, 2, 3, 1, 4, 0, 1, 1, None),
]  # fmt: skip


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_convolution_s_gradients_are_those_of_finite_differences(case):
    T, B, C, O, K, stride, padding, dilation, groups, lengths = case  # noqa: E741
    x, W, b = normals(T, B, C), normals(K, C // groups, O, seed=1), normals(O, seed=2)
    given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "lengths": lengths}
    dy = normals(*fd.conv1d_forward(x, W, b, **given).shape, seed=3)
    loss = lambda: float((fd.conv1d_forward(x, W, b, **given) * dy).sum())  # noqa: E731
    found = fd.conv1d_backward(dy, x, W, **given)
    for one, array in zip(found, (x, W, b), strict=True):
        np.testing.assert_allclose(one, differences(loss, array, 1e-5), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_mean_pools_are_their_backward_s_adjoint(case):
    T, B, C, size, stride, padding, _, ceil, include, lengths = case
    x = normals(T, B, C)
    y, tape = fd.avg_pool1d_forward(x, size, stride, padding, ceil, include, lengths)
    dy = normals(*y.shape, seed=1)
    np.testing.assert_allclose((y * dy).sum(), (x * fd.avg_pool1d_backward(dy, tape)).sum(), rtol=1e-12)
    y, tape = fd.max_pool1d_forward(x, size, stride, padding, 1, ceil, lengths)
    dx = fd.max_pool1d_backward(dy, tape)  # the largest are linear in x where no other becomes it
    np.testing.assert_allclose((y * dy).sum(), (x * dx).sum(), rtol=1e-12)


@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if case[-1]], ids=str)
def test_a_ragged_batch_is_its_sequences_alone(case):
    T, B, C, O, K, stride, padding, dilation, groups, lengths = case  # noqa: E741
    layer = fd.nn.Conv1d(C, O, K, stride, padding, dilation, groups, rng=0, dtype=np.float64)
    pool = fd.nn.MaxPool1d(3, 2, 1)
    after, pooled_after = layer.lengths_after(lengths), pool.lengths_after(lengths)
    x = normals(T, B, C)
    for b, length in enumerate(lengths):
        x[length:, b] = np.nan
    y, highest = layer(x, lengths=lengths), pool(x, lengths=lengths)
    for b, length in enumerate(lengths):
        assert not y[after[b] :, b].any()
        assert not highest[pooled_after[b] :, b].any()
        if after[b]:
            alone = layer(x[:length, b : b + 1])
            np.testing.assert_allclose(y[: after[b], b], alone[:, 0], rtol=1e-10, atol=1e-12)
        if length:
            np.testing.assert_array_equal(highest[: pooled_after[b], b], pool(x[:length, b : b + 1])[:, 0])
    if layer._tape:
        layer.train()
    layer(x, lengths=lengths)
    dx = layer.backward(np.where(np.arange(len(y))[:, None, None] < after[:, None], normals(*y.shape), np.nan))
    assert np.isfinite(dx).all()
    assert np.isfinite(layer.weight.grad).all()
    assert not dx[np.arange(T)[:, None] >= np.array(lengths)].any()


def test_no_output_of_a_causal_layer_sees_the_future_and_steps_are_the_whole():
    layer = fd.nn.Conv1d(3, 4, 3, padding="causal", dilation=2, rng=0, dtype=np.float64)
    x = normals(9, 2, 3)
    y, state = layer(x), None
    later = x.copy()
    later[6:] = np.nan
    np.testing.assert_array_equal(layer(later)[:6], y[:6])
    for t in range(9):
        one, state = layer.step(x[t], state)
        np.testing.assert_allclose(one, y[t], rtol=1e-12)
    with pytest.raises(ValueError, match=r"^step: got padding='same'"):
        fd.nn.Conv1d(3, 4, 3, padding="same", rng=0).step(x[0])
    with pytest.raises(ValueError, match=r"^state: got shape"):
        layer.step(x[0], state[1:])


def test_batch_first_is_time_major_turned():
    x = normals(9, 2, 4, dtype=np.float32)
    for make in (
        lambda **o: fd.nn.Conv1d(4, 5, 3, rng=0, **o),
        lambda **o: fd.nn.MaxPool1d(2, **o),
        lambda **o: fd.nn.AvgPool1d(2, **o),
    ):
        plain, turned = make(), make(batch_first=True)
        y = plain(x)
        np.testing.assert_array_equal(turned(x.swapaxes(0, 1)).swapaxes(0, 1), y)
        dy = normals(*y.shape, dtype=np.float32)
        np.testing.assert_array_equal(turned.backward(dy.swapaxes(0, 1)).swapaxes(0, 1), plain.backward(dy))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_layouts(dtype):
    W = normals(2, 33, 3, dtype=dtype)
    for name, x in layouts(dtype):
        if x.ndim == 3 and x.shape[2] == 33:
            plain = np.ascontiguousarray(x)
            found, expected = fd.conv1d_forward(x, W), fd.conv1d_forward(plain, W)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=name)
            found, expected = fd.max_pool1d_forward(x, 2)[0], fd.max_pool1d_forward(plain, 2)[0]
            np.testing.assert_array_equal(found, expected, err_msg=name)
    ones = np.full((4, 1, 33), -np.inf, dtype)
    assert (fd.max_pool1d_forward(ones, 2)[0] == -np.inf).all()
    ones[1, 0, 0] = np.nan
    assert np.isnan(fd.conv1d_forward(ones, W)).any()


def test_refusals_name_what_came():
    x, W = normals(4, 2, 6), normals(3, 6, 4)
    wide = normals(3, 3, 4)
    for call, match in [
        (lambda: fd.conv1d_forward(x[0], W), "^x: got shape"),
        (lambda: fd.conv1d_forward(x, W[:, :5]), "^W: got shape"),
        (lambda: fd.conv1d_forward(x, W[:0]), "^W: got shape"),
        (lambda: fd.conv1d_forward(x, W, groups=4), "^x: got shape"),
        (lambda: fd.conv1d_forward(x, wide[:, :, :3], groups=2), "^W: got shape"),
        (lambda: fd.conv1d_forward(x, W, np.ones(3)), "^b: got shape"),
        (lambda: fd.conv1d_forward(x[:2], W), "^x: got shape .* expected at least 3 steps"),
        (lambda: fd.conv1d_forward(x, W, stride=0), "^stride: got 0"),
        (lambda: fd.conv1d_forward(x, W, stride=2, padding="same"), "^stride: got 2"),
        (lambda: fd.conv1d_forward(x, W, padding="valid"), "^padding: got 'valid'"),
        (lambda: fd.conv1d_forward(x, W, padding=-1), "^padding: got -1"),
        (lambda: fd.conv1d_forward(x, W, dilation=2**40), "^dilation: got"),
        (
            lambda: fd.conv1d_forward(normals(1, 200, 6), normals(3, 6, 200), padding="causal", dilation=2**31 - 1),
            "^padding, dilation: got",
        ),
        (lambda: fd.conv1d_forward(x, W, lengths=[5, 0]), "^lengths: got values"),
        (lambda: fd.conv1d_backward(x, x, W), "^dy: got shape"),
        (lambda: fd.max_pool1d_forward(x, 2, padding=2), "^padding: got 2"),
        (lambda: fd.max_pool1d_forward(x, 5), "^x: got shape"),
        (lambda: fd.nn.Conv1d(4, 6, 3, groups=3), "^groups: got 3"),
        (lambda: fd.nn.Conv1d(4, 6, 0), "^kernel_size: got 0"),
        (lambda: fd.nn.Conv1d(4, 6, 3, rng=0).lengths_after([-1]), "^lengths: got values"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
    tape = fd.max_pool1d_forward(x, 2)[1]
    for call, match in [
        (lambda: fd.conv1d_forward(x, W.astype(np.float32)), "^W: got dtype"),
        (lambda: fd.conv1d_forward(x, W, padding=1.5), "^padding: got 1.5"),
        (lambda: fd.avg_pool1d_backward(x[:2], tape), "^tape: got PoolTape, expected that of avg_pool1d_forward"),
        (lambda: fd.max_pool1d_backward(x[:2], None), "^tape: got NoneType"),
        (lambda: fd.nn.Conv1d(4, 6, 3, rng=0)(x), "^x: got dtype float64"),
    ]:
        with pytest.raises(TypeError, match=match):
            call()
    out = np.zeros_like(W), np.zeros(4)
    for wrong in ((out[0][1:], out[1]), (out[0], np.zeros(3)), (W, out[1])):
        with pytest.raises(ValueError, match=r"^out"):
            fd.conv1d_backward(normals(2, 2, 4), x, W, wrong)


def test_a_day_with_a_layer():
    x = normals(8, 2, 4, dtype=np.float32)
    layer = fd.nn.Conv1d(4, 4, 3, padding="same", rng=0)
    y = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other(x), y)
        assert other.weight is not layer.weight
    model = fd.nn.Sequential(layer, fd.nn.Tanh(), layer, fd.nn.Conv1d(4, 2, 1, bias=False, rng=1))
    lengths = np.array([8, 3])
    y = model(x, lengths=lengths)
    lengths[:] = 0  # the batch may become another before the backward
    assert model.backward(np.ones_like(y))[:3].any()
    assert len(list(model.parameters())) == 3
    layer.freeze()
    optimizer, before = fd.optim.SGD(model.parameters(), lr=0.1), layer.weight.data.copy()
    model(x)
    model.backward(np.ones_like(y), input_gradient=False)
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.data, before)
    layer.eval()
    layer(x)
    assert not layer._tape
    with pytest.raises(RuntimeError, match="no forward to undo"):
        layer.backward(np.ones_like(x))
    assert repr(fd.nn.Conv1d(4, 6, 3, 2, 1, groups=2, bias=False, rng=0)).startswith(
        "Conv1d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)"
    )
    assert repr(fd.nn.MaxPool1d(3, 2, ceil_mode=True)).startswith("MaxPool1d(3, stride=2, ceil_mode=True)")


def turned(array):
    """(T, B, C) is torch's (B, C, T)."""
    return np.ascontiguousarray(array.transpose(1, 2, 0))


def compare(torch, mine, theirs, x):
    given = torch.from_numpy(turned(x)).requires_grad_()
    y = theirs(given)
    dy = normals(y.shape[2], y.shape[0], y.shape[1], dtype=x.dtype, seed=5)
    y.backward(torch.from_numpy(turned(dy)))
    tolerance = 1e-4 if x.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(turned(mine(x)), y.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(turned(mine.backward(dy)), given.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "options"),
    [
        (3, {}), (1, {}), (3, {"padding": 1, "stride": 2}), (4, {"padding": "same", "dilation": 3}), (2, {"groups": 2}),
        (3, {"groups": 4, "padding": "same", "bias": False}), (5, {"padding": 6, "dilation": 2, "stride": 3}),
    ],
)  # fmt: skip
def test_conv1d_is_torch_s(dtype, size, options):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Conv1d(4, 8, size, dtype=getattr(torch, dtype), **options)
    mine = fd.nn.Conv1d(4, 8, size, dtype=dtype, rng=0, **options)
    theirs.load_state_dict({name: torch.from_numpy(one) for name, one in mine.state_dict().items()})
    mine.load_state_dict({name: one.numpy() for name, one in theirs.state_dict().items()})
    compare(torch, mine, theirs, normals(19, 3, 4, dtype=dtype))
    for (name, one), (same, other) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == same
        np.testing.assert_allclose(
            one.grad.T, other.grad.numpy(), rtol=1e-3, atol=1e-4 if dtype == "float32" else 1e-11
        )


@pytest.mark.peer
@pytest.mark.parametrize("steps", [7, 8, 9, 10])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("size", "stride", "padding"), [(2, None, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2), (2, 3, 1)])
def test_pools_are_torch_s(steps, ceil_mode, size, stride, padding):
    torch = pytest.importorskip("torch")
    x = normals(steps, 3, 5)
    given = size, stride, padding
    compare(torch, fd.nn.MaxPool1d(*given, 1, ceil_mode), torch.nn.MaxPool1d(*given, 1, False, ceil_mode), x)
    for include in (True, False):
        options = *given, ceil_mode, include
        compare(torch, fd.nn.AvgPool1d(*options), torch.nn.AvgPool1d(*options), x)
    if size == 3:
        compare(torch, fd.nn.MaxPool1d(*given, 2, ceil_mode), torch.nn.MaxPool1d(*given, 2, False, ceil_mode), x)


@pytest.mark.peer
def test_initial_values_spread_as_torch_s():
    torch = pytest.importorskip("torch")
    theirs, mine = torch.nn.Conv1d(64, 64, 5).state_dict(), fd.nn.Conv1d(64, 64, 5, rng=0).state_dict()
    for name, one in theirs.items():
        assert mine[name].shape == tuple(one.shape)
        np.testing.assert_allclose(np.abs(mine[name]).max(), one.abs().max().item(), rtol=0.1)
        np.testing.assert_allclose(mine[name].std(), one.std().item(), rtol=0.2)
