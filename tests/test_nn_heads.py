"""Heads over many classes: exact, sampled, adaptive; in fit, accumulated, tied, saved."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl.nn._sampling import draw_classes, log_expected

WORDS, WIDTH = 40, 6
EXACT = {"bias": True}


def model_with(head, seed=1, dtype=np.float64):
    return fd.nn.Sequential(
        fd.nn.Embedding(WORDS, WIDTH, rng=seed, dtype=dtype), fd.nn.LSTM(WIDTH, WIDTH, rng=seed, dtype=dtype), head
    )


def heads(dtype=np.float64):
    return {
        "exact": fd.nn.LinearCrossEntropy(WIDTH, WORDS, rng=0, dtype=dtype),
        "sampled": fd.nn.LinearCrossEntropy(WIDTH, WORDS, samples=12, rng=0, dtype=dtype),
        "adaptive": fd.nn.AdaptiveLogSoftmaxWithLoss(WIDTH, WORDS, [5, 15], 2.0, True, rng=0, dtype=dtype),
    }


def data(seed=0, steps=7, batch=4):
    x = np.random.default_rng(seed).integers(0, WORDS, (steps + 1, batch))
    return x[:-1], x[1:]


@pytest.mark.parametrize("kind", ["exact", "sampled", "adaptive"])
def test_gradients_agree_with_differences(kind):
    head = heads()[kind]
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(9, WIDTH)), rng.integers(0, WORDS, 9)
    state = head.random_state()

    def value(x):
        head.load_random_state(state)  # the same sample
        loss, gradient = head.loss(x, y)
        gradient.drop()
        return float(loss)

    loss, gradient = head.loss(x, y)
    assert loss.count == 9
    dx, h = gradient(2.0), 1e-6
    v = rng.normal(size=x.shape)
    assert (dx * v).sum() / 2 == pytest.approx((value(x + h * v) - value(x - h * v)) / (2 * h), rel=1e-6)
    for name, one in head.named_parameters():
        v, data = rng.normal(size=one.shape), one.data.copy()
        found = (one.grad * v).sum() / 2
        ends = []
        for step in (h, -h):
            one.data = data + step * v
            ends.append(value(x))
        one.data = data
        assert found == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-9), name


@pytest.mark.parametrize("kind", ["exact", "sampled", "adaptive"])
def test_the_loss_in_evaluation_is_that_of_log_prob(kind):
    head = heads()[kind].eval()
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 4, WIDTH)), rng.integers(0, WORDS, (3, 4))
    logs = head.log_prob(x)
    np.testing.assert_allclose(np.exp(logs).sum(-1), 1, rtol=1e-12)
    loss, gradient = head.loss(x, y)
    assert gradient is None
    assert loss == pytest.approx(-np.take_along_axis(logs, y[..., None], -1).mean(), rel=1e-12)
    np.testing.assert_array_equal(head.predict(x), logs.argmax(-1))
    weighed, _ = head.loss(x, y, lengths=[3, 1, 2, 0], weights=np.arange(12).reshape(3, 4))
    counts = np.where(np.arange(3)[:, None] < [3, 1, 2, 0], np.arange(12).reshape(3, 4), 0)
    assert weighed == pytest.approx(-(np.take_along_axis(logs, y[..., None], -1)[..., 0] * counts).sum() / counts.sum())


@pytest.mark.parametrize("tied", [False, True])
def test_fit_with_the_exact_head_is_fit_with_the_two_layers(tied):
    def built(head):
        words = fd.nn.Embedding(WORDS, WIDTH, rng=1)
        options = {"rng": 3, **({"tied": words} if tied else {})}
        return fd.nn.Sequential(words, fd.nn.LSTM(WIDTH, WIDTH, rng=2), head(WIDTH, WORDS, **options))

    values = []
    for head in (fd.nn.Linear, fd.nn.LinearCrossEntropy):
        model = built(head)
        loss = model[-1].loss if hasattr(model[-1], "loss") else fd.softmax_cross_entropy
        optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
        batches = [data(seed) for seed in range(6)]
        history = fd.training.fit(
            model, optimizer, batches, loss=loss, epochs=2, accumulate=2, max_norm=1.0, validation=batches[:1],
            progress=False,
        )  # fmt: skip
        values.append([*history["loss"], *history["validation_loss"]])
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_metrics_of_fit_see_the_features():
    model = model_with(heads()["exact"])
    head, optimizer = model[-1], fd.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"metrics\[0\]: got 'accuracy', expected a function of \(features, targets\)"):
        fd.training.fit(model, optimizer, [data()], loss=head.loss, metrics=["accuracy"], progress=False)

    def right(features, targets):
        return float((head.predict(features) == targets).mean())

    history = fd.training.fit(model, optimizer, [data()], loss=head.loss, metrics=[right], progress=False)
    assert 0 <= history["right"][0] <= 1


def test_a_gradient_is_taken_once_and_adds():
    head = heads()["exact"]
    x, y = np.ones((3, WIDTH)), np.array([1, 2, 3])
    _, first = head.loss(x, y)
    _, second = head.loss(x, y)
    first()
    once = head.linear.weight.grad.copy()
    second()
    np.testing.assert_allclose(head.linear.weight.grad, 2 * once)
    with pytest.raises(RuntimeError, match="taken before"):
        first()


def test_a_model_of_ones_own_copies_pickles_and_freezes():
    class Words(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.words = fd.nn.Embedding(WORDS, WIDTH, rng=0)
            self.head = fd.nn.LinearCrossEntropy(WIDTH, WORDS, samples=5, tied=self.words, rng=1)

        def forward(self, x):
            return self.head(np.tanh(self.words(x)))

    x, y = data()
    results = []
    original = Words()
    for model in (original, copy.deepcopy(original)):
        loss, gradient = model.head.loss(model(x), y)
        model.backward(gradient())
        results.append((float(loss), model.parameters().grad.copy()))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    head = pickle.loads(pickle.dumps(heads()["adaptive"]))
    assert head.log_prob(np.ones((2, WIDTH))).shape == (2, WORDS)
    head.freeze()
    head.loss(np.ones((2, WIDTH)), np.array([0, 30]))[1]()
    before = head.parameters().data.copy()
    fd.optim.SGD(head.parameters(), lr=1.0).step()
    np.testing.assert_array_equal(head.parameters().data, before)


def test_the_sample_is_drawn_by_rank_and_known_in_its_mean():
    rng, classes, count = fd.random.Generator(0), 200, 50
    seen, expected = np.zeros(classes), np.zeros(classes)
    for _ in range(400):
        drawn, tries = draw_classes(rng, count, classes)
        assert len(set(drawn.tolist())) == count
        seen[drawn] += 1 / 400
        expected += np.exp(log_expected(np.arange(classes), tries, classes)) / 400
    assert expected.sum() == pytest.approx(count, rel=0.02)
    np.testing.assert_allclose(seen, expected, atol=0.11)
    np.testing.assert_array_equal(draw_classes(rng, classes, classes)[0], np.arange(classes))


def test_a_sample_of_all_classes_is_the_exact_loss():
    exact, sampled = heads()["exact"], fd.nn.LinearCrossEntropy(WIDTH, WORDS, samples=WORDS, rng=0, dtype=np.float64)
    x, y = np.random.default_rng(0).normal(size=(5, WIDTH)), np.array([0, 3, 9, 9, 39])
    (one, pull), (other, draw) = exact.loss(x, y), sampled.loss(x, y)
    assert one == pytest.approx(other, rel=1e-12)
    np.testing.assert_allclose(pull(), draw(), atol=1e-14)
    np.testing.assert_allclose(exact.linear.weight.grad, sampled.linear.weight.grad, atol=1e-14)


def test_the_adaptive_head_is_torchs():
    torch = pytest.importorskip("torch")
    mine = fd.nn.AdaptiveLogSoftmaxWithLoss(8, 50, [5, 20], div_value=2.0, head_bias=True, rng=0)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 50, [5, 20], div_value=2.0, head_bias=True)
    theirs.load_state_dict({name: torch.tensor(one) for name, one in mine.state_dict().items()})
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 8)).astype(np.float32), rng.integers(0, 50, 30)
    inputs = torch.tensor(x, requires_grad=True)
    output = theirs(inputs, torch.tensor(y))
    output.loss.backward()
    loss, gradient = mine.loss(x, y)
    assert loss == pytest.approx(output.loss.item(), rel=1e-5)
    np.testing.assert_allclose(gradient(), inputs.grad, atol=1e-6)
    gradients = {name: one.grad.T for name, one in mine.named_parameters()}
    for name, one in theirs.named_parameters():
        np.testing.assert_allclose(gradients[name], one.grad, atol=1e-6)
    np.testing.assert_allclose(mine.log_prob(x), theirs.log_prob(torch.tensor(x)).detach(), atol=1e-5)
    np.testing.assert_array_equal(mine.predict(x), theirs.predict(torch.tensor(x)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fd.nn.LinearCrossEntropy(3, 4, samples=5), "samples: got 5"),
        (lambda: fd.nn.LinearCrossEntropy(3, 4, samples=2, label_smoothing=0.1), "label_smoothing: got 0.1"),
        (lambda: fd.nn.AdaptiveLogSoftmaxWithLoss(3, 9, []), r"cutoffs: got \[\]"),
        (lambda: fd.nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4, 4]), r"cutoffs: got \[4, 4\], expected increasing"),
        (lambda: fd.nn.AdaptiveLogSoftmaxWithLoss(3, 9, [9]), r"cutoffs\[0\]: got 9"),
        (lambda: heads()["exact"].loss(np.ones((2, WIDTH)), np.array([0, 40])), "targets: got values from 0 to 40"),
        (lambda: heads()["adaptive"].loss(np.ones((2, WIDTH), np.float32), np.array([0, 1])), "x: got dtype float32"),
        (lambda: heads()["adaptive"].forward(np.ones((2, 3))), r"x: got shape \(2, 3\)"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_refused_backward_leaves_the_forward_waiting():
    head = fd.nn.LinearCrossEntropy(3, 5, rng=0)
    y = head(np.ones((2, 3), np.float32))
    with pytest.raises(TypeError, match="input_gradient: "):
        head.backward(y, input_gradient={1})
    assert head.backward(y) is not None
