"""The reference refuses what the kernels' functions refuse, writes once, and leaves other threads their kernels."""

import contextvars
import threading

import numpy as np
import pytest

import fastdl as fd
from fastdl import _dispatch
from fastdl._dispatch import kernels

ONES = np.ones((2, 3))
GATES = (np.ones((2, 1, 3)), np.zeros((1, 4)), np.ones((3, 12)), np.ones((4, 12)), np.zeros(16))
LSTM = (np.ones((2, 1, 3)), np.zeros((1, 4)), np.zeros((1, 4)), np.ones((3, 16)), np.ones((4, 16)), np.zeros(16))
LOGITS = np.zeros((2, 1, 3))
REFUSED = {
    "a matrix": lambda: fd.sigmoid(ONES.view(np.matrix)),
    "a masked array": lambda: fd.relu(np.ma.array([1.0])),
    "integers": lambda: fd.tanh(np.ones(2, int)),
    "a shape": lambda: fd.linear_forward(ONES, np.ones((2, 3))),
    "a class": lambda: fd.softmax_cross_entropy(ONES, np.array([0, 3])),
    "an index": lambda: fd.embedding_forward(np.array([-1]), ONES),
    "a reduction": lambda: fd.mse_loss(ONES, ONES, reduction="max"),
    "a probability": lambda: fd.dropout_forward(ONES, 1.5),
    "a probability within": lambda: fd.embedding_dropout(ONES, np.array([0, 1]), 3, 1.5),
    "a form": lambda: fd.dropout_forward(ONES, return_mask="words"),
    "an order": lambda: fd.lp(ONES, -1),
    "an order beside the short way": lambda: fd.norm(np.ones(3), "fro"),
    "lists": lambda: fd.norm([1.0, 2.0]),
    "a radius": lambda: fd.clip_by_global_norm_(ONES.copy(), -1),
    "a rate": lambda: fd.optim.sgd_update(np.ones(2), np.ones(2), lr=-1),
    "a rate of rows": lambda: fd.optim.sgd_update_rows(ONES.copy(), np.array([1, 0, 1]), np.ones((3, 3)), lr=-1),
    "an overlap": lambda: fd.linear_backward(GATES[1], GATES[1], GATES[3], out=(GATES[3], None)),
    "a mask behind lengths": lambda: fd.gru_forward(*GATES, lengths=[1], candidate_mask=np.ones(3)),
    "a weight behind lengths": lambda: fd.gru_forward(*GATES[:4], np.zeros(3), lengths=[1]),
    "an option": lambda: fd.lstm_forward(*LSTM, clip=-1.0),
    "a tape": lambda: fd.gru_backward(np.ones((2, 1, 4)), (1, 2)),
    "another cell's tape": lambda: fd.gru_backward(np.ones((2, 1, 4)), fd.lstm_forward(*LSTM)[2]),
    "a step too few": lambda: fd.last_step(np.ones((0, 1, 1))),
    "a label": lambda: fd.ctc_loss(LOGITS, np.array([[3]])),
    "lengths": lambda: fd.dot_attention_forward(LOGITS, LOGITS, LOGITS, lengths=[9]),
    "a row alone": lambda: fd.batch_norm_forward(ONES[:1]),
    "an average of the wrong size": lambda: fd.batch_norm_forward(ONES, None, None, np.ones(2), np.ones(2)),
    "a weight of another shape": lambda: fd.layer_norm_forward(ONES, np.ones(2)),
    "a window too long": lambda: fd.max_pool1d_forward(LOGITS, 3),
    "groups that do not fit": lambda: fd.conv1d_forward(LOGITS, np.ones((1, 3, 2)), groups=2),
    "an overlap of gradients": lambda: fd.conv1d_backward(LOGITS, LOGITS, np.ones((1, 3, 3)), (LOGITS[:1], None)),
    "words": lambda: fd.random.philox([1, 2], [3]),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_the_same_refusal_on_both_backends(call):
    said = {}
    for name in ("compiled", "reference"):
        with fd.backend(name), pytest.raises((TypeError, ValueError)) as caught:
            call()
        said[name] = (type(caught.value), str(caught.value))
    assert said["reference"] == said["compiled"]


def test_what_needs_no_kernel_is_written_once():
    with fd.backend("reference"):
        out = (np.empty((0, 2)), np.zeros(2))
        fd.linear_backward(np.ones((3, 2)), np.ones((3, 0)), np.ones((0, 2)), out=out, accumulate=True)
        assert out[1].tolist() == [3.0, 3.0]
        param = np.ones(2)
        fd.optim.sgd_update(param, np.ones(2), lr=0.5)
        assert param.tolist() == [0.5, 0.5]


def test_iterators_are_read_for_the_checks_and_for_the_result():
    with fd.backend("reference"):
        assert fd.global_norm(one for one in (np.full(1, 3.0), np.full(1, 4.0))) == 5.0


def test_a_context_kept_beyond_the_block_still_checks():
    with fd.backend("reference"):
        kept = contextvars.copy_context()
    w = np.array([3.0, 4.0])
    assert kept.run(fd.clip_by_global_norm_, w, 1.0) == 5.0
    np.testing.assert_allclose(w, [0.6, 0.8], rtol=1e-6)


def test_other_threads_have_their_kernels_while_one_checks():
    inside, go_on, found = threading.Event(), threading.Event(), []

    class Slow(list):
        def __iter__(self):
            inside.set()
            assert go_on.wait(10)
            return super().__iter__()

    def check():
        with fd.backend("reference"):
            found.append(fd.global_norm(Slow([np.full(1, 3.0), np.full(1, 4.0)])))

    thread = threading.Thread(target=check)
    thread.start()
    assert inside.wait(10)
    assert type(kernels) is not _dispatch._Kernels
    with fd.backend("compiled"):
        assert fd.global_norm([np.full(2, 1.0), np.full(2, 1.0)]) == 2.0
    go_on.set()
    thread.join()
    assert found == [5.0]
    assert type(kernels) is _dispatch._Kernels


@pytest.mark.parametrize("made", ["compiled", "reference"])
def test_a_tape_belongs_to_its_backend_and_says_so(made):
    other = "reference" if made == "compiled" else "compiled"
    with fd.backend(made):
        h, tape = fd.gru_forward(*GATES)
        assert type(tape) is fd.recurrent.RecurrentTape
        assert str(tape) == "RecurrentTape(GRU, 2 steps, batch 1, 4 outputs, float64)"
        assert tape.shape == (2, 1)
        assert np.shares_memory(tape.h, h)
        assert fd.gru_backward(np.ones_like(h), tape).dx.shape == (2, 1, 3)
    with fd.backend(other), pytest.raises(TypeError, match=f"tape: got that of the {made} backend"):
        fd.gru_backward(np.ones_like(h), tape)


@pytest.mark.parametrize("kind", [fd.nn.RNN, fd.nn.LSTM, fd.nn.GRU])
def test_curvature_at_a_recurrent_model_on_the_reference(kind):
    model = fd.nn.Sequential(kind(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    with fd.backend("reference"):
        point = fd.curvature.ModelPoint(model, np.ones((2, 1, 3), np.float32))
    assert point is not None
