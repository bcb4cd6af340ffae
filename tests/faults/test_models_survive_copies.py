"""Copied, pickled, loaded and resumed: every model predicts, and trains on, as the one it came from."""

import copy
import pickle

import numpy as np
import pytest
from model_cases import CASES, same

import fastdl as fd

WAYS = {
    "deepcopy": lambda model, case: copy.deepcopy(model),
    "pickle": lambda model, case: pickle.loads(pickle.dumps(model)),
    "state_dict": lambda model, case: _loaded(model, case),
}


def _loaded(model, case):
    other = case.make()
    for parameter in other.parameters():
        parameter.data = parameter.data + 1
    other.load_state_dict(model.state_dict())
    other.load_random_state(model.random_state())
    return other


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_a_copy_predicts_and_trains_as_the_original(name, way):
    case = CASES[name]
    model = case.make()
    case.fit(model, epochs=2) if case.fit else case.train(model, epochs=2)
    other = WAYS[way](model, case)
    assert same(model, other)
    np.testing.assert_array_equal(case.ask(other), case.ask(model))
    before = model.state_dict()
    losses = case.train(other, epochs=2).losses
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())  # apart
    assert case.train(model, epochs=2).losses == losses
    assert same(model, other)
    if case.fit:
        options = {"epochs": 2, "warm_start": True}
        assert case.fit(other, **options).losses == case.fit(model, **options).losses
        assert same(model, other)


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_run_is_the_run_that_was_not_interrupted(name, tmp_path):
    case = CASES[name]
    straight, stopped, resumed = case.make(), case.make(), case.make()
    losses = case.train(straight, epochs=4).losses
    options = {"checkpoint": tmp_path / "c.safetensors"}
    case.train(stopped, epochs=2, **options)
    assert case.train(resumed, epochs=4, resume=True, **options).losses == losses
    assert same(straight, resumed)
    np.testing.assert_array_equal(case.ask(resumed), case.ask(straight))


@pytest.mark.parametrize("name", ["Tagger", "Seq2Seq"])
def test_padding_counts_nothing_in_what_fit_reports(name):
    case = CASES[name]
    model = case.make()
    history = case.fit(model, epochs=1, batch_size=4)
    ((_, targets),) = case.batches(model)
    assert history["tokens"] == [int((targets != -1).sum())]
    together = fd.training.evaluate(model, case.batches(model), loss=case.loss)
    logits = _evaluated(model, case)
    expected, _ = fd.softmax_cross_entropy(logits, targets, ignore_index=-1)
    assert together == pytest.approx(float(expected), rel=1e-6)


def _evaluated(model, case):
    ((x, _),) = case.batches(model)
    return model.eval().forward(x)
