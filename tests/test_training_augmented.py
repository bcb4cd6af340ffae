"""Batches that are changed at random: anew each epoch, the same again after an interruption."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd

X = np.arange(24.0, dtype=np.float32).reshape(12, 2)
Y = X.sum(1, keepdims=True)


def noisy(x, y, rng):
    return x + rng.normal(0, 0.1, x.shape), y


def changed(batches, epoch=0, start=0):
    return [x for x, _ in batches.iterate(epoch, start)]


@pytest.mark.parametrize(
    "data", [fd.training.Examples(X, Y, 4, seed=3), fd.training.ArrayBatches(X, Y, 4, seed=3), [(X, Y), (X, -Y)]]
)
def test_changes_depend_on_seed_epoch_and_number_alone(data):
    before = copy.deepcopy(data)
    batches = fd.training.Augmented(data, noisy, seed=5)
    assert len(batches) == len(data)
    first = changed(batches)
    assert np.array_equal(changed(batches, start=1), first[1:])  # what a resumed run sees
    assert not np.array_equal(changed(batches, 1), first)
    assert not np.array_equal(changed(fd.training.Augmented(data, noisy, seed=6)), first)
    for again in (copy.deepcopy(batches), pickle.loads(pickle.dumps(batches))):
        assert np.array_equal(changed(again), first)
    # The noise is small, other for each batch, and on the data's own order; the data themselves stay.
    plain = [x for x, _ in fd.training.Augmented(data, lambda x, y, _: (x, y)).iterate(0, 0)]
    noise = np.array(first) - np.array(plain)
    assert 0 < np.abs(noise).max() < 1
    assert not np.array_equal(noise[0], noise[1])
    now = [list(fd.training.Augmented(one, lambda x, y, _: (x, y))) for one in (before, data)]
    assert all(np.array_equal(a, b) for one, two in zip(*now, strict=True) for a, b in zip(one, two, strict=True))


def run(path, epochs, resume=False, seed=5):
    model = fd.nn.Linear(2, 1, rng=0)
    optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
    batches = fd.training.Augmented(fd.training.Examples(X, Y, 4, seed=3), noisy, seed)
    options = {"epochs": epochs, "checkpoint": path, "resume": resume, "progress": False}
    return fd.training.fit(model, optimizer, batches, loss=fd.mse_loss, **options)["loss"]


def test_a_resumed_run_is_that_of_one_never_interrupted(tmp_path):
    whole = run(tmp_path / "whole", 4)
    run(tmp_path / "part", 2)
    assert run(tmp_path / "part", 4, resume=True) == whole
    with pytest.raises(ValueError, match="changes"):
        run(tmp_path / "part", 5, resume=True, seed=6)


def test_what_is_wrong_is_refused_by_name():
    data = fd.training.Examples(X, Y, 4)
    for given, error, message in [
        (((X, Y), noisy), TypeError, "batches: got a pair .*Examples makes them"),
        ((iter([(X, Y)]), noisy), TypeError, "batches: got list_iterator"),
        ((data, None), TypeError, "change: got NoneType"),
        ((data, noisy, -1), ValueError, "seed"),
    ]:
        with pytest.raises(error, match=message):
            fd.training.Augmented(*given)
    with pytest.raises(TypeError, match="change: gave ndarray, expected a pair"):
        next(iter(fd.training.Augmented(data, lambda x, y, _: x)))
    with pytest.raises(ValueError, match="start"):
        changed(fd.training.Augmented(data, noisy), 0, -1)
    assert repr(fd.training.Augmented(data, noisy)).startswith("Augmented(Examples(12, batch_size=4")


def test_lengths_and_weights_of_targets_stay():
    x = [np.ones((steps, 2), np.float32) for steps in (3, 5, 4)]
    y = [np.arange(len(one)) % 2 for one in x]
    data = fd.training.Examples(x, y, 3, time_first=True, sample_weight=[1.0, 0.0, 2.0])
    batches = fd.training.Augmented(data, lambda x, y, rng: (x, 1 - y))
    model = fd.nn.Sequential(fd.nn.LSTM(2, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    flipped = fd.training.Examples(x, [1 - one for one in y], 3, time_first=True, sample_weight=[1.0, 0.0, 2.0])
    assert fd.training.evaluate(model, batches) == fd.training.evaluate(model, flipped)
