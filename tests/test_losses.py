"""Losses: each against the reference, differences and torch; weights, lengths, reductions and counts in all of them."""

import functools

import numpy as np
import pytest
from awkward import layouts, values

import fastdl as fd
from fastdl import dense
from fastdl.reference import dense as reference

RNG = np.random.default_rng(0)
TIME, BATCH, WIDTH = 5, 3, 4
SHAPE = (TIME, BATCH, WIDTH)


def numbers(dtype, *shape):
    return RNG.standard_normal(shape).astype(dtype)


def two(dtype):
    return numbers(dtype, *SHAPE), numbers(dtype, *SHAPE)


def logarithms(dtype):
    return np.log(fd.softmax(numbers(dtype, *SHAPE)))


# Loss -> makes its first two arguments of a type; shape of its terms; options beside the defaults.
TERMS = {
    "elements": SHAPE,
    "rows": SHAPE[:2],
    "signals": SHAPE[1:],
}
LOSSES = {
    "mse_loss": ("elements", two, [{}]),
    "l1_loss": ("elements", two, [{}]),
    "smooth_l1_loss": ("elements", two, [{}, {"beta": 0.3}, {"beta": 0.0}]),
    "huber_loss": ("elements", two, [{}, {"delta": 0.3}]),
    "quantile_loss": ("elements", two, [{}, {"quantiles": 0.9}]),
    "binary_cross_entropy_with_logits": (
        "elements",
        lambda dtype: (5 * numbers(dtype, *SHAPE), RNG.uniform(size=SHAPE).astype(dtype)),
        [{}, {"pos_weight": 3.0}, {"pos_weight": np.array([0.5, 1, 2, 3])}],
    ),
    "poisson_nll_loss": (
        "elements",
        lambda dtype: (numbers(dtype, *SHAPE) ** 2 + dtype(0.1), RNG.integers(0, 6, SHAPE).astype(dtype)),
        [{}, {"log_input": False}, {"full": True}, {"log_input": False, "full": True, "eps": 1e-3}],
    ),
    "gaussian_nll_loss": (
        "elements",
        lambda dtype: ((numbers(dtype, *SHAPE), numbers(dtype, *SHAPE) ** 2 + dtype(0.1)), numbers(dtype, *SHAPE)),
        [{}, {"full": True}],
    ),
    "kl_div": ("rows", lambda dtype: (logarithms(dtype), fd.softmax(numbers(dtype, *SHAPE))), [{}]),
    "kl_div ": ("rows", lambda dtype: (logarithms(dtype), logarithms(dtype)), [{"log_target": True}]),
    "cosine_embedding_loss": ("rows", lambda dtype: (two(dtype), None), [{}]),
    "cosine_embedding_loss ": (
        "rows",
        lambda dtype: (two(dtype), RNG.choice([-1, 1], SHAPE[:2])),
        [{}, {"margin": -0.3}],
    ),
    "error_to_signal_ratio": (
        "signals", two, [{}, {"pre_emphasis": 0.0}, {"dc": 1.0}, {"dc": 0.5, "pre_emphasis": 0.95, "eps": 0.1}],
    ),
    "nll_loss": (
        "rows",
        lambda dtype: (logarithms(dtype), RNG.integers(0, WIDTH, SHAPE[:2])),
        [{}, {"ignore_index": 1}, {"class_weights": [1, 2, 0, 0.5]}],
    ),
    "softmax_cross_entropy": (
        "rows",
        lambda dtype: (numbers(dtype, *SHAPE), RNG.integers(0, WIDTH, SHAPE[:2])),
        [
            {}, {"ignore_index": 1}, {"class_weights": [1, 2, 0, 0.5]}, {"label_smoothing": 0.2},
            {"class_weights": [1, 2, 1, 0.5], "label_smoothing": 0.2, "ignore_index": 2},
        ],
    ),
    "softmax_cross_entropy ": (
        "rows",
        lambda dtype: (numbers(dtype, *SHAPE), fd.softmax(numbers(dtype, *SHAPE))),
        [{}, {"class_weights": [1, 2, 0, 0.5]}, {"label_smoothing": 0.2}],
    ),
}  # fmt: skip
CASES = [
    pytest.param(name.strip(), make, terms, options, id=f"{name}{options or ''}")
    for name, (terms, make, several) in LOSSES.items()
    for options in several
]
cases = pytest.mark.parametrize(("name", "make", "terms", "options"), CASES)


