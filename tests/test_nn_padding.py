"""Embedding(padding_idx=): a row that is 0 at first and gets no gradient."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd

X = np.array([[1, 0, 2], [0, 4, 1]])
DY = np.random.default_rng(0).standard_normal((2, 3, 3)).astype(np.float32)


def test_the_row_is_zero_and_the_others_are_those_without():
    padded, plain = fd.nn.Embedding(5, 3, 0, rng=1), fd.nn.Embedding(5, 3, rng=1)
    assert not padded.weight.data[0].any()
    np.testing.assert_array_equal(padded.weight.data[1:], plain.weight.data[1:])
    assert not padded.forward(X)[X == 0].any()
    padded.backward(DY)
    plain.forward(X)
    plain.backward(DY)
    assert not padded.weight.grad[0].any()
    np.testing.assert_array_equal(padded.weight.grad[1:], plain.weight.grad[1:])
    assert repr(padded).startswith("Embedding(5, 3, padding_idx=0)")


def test_negative_counts_from_the_end_and_others_are_refused():
    assert fd.nn.Embedding(5, 3, padding_idx=-1, rng=0).padding_idx == 4
    for bad in (5, -6, 1.0, "pad", True):
        with pytest.raises((TypeError, ValueError), match="^padding_idx: got"):
            fd.nn.Embedding(5, 3, padding_idx=bad)


def test_only_padding_and_nothing_at_all():
    layer = fd.nn.Embedding(5, 3, 0, rng=0)
    for x in (np.zeros((2, 2), int), np.zeros((0, 2), int)):
        y = layer.forward(x)
        layer.backward(np.ones_like(y))
        assert not layer.weight.grad.any()


@pytest.mark.parametrize("lazy", [False, True])
def test_steps_leave_the_row_alone(lazy):
    layer = fd.nn.Embedding(5, 3, 0, rng=0)
    optimizer = fd.optim.Adam(layer.parameters(), lr=0.1, lazy=lazy)
    before = layer.weight.data.copy()
    for _ in range(3):
        layer.forward(X)
        layer.backward(DY)
        assert layer.weight.written_rows().tolist() == [1, 2, 4]
        optimizer.step()
    assert not layer.weight.data[0].any()
    moved = (layer.weight.data != before).any(1)
    np.testing.assert_array_equal(moved, [False, True, True, False, True])


def test_a_tied_head_has_its_own_share_of_the_row():
    words = fd.nn.Embedding(5, 3, 0, rng=0)
    model = fd.nn.Sequential(words, fd.nn.Linear(3, 5, bias=False, tied=words))
    y = model.forward(X)
    model.backward(np.ones_like(y))
    head = words.forward(X).reshape(-1, 3).sum(0)  # of the head alone
    np.testing.assert_allclose(words.weight.grad[0], head, rtol=1e-6)


def test_twice_in_a_model_copies_and_states():
    layer = fd.nn.Embedding(5, 3, 0, rng=0)
    layer.forward(X)
    layer.forward(X)
    layer.backward(DY)
    layer.backward(DY)
    once = fd.nn.Embedding(5, 3, 0, rng=0)
    once.forward(X)
    once.backward(2 * DY)
    np.testing.assert_allclose(layer.weight.grad, once.weight.grad, rtol=1e-6)
    for one in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert one.padding_idx == 0
        one.load_state_dict(layer.state_dict())
    dropped = fd.nn.EmbeddingDropout(layer, 5, 0.0, rng=0)
    dropped.forward(X)
    layer.weight.written = False
    dropped.backward(DY)
    assert not layer.weight.grad[0].any()


def test_curvature_sees_no_variable_there():
    model = fd.nn.Sequential(
        fd.nn.Embedding(5, 3, 0, rng=0, dtype=np.float64), fd.nn.Linear(3, 2, rng=1, dtype=np.float64)
    )
    point = fd.curvature.LossPoint(model, fd.softmax_cross_entropy, (X, np.array([[0, 1, 0], [1, 1, 0]])))
    hessian = point.hessian(["0.weight"])
    assert not hessian[:3].any()
    assert not hessian[:, :3].any()
    assert hessian[3:, 3:].any()
    np.testing.assert_allclose(point.sample_gradients(0).sum(0)[:3], 0)


@pytest.mark.peer
def test_torch():
    torch = pytest.importorskip("torch")
    mine, theirs = fd.nn.Embedding(5, 3, -2, rng=0), torch.nn.Embedding(5, 3, -2)
    assert theirs.padding_idx == mine.padding_idx
    theirs.load_state_dict({name: torch.from_numpy(one) for name, one in mine.state_dict().items()})
    x = np.array([[3, 0], [3, 2], [1, 3]])
    y = theirs(torch.from_numpy(x))
    np.testing.assert_array_equal(mine.forward(x), y.detach().numpy())
    dy = np.random.default_rng(0).standard_normal((3, 2, 3)).astype(np.float32)
    y.backward(torch.from_numpy(dy))
    mine.backward(dy)
    np.testing.assert_allclose(mine.weight.grad, theirs.weight.grad.numpy(), rtol=1e-6)
