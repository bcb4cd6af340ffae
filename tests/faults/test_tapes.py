"""Forwards without a backward: freed by a step, never by zero_grad, and told of when they grow."""

import itertools
import warnings

import numpy as np
import pytest

import fastdl as fd

X = np.ones((4, 3), np.float32)


def chain(*sizes):
    return fd.nn.Sequential(*[fd.nn.Linear(a, b, rng=0) for a, b in itertools.pairwise(sizes)], fd.nn.Tanh())


def waiting(model):
    return sum(len(module._tape) for module in model.modules())


OPTIMIZERS = [lambda p: fd.optim.Adam(p), lambda p: fd.optim.SGD(p, nonfinite="skip")]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_step_frees_and_zero_grad_does_not(make):
    model = chain(3, 2)
    optimizer = make(model.parameters())
    for _ in range(5):
        y = model(X)
    model.zero_grad()
    optimizer.zero_grad()
    model.backward(np.ones_like(y))
    assert waiting(model) == 8
    optimizer.step()
    assert waiting(model) == 0
    with pytest.raises(RuntimeError, match="an optimizer's step forgets those before it"):
        model.backward(np.ones_like(y))


def test_a_skipped_step_frees_too_and_a_waiting_one_does_not():
    model = chain(3, 2)
    optimizer = fd.optim.SGD(model.parameters(), nonfinite="skip", accumulate=2)
    model(X)
    model(X)
    model.backward(np.full((4, 2), np.nan, np.float32))
    optimizer.step()
    assert waiting(model) == 2
    optimizer.step()
    assert optimizer.skipped == 1
    assert waiting(model) == 0


def test_two_losses_with_one_step():
    model = fd.nn.Linear(3, 2, rng=0, dtype=np.float64)
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    one, two = np.ones((4, 3)), np.full((4, 3), 2.0)
    model(one)
    model(two)
    model.zero_grad()
    model.backward(np.ones((4, 2)))
    model.backward(np.ones((4, 2)))
    np.testing.assert_array_equal(model.weight.grad, np.full((3, 2), 12.0))
    optimizer.step()


def test_each_optimizer_frees_its_own_model_only():
    maker, judge = chain(3, 3), chain(3, 1)
    of_maker, of_judge = fd.optim.SGD(maker.parameters(), lr=0.1), fd.optim.SGD(judge.parameters(), lr=0.1)
    for _ in range(3):
        judge(maker(X))
        dx = judge.backward(np.ones((4, 1), np.float32))
        of_judge.step()
        maker.backward(dx)
        of_maker.step()
        assert waiting(maker) == waiting(judge) == 0


def test_layers_that_came_later_and_copies_are_known():
    model = chain(3, 2)
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    setattr(model, "2", fd.nn.Tanh())
    model(X)
    optimizer.step()
    assert waiting(model) == 0
    optimizer = fd.optim.SGD(chain(3, 2).parameters(), lr=0.1)  # whose model is gone
    optimizer.step()


def test_a_closure_optimizer_frees():
    model = fd.nn.Linear(3, 2, rng=0, dtype=np.float64)
    optimizer = fd.curvature.LBFGS(model.parameters())
    x = np.ones((4, 3))

    def closure():
        model(x)  # a measurement beside
        loss, gradient = fd.mse_loss(model(x), np.zeros((4, 2)))
        model.backward(gradient)
        return loss

    optimizer.step(closure)
    assert waiting(model) == 0


def test_a_growing_tape_warns_once_and_names_the_layer():
    layer = fd.nn.Linear(3, 2, rng=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5000):
            layer(X)
    (one,) = caught
    assert one.category is UserWarning
    assert str(one.message).startswith("Linear: 1024 forwards in training mode wait for their backward")
    assert one.filename == __file__


def test_large_ones_are_told_of_earlier():
    layer = fd.nn.ReLU()
    x = np.empty((1, 2**22), np.float32)  # 16 MiB, of which the tape keeps one array a call
    layer._function = lambda x: np.empty_like(x)  # pages that nobody touches
    for _ in range(63):
        layer(x)
    with pytest.warns(UserWarning, match="ReLU: 64 forwards .* hold about 1,024 MiB"):
        layer(x)


def test_weights_that_all_hold_count_once():
    layer = fd.nn.Tanh()
    shared = np.empty((1, 2**22), np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(600):
            layer._tape.append((shared, np.zeros(3)))
    assert caught == []


def test_a_decoder_of_many_steps_is_no_leak():
    model = fd.nn.Linear(3, 2, rng=0)
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            for _ in range(800):
                model(X)
            for _ in range(800):
                model.backward(np.ones((4, 2), np.float32))
            optimizer.step()
    assert caught == []
    assert waiting(model) == 0


def test_a_refused_forward_leaves_nothing():
    words = fd.nn.EmbeddingDropout(fd.nn.Embedding(5, 2, rng=0), 5, 0.5, rng=1)
    dropped, connected = fd.nn.Dropout(0.5, rng=0), fd.nn.DropConnect(fd.nn.Linear(3, 2, rng=0), rng=0)
    for layer, wrong in ((words, np.array([7])), (dropped, [1.0]), (connected, np.ones((1, 9), np.float32))):
        state = layer.random_state()
        with pytest.raises((TypeError, ValueError)):
            layer(wrong)
        assert waiting(layer) == 0
        assert layer.random_state() == state
    connected(X)
    for _ in range(2):
        with pytest.raises(ValueError, match="dy"):
            connected.backward(X)
    assert not connected.layer.weight.written
    connected.backward(np.ones((4, 2), np.float32))


def test_repr_is_short():
    layer = fd.nn.Tanh()
    layer(np.ones((500, 500)))
    assert repr(layer._tape) == "<tape of Tanh: 1 forward without a backward>"
