"""A loss that is weighed, or to which something is added, still says how many targets it stands for."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import fastdl as fd

tokens = np.random.default_rng(0).integers(0, 7, (6, 4))
targets = tokens % 3
targets[2:, 0] = targets[5:, 1] = targets[1:, 2] = -1


def entropy(outputs, targets):
    return fd.softmax_cross_entropy(outputs, targets, ignore_index=-1)


WRITTEN = {
    "2 * loss": (lambda v: 2 * v, 2),
    "loss / 2": (lambda v: v / 2, 0.5),
    "loss + 1": (lambda v: v + 1, 1),
    "0.0 + loss": (lambda v: 0.0 + v, 1),
    "-(0 - loss)": (lambda v: -(0 - v), 1),
    "loss + 0.5 * loss": (lambda v: v + 0.5 * v, 1.5),
    "3 - loss": (lambda v: 3 - v, -1),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_accumulation_weighs_by_what_counts(written):
    of, factor = WRITTEN[written]

    def loss(outputs, targets):
        value, gradient = entropy(outputs, targets)
        return of(value), gradient * np.float32(factor)

    found = []
    for cuts in ([0, 1, 3, 4], [0, 4]):
        batches = [(tokens[:, a:b], targets[:, a:b]) for a, b in itertools.pairwise(cuts)]
        model = fd.nn.Sequential(fd.nn.Embedding(7, 5, rng=0), fd.nn.Linear(5, 3, rng=1))
        optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
        options = {"loss": loss, "accumulate": len(batches), "progress": False}
        history = fd.training.fit(model, optimizer, batches, **options)
        found.append((model.parameters().data.copy(), history["loss"], history["tokens"]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1])
    assert found[0][2] == found[1][2] == [14]


def test_what_has_no_single_count_is_a_plain_float():
    few, many = fd.dense.LossValue(1.5, count=4), fd.dense.LossValue(2.0, count=5)
    assert type(few + many) is type(few * many) is type(1 / few) is type(few**2) is float
    assert type(few + fd.dense.LossValue(1.0, 4, "sum")) is float
    assert few + many == 3.5
    for one in (few, copy.deepcopy(few), pickle.loads(pickle.dumps(few))):
        assert (one * 2, (one * 2).count) == (3.0, 4)
    assert np.array_equal(few * np.ones(2), [1.5, 1.5])
