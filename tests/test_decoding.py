"""Sampling, greedy decoding and beam search, against brute force and exact probabilities."""

import itertools

import numpy as np
import pytest

import fastdl as fd


def chain(classes, seed=0):
    """A Markov chain's log probabilities, and its step function."""
    log_p = np.log(np.random.default_rng(seed).dirichlet(np.ones(classes), classes))
    return log_p, lambda tokens, state: (log_p[tokens], state)


def test_sampling_frequencies_are_the_probabilities():
    p = np.array([0.05, 0.5, 0.25, 0.2])
    logits = np.broadcast_to(np.log(p), (200, 100, 4))
    for options, wanted in [
        ({}, p),
        ({"temperature": 0.5}, p**2),
        ({"top_k": 2}, p * [0, 1, 1, 0]),
        ({"top_p": 0.6}, p * [0, 1, 1, 0]),
        ({"top_p": 0.5}, [0, 1, 0, 0]),
        ({"top_p": 1.0}, p),
        ({"top_k": 3, "top_p": 0.53}, p * [0, 1, 1, 0]),  # of the three's mass the first has 0.526
        ({"temperature": 0}, [0, 1, 0, 0]),
    ]:
        drawn = fd.sample(logits, rng=1, **options)
        assert drawn.shape == (200, 100)
        counts = np.bincount(drawn.ravel(), minlength=4)
        assert not counts[np.asarray(wanted) == 0].any()
        np.testing.assert_allclose(counts / drawn.size, wanted / np.sum(wanted), atol=0.015)


