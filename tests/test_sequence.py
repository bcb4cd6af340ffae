"""CTC and attention: the reference on every build and thread count, torch, brute force, edges, refusals."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

import fastdl as fd
from fastdl.reference import sequence as reference
from fastdl.sequence import _attention, _ctc

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
# T, B, C, S: one of everything, a vector's width and beyond, more labels than steps
CTC_SHAPES = [(1, 1, 2, 1), (1, 3, 4, 1), (12, 5, 6, 4), (9, 7, 3, 9), (40, 3, 70, 17)]
ATTENTION_SHAPES = [(1, 1, 1, 1, 1), (1, 3, 5, 7, 9), (9, 4, 33, 40, 65), (20, 2, 130, 128, 17)]  # T, B, S, H, V


def ctc_case(shape, dtype=np.float64):
    T, B, C, S = shape
    rng = np.random.default_rng(T + S)
    logits = (2 * rng.standard_normal((T, B, C))).astype(dtype)
    targets = rng.integers(0, C - 1, (B, S))  # with repetitions, and with the blank C - 1 left out
    return logits, targets, rng.integers(1, T + 1, B), rng.integers(0, S + 1, B), C - 1


def attention_case(shape, dtype=np.float64):
    T, B, S, H, V = shape
    rng = np.random.default_rng(S)
    extents = [(T, B, H), (S, B, H), (S, B, V), (H,), (T, B, V)]
    lengths = rng.integers(0, S + 1, B)
    lengths[-1] = S
    return [rng.standard_normal(extent).astype(dtype) for extent in extents], lengths


def same_bits(function):
    """The results on 1, 2, 3 and 8 threads, which must be one."""
    results = []
    for count in (1, 2, 3, 8):
        fd.set_num_threads(count)
        results.append(function())
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    return results[0]


def assert_close(got, wanted, tolerance):
    for one, other in zip(got, wanted, strict=True):
        finite = np.abs(other)[np.isfinite(other)]
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1, finite.max(initial=0)))


def differences(function, x, step=1e-6):
    """The gradient of a scalar function by central differences."""
    gradient = np.empty_like(x)
    for at in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][at] += step
        moved[1][at] -= step
        gradient[at] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return gradient


# ---- CTC ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", CTC_SHAPES, ids=str)
def test_ctc_equals_the_reference_at_any_number_of_threads(level, shape, dtype, monkeypatch):
    monkeypatch.setattr(_ctc, "_GRAIN", 1)
    case = ctc_case(shape, dtype)
    for reduction, zero_infinity in itertools.product(("mean", "sum", "none"), (False, True)):
        got = same_bits(lambda: fd.ctc_loss(*case, reduction, zero_infinity))  # noqa: B023
        assert got[1].dtype == dtype
        assert_close(got, reference.ctc_loss(*case, reduction, zero_infinity), TOLERANCE[dtype])


@pytest.mark.peer
@pytest.mark.parametrize("shape", CTC_SHAPES, ids=str)
def test_ctc_equals_torch(shape):
    torch = pytest.importorskip("torch")
    logits, targets, *lengths, blank = ctc_case(shape)
    for reduction, zero_infinity in itertools.product(("mean", "sum", "none"), (False, True)):
        z = torch.tensor(logits, requires_grad=True)
        rest = (torch.tensor(targets), *map(torch.tensor, lengths), blank, reduction, zero_infinity)
        loss = torch.nn.functional.ctc_loss(z.log_softmax(-1), *rest)
        loss.sum().backward()
        got = fd.ctc_loss(logits, targets, *lengths, blank, reduction, zero_infinity)
        assert_close(got, (loss.detach().numpy(), z.grad.numpy()), 1e-10)


def labelling(path, blank):
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


@pytest.mark.parametrize("target", [(), (1,), (1, 1), (2, 1), (1, 2, 1), (2, 2, 2), (1, 1, 2)], ids=str)
def test_ctc_is_the_sum_over_all_alignments(target):
    """T = 4 steps of 3 classes: 81 alignments, counted one by one. (2, 2, 2) needs five steps."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    wanted = sum(
        np.prod(p[range(4), path]) for path in itertools.product(range(3), repeat=4) if labelling(path, 0) == target
    )
    loss, gradient = fd.ctc_loss(np.log(p)[:, None], np.array(target, np.int64)[None])
    np.testing.assert_allclose(np.exp(-loss * max(1, len(target))), wanted, rtol=1e-13)
    assert np.isnan(gradient).all() == (wanted == 0)