def arrays_of(values):
    """The arrays in a gradient, or in what a model gave."""
    return list(values) if isinstance(values, tuple) else [values]


def exact(loss, gradient):
    return [np.asarray(loss), *arrays_of(gradient)]


def close(found, expected, dtype, slack=64):
    for one, other in zip(exact(*found), exact(*expected), strict=True):
        eps = np.finfo(dtype).eps * slack
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps * max(1, np.abs(np.nan_to_num(other)).max(initial=0)))


def weights_of(shape):
    weights = RNG.uniform(0.5, 2, shape)
    weights.flat[1] = 0
    return weights


LENGTHS = np.array([5, 0, 2])


def test_each_loss_has_a_row_here():
    named = {name for name in fd.dense.__all__ if name.endswith(("_loss", "_div", "_logits", "_entropy", "_ratio"))}
    assert named == {*(name.strip() for name in LOSSES), "linear_cross_entropy"}  # which test_linear_loss.py tests


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@cases
def test_the_reference(level, name, make, terms, options, reduction, dtype):
    arguments = make(dtype)
    for shared in ({}, {"weights": weights_of(TERMS[terms])}, {"weights": [2.0]}, {"lengths": LENGTHS},
                   {"lengths": LENGTHS.tolist(), "weights": weights_of(TERMS[terms]).astype(dtype)},
                   {"weights": weights_of(TERMS[terms]) > 1}):  # fmt: skip
        found, expected = (getattr(topic, name)(*arguments, reduction=reduction, **options, **shared)
                           for topic in (dense, reference))  # fmt: skip
        close(found, expected, dtype)
        for one in arrays_of(found[1]):
            assert one.dtype == dtype
        if reduction != "none":
            assert found[0].count == pytest.approx(expected[0].count, rel=1e-6)
            assert type(found[0].count) is type(expected[0].count)
            assert found[0].reduction == reduction


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name, (terms, make, _) in LOSSES.items() if make is two])
def test_any_layout(level, name, dtype):
    for label, x in (*layouts(dtype), *values(dtype)):
        if x.ndim == 0 and name == "error_to_signal_ratio":
            continue
        plain = x.astype(dtype, order="C")
        for reduction in ("mean", "none"):
            with np.errstate(all="ignore"):
                found, expected = (getattr(fd, name)(one, plain[::-1] if plain.ndim else plain, reduction)
                                   for one in (x, plain))  # fmt: skip
            for one, other in zip(exact(*found), exact(*expected), strict=True):
                np.testing.assert_array_equal(one, other, err_msg=label)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@cases
