"""Means are over the targets that count, whatever the split into batches."""

import copy
import functools
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl.curvature._losses import loss_at
from fastdl.training import Callback, EarlyStopping, evaluate, fit

IGNORE = functools.partial(fd.softmax_cross_entropy, ignore_index=-1)
RNG = np.random.default_rng(0)
T, B, F, C = 9, 6, 3, 5
X = RNG.standard_normal((T, B, F)).astype(np.float32)
LENGTHS = np.array([9, 1, 3, 7, 2, 5])
Y = np.where(np.arange(T)[:, None] < LENGTHS, RNG.integers(0, C, (T, B)), -1)
SPLITS = [[6], [1, 5], [2, 4], [3, 2, 1], [1] * 6]


def pieces(split):
    ends = np.cumsum(split)
    return [(X[:, end - size : end], Y[:, end - size : end]) for size, end in zip(split, ends, strict=True)]


def run(split, loss=IGNORE, **options):
    model = fd.nn.Linear(F, C, rng=1)
    optimizer = fd.optim.SGD(model.parameters(), lr=0.5)
    options = {"accumulate": len(split), "epochs": 3, "progress": False} | options
    return model, fit(model, optimizer, pieces(split), loss=loss, **options)


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_any_split_of_a_padded_batch_is_one_step(split, reduction, backend):
    loss = functools.partial(IGNORE, reduction=reduction)
    with fd.backend(backend):
        whole, expected = run([6], loss)
        parts, history = run(split, loss, max_norm=1e9)
        np.testing.assert_allclose(parts.parameters().data, whole.parameters().data, rtol=2e-5, atol=2e-6)
        assert history.losses == pytest.approx(expected.losses, rel=1e-5)
        assert history["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert history["tokens"] == expected["tokens"] == [27, 54, 81]
        assert evaluate(whole, pieces(split), loss=loss) == pytest.approx(
            evaluate(whole, [(X, Y)], loss=IGNORE), rel=1e-6
        )


def test_history_and_validation_weigh_what_counts():
    model, history = run([2, 4], accumulate=1, epochs=1, validation=pieces([1, 5]))
    first, second = history.losses
    assert history["loss"] == pytest.approx([(10 * first + 17 * second) / 27])
    assert history["validation_loss"] == pytest.approx([float(IGNORE(model(X), Y)[0])], rel=1e-6)


def test_a_plain_float_counts_all_numbers_or_what_count_says():
    def plain(z, y):
        value, gradient = IGNORE(z, y)
        return float(value), gradient

    whole, _ = run([6], plain)
    counted, history = run([2, 4], plain, count=lambda y: (y != -1).sum())
    blind, _ = run([2, 4], plain)
    np.testing.assert_allclose(counted.parameters().data, whole.parameters().data, rtol=2e-5, atol=2e-6)
    assert not np.allclose(blind.parameters().data, whole.parameters().data, rtol=1e-2)
    assert history["tokens"] == [27, 54, 81]
    values = [plain(whole(x), y)[0] for x, y in pieces([2, 4])]
    assert evaluate(whole, pieces([2, 4]), loss=plain) == pytest.approx(np.average(values, weights=[2, 4]))
    weighted = evaluate(whole, pieces([2, 4]), loss=plain, count=lambda y: float((y != -1).sum()) / 2)
    assert weighted == pytest.approx(np.average(values, weights=[10, 17]))


def test_a_loss_of_ones_own_may_carry_its_count():
    def masked(z, y):
        real = ~np.isnan(y)
        difference = np.where(real, z - np.where(real, y, 0), 0).astype(np.float32)
        count = int(real.sum())
        return fd.dense.LossValue((difference**2).sum() / count, count), 2 * difference / np.float32(count)

    x, y = X.reshape(-1, F), np.where(Y.reshape(-1, 1) < 0, np.nan, Y.reshape(-1, 1)).astype(np.float32)
    results = []
    for split in ([54], [10, 44]):
        model = fd.nn.Linear(F, 1, rng=0)
        batches = list(zip(np.split(x, split[:-1]), np.split(y, split[:-1]), strict=True))
        optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
        fit(model, optimizer, batches, loss=masked, accumulate=len(split), progress=False)
        results.append(model.parameters().data.copy())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)