def test_ctc_against_finite_differences(level):
    logits, targets, input_lengths, _, blank = ctc_case((6, 3, 4, 2))
    rest = (targets, np.maximum(input_lengths, 4), np.array([0, 1, 2]), blank)
    gradient = fd.ctc_loss(logits, *rest)[1]
    np.testing.assert_allclose(gradient, differences(lambda z: fd.ctc_loss(z, *rest)[0], logits), atol=1e-8)


def test_ctc_at_the_edges(level):
    z = np.zeros((3, 2, 4))
    wanted = np.log(4) * np.array([1, 2])  # empty targets: the blank all along, for one and two steps
    loss, gradient = fd.ctc_loss(z, np.zeros((2, 0), int), np.array([1, 2]), reduction="none")
    np.testing.assert_allclose(loss, wanted, rtol=1e-14)
    np.testing.assert_allclose(gradient[:, 0, 0], [-0.75, 0, 0], rtol=1e-13)
    assert fd.ctc_loss(z, np.ones((2, 1), int), np.array([0, 0]), np.array([0, 1]), reduction="none")[0][1] == np.inf
    impossible = np.full((3, 1, 2), 0.0)
    impossible[:, 0, 1] = -np.inf  # a class that cannot be
    assert fd.ctc_loss(impossible, np.array([[1]]))[0] == np.inf
    loss, gradient = fd.ctc_loss(impossible, np.array([[1]]), zero_infinity=True)
    assert loss == 0
    assert not gradient.any()
    # Far below what a double's exponential holds: log space carries it.
    sharp = np.zeros((300, 1, 3), np.float32)
    sharp[:, :, 2] = 80
    loss, gradient = fd.ctc_loss(sharp, np.array([[1]]), reduction="sum")
    assert loss == pytest.approx(300 * 80 - np.log(300 * 301 / 2), rel=1e-6)
    np.testing.assert_allclose(gradient.sum(2), 0, atol=1e-6)
    assert np.isnan(fd.ctc_loss(np.full((2, 1, 3), np.nan), np.array([[1]]))[0])
    assert np.isnan(fd.ctc_loss(z[:, :0], np.ones((0, 1), int))[0])
    # What lies past a target's length is not read.
    lengths = np.array([2, 3]), np.array([1, 1])
    one, other = (fd.ctc_loss(z, np.array([[1, junk], [2, junk]]), *lengths)[0] for junk in (0, 99))
    assert one == other


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"logits": np.zeros((3, 2))}, ValueError, r"logits: got shape \(3, 2\), expected \(any, any, any\)"),
        ({"targets": np.array([1, 2])}, ValueError, r"targets: got shape \(2,\), expected \(2, S\): .* padded"),
        ({"targets": np.array([[1.0], [2.0]])}, TypeError, "targets: got dtype float64"),
        ({"targets": np.array([[1], [4]])}, ValueError, "targets: got values from 1 to 4, expected 0 to 3"),
        ({"targets": np.array([[1], [0]])}, ValueError, "targets: got the blank, 0"),
        ({"input_lengths": np.array([3, 4])}, ValueError, "input_lengths: got values from 3 to 4, expected 0 to 3"),
        ({"target_lengths": np.array([1])}, ValueError, r"target_lengths: got shape \(1,\), expected \(2,\)"),
        ({"blank": 4}, ValueError, "blank: got 4, expected from 0 to 3"),
        ({"reduction": "max"}, ValueError, "reduction: got 'max'"),
    ],
    ids=str,
)
def test_ctc_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        fd.ctc_loss(**{"logits": np.zeros((3, 2, 4)), "targets": np.array([[1], [2]]), **arguments})