def test_sampling_takes_any_leading_axes_and_refuses_bad_arguments():
    assert fd.sample(np.array([0.0, 9.0]), temperature=0).shape == ()
    assert fd.sample(np.zeros((0, 3)), rng=0).shape == (0,)
    assert (fd.sample(np.array([[-np.inf, 0, -np.inf]] * 50), rng=0) == 1).all()
    for options, message in [
        ({"temperature": -1}, r"temperature: got -1, expected a number in \[0"),
        ({"top_k": 0}, "top_k: got 0, expected at least 1"),
        ({"top_p": 0.0}, r"top_p: got 0.0, expected a number in \(0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            fd.sample(np.zeros(3), **options)
    with pytest.raises(ValueError, match=r"logits: got shape \(\)"):
        fd.sample(np.array(1.0))


def test_decoding_greedily_and_by_sampling():
    log_p, step = chain(4)
    first = np.array([0, 1, 2])
    for start, found in zip(first, fd.decode(step, first, None, 6), strict=True):
        assert found.size == 6
        for before, token in zip([start, *found], found, strict=False):
            assert token == log_p[before].argmax()
    drawn = fd.decode(step, np.zeros(3000, int), None, 2, temperature=1.0, rng=0)
    pairs = np.bincount([4 * one + two for one, two in drawn], minlength=16) / 3000
    np.testing.assert_allclose(pairs, np.exp(log_p[0][:, None] + log_p).ravel(), atol=0.03)
    ended = fd.decode(step, np.zeros(500, int), None, 9, end=3, temperature=1.0, rng=0)
    assert all((found != 3).all() for found in ended)
    share = np.mean([found.size == 0 for found in ended])
    np.testing.assert_allclose(share, np.exp(log_p[0, 3]), atol=0.06)
    assert [found.size for found in fd.decode(step, first, None, 0)] == [0, 0, 0]


def enumerate_sequences(log_p, start, end, penalty):
    """All (score, tokens) of a chain with matrices log_p, one a step: those that end, and those that run through."""
    results = []
    for n in range(1, len(log_p) + 1):
        for tokens in itertools.product(range(3), repeat=n):
            if end in tokens[:-1] or (n < len(log_p) and tokens[-1] != end):
                continue
            total = sum(
                log_p[t, before, token]
                for t, (before, token) in enumerate(zip((start, *tokens[:-1]), tokens, strict=True))
            )
            results.append((total / ((5 + n) / 6) ** penalty, [token for token in tokens if token != end]))
    return sorted(results, reverse=True)


@pytest.mark.parametrize("end", [None, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_what_enumeration_finds(end, penalty):
    log_p = np.log(np.random.default_rng(5).dirichlet(np.ones(3), (4, 3)))

    def step(tokens, state):
        return log_p[state, tokens], state + 1

    arguments = np.array([0, 1]), np.zeros(2, int), 4, end
    found = fd.beam_search(step, *arguments, width=90, length_penalty=penalty)
    for start, results in zip((0, 1), found, strict=True):
        wanted = enumerate_sequences(log_p, start, end, penalty)
        assert len(results) == len(wanted)
        np.testing.assert_allclose([score for _, score in results], [score for score, _ in wanted], rtol=1e-12)
        assert [tokens.tolist() for tokens, _ in results] == [tokens for _, tokens in wanted]


def test_a_beam_of_one_is_greedy_and_a_wider_one_no_worse():
    log_p, step = chain(6, seed=1)
    first = np.arange(6)
    greedy = fd.decode(step, first, None, 8)
    narrow, wide = (fd.beam_search(step, first, None, 8, width=width) for width in (1, 20))
    for start in first:
        tokens, score = narrow[start][0]
        np.testing.assert_array_equal(tokens, greedy[start])
        np.testing.assert_allclose(score, log_p[[start, *tokens[:-1]], tokens].sum(), rtol=1e-12)
        assert wide[start][0][1] >= score
        # The likeliest path of a chain is known: Viterbi's.
        best = log_p[start]
        for _ in range(7):
            best = (best[:, None] + log_p).max(0)
        np.testing.assert_allclose(wide[start][0][1], best.max(), rtol=1e-12)


def test_the_state_follows_its_sequence():
    """The state carries the tokens so far, nested, with the batch on the last axis but one and on the only one."""

    def step(tokens, state):
        (seen, rows), rest = state["seen"], state["rest"]
        seen = np.concatenate([seen, tokens[None, :, None].astype(float)])
        history.append(seen[:, :, 0].T)
        return np.sin(seen.sum((0, 2))[:, None] * np.arange(1, 5) + rows[:, None]), {"seen": (seen, rows), "rest": rest}

    history = []
    state = {"seen": (np.zeros((0, 2, 1)), np.array([0.0, 1.0])), "rest": [None]}
    both = fd.beam_search(step, np.array([1, 2]), state, 5, width=3)
    for b, results in enumerate(both):
        alone = {"seen": (np.zeros((0, 1, 1)), np.array([float(b)])), "rest": [None]}
        single = fd.beam_search(step, np.array([b + 1]), alone, 5, width=3)[0]
        for (tokens, score), (other, other_score) in zip(results, single, strict=True):
            np.testing.assert_array_equal(tokens, other)
            assert score == pytest.approx(other_score, rel=1e-12)
    assert all((seen[:3, 0] == 1).all() and (seen[3:, 0] == 2).all() for seen in history[:5])


def test_decoding_refuses_bad_arguments():
    _, step = chain(3)
    tokens = np.zeros(2, int)
    for function in (fd.decode, fd.beam_search):
        for arguments, error, message in [
            ((None, tokens, None, 3), TypeError, "step: got NoneType, expected a callable"),
            ((step, [0, 1], None, 3), TypeError, "tokens: got list, expected a numpy array of integers"),
            ((step, tokens[None], None, 3), ValueError, r"tokens: got shape \(1, 2\), expected \(any,\)"),
            ((step, tokens, None, -1), ValueError, "max_length: got -1, expected at least 0"),
            (
                (lambda tokens, state: (np.zeros(3), state), tokens, None, 3),
                ValueError,
                r"step's logits: got shape \(3,\)",
            ),
        ]:
            with pytest.raises(error, match=message):
                function(*arguments)
    with pytest.raises(TypeError, match="state: got str, expected arrays"):
        fd.beam_search(step, tokens, "state", 3)
    with pytest.raises(ValueError, match="width: got 0, expected at least 1"):
        fd.beam_search(step, tokens, None, 3, width=0)