def test_the_mean_of_ctc_and_of_lengths_do_not_depend_on_the_split():
    targets, inputs = RNG.integers(1, C, (B, 3)), np.array([9, 8, 9, 7, 9, 9])
    labels = np.array([3, 1, 2, 3, 1, 2])
    z = RNG.standard_normal((T, B, C))

    def ctc(part):
        return fd.ctc_loss(z[:, part], targets[part], inputs[part], labels[part])[0]

    def entropy(part):
        return fd.softmax_cross_entropy(z[:, part], np.abs(Y[:, part]), lengths=LENGTHS[part])[0]

    for backend in ("compiled", "reference"):
        for loss, count in ((ctc, 6), (entropy, 27)):
            with fd.backend(backend):
                whole, one, two = loss(slice(None)), loss(slice(0, 2)), loss(slice(2, None))
            assert type(whole) is fd.dense.LossValue
            assert whole.count == one.count + two.count == count
            assert (one * one.count + two * two.count) / count == pytest.approx(whole, rel=1e-12)


def test_a_loss_value_is_a_float():
    for backend in ("compiled", "reference"):
        with fd.backend(backend):
            loss = fd.mse_loss(np.ones((2, 3)), np.zeros((2, 3)))[0]
            empty = fd.mse_loss(np.ones((0, 3)), np.zeros((0, 3)), "sum")[0]
        assert (loss, loss.count, loss.reduction, repr(loss)) == (1.0, 6, "mean", "1.0")
        assert (empty, empty.count, empty.reduction) == (0.0, 0, "sum")
        for twin in [copy.copy(loss), copy.deepcopy(loss)] + [pickle.loads(pickle.dumps(loss, k)) for k in range(6)]:
            assert (type(twin), twin, twin.count, twin.reduction) == (type(loss), 1.0, 6, "mean")
        for result in (loss + 1, 2 * loss, -loss, +loss, sum([loss, loss])):
            assert (type(result), result.count) == (type(loss), 6)
        for result in (abs(loss), 1 / loss, float(loss), loss**2):
            assert type(result) is float


# ---- batches without targets ------------------------------------------------------------------------
EMPTY = (X, np.full((T, B), -1))


def test_a_batch_without_targets_adds_nothing_and_warns_once():
    plain, expected = run([6], accumulate=1)
    model, steps = fd.nn.Linear(F, C, rng=1), []

    class Count(Callback):
        def on_step_end(self, run):
            steps.append(run.step)

    with pytest.warns(UserWarning, match="batches: no target of batch 1 counts") as caught:
        history = fit(
            model, fd.optim.SGD(model.parameters(), lr=0.5), [EMPTY, (X, Y), EMPTY], loss=IGNORE, epochs=3,
            validation=[EMPTY, (X, Y)], callbacks=[Count()], progress=False,
        )  # fmt: skip
    assert len(caught) == 1
    assert np.array_equal(model.parameters().data, plain.parameters().data)
    assert history.losses == expected.losses
    assert history["loss"] == expected["loss"]
    assert steps == [1, 2, 3]
    assert history["validation_loss"][-1] == pytest.approx(float(IGNORE(model(X), Y)[0]))


def test_within_a_group_it_adds_nothing_either():
    plain, _ = run([6])
    model = fd.nn.Linear(F, C, rng=1)
    with pytest.warns(UserWarning, match="batches"):
        fit(
            model, fd.optim.SGD(model.parameters(), lr=0.5), [EMPTY, (X, Y), EMPTY, EMPTY], loss=IGNORE, epochs=3,
            accumulate=2, progress=False,
        )  # fmt: skip
    np.testing.assert_allclose(model.parameters().data, plain.parameters().data, rtol=2e-5, atol=2e-6)


def none_counts(name):
    return pytest.raises(ValueError, match=rf"^{name}: gave no targets that count")