def test_ctc_beam_search_finds_the_likeliest_labelling():
    rng = np.random.default_rng(3)
    for T in (1, 3, 5):
        p = rng.dirichlet(np.ones(3), T)
        totals = defaultdict(float)
        for path in itertools.product(range(3), repeat=T):
            totals[labelling(path, 0)] += np.prod(p[range(T), path])
        found = fd.ctc_beam_search(np.log(p)[:, None], width=400)[0]  # wide enough to prune nothing
        assert {tuple(labels.tolist()) for labels, _ in found} == set(totals)
        for labels, log_p in found:
            np.testing.assert_allclose(np.exp(log_p), totals[tuple(labels.tolist())], rtol=1e-12)
            loss = fd.ctc_loss(np.log(p)[:, None], labels[None], reduction="sum")[0]
            np.testing.assert_allclose(-log_p, loss, rtol=1e-10)
        assert [log_p for _, log_p in found] == sorted((log_p for _, log_p in found), reverse=True)


def test_ctc_decoders_keep_to_the_lengths():
    path = np.array([[1, 1], [1, 2], [0, 2], [1, 1]])
    logits = 50 * np.eye(3)[path]
    lengths = np.array([4, 2])
    assert [labels.tolist() for labels in fd.ctc_greedy_decode(logits, lengths)] == [[1, 1], [1, 2]]
    assert [found[0][0].tolist() for found in fd.ctc_beam_search(logits, lengths, width=4)] == [[1, 1], [1, 2]]
    assert fd.ctc_greedy_decode(logits, np.array([0, 1]))[0].size == 0
    assert [labels.size for labels, _ in fd.ctc_beam_search(logits, np.array([0, 1]))[0]] == [0]


# ---- attention ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ATTENTION_SHAPES, ids=str)
def test_attention_equals_the_reference_at_any_number_of_threads(level, shape, dtype, monkeypatch):
    monkeypatch.setattr(_attention, "_GRAIN_PRODUCT", 1)
    monkeypatch.setattr(_attention, "_GRAIN_TANH", 1)
    (*inputs, v, dcontext), lengths = attention_case(shape, dtype)
    for scaled in (False, True):
        got = same_bits(lambda: fd.dot_attention_forward(*inputs, lengths, scaled))  # noqa: B023
        assert_close(got, reference.dot_attention_forward(*inputs, lengths, scaled), TOLERANCE[dtype])
        backward = (dcontext, got[1], *inputs, lengths, scaled)
        gradients = same_bits(lambda: fd.dot_attention_backward(*backward))  # noqa: B023
        assert_close(gradients, reference.dot_attention_backward(*backward), TOLERANCE[dtype])
    got = same_bits(lambda: fd.additive_attention_forward(*inputs, v, lengths))
    assert_close(got, reference.additive_attention_forward(*inputs, v, lengths), TOLERANCE[dtype])
    backward = (dcontext, got[1], *inputs, v, lengths)
    gradients = same_bits(lambda: fd.additive_attention_backward(*backward))
    assert_close(gradients, reference.additive_attention_backward(*backward), TOLERANCE[dtype])
    past = np.arange(shape[2])[:, None] >= lengths
    assert not any(gradient[past].any() for gradient in gradients[1:3])


@pytest.mark.peer
def test_attention_equals_torch():
    torch = pytest.importorskip("torch")
    (*inputs, v, dcontext), lengths = attention_case((9, 4, 33, 40, 65))
    lengths[0] = 1
    q, k, values, vector = (torch.tensor(array, requires_grad=True) for array in (*inputs, v))
    mask = (torch.arange(33) < torch.tensor(lengths)[:, None])[:, None]
    heads = [array.transpose(0, 1) for array in (q, k, values)]
    context = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(0, 1)
    context.backward(torch.tensor(dcontext))
    got, weights = fd.dot_attention_forward(*inputs, lengths, scaled=True)
    gradients = fd.dot_attention_backward(dcontext, weights, *inputs, lengths, scaled=True)
    assert_close((got, *gradients), (context.detach().numpy(), *(x.grad.numpy() for x in (q, k, values))), 1e-12)
    for tensor in (q, k, values):
        tensor.grad = None
    scores = (torch.tanh(q[:, None] + k[None]) @ vector).permute(2, 0, 1).masked_fill(~mask, -torch.inf)
    context = torch.einsum("bts,sbv->tbv", scores.softmax(-1), values)
    context.backward(torch.tensor(dcontext))
    got, weights = fd.additive_attention_forward(*inputs, v, lengths)
    gradients = fd.additive_attention_backward(dcontext, weights, *inputs, v, lengths)
    assert_close(
        (got, *gradients), (context.detach().numpy(), *(x.grad.numpy() for x in (q, k, values, vector))), 1e-12
    )