def test_gradients_are_those_of_differences(level, name, make, terms, options, reduction):
    first, second = make(np.float64)
    shared = {"weights": weights_of(TERMS[terms]), "lengths": LENGTHS}

    def value():
        return np.sum(getattr(fd, name)(first, second, reduction=reduction, **options, **shared)[0])

    gradient = getattr(fd, name)(first, second, reduction=reduction, **options, **shared)[1]
    for array, slopes in zip(arrays_of(first), arrays_of(gradient), strict=True):
        for at in np.ndindex(array.shape):
            kept, values = array[at], []
            for step in (1e-6, -1e-6):
                array[at] = kept + step
                values.append(value())
            array[at] = kept
            np.testing.assert_allclose(slopes[at], (values[0] - values[1]) / 2e-6, rtol=2e-5, atol=2e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@cases
def test_what_does_not_count_is_not_read(level, name, make, terms, options, dtype):
    """Past the end of a sequence, and where the weight is 0, anything may stand; its gradient is 0."""
    first, second = make(dtype)
    past = np.arange(TIME)[:, None] >= LENGTHS
    wanted = getattr(fd, name)(first, second, lengths=LENGTHS, **options)
    for one in (*arrays_of(first), *([] if second is None else [second])):
        one[past] = np.nan if one.dtype.kind == "f" else -7
    with np.errstate(all="ignore"):
        loss, gradient = getattr(fd, name)(first, second, lengths=LENGTHS, **options)
    assert loss == wanted[0]
    assert loss.count == wanted[0].count
    for one, other in zip(arrays_of(gradient), arrays_of(wanted[1]), strict=True):
        np.testing.assert_array_equal(one, other)
        assert not one[past].any()
    if terms != "signals" and "softmax" not in name and name != "nll_loss":
        weights = np.broadcast_to(~past.reshape(past.shape + (1,) * (len(TERMS[terms]) - 2)), TERMS[terms])
        with np.errstate(all="ignore"):
            again, masked = getattr(fd, name)(first, second, weights=weights, **options)
        assert (again, again.count) == (loss, loss.count)
        np.testing.assert_array_equal(arrays_of(masked)[0], arrays_of(gradient)[0])


@cases
def test_without_what_counts(level, name, make, terms, options):
    first, second = make(np.float64)
    for shared in ({"weights": np.zeros(TERMS[terms])}, {"lengths": np.zeros(BATCH, int)}):
        loss, gradient = getattr(fd, name)(first, second, **options, **shared)
        assert np.isnan(loss)
        assert loss.count == 0
        for one in arrays_of(gradient):
            assert not one.any()
        assert getattr(fd, name)(first, second, reduction="sum", **options, **shared)[0] == 0
    if "pos_weight" not in options:
        first, second = (tuple(a[:, :0] for a in one) if isinstance(one, tuple) else None if one is None else one[:, :0]
                         for one in (first, second))  # fmt: skip
        loss, gradient = getattr(fd, name)(first, second, **options)
        assert np.isnan(loss)
        assert arrays_of(gradient)[0].shape == (TIME, 0, WIDTH)


@cases
def test_a_mean_with_weights_is_over_their_sum(name, make, terms, options):
    """So a weight of 2 is the term twice."""
    first, second = make(np.float64)
    weights = RNG.integers(0, 3, TERMS[terms])
    losses, _ = getattr(fd, name)(first, second, reduction="none", **options)
    loss, gradient = getattr(fd, name)(first, second, weights=weights, **options)
    own = {"class_weights"} & options.keys() or "ignore_index" in options
    if not own:
        assert loss == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-12)
        assert loss.count == weights.sum()
    total, summed = getattr(fd, name)(first, second, weights=weights, reduction="sum", **options)
    assert total == pytest.approx((losses * weights).sum(), rel=1e-12)
    np.testing.assert_allclose(arrays_of(gradient)[0] * loss.count, arrays_of(summed)[0], atol=1e-12)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"])
def test_any_number_of_threads_gives_the_same_bits(level, name, monkeypatch):
    monkeypatch.setattr(dense._grains, "ELEMENTS", 1)
    x, y = np.random.default_rng(0).standard_normal((2, 41, 123)).astype(np.float32)
    results = []
    for count in (1, 2, 3, 8):
        fd.set_num_threads(count)
        loss, gradient = getattr(fd, name)(x, y, weights=np.abs(y))
        results.append(np.append(gradient, loss))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@cases
def test_a_model_learns_from_it(name, make, terms, options):
    """As it is given to fit: outputs and targets."""
    first, second = make(np.float32)
    outputs = [fd.nn.Linear(WIDTH, WIDTH, rng=k) for k in range(len(arrays_of(first)))]
    positive = name == "gaussian_nll_loss" or options.get("log_input") is False

    class Model(fd.nn.Module):
        def __init__(self):
            super().__init__()
            for k, layer in enumerate(outputs):
                setattr(self, f"out{k}", layer)
            self.last = fd.nn.Softplus() if positive else fd.nn.LogSoftmax() if name in ("kl_div", "nll_loss") else None

        def forward(self, x):
            ys = [layer.forward(x) for layer in outputs]
            if self.last is not None:
                ys[-1] = self.last.forward(ys[-1])
            return ys[0] if len(ys) == 1 else tuple(ys)

        def backward(self, dy):
            dys = arrays_of(dy)
            if self.last is not None:
                dys[-1] = self.last.backward(dys[-1])
            for layer, one in zip(reversed(outputs), reversed(dys), strict=True):
                layer.backward(one)

    model, x = Model(), numbers(np.float32, *SHAPE)
    if second is None:
        second = np.ones(SHAPE[:2])
    history = fd.training.fit(
        model, fd.optim.Adam(model.parameters(), lr=0.05), [(x, second)],
        loss=lambda z, y: getattr(fd, name)(z, y, **options), epochs=8, progress=False,
    )  # fmt: skip
    assert history["loss"][-1] < history["loss"][0]


