"""Logits from which nothing can be chosen are refused, by whatever would choose."""

import warnings

import numpy as np
import pytest
from model_cases import CASES

import fastdl as fd

NAN, INF = np.nan, np.inf
BAD = {
    "nan": [0.0, NAN, 1.0],
    "nan alone": [NAN, NAN, NAN],
    "infinity": [0.0, INF, 1.0],
    "minus infinity alone": [-INF, -INF, -INF],
}
STEPS = np.zeros((4, 2, 3))


def rows(bad, shape):
    logits = np.zeros((*shape, 3))
    logits[(-1,) * len(shape)] = bad
    return logits


CALLS = {
    "sample": lambda bad: fd.sample(rows(bad, (2,)), rng=0),
    "sample one row": lambda bad: fd.sample(np.array(bad), rng=0),
    "sample float32": lambda bad: fd.sample(rows(bad, (2, 2)).astype(np.float32), rng=0),
    "sample the likeliest": lambda bad: fd.sample(rows(bad, (2,)), 0),
    "sample top_k": lambda bad: fd.sample(rows(bad, (2,)), top_k=1, rng=0),
    "decode": lambda bad: fd.decode(lambda t, s: (rows(bad, t.shape), s), np.array([0, 1]), None, 3),
    "beam_search": lambda bad: fd.beam_search(lambda t, s: (rows(bad, t.shape), s), np.array([0]), None, 3, width=1),
    "ctc_greedy_decode": lambda bad: fd.ctc_greedy_decode(rows(bad, (4, 2))),
    "ctc_beam_search": lambda bad: fd.ctc_beam_search(rows(bad, (4, 2))),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("call", CALLS)
def test_functions_refuse(call, bad):
    with pytest.raises(ValueError, match=r"logits.*: got (nan|inf|-inf alone), expected"):
        CALLS[call](BAD[bad])


def test_a_refusal_names_the_row():
    with pytest.raises(ValueError, match=r"^logits\[3, 1\]: got nan, expected"):
        fd.ctc_beam_search(rows([0, NAN, 0], (4, 2)))


@pytest.mark.parametrize("name", CASES)
def test_models_refuse(name):
    model = CASES[name].make()
    for _, parameter in model.named_parameters():
        parameter.data = np.full(parameter.shape, NAN, np.float32)
    if name == "Forecaster":  # no choice: its forecasts are numbers, and NaN says that there is none
        assert np.isnan(CASES[name].ask(model)).all()
        return
    with pytest.raises(ValueError, match="logits.*: got nan, expected"):
        CASES[name].ask(model)


# ---- what is not wrong ------------------------------------------------------------------------------
def test_minus_infinity_is_impossible_and_no_more():
    logits = np.array([[-INF, 0.0, -INF], [0.0, -INF, 0.0]])
    for temperature in (0.0, 1e-320, 1.0, INF):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            drawn = fd.sample(logits.repeat(50, 0), temperature, rng=0)
        assert (drawn[:50] == 1).all()
        assert (drawn[50:] != 1).all()
    log_p = logits[:, None].repeat(2, 1)
    assert [one.tolist() for one in fd.ctc_greedy_decode(log_p)] == [[1], [1]]
    for labels, score in fd.ctc_beam_search(log_p)[0]:
        assert score == pytest.approx(-fd.ctc_loss(log_p[:, :1], labels[None], reduction="none")[0][0])


def test_an_infinite_temperature_is_uniform_and_a_tiny_one_takes_the_likeliest():
    logits = np.array([[9.0, 0.0, -700.0]]).repeat(3000, 0)
    assert np.bincount(fd.sample(logits, INF, rng=0)).min() > 900
    assert (fd.sample(logits, 5e-324, rng=0) == 0).all()
    assert (fd.sample(np.array([[1e308, -1e308]]), rng=0) == 0).all()


def test_what_is_not_read_may_be_anything():
    logits = np.zeros((4, 2, 3))
    logits[:, :, 1] = 2
    expected = fd.ctc_beam_search(logits[:2, 1:]), fd.ctc_greedy_decode(logits[:2, 1:])
    logits[2:, 1] = NAN
    assert fd.ctc_greedy_decode(logits, [4, 2])[1].tolist() == expected[1][0].tolist()
    got = fd.ctc_beam_search(logits, [4, 2])[1]
    assert [(one.tolist(), p) for one, p in got] == [(one.tolist(), p) for one, p in expected[0][0]]


@pytest.mark.parametrize("search", [False, True])
def test_a_sequence_that_has_ended_is_not_asked_for(search):
    """A table of log p has nothing after the end: all -inf, or NaN."""
    table = np.array([[-INF, 0.0, -1.0], [NAN, NAN, NAN], [-INF, 0.0, -INF]])
    step = lambda tokens, state: (table[tokens], state)  # noqa: E731
    first = np.array([0, 2, 0])
    if search:
        found = [one[0][0].tolist() for one in fd.beam_search(step, first, None, 5, end=1, width=2)]
    else:
        found = [one.tolist() for one in fd.decode(step, first, None, 5, end=1)]
    assert found == [[], [], []]


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_loss_of_nan_is_nan_and_only_where_it_is(backend):
    logits = np.random.default_rng(0).standard_normal((4, 2, 3))
    targets = np.array([[1, 2], [2, 1]])
    with fd.backend(backend):
        clean, _ = fd.ctc_loss(logits, targets, reduction="none")
        for bad in (BAD["nan"], BAD["infinity"], BAD["minus infinity alone"]):
            spoilt = logits.copy()
            spoilt[1, 0] = bad
            losses, gradient = fd.ctc_loss(spoilt, targets, reduction="none")
            assert np.isnan(losses[0])
            assert losses[1] == clean[1]
            assert np.isnan(gradient[:, 0]).any()
            assert np.isfinite(gradient[:, 1]).all()


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_attention_does_not_read_past_the_lengths(backend):
    rng = np.random.default_rng(0)
    query, keys, values, v = (rng.standard_normal(shape) for shape in ((2, 2, 3), (4, 2, 3), (4, 2, 2), 3))
    with fd.backend(backend):
        for own in ((), (v,)):
            forward = fd.additive_attention_forward if own else fd.dot_attention_forward
            backward = fd.additive_attention_backward if own else fd.dot_attention_backward
            results = []
            for past in (0.0, NAN):
                keys[3, 0], values[3, 0] = past, past
                context, weights = forward(query, keys, values, *own, [3, 4])
                results.append([context, weights, *backward(context, weights, query, keys, values, *own, [3, 4])])
            for one, other in zip(*results, strict=True):
                np.testing.assert_array_equal(one, other)
