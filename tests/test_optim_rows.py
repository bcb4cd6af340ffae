"""Updates of some rows of a table: against the reference bit for bit, and against the dense rules."""

import numpy as np
import pytest
from optim_cases import OPTIONS, identify

import fastdl as fd
from fastdl.optim import _rule
from fastdl.reference import optim as reference

RULES = [("sgd", ()), ("adagrad", ("square_sum",)), ("adam", ("m", "v"))]
N, D = 40, 5


def table(dtype, states, seed=0):
    param = np.random.default_rng(seed).standard_normal((N, D)).astype(dtype)
    return param, [np.zeros((N, D), dtype) for _ in states]


def touches(dtype, count=30, steps=4):
    """Rows with repetitions, in no order, and their gradients."""
    rng = np.random.default_rng(1)
    for t in range(1, steps + 1):
        rows = rng.integers(0, N, count).astype([np.int64, np.int32, np.uint8][t % 3])
        yield t, rows, rng.standard_normal((count, D)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS, ids=identify)
@pytest.mark.parametrize(("rule", "states"), RULES)
def test_same_bits_as_reference(level, rule, states, options, dtype, monkeypatch):
    monkeypatch.setattr(_rule, "GRAIN", 16)
    name = f"{rule}_update_rows"
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        param, ours = table(dtype, states)
        twin, theirs = table(dtype, states)
        for t, rows, values in touches(dtype):
            getattr(fd.optim, name)(param, rows, values, *ours, step=t, **options)
            getattr(reference, name)(twin, rows, values, *theirs, step=t, **options)
        for one, other in zip([param, *ours], [twin, *theirs], strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(("rule", "states"), RULES)
def test_touched_rows_as_the_dense_rule_and_others_as_they_were(level, rule, states):
    param, sparse = table(np.float64, states)
    dense_param, dense = table(np.float64, states)
    for t, rows, values in touches(np.float64, count=7):
        before = [array.copy() for array in (param, *sparse)]
        grad = np.zeros((N, D))
        np.add.at(grad, rows, values)
        for whole, own in zip((dense_param, *dense), (param, *sparse), strict=True):
            whole[...] = own
        getattr(fd.optim, f"{rule}_update")(dense_param, grad, *dense, step=t, lr=0.1)
        getattr(fd.optim, f"{rule}_update_rows")(param, rows, values, *sparse, step=t, lr=0.1)
        touched = np.isin(np.arange(N), rows)
        for whole, own, old in zip((dense_param, *dense), (param, *sparse), before, strict=True):
            assert np.array_equal(own[touched], whole[touched])
            assert np.array_equal(own[~touched], old[~touched])
        if rule != "adam":  # where a gradient of 0 changes nothing, touching some rows is all there is
            assert np.array_equal(param, dense_param)


def test_sum_rows(level):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        for count in (0, 1, 100):
            rows, values = rng.integers(0, 9, count), rng.standard_normal((count, 3)).astype(dtype)
            ours, theirs = fd.optim.sum_rows(rows, values), reference.sum_rows(rows, values)
            for one, other in zip(ours, theirs, strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other)


def test_nothing_touched():
    param, (m, v) = table(np.float32, ("m", "v"))
    kept = param.copy()
    fd.optim.adam_update_rows(param, np.zeros(0, int), np.zeros((0, D), np.float32), m, v, step=1)
    assert np.array_equal(param, kept)
    fd.optim.sgd_update_rows(np.zeros((3, 0)), np.array([1]), np.zeros((1, 0)))


@pytest.mark.parametrize(
    ("rows", "values", "match"),
    [
        (np.array([0, N]), np.ones((2, D)), "rows"),
        (np.array([-1]), np.ones((1, D)), "rows"),
        (np.array([0.0]), np.ones((1, D)), "rows"),
        (np.array([[0]]), np.ones((1, D)), "rows"),
        (np.array([0]), np.ones((2, D)), "values"),
        (np.array([0]), np.ones((1, D + 1)), "values"),
        (np.array([0]), np.ones((1, D), np.float32), "values"),
    ],
)
def test_refused_before_anything_is_written(rows, values, match):
    param, (m, v) = table(np.float64, ("m", "v"))
    kept = param.copy()
    with pytest.raises((TypeError, ValueError), match=match):
        fd.optim.adam_update_rows(param, rows, values, m, v, step=1)
    with pytest.raises((TypeError, ValueError), match="m"):
        fd.optim.adam_update_rows(param, np.array([0]), np.ones((1, D)), m[:3], v, step=1)
    with pytest.raises(ValueError, match="overlaps"):
        fd.optim.adam_update_rows(param, np.array([0]), np.ones((1, D)), m, m, step=1)
    assert np.array_equal(param, kept)
    assert not m.any()


# ---- As an option of the optimizers ----------------------------------------------------------------------
def embedding_model():
    return fd.nn.Sequential(fd.nn.Embedding(N, D, rng=0), fd.nn.Linear(D, N, rng=1))


def train(model, optimizer, steps=4, backwards=1):
    for t in range(steps):
        for part in range(backwards):
            x = np.random.default_rng(10 * t + part).integers(0, N, (3, 2))
            model.backward(fd.softmax_cross_entropy(model.forward(x), x)[1])
        optimizer.step()


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("backwards", [1, 2])
@pytest.mark.parametrize("optimizer", [fd.optim.SGD, fd.optim.AdaGrad, fd.optim.Adam, fd.optim.AdamW])
def test_lazy_optimizer_is_the_function_on_the_rows_named(optimizer, backwards, backend):
    lazy, dense = embedding_model(), embedding_model()
    with fd.backend(backend):
        train(lazy, optimizer(lazy.parameters(), 0.1, lazy=True), steps=1, backwards=backwards)
        train(dense, optimizer(dense.parameters(), 0.1), steps=1, backwards=backwards)
    names = np.concatenate([np.random.default_rng(part).integers(0, N, (3, 2)).ravel() for part in range(backwards)])
    touched = np.isin(np.arange(N), names)
    ours, theirs = lazy[0].weight.data, dense[0].weight.data
    assert np.array_equal(ours[touched], theirs[touched])
    assert np.array_equal(ours[~touched], embedding_model()[0].weight.data[~touched])
    assert np.array_equal(lazy[1].weight.data, dense[1].weight.data)


@pytest.mark.peer
def test_lazy_adam_is_torchs_sparse_adam():
    torch = pytest.importorskip("torch")
    model = fd.nn.Embedding(N, D, rng=0, dtype=np.float64)
    table = torch.nn.Embedding(N, D, sparse=True, dtype=torch.float64)
    table.weight.data = torch.from_numpy(model.weight.data.copy())
    # As Keras, torch's SparseAdam adds eps to the uncorrected root.
    ours = fd.optim.Adam(model.parameters(), 0.1, lazy=True, variant="keras", eps=1e-8)
    theirs = torch.optim.SparseAdam(table.parameters(), 0.1)
    for t in range(20):
        rng = np.random.default_rng(t)
        x, dy = rng.integers(0, N, 9), rng.standard_normal((9, D))
        model.forward(x)
        model.backward(dy)
        ours.step()
        theirs.zero_grad()
        table(torch.from_numpy(x)).backward(torch.from_numpy(dy))
        theirs.step()
    np.testing.assert_allclose(model.weight.data, table.weight.detach().numpy(), rtol=1e-10)


def test_lazy_falls_back_where_other_rows_may_have_been_written():
    lazy, dense = embedding_model(), embedding_model()
    for model, optimizer in (
        (lazy, fd.optim.Adam(lazy.parameters(), lazy=True)),
        (dense, fd.optim.Adam(dense.parameters())),
    ):
        train(model, optimizer, steps=1)
        model[0].weight.grad = np.ones((N, D))
        model[1].weight.grad, model[1].bias.grad = np.zeros((D, N)), np.zeros(N)
        optimizer.step()
    assert np.array_equal(lazy[0].weight.data, dense[0].weight.data)
    kept = lazy[0].weight.data.copy()
    optimizer = fd.optim.Adam(lazy.parameters(), lazy=True)
    optimizer.step()  # no gradient at all: no row
    assert np.array_equal(lazy[0].weight.data, kept)


@pytest.mark.parametrize(
    ("optimizer", "settings"), [(fd.optim.SGD, {"momentum": 0.9}), (fd.optim.RMSProp, {}), (fd.optim.Adam, None)]
)
def test_lazy_is_refused_where_there_is_no_rule(optimizer, settings):
    parameters = embedding_model().parameters() if settings is not None else [(np.zeros(3), np.zeros(3))]
    with pytest.raises(ValueError, match="lazy"):
        optimizer(parameters, lazy=True, **(settings or {}))
