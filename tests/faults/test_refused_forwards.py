"""A forward or a state that is refused leaves nothing behind, and its message says which argument was wrong."""

import copy
from typing import Any

import numpy as np
import pytest

import fastdl as fd

TOKENS, BAD = np.ones((3, 2), np.int64), np.array([1, 9])
VECTORS = np.ones((3, 2, 4), np.float32)


def tapes(model: Any) -> list[int]:
    return [len(one._tape) for _, one in model.named_modules()]


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (fd.models.Tagger(5, 2, hidden=4, rng=0), (TOKENS, BAD)),
        (fd.models.SequenceClassifier(4, 2, hidden=4, rng=0), (VECTORS, BAD)),
        (fd.models.Seq2Seq(5, 5, hidden=4, rng=0), (TOKENS, BAD, TOKENS)),
    ],
)
def test_bad_lengths_are_refused_by_name_before_a_layer_remembers(model: Any, x: Any) -> None:
    model.train()
    before = tapes(model), model.random_state()
    with pytest.raises(ValueError, match=r"^x\[1\]: "):
        model.forward(x)
    assert str((tapes(model), model.random_state())) == str(before)


def test_an_attention_that_refuses_lengths_remembers_nothing() -> None:
    layer = fd.nn.AdditiveAttention(4, 4, 3, rng=0)
    with pytest.raises(ValueError, match="^lengths: "):
        layer.forward(VECTORS, VECTORS, BAD)
    assert tapes(layer) == [0, 0, 0]


def test_the_two_halves_of_a_translator_name_their_own_arguments() -> None:
    model = fd.models.Seq2Seq(5, 5, hidden=4, rng=0)
    encoded, state = model.encode(TOKENS, np.array([3, 2]))
    with pytest.raises(TypeError, match="^sources: "):
        model.encode(TOKENS.astype(float), np.array([3, 2]))
    with pytest.raises(TypeError, match="^encoded: "):
        model.decode(TOKENS, state, float("nan"), np.array([3, 2]))
    with pytest.raises(ValueError, match="^tokens: "):
        model.decode(TOKENS + 99, state, encoded, np.array([3, 2]))


def test_what_is_neither_true_nor_false_is_no_flag() -> None:
    layer = fd.nn.LSTM(4, 3, rng=0)
    with pytest.raises(TypeError, match="^return_state: .*expected True or False"):
        layer.forward(VECTORS, return_state=np.ones(2))
    y = layer.forward(VECTORS, return_state=np.bool_(False))
    before = [one.grad.copy() for one in layer.parameters()]
    with pytest.raises(TypeError, match="^return_state: "):
        layer.backward(y, return_state=np.ones(2))
    assert all(np.array_equal(old, one.grad) for old, one in zip(before, layer.parameters(), strict=True))
    layer.backward(y)


@pytest.mark.parametrize("callback", [fd.training.EarlyStopping(), fd.training.SaveBest("x")])
@pytest.mark.parametrize("state", [{}, None, 3.0, {"best": 1.0, "waited": None}, {"best": "x"}])
def test_a_callback_refuses_a_state_that_is_not_its_own(callback: Any, state: Any) -> None:
    if isinstance(callback, fd.training.SaveBest) and state == {"best": 1.0, "waited": None}:
        return
    before = copy.deepcopy(vars(callback))
    with pytest.raises((TypeError, ValueError), match="^state"):
        callback.load_state_dict(state)
    assert vars(callback) == before