def test_several_quantiles_are_one_loss(level):
    prediction, target = numbers(np.float64, 6, 3), numbers(np.float64, 6)
    loss, gradient = fd.quantile_loss(prediction, target, quantiles=[0.1, 0.5, 0.9])
    apart = [fd.quantile_loss(prediction[:, k].copy(), target, quantiles=q) for k, q in enumerate((0.1, 0.5, 0.9))]
    assert loss == pytest.approx(np.mean([one for one, _ in apart]), rel=1e-14)
    np.testing.assert_allclose(gradient, np.stack([one for _, one in apart], 1) / 3, rtol=1e-14)
    # The least loss of a constant is at the quantile.
    data = np.sort(RNG.standard_normal(1001))
    losses = [fd.quantile_loss(np.full_like(data, one), data, quantiles=0.2)[0] for one in data]
    assert np.argmin(losses) == 200


def test_signals_of_their_own_lengths():
    x, y = numbers(np.float64, 9, 3), numbers(np.float64, 9, 3)
    lengths = np.array([9, 4, 1])
    loss, gradient = fd.error_to_signal_ratio(x, y, dc=1.0, lengths=lengths)
    alone = [fd.error_to_signal_ratio(x[:n, k].copy(), y[:n, k].copy(), dc=1.0) for k, n in enumerate(lengths)]
    assert loss == pytest.approx(np.mean([one for one, _ in alone]), rel=1e-14)
    for k, n in enumerate(lengths):
        np.testing.assert_allclose(gradient[:n, k], alone[k][1] / 3, rtol=1e-12, atol=1e-15)
    assert fd.error_to_signal_ratio(y, y)[0] == 0
    assert fd.error_to_signal_ratio(0 * y, y, eps=1e-12)[0] == pytest.approx(1)


def test_targets_of_any_integers(level):
    """Without a sign there is no -1 for what does not count."""
    z, tags = fd.log_softmax(numbers(np.float64, TIME, BATCH, 300)), RNG.integers(0, 256, (TIME, BATCH))
    for name in ("softmax_cross_entropy", "nll_loss"):
        wanted = getattr(fd, name)(z, tags, lengths=LENGTHS)
        for kind in (np.uint8, np.int16, np.uint64, np.int64):
            for order in "CF":
                found = getattr(fd, name)(z, tags.astype(kind, order=order), lengths=LENGTHS)
                close(found, wanted, np.float64)