def test_no_targets_at_all_are_refused_by_name():
    with (
        pytest.warns(UserWarning, match="no target"),
        pytest.raises(ValueError, match=r"^batches: gave no targets that count"),
    ):
        run([6], count=lambda y: 0)
    with (
        pytest.warns(UserWarning, match="no target"),
        pytest.raises(ValueError, match=r"^validation: gave no targets that count"),
    ):
        run([6], validation=[EMPTY])
    with (
        pytest.warns(UserWarning, match="no target"),
        pytest.raises(ValueError, match=r"^batches: gave no targets that count"),
    ):
        evaluate(fd.nn.Linear(F, C), [EMPTY], loss=IGNORE)
    for bad in (-1, np.nan, "3", None, np.inf):
        with pytest.raises((ValueError, TypeError), match=r"^count\(targets\): got"):
            run([6], count=lambda y, bad=bad: bad)


def test_early_stopping_follows_the_mean_over_what_counts():
    # By numbers of targets the first validation batch outweighs the second; by what counts it is nothing.
    class Drift(Callback):
        def on_epoch_end(self, run):
            run.model.bias.data[0] += 1

    x = np.zeros((2, 1, F), np.float32)
    held_out = [(np.repeat(x, 50, 0), np.pad([[0]], ((0, 99), (0, 0)), constant_values=-1)), (x, np.array([[1], [1]]))]
    model = fd.nn.Linear(F, C, rng=0)
    model.weight.data[...] = 0
    optimizer = fd.optim.SGD(model.parameters(), lr=0.0)
    history = fit(
        model, optimizer, [(x, np.array([[0], [1]]))], loss=IGNORE, epochs=9, validation=held_out,
        callbacks=[EarlyStopping(1), Drift()], progress=False,
    )  # fmt: skip
    assert len(history.epochs) == 2


def test_models_that_pad_accumulate_right():
    sentences = [RNG.integers(0, 6, size) for size in (12, 2, 3, 9)]

    def batch(chosen):
        lengths = np.array([len(sentences[i]) for i in chosen])
        tokens = np.zeros((lengths.max(), len(chosen)), np.int64)
        wanted = np.full_like(tokens, -1)
        for column, i in enumerate(chosen):
            tokens[: lengths[column], column] = sentences[i]
            wanted[: lengths[column], column] = sentences[i] % 3
        return (tokens, lengths), wanted

    results = []
    for batches in ([batch([0, 1, 2, 3])], [batch([0]), batch([1, 2, 3])]):
        model = fd.models.Tagger(6, 3, 4, 6, dropout=0.0, unknown=0.0, rng=3)
        optimizer = fd.optim.SGD(model.parameters(), lr=0.5)
        fit(model, optimizer, batches, loss=IGNORE, accumulate=2, epochs=2, max_norm=1.0, progress=False)
        results.append(model.parameters().data.copy())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


# ---- lengths and ignored targets --------------------------------------------------------------------
def test_lengths_alone_let_no_target_pass_that_is_no_class():
    z, targets = np.zeros((2, 1, 3)), np.array([[-1], [0]])
    with pytest.raises(ValueError, match="targets: got values from -1 to 0"):
        fd.softmax_cross_entropy(z, targets, lengths=np.array([2]))
    loss, _ = fd.softmax_cross_entropy(z, targets[::-1].copy(), lengths=np.array([1]))
    assert (loss.count, loss) == (1, pytest.approx(np.log(3)))
    loss, _ = fd.softmax_cross_entropy(z, targets, ignore_index=-1, lengths=np.array([2]))
    assert loss.count == 1


def test_curvature_counts_what_the_loss_counts():
    z, u = RNG.standard_normal((2, T, B, C))
    by_length = functools.partial(fd.softmax_cross_entropy, lengths=LENGTHS)
    expected = loss_at(IGNORE, z, Y).hvp(u)
    np.testing.assert_allclose(loss_at(by_length, z, np.abs(Y)).hvp(u), expected, rtol=1e-12, atol=1e-15)
