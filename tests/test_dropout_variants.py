"""Dropout's relatives: equality with the reference, adjoints, statistics, and what is refused."""

import numpy as np
import pytest
from awkward import awkward_arrays

import fastdl as fd
from fastdl.reference import dropout as reference

WHERE = {"seed": 99, "stream": 1, "step": 2}
SINGLE = (
    "alpha_dropout_forward",
    "alpha_dropout_backward",
    "gaussian_dropout_forward",
    "gaussian_dropout_backward",
    "gaussian_noise",
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_equal_to_the_reference(level, name, p, dtype):
    for _, x in awkward_arrays(dtype):
        for training in (True, False):
            got = getattr(fd, name)(x, p, **WHERE, training=training)
            want = getattr(reference, name)(x.astype(dtype), p, **WHERE, training=training)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_zoneout_equals_the_reference(level, p, dtype):
    for _, x in awkward_arrays(dtype):
        old = np.full(x.shape, 3, dtype)
        for training in (True, False):
            got = fd.zoneout_forward(x, old, p, **WHERE, training=training)
            with np.errstate(all="ignore"):
                want = reference.zoneout_forward(x.astype(dtype), old, p, **WHERE, training=training)
            np.testing.assert_array_equal(got, want)
            with np.errstate(all="ignore"):
                both = fd.zoneout_backward(x, p, **WHERE, training=training)
                twin = reference.zoneout_backward(x.astype(dtype), p, **WHERE, training=training)
            for one, other in zip(both, twin, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*SINGLE, "zoneout"])
def test_threads_do_not_matter(level, name):
    x = np.linspace(-1, 1, 300_001, dtype=np.float32)
    results = []
    for n in (1, 2, 3, 8):
        fd.set_num_threads(n)
        if name == "zoneout":
            results.append(fd.zoneout_forward(x, -x, 0.3, **WHERE))
        else:
            results.append(getattr(fd, name)(x, 0.3, **WHERE))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_adjoints():
    rng = np.random.default_rng(5)
    u, v, w = rng.normal(1, 1, (3, 50, 60))
    for name, p in (("alpha_dropout", 0.3), ("gaussian_dropout", 0.3)):
        forward, backward = getattr(fd, name + "_forward"), getattr(fd, name + "_backward")
        change = forward(v + w, p, **WHERE) - forward(w, p, **WHERE)  # linear part
        assert np.vdot(u, change) == pytest.approx(np.vdot(backward(u, p, **WHERE), v), rel=1e-10)
    dnew, dold = fd.zoneout_backward(u, 0.3, **WHERE)
    y = fd.zoneout_forward(v, w, 0.3, **WHERE)
    assert np.vdot(u, y) == pytest.approx(np.vdot(dnew, v) + np.vdot(dold, w), rel=1e-12)


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p):
    n = 1 << 20
    x = fd.random.Generator(3).normal(size=n, dtype=np.float64)
    y = fd.alpha_dropout_forward(x, p, **WHERE)
    assert abs(y.mean()) < 5 / np.sqrt(n)
    assert abs(y.var() - 1) < 20 / np.sqrt(n)
    assert not fd.alpha_dropout_forward(x, 1.0, **WHERE).any()
    assert not fd.alpha_dropout_backward(x, 1.0, **WHERE).any()


def test_gaussian_dropout_has_the_variance_of_the_mask():
    y = fd.gaussian_dropout_forward(np.ones(1 << 20), 0.2, **WHERE)
    assert abs(y.mean() - 1) < 5 * 0.5 / 1024
    assert abs(y.var() - 0.25) < 5 * 0.25 * np.sqrt(2) / 1024


def test_embedding_dropout_drops_words():
    rng = np.random.default_rng(8)
    table = rng.normal(1, 1, (50, 7)).astype(np.float32)
    index = rng.integers(0, 50, (20, 9))
    for p in (0.0, 0.4, 1.0):
        got = fd.embedding_dropout(table[index], index, 50, p, **WHERE)
        np.testing.assert_array_equal(got, reference.embedding_dropout(table[index], index, 50, p, **WHERE))
        np.testing.assert_array_equal(got, fd.dropout_forward(table, p, **WHERE, broadcast_axes=-1)[index])
    np.testing.assert_array_equal(fd.embedding_dropout(table[index], index, 50, 0.4, training=False), table[index])


def test_monte_carlo_is_the_mean_and_variance():
    x = np.linspace(1, 2, 40, dtype=np.float32)
    draws = [fd.dropout_forward(x, 0.5, step=k) for k in range(30)]
    mean, variance = fd.monte_carlo(lambda k: fd.dropout_forward(x, 0.5, step=k), 30)
    assert mean.dtype == variance.dtype == np.float32
    np.testing.assert_allclose(mean, np.mean(draws, axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(variance, np.var(draws, axis=0, ddof=1, dtype=np.float64), rtol=1e-6)


X = np.ones(6, np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fd.alpha_dropout_forward(X, 2.0), ValueError, "p: got 2.0"),
        (
            lambda: fd.gaussian_dropout_forward(X, 1.0),
            ValueError,
            r"p: got 1.0, expected a number in \[0, 1\)",
        ),
        (lambda: fd.gaussian_noise(X, -1.0), ValueError, "std: got -1.0"),
        (lambda: fd.gaussian_noise(X, float("inf")), ValueError, "std: got inf"),
        (lambda: fd.zoneout_forward(X, X.astype(np.float64)), TypeError, "old: got dtype float64"),
        (lambda: fd.zoneout_forward(X, X[:5]), ValueError, r"old: got shape \(5,\)"),
        (lambda: fd.zoneout_backward([1.0]), TypeError, "dy: got list"),
        (lambda: fd.embedding_dropout(X.reshape(3, 2), np.array([0, 1]), 4), ValueError, "index: got shape"),
        (
            lambda: fd.embedding_dropout(X.reshape(3, 2), np.array([0, 1, 4]), 4),
            ValueError,
            "index: got values",
        ),
        (lambda: fd.embedding_dropout(X, np.array(1), 0), ValueError, "num_embeddings: got 0"),
        (lambda: fd.monte_carlo(lambda k: X, 1), ValueError, "draws: got 1"),
        (lambda: fd.monte_carlo(lambda k: X[k:], 2), ValueError, r"predict\(1\): got shape"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
