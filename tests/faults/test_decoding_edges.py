"""Decoding at its edges: nothing to do, one class, one beam, states and steps of other shapes."""

from collections import namedtuple

import numpy as np
import pytest

import fastdl as fd

NOTHING = np.zeros(0, np.int64)
FLAT = lambda tokens, state: (np.zeros((tokens.size, 2)), state)  # noqa: E731
ONE = lambda tokens, state: (np.zeros((tokens.size, 1)), state)  # noqa: E731


def test_nothing_to_decode():
    assert fd.decode(FLAT, NOTHING, None, 3) == fd.beam_search(FLAT, NOTHING, None, 3) == []
    assert fd.ctc_greedy_decode(np.zeros((3, 0, 2))) == fd.ctc_beam_search(np.zeros((3, 0, 2))) == []
    assert [one.tolist() for one in fd.ctc_greedy_decode(np.zeros((0, 2, 3)))] == [[], []]
    assert [(one[0][0].tolist(), one[0][1]) for one in fd.ctc_beam_search(np.zeros((0, 2, 3)))] == [([], 0.0)] * 2
    assert fd.sample(np.zeros((0, 3)), rng=0).shape == (0,)
    assert [one.tolist() for one in fd.decode(FLAT, np.array([0]), None, 0)] == [[]]
    assert [(one[0][0].tolist(), one[0][1]) for one in fd.beam_search(FLAT, np.array([0]), None, 0)] == [([], 0.0)]


def test_one_class_and_one_beam():
    assert fd.sample(np.zeros((2, 1)), rng=0).tolist() == [0, 0]
    found = fd.beam_search(ONE, np.array([0]), None, 3, width=4)
    assert [(one.tolist(), score) for one, score in found[0]] == [([0, 0, 0], 0.0)]
    step = lambda tokens, state: (np.eye(3)[(tokens + 1) % 3], state)  # noqa: E731
    wide = fd.beam_search(step, np.array([0, 1]), None, 4, width=1)
    assert [one[0][0].tolist() for one in wide] == [x.tolist() for x in fd.decode(step, np.array([0, 1]), None, 4)]
    assert fd.ctc_beam_search(np.zeros((3, 1, 1)))[0][0][0].size == 0


@pytest.mark.parametrize("penalty", [0.0, 1.0, 1e3, 1e308])
def test_any_length_penalty_gives_scores(penalty):
    scores = [score for _, score in fd.beam_search(FLAT, np.array([0]), None, 3, width=2, length_penalty=penalty)[0]]
    assert len(scores) == 2
    assert not np.isnan(scores).any()


def test_a_step_may_write_into_the_tokens_it_gets():
    def step(tokens, state):
        logits = np.eye(4)[(tokens + 1) % 4]
        tokens[:] = 0
        return logits, state

    assert fd.decode(step, np.array([0]), None, 3)[0].tolist() == [1, 2, 3]


def test_states_of_all_kinds_follow_their_sequences():
    State = namedtuple("State", "h c")
    before = {"lists": [np.arange(2.0)], "named": State(np.zeros((3, 2, 4)), None)}

    def step(tokens, state):
        assert isinstance(state["named"], State)
        assert state["lists"][0].shape == (6,)
        return np.zeros((tokens.size, 3)), state

    assert len(fd.beam_search(step, np.array([0, 1]), before, 3, width=3)) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fd.beam_search(FLAT, np.array([0]), np.zeros((2, 2)), 3), r"state: got an array of shape \(2, 2\)"),
        (lambda: fd.beam_search(FLAT, np.array([0]), np.zeros(()), 3), r"state: got an array of shape \(\)"),
        (lambda: fd.beam_search(FLAT, np.array([0]), 5, 3), "state: got int"),
        (lambda: fd.beam_search(FLAT, np.array([0]), None, 3, end=2), "end: got 2, expected from 0 to 1"),
        (lambda: fd.decode(FLAT, np.array([0]), None, 3, end=2), "end: got 2, expected from 0 to 1"),
        (lambda: fd.decode(FLAT, np.array([0]), None, 3, end=-1), "end: got -1, expected at least 0"),
        (lambda: fd.decode(FLAT, np.array([0]), None, 2**40), "max_length: got 1099511627776, expected from 0"),
        (lambda: fd.decode(lambda t, s: None, np.array([0]), None, 3), "step: returned NoneType"),
        (lambda: fd.decode(lambda t, s: np.zeros((2, 2)), np.array([0]), None, 3), "step: returned ndarray"),
        (lambda: fd.decode(lambda t, s: ([[0.0]], s), np.array([0]), None, 3), "step's logits: got list"),
        (
            lambda: fd.decode(lambda t, s: (np.zeros((1, 2), int), s), np.array([0]), None, 3),
            "step's logits: got",
        ),
        (lambda: fd.decode(lambda t, s: (np.zeros((1, 0)), s), np.array([0]), None, 3), r"step's logits: got shape"),
        (lambda: fd.beam_search(FLAT, [0], None, 3), "tokens: got list"),
        (lambda: fd.beam_search(FLAT, np.array([0]), None, 3, length_penalty=np.inf), "length_penalty: got inf"),
        (lambda: fd.sample(np.zeros((2, 3), int)), "logits: got dtype int64"),
        (lambda: fd.sample([0.0, 1.0]), "logits: got list"),
        (lambda: fd.last_step_backward(np.ones((2, 1)), -1), "T: got -1, expected at least 1"),
        (lambda: fd.ctc_loss(np.zeros((3, 2, 4)), np.array([1, 2, 3])), r"targets: got shape \(3,\).*padded"),
        (lambda: fd.ctc_loss(np.zeros((3, 2, 4)), [[1], [2]]), "targets: got list"),
        (lambda: fd.nn.monte_carlo(3, np.ones(2)), "model: got int, expected a layer"),
        (lambda: fd.models.CharLM.load(5), "path: got int"),
    ],
)
def test_refusals_name_what_is_wrong(call, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()


@pytest.mark.parametrize(
    "change",
    [
        {"settings": "[" * 100_000},
        {"vocabulary": "[" * 100_000},
        {"settings": '{"embedding": 2, "hidden": 2, "layers": 1, "dropout": 1' + "0" * 400 + "}"},
        {"settings": '{"embedding": Infinity, "hidden": 2, "layers": 1, "dropout": 0}'},
        {"settings": '{"embedding": "\\u001b[2J' + "a" * 10**6 + '", "hidden": 2, "layers": 1, "dropout": 0}'},
        {"model": "\x1b]0;" + "a" * 10**6},
    ],
)
def test_a_hostile_model_file_is_a_short_value_error(tmp_path, change):
    path = tmp_path / "m"
    fd.models.CharLM(fd.text.Vocabulary("abc"), 2, 2, rng=0).save(path)
    arrays, metadata = fd._safetensors.load(path)
    fd._safetensors.save(path, arrays, metadata | change)
    with pytest.raises(ValueError, match="not a character model") as caught:
        fd.models.CharLM.load(path)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()
