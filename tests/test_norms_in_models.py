"""Penalties, constraints and the sparsity report on the parameters of models."""

import numpy as np
import pytest

import fastdl as fd


def model_and_batch():
    model = fd.nn.Sequential(fd.nn.Linear(7, 5, rng=1), fd.nn.Linear(5, 3, rng=2))
    rng = np.random.default_rng(0)
    return model, rng.standard_normal((4, 7)).astype(np.float32), rng.integers(0, 3, 4)


def gradients(model, x, y):
    loss, dlogits = fd.softmax_cross_entropy(model.forward(x), y)
    model.backward(dlogits)
    return loss


@pytest.mark.parametrize(
    "penalty",
    [
        fd.norms.L1(0.3),
        fd.norms.L2(0.3),
        fd.norms.ElasticNet(0.1, 0.2),
        fd.norms.GroupLasso(0.3),
        fd.norms.Orthogonal(0.3),
    ],
)
def test_penalties_add_to_a_models_gradients(penalty):
    model, x, y = model_and_batch()
    gradients(model, x, y)
    pairs = [(one.data.copy(), one.grad.copy()) for one in model.parameters()]
    value = penalty.add(model.parameters())
    assert value == pytest.approx(penalty.add(pairs), rel=1e-6)
    assert value > 0
    for one, (_, grad) in zip(model.parameters(), pairs, strict=True):
        np.testing.assert_allclose(one.grad, grad, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("penalty", [fd.norms.L2(0.5), fd.norms.GroupLasso(0.5)])
def test_gradients_nobody_wrote_are_zero_first(penalty):
    model, x, y = model_and_batch()
    gradients(model, x, y)
    model.zero_grad()  # the next write overwrites; the old gradients are still in memory
    penalty.add(model.parameters())
    fresh = [(one.data, np.zeros_like(one.data)) for one in model.parameters()]
    penalty.add(fresh)
    for one, (_, grad) in zip(model.parameters(), fresh, strict=True):
        np.testing.assert_array_equal(one.grad, grad)


def test_a_selection_of_parameters_is_penalized_alone():
    model, x, y = model_and_batch()
    gradients(model, x, y)
    before = [one.grad.copy() for one in model.parameters()]
    fd.norms.L1(0.1).add([one for one in model.parameters() if one.name == "weight"])
    for one, grad in zip(model.parameters(), before, strict=True):
        assert np.array_equal(one.grad, grad) == (one.name != "weight")


def test_training_with_penalties_shrinks_the_weights():
    norms = []
    for penalties in ([], [fd.norms.L2(1.0)]):
        model, x, y = model_and_batch()
        optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
        fd.training.fit(model, optimizer, [(x, y)], epochs=20, penalties=penalties, progress=False)
        norms.append(fd.global_norm(model.parameters().data))
    assert norms[1] < 0.5 * norms[0]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_with_constraints_keeps_them(accumulate):
    model, x, y = model_and_batch()
    seen = []

    class Watch(fd.training.Callback):
        def on_step_end(self, run):
            seen.append(max(fd.l2(one.data, axis=0).max() for one in run.parameters))

    fd.training.fit(
        model,
        fd.optim.SGD(model.parameters(), lr=5.0),
        [(x, y)] * 4,
        accumulate=accumulate,
        constraints=[fd.norms.NonNegative(), fd.norms.MaxNorm(0.5, axis=0)],
        callbacks=[Watch()],
        progress=False,
    )
    assert len(seen) == 4 // accumulate
    assert max(seen) <= 0.5 * (1 + 1e-6)
    assert min(one.data.min() for one in model.parameters()) >= 0


def test_constraints_and_report():
    model, _, _ = model_and_batch()
    weights = [one for one in model.parameters() if one.name == "weight"]
    fd.norms.MaxNorm(0.5, axis=0).apply(weights)
    for one in weights:
        assert (fd.l2(one.data, axis=0) <= 0.5 * (1 + 1e-6)).all()
    fd.norms.NonNegative().apply(model.parameters())
    assert (model.parameters().data >= 0).all()
    report = fd.norms.sparsity_report(model.named_parameters())
    assert report.total.size == model.parameters().size
    assert report.total.nonzero == np.count_nonzero(model.parameters().data)
    assert [line.name for line in report] == model.parameters().names


def test_whole_models_run_on_the_reference():
    model, x, y = model_and_batch()
    gradients(model, x, y)
    want = fd.norms.ElasticNet(0.1, 0.2).add(model.parameters())
    with fd.backend("reference"):
        assert fd.norms.ElasticNet(0.1, 0.2).add(model.parameters()) == pytest.approx(want, rel=1e-5)