def test_logits_far_away(level):
    z, y = np.array([1e4, -1e4, 1e4, -1e4, 800.0]), np.array([1.0, 0.0, 0.0, 1.0, 0.5])
    for dtype in (np.float32, np.float64):
        losses, slopes = fd.binary_cross_entropy_with_logits(z.astype(dtype), y.astype(dtype), "none")
        np.testing.assert_allclose(losses, [0, 0, 1e4, 1e4, 400], atol=1e-30)
        np.testing.assert_allclose(slopes, [0, 0, 1, -1, 0.5], atol=1e-30)
    tiny = fd.binary_cross_entropy_with_logits(np.array([-50.0]), np.array([0.0]))[0]
    assert tiny == pytest.approx(np.exp(-50), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: fd.l1_loss(x, x[:1]), r"^target: got shape \(1, 3\), expected \(2, 3\)"),
        (lambda x: fd.l1_loss(x, x.astype(np.float32)), "^target: got dtype float32, expected float64"),
        (lambda x: fd.l1_loss(x, x, "max"), "^reduction: got 'max'"),
        (lambda x: fd.l1_loss(x, x, weights=np.ones(2)), r"^weights: got shape \(2,\), expected one that broadcasts"),
        (
            lambda x: fd.l1_loss(x, x, weights=[1, -1, 0]),
            r"^weights\[1\]: got -1, expected a finite number of at least",
        ),
        (lambda x: fd.l1_loss(x, x, weights=[1, np.nan, 0]), r"^weights\[1\]: got nan, expected a finite number"),
        (lambda x: fd.l1_loss(x, x, weights="heavy"), "^weights: got str"),
        (lambda x: fd.l1_loss(x, x, lengths=[1]), r"^lengths: got shape \(1,\), expected \(3,\)"),
        (lambda x: fd.l1_loss(x[0], x[0], lengths=[1]), r"^prediction: got terms of shape \(3,\)"),
        (lambda x: fd.huber_loss(x, x, delta=0), "^delta: got 0"),
        (lambda x: fd.smooth_l1_loss(x, x, beta=-1), "^beta: got -1"),
        (lambda x: fd.quantile_loss(x, x, quantiles=1.5), "^quantiles: got 1.5"),
        (
            lambda x: fd.quantile_loss(x, x[:, 0], quantiles=[0.5]),
            r"^prediction: got shape \(2, 3\), expected \(\.\.\., 1",
        ),
        (lambda x: fd.gaussian_nll_loss(x, x), "^prediction: got ndarray, expected"),
        (lambda x: fd.gaussian_nll_loss((x, -1 - x * x), x), r"^prediction\[1\]: got -.*, expected variances"),
        (lambda x: fd.cosine_embedding_loss((x, x), [1, 2]), "^target: got 2, expected 1 or -1"),
        (lambda x: fd.cosine_embedding_loss((x, x), [1, 1], margin=2), "^margin: got 2"),
        (lambda x: fd.kl_div(np.array(1.0), np.array(1.0)), r"^prediction: got shape \(\)"),
        (lambda x: fd.binary_cross_entropy_with_logits(x, x, pos_weight=[1, 2]), "^pos_weight: got shape"),
        (lambda x: fd.poisson_nll_loss(x, x, log_input=1), "^log_input: got 1, expected True or False"),
        (lambda x: fd.nll_loss(x, np.array([0, 3])), "^targets: got values from 0 to 3, expected 0 to 2"),
        (lambda x: fd.softmax_cross_entropy(x, x, 1), "^ignore_index: got 1, expected None for targets of prob"),
        (
            lambda x: fd.softmax_cross_entropy(x, np.array([0, 1]), class_weights=[1]),
            r"^class_weights: got shape \(1,\), expected \(3,\)",
        ),
        (lambda x: fd.softmax_cross_entropy(x, np.array([0, 1]), weights=[-1, 1]), r"^weights\[0\]: got -1"),
        (lambda x: fd.error_to_signal_ratio(x, x, weights=[1, 1]), "^weights: got shape"),
        (lambda x: fd.error_to_signal_ratio(x[0], x[0], lengths=[1]), r"^prediction: got shape \(3,\)"),
    ],
)
def test_refusals(call, message):
    x = np.arange(6.0).reshape(2, 3)
    with pytest.raises((TypeError, ValueError), match=message):
        call(x)
    with fd.backend("reference"), pytest.raises((TypeError, ValueError), match=message):
        call(x)


def test_curvature_refuses_what_it_has_no_hessian_of():
    x, model = numbers(np.float64, 4, 3), fd.nn.Linear(3, 2, rng=0, dtype=np.float64)
    y, soft = np.array([0, 1, 1, 0]), fd.softmax(numbers(np.float64, 4, 2))
    calls = [
        (lambda z, t: fd.softmax_cross_entropy(z, t, weights=[1, 2, 1, 1]), y, "one whose Hessian is known"),
        (functools.partial(fd.softmax_cross_entropy, weights=[1, 2, 1, 1]), y, "got weights="),
        (functools.partial(fd.softmax_cross_entropy, class_weights=[1, 2]), y, "got class_weights="),
        (functools.partial(fd.mse_loss, weights=np.ones(2)), soft, "got weights="),
        (fd.softmax_cross_entropy, soft, "got targets of probabilities"),
    ]
    for loss, targets, message in calls:
        with pytest.raises(TypeError, match=message):
            fd.curvature.LossPoint(model, loss, (x, targets)).hvp(np.ones(8))
