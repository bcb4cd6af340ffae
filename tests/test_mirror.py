"""The reference and the API agree: same names, parameters and defaults; and a whole model runs on either."""

import importlib
import inspect

import numpy as np
import pytest

import fastdl as fd

TOPICS = ["dense", "dropout", "norms", "optim", "random", "recurrent", "sequence"]


def mirrored_functions():
    for topic in TOPICS:
        module = importlib.import_module(f"fastdl.{topic}")
        for name in module.__all__ if hasattr(module, "__all__") else dir(module):
            value = getattr(module, name)
            # `mirrored` wraps the function: that is how one knows.
            if inspect.isfunction(value) and value.__code__.co_name == "choose":
                yield topic, name, value


@pytest.mark.parametrize(("topic", "name", "function"), [pytest.param(*row, id=row[1]) for row in mirrored_functions()])
def test_the_reference_has_the_same_signature(topic, name, function):
    twin = getattr(importlib.import_module(f"fastdl.reference.{topic}"), name)
    mine, theirs = inspect.signature(function), inspect.signature(twin)
    assert [(p.name, p.default, p.kind) for p in mine.parameters.values()] == [
        (p.name, p.default, p.kind) for p in theirs.parameters.values()
    ]


def test_every_function_of_the_first_topics_is_mirrored():
    names = {name for _, name, _ in mirrored_functions()}
    assert {
        "lstm_forward",
        "lstm_backward",
        "linear_forward",
        "softmax_cross_entropy",
        "dropout_forward",
    } <= names


def train(steps=3):
    model = fd.nn.Sequential(
        fd.nn.Embedding(11, 6, rng=0, dtype=np.float64),
        fd.nn.LSTM(6, 9, num_layers=2, dropout=0.3, rng=1, dtype=np.float64),
        fd.nn.Linear(9, 11, rng=2, dtype=np.float64),
    )
    optimizer = fd.optim.Adam(model.parameters(), lr=1e-2)
    x = np.arange(35).reshape(7, 5) % 11
    losses = []
    for _ in range(steps):
        loss, gradient = fd.softmax_cross_entropy(model.forward(x), (x + 1) % 11)
        model.backward(gradient)
        fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss)
    return losses, model.parameters().data.copy()


def test_a_model_trains_the_same_on_either_backend(level):
    losses, values = train()
    with fd.backend("reference"):
        assert fd.get_backend() == "reference"
        expected_losses, expected = train()
    assert fd.get_backend() == "compiled"
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-12)
    np.testing.assert_allclose(values, expected, atol=1e-11)
    assert losses[-1] < losses[0]


def test_unknown_backends_are_refused():
    with pytest.raises(ValueError, match="backend: got 'gpu'"), fd.backend("gpu"):
        pass
