"""One rule for the lengths of sequences: integers in an array or a list, from 0 to T, wherever they are taken."""

import numpy as np
import pytest

import fastdl as fd

F = np.random.default_rng(0).standard_normal
X, LOGITS, TAGS = F((4, 2, 3)), F((4, 2, 5)), np.ones((4, 2), np.int64)
LABELS = np.array([[1, 2], [3, 1]])
LSTM = fd.nn.LSTM(3, 4, rng=0, dtype=np.float64)
GRU = fd.nn.GRU(3, 4, bidirectional=True, output="last", rng=0, dtype=np.float64)
CONV = fd.nn.Conv1d(3, 3, 2, padding="causal", rng=0, dtype=np.float64)
LINEAR = fd.nn.Linear(4, 3, rng=0, dtype=np.float64)
DOT, ADDITIVE = fd.nn.DotAttention().eval(), fd.nn.AdditiveAttention(3, 3, 4, rng=0, dtype=np.float64).eval()
WEIGHTS = [F((3, 16)), F((4, 16)), F(16)]
CALLS = {
    "LSTM": lambda n: LSTM.eval().forward(X, lengths=n),
    "GRU": lambda n: GRU.eval().forward(X, lengths=n),
    "lstm_forward": lambda n: fd.lstm_forward(X, np.zeros((2, 4)), np.zeros((2, 4)), *WEIGHTS, lengths=n)[0],
    "softmax_cross_entropy": lambda n: fd.softmax_cross_entropy(LOGITS, TAGS, lengths=n)[1],
    "ctc_loss": lambda n: fd.ctc_loss(LOGITS, LABELS, n, zero_infinity=True)[1],
    "ctc_greedy_decode": lambda n: np.concatenate(fd.ctc_greedy_decode(LOGITS, n)),
    "ctc_beam_search": lambda n: np.array([one[0][1] for one in fd.ctc_beam_search(LOGITS, n)]),
    "dot_attention": lambda n: fd.dot_attention_forward(X, X, X, n)[0],
    "additive_attention": lambda n: fd.additive_attention_forward(X, X, X, np.ones(3), n)[0],
    "DotAttention": lambda n: DOT.forward(X, X, n),
    "AdditiveAttention": lambda n: ADDITIVE.forward(X, X, n),
    "conv1d_forward": lambda n: fd.conv1d_forward(X, np.ones((2, 3, 4)), lengths=n),
    "max_pool1d_forward": lambda n: fd.max_pool1d_forward(X, 2, 1, lengths=n)[0],
    "batch_norm_forward": lambda n: fd.batch_norm_forward(X, lengths=n)[0],
    "Conv1d": lambda n: CONV.forward(X, lengths=n),
    "AvgPool1d": lambda n: fd.nn.AvgPool1d(2).eval().forward(X, lengths=n),
    "BatchNorm1d": lambda n: fd.nn.BatchNorm1d(3, dtype=np.float64).forward(X, lengths=n),
    "Sequential": lambda n: (
        fd.nn.Sequential(fd.nn.Residual(fd.nn.Sequential(CONV, LSTM, LINEAR))).eval().forward((X, n))
    ),
    "last_step": lambda n: fd.last_step(X, n),
}
FUNCTIONS = [name for name in CALLS if name[0].islower() and name not in ("ctc_greedy_decode", "ctc_beam_search")]


@pytest.mark.parametrize("lengths", [[3, 2], (3, 2), np.array([3, 2], np.uint8), np.array([2, 9, 3])[::-2]])
@pytest.mark.parametrize("name", CALLS)
def test_lists_and_arrays_of_any_integers(name, lengths):
    np.testing.assert_array_equal(CALLS[name](lengths), CALLS[name](np.array([3, 2])))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_reference_takes_the_same(name):
    expected = CALLS[name]([3, 2])
    with fd.backend("reference"):
        np.testing.assert_allclose(CALLS[name]([3, 2]), expected, rtol=1e-9, atol=1e-12)


BAD = [
    ([3, 5], ValueError, "got values from 3 to 5, expected [01] to 4"),
    ([-1, 2], ValueError, "got values from -1 to 2|got -1"),
    ([3], ValueError, r"got shape \(1,\), expected \(2,\)"),
    ([[3, 2]], ValueError, r"got shape \(1, 2\), expected \(2,\)"),
    (3, ValueError, r"got shape \(\), expected \(2,\)"),
    ([3.0, 2.0], TypeError, "got dtype float64, expected integers"),
    ([True, False], TypeError, "got dtype bool, expected integers"),
    ([2**64, 1], TypeError, "got dtype object, expected integers"),
    ("ab", TypeError, "got str"),
    ([[3], [1, 2]], TypeError, "got list"),
    (np.ma.array([3, 2]), TypeError, "got a masked array"),
]


@pytest.mark.parametrize(("lengths", "error", "message"), BAD)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_refused_is_refused_everywhere_in_the_same_words(name, lengths, error, message):
    with pytest.raises(error, match=f"lengths: (?:{message})"):
        CALLS[name](lengths)


def test_lengths_may_change_between_forward_and_backward():
    lengths = np.array([3, 2])
    gradients = []
    for change in (False, True):
        lengths[:] = 3, 2
        y = LSTM.train().forward(X, lengths=lengths)
        if change:
            lengths[:] = 99
        gradients.append(LSTM.backward(y))
    np.testing.assert_array_equal(*gradients)