@pytest.mark.parametrize(
    "layer", [fd.nn.DotAttention(True), fd.nn.AdditiveAttention(3, 3, 4, rng=0, dtype="f8")], ids=str
)
def test_attention_layers_run_several_times_before_their_backward(level, layer):
    """A decoder's two steps over one source: every gradient against finite differences."""
    rng = np.random.default_rng(0)
    queries, source, lengths = rng.standard_normal((2, 1, 2, 3)), rng.standard_normal((4, 2, 3)), np.array([3, 4])
    dcontexts = rng.standard_normal((2, 1, 2, 3))

    def objective(queries, source):
        layer.eval()
        return sum((layer.forward(x, source, lengths) * dy).sum() for x, dy in zip(queries, dcontexts, strict=True))

    layer.train()
    layer.zero_grad()
    for x in queries:
        layer.forward(x, source, lengths)
    dqueries, dsource = np.empty_like(queries), np.zeros_like(source)
    for step in (1, 0):
        dqueries[step], dsource_step = layer.backward(dcontexts[step])
        dsource += dsource_step
    gradients = [parameter.grad.copy() for parameter in layer.parameters()]
    np.testing.assert_allclose(dqueries, differences(lambda x: objective(x, source), queries), atol=1e-8)
    np.testing.assert_allclose(dsource, differences(lambda x: objective(queries, x), source), atol=1e-8)
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        before = parameter.data.copy()

        def moved(values, parameter=parameter):
            parameter.data = values
            return objective(queries, source)

        np.testing.assert_allclose(gradient, differences(moved, before), atol=1e-8)
        parameter.data = before
    layer.train()
    with pytest.raises(RuntimeError, match="backward: no forward to undo"):
        layer.backward(dcontexts[0])


def test_attention_at_the_edges(level):
    (*inputs, v, dcontext), lengths = attention_case((2, 3, 4, 5, 6))
    empty = [inputs[0], inputs[1][:0], inputs[2][:0]]
    context, weights = fd.additive_attention_forward(*empty, v)
    assert context.shape == (2, 3, 6)
    assert weights.shape == (2, 3, 0)
    assert not context.any()
    assert not fd.dot_attention_backward(dcontext, weights, *empty)[0].any()
    assert not fd.dot_attention_forward(*inputs, np.zeros(3, int))[0].any()
    layer = fd.nn.DotAttention()
    context, weights = layer.forward(inputs[0], inputs[1], lengths, return_weights=True)
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(lengths > 0, (2, 3)), rtol=1e-14)
    alone = layer.forward(inputs[0][:, :1], inputs[1][: lengths[0], :1])
    np.testing.assert_array_equal(context[:, :1], alone)  # a batch gives each sequence what it gets alone
    for arguments, message in [
        ((inputs[0][..., :4], *inputs[1:]), r"keys: got shape \(4, 3, 5\), expected \(any, 3, 4\)"),
        ((*inputs[:2], inputs[2][1:]), r"values: got shape \(3, 3, 6\), expected \(4, 3, any\)"),
        ((*inputs, np.array([1, 2, 5])), "lengths: got values from 1 to 5, expected 0 to 4"),
        ((inputs[0][..., :0], inputs[1][..., :0], inputs[2]), "query: got shape .* at least one feature"),
    ]:
        with pytest.raises(ValueError, match=message):
            fd.dot_attention_forward(*arguments)
    with pytest.raises(TypeError, match="keys: got dtype float32, expected float64"):
        fd.dot_attention_forward(inputs[0], inputs[1].astype(np.float32), inputs[2])
    with pytest.raises(TypeError, match="v: got NoneType, expected a numpy array"):
        fd.additive_attention_forward(*inputs, None)
    with pytest.raises(ValueError, match=r"v: got shape \(6,\), expected \(5,\)"):
        fd.additive_attention_forward(*inputs, np.ones(6))
    with pytest.raises(ValueError, match=r"x: got shape \(2, 3, 5\), expected \(any, 3, 4\)"):
        fd.nn.AdditiveAttention(4, 5, 3, rng=0, dtype=np.float64).forward(inputs[0], inputs[1])
