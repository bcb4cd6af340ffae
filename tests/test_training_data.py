"""What fit takes: pairs of arrays and lists, examples first; weights; metrics; callbacks that write and end."""

import copy
import csv
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl.training import ArrayBatches, Examples, evaluate, fit, predict

RNG = np.random.default_rng(5)
N, T, F = 24, 7, 3
X = RNG.normal(size=(N, T, F))
BY_STEP = (X.sum(2) > 0).astype(int)
BY_SEQUENCE = (X.sum((1, 2)) > 0).astype(int)
LENGTHS = RNG.integers(1, T + 1, N)
RAGGED = [x[:n] for x, n in zip(X, LENGTHS, strict=True)]
RAGGED_STEPS = [y[:n] for y, n in zip(BY_STEP, LENGTHS, strict=True)]


SHORT = [y[: 1 + k % 2] for k, y in enumerate(RAGGED_STEPS)]


def tagger(**options):
    return fd.nn.Sequential(fd.nn.LSTM(F, 6, rng=0, **options), fd.nn.Linear(6, 2, rng=1))


def run(model, data, epochs=2, optimizer=None, **options):
    optimizer = optimizer or fd.optim.Adam(model.parameters(), lr=0.02)
    return fit(model, optimizer, data, epochs=epochs, progress=False, **options)


def by_hand(model, batches, loss=fd.softmax_cross_entropy):
    """The same run over batches that were laid out as the model reads them."""
    return run(model, batches, loss=loss)["loss"]


def order(epoch):
    return fd.random.Generator(0).stream(f"epoch {epoch}").permutation(N)


class Laid:
    """Batches time first, in the order that a pair gets."""

    def __init__(self, make):
        self.make = make

    def iterate(self, epoch, start):
        places = order(epoch)
        for first in range(start * 8, N, 8):
            yield self.make(places[first : first + 8])


@pytest.mark.parametrize("kind", ["arrays", "lists", "float32", "fortran", "read-only", "memmap"])
def test_arrays_are_turned_for_models_that_read_time_first(kind, tmp_path):
    x, y = X, BY_STEP
    if kind == "lists":
        x, y = X.tolist(), BY_STEP.tolist()
    elif kind == "float32":
        x = X.astype(np.float32)
    elif kind == "fortran":
        x = np.asfortranarray(X)
    elif kind == "read-only":
        x = X.copy()
        x.flags.writeable = False
    elif kind == "memmap":
        np.save(tmp_path / "x.npy", X)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    x32 = X.astype(np.float32)
    expected = by_hand(
        tagger(), Laid(lambda at: (np.ascontiguousarray(x32[at].swapaxes(0, 1)), BY_STEP[at].swapaxes(0, 1).copy()))
    )
    assert run(tagger(), (x, y), batch_size=8)["loss"] == expected


def test_batch_first_models_and_dense_ones_get_what_was_given():
    model = tagger(batch_first=True)
    x32 = X.astype(np.float32)
    expected = by_hand(tagger(batch_first=True), Laid(lambda at: (x32[at], BY_STEP[at])))
    assert run(model, (X, BY_STEP), batch_size=8)["loss"] == expected
    dense = fd.nn.Sequential(fd.nn.Flatten(), fd.nn.Linear(T * F, 2, rng=0))
    assert len(run(dense, (X, BY_SEQUENCE), batch_size=8)["loss"]) == 2


def test_one_target_for_each_sequence():
    model = fd.nn.Sequential(fd.nn.LSTM(F, 6, output="last", rng=0), fd.nn.Linear(6, 2, rng=1))
    history = run(model, (X, BY_SEQUENCE), epochs=30, metrics=["accuracy"])
    assert history["accuracy"][-1] > 0.9
    words = RNG.integers(0, 9, (N, T))
    model = fd.nn.Sequential(
        fd.nn.Embedding(9, 4, rng=0), fd.nn.LSTM(4, 6, output="last", rng=0), fd.nn.Linear(6, 2, rng=1)
    )
    run(model, (words, (words[:, 0] > 4).astype(int)))


def test_as_many_examples_as_steps_is_no_question():
    """Targets (N, T) of N = T: the first axis is the examples', whatever its size."""
    x, y = X[:T], BY_STEP[:T]
    data = Examples(x, y, batch_size=T, shuffle=False, time_first=True)
    ((inputs, targets),) = list(data)
    np.testing.assert_array_equal(inputs, x.swapaxes(0, 1))
    np.testing.assert_array_equal(targets, y.T)


def test_ragged_sequences_count_to_their_ends():
    def padded(at):
        longest = LENGTHS[at].max()
        x, y = np.zeros((longest, len(at), F), np.float32), np.full((longest, len(at)), -1)
        for k, place in enumerate(at):
            x[: LENGTHS[place], k], y[: LENGTHS[place], k] = RAGGED[place], RAGGED_STEPS[place]
        return (x, LENGTHS[at]), y

    def ignoring(outputs, targets):
        return fd.softmax_cross_entropy(outputs, targets, ignore_index=-1)

    expected = by_hand(tagger(), Laid(padded), ignoring)
    history = run(tagger(), (RAGGED, RAGGED_STEPS), batch_size=8, metrics=["accuracy"])
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)
    assert history["tokens"] == [LENGTHS.sum(), 2 * LENGTHS.sum()]
    last = fd.nn.Sequential(fd.nn.LSTM(F, 6, output="last", rng=0), fd.nn.Linear(6, 2, rng=1))
    assert len(run(last, (RAGGED, BY_SEQUENCE))["loss"]) == 2


def test_ragged_sequences_of_batch_first_models_train_alike():
    first, second = tagger(), tagger(batch_first=True)
    weights = RNG.random(N)
    for options in ({}, {"sample_weight": weights}, {"class_weight": {1: 3.0}, "sample_weight": weights}):
        histories = [run(one, (RAGGED, RAGGED_STEPS), batch_size=8, **options) for one in (first, second)]
        np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    np.testing.assert_allclose(first[0].weight_hh_l0.data, second[0].weight_hh_l0.data, rtol=1e-3, atol=1e-5)


def test_a_list_of_pictures_is_not_turned():
    seen = []

    class Flat(fd.nn.Linear):
        def forward(self, x):
            seen.append(x.shape)
            return super().forward(x.reshape(len(x), -1))

        def backward(self, dy, **options):
            super().backward(dy)

    model = Flat(6, 2, rng=0)
    run(model, ([x[:2] for x in X], BY_SEQUENCE), batch_size=8)
    assert set(seen) == {(8, 2, 3)}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, T, 24, 256])
def test_predictions_have_the_examples_first(batch_size, batch_first):
    model = tagger(batch_first=batch_first)
    each = [model.forward(x[:, None] if not batch_first else x[None]).reshape(len(x), 2) for x in map(as_32, RAGGED)]
    found = predict(model, RAGGED, batch_size=batch_size)
    assert [one.shape for one in found] == [(len(x), 2) for x in RAGGED]
    assert all(one.training for one in model.modules())
    for one, alone in zip(found, each, strict=True):
        np.testing.assert_allclose(one, alone, rtol=2e-5, atol=1e-6)
    whole = predict(model, X, batch_size=batch_size)
    assert (whole.shape, whole.dtype) == ((N, T, 2), np.float32)
    np.testing.assert_allclose(whole[3, : LENGTHS[3]], each[3], rtol=2e-5, atol=1e-6)


def as_32(x):
    return x.astype(np.float32)


@pytest.mark.parametrize("count", [T - 1, T, T + 1])
def test_as_many_classes_as_examples_and_steps_is_no_question(count):
    last = fd.nn.Sequential(fd.nn.LSTM(F, 6, rng=0, output="last"), fd.nn.Linear(6, T, rng=1))
    assert_one_by_one(last, X[:count])
    square = [X[k][: 1 + k % T] for k in range(count)]
    assert_one_by_one(last, square)
    assert_one_by_one(fd.nn.Sequential(fd.nn.LSTM(F, 6, rng=0), fd.nn.Linear(6, T, rng=1)), square)


def assert_one_by_one(model, x):
    for whole, k in zip(predict(model, x), range(len(x)), strict=True):
        np.testing.assert_allclose(whole, predict(model, x[k : k + 1])[0], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("outputs", [1, T])
def test_one_output_a_sequence_of_whatever_size_is_no_question(outputs, batch_first):
    lstm = fd.nn.LSTM(F, 6, rng=0, output="last", batch_first=batch_first)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(6, outputs, rng=1))
    for size in (1, 2, 256):
        found = predict(model, [X[0], X[1][:1], X[2][:1]], batch_size=size)
        assert found.shape == (3, outputs)
        np.testing.assert_allclose(found[1], predict(model, X[1:2, :1])[0], rtol=2e-5, atol=1e-6)


def test_predictions_of_layers_that_change_the_steps():
    model = fd.nn.Sequential(fd.nn.Conv1d(F, 4, 3, stride=2, rng=0), fd.nn.LSTM(4, 2, rng=1))
    whole = predict(model, X, batch_size=5)
    assert whole.shape == (N, 3, 2)
    assert_one_by_one(model, X)
    found = predict(model, [X[0], X[1][:5], X[2][:3]], batch_size=2)
    assert [len(one) for one in found] == [3, 2, 1]
    np.testing.assert_allclose(found[1], whole[1, :2], rtol=2e-5, atol=1e-6)


def test_outputs_without_an_axis_of_examples_are_refused():
    class Mean(fd.nn.LSTM):
        def forward(self, x, **options):
            return super().forward(x, **options).mean(axis=1)

    with pytest.raises(ValueError, match=r"^model: gives shape \(7, 4\) for one example and \(7, 4\) for two"):
        predict(Mean(F, 4, rng=0), X)


def test_predictions_of_a_model_without_parameters():
    np.testing.assert_array_equal(predict(fd.nn.ReLU(), as_32(X[:, 0])), np.maximum(as_32(X[:, 0]), 0))


def test_predictions_of_dense_models_tuples_and_dicts():
    dense = fd.nn.Linear(F, 2, rng=0)
    np.testing.assert_array_equal(predict(dense, X[:, 0].tolist()), dense.forward(as_32(X[:, 0])))

    class Two(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.part = fd.nn.Linear(F, 2, rng=0)

        def forward(self, x):
            y = self.part.forward(x["a"])
            return {"y": y, "both": (y, x["b"])}

    found = predict(Two(), {"a": X[:, 0], "b": np.arange(N)}, batch_size=5)
    assert found["y"].shape == (N, 2)
    np.testing.assert_array_equal(found["both"][1], np.arange(N))
    with pytest.raises(ValueError, match="^x: got shape .* expected at least one example"):
        predict(dense, X[:0, 0])
    with pytest.raises(ValueError, match="^batch_size: got 0"):
        predict(dense, X[:, 0], batch_size=0)
    with pytest.raises(TypeError, match="^model: "):
        predict(None, X[:, 0])


def test_weights_of_as_many_examples_as_steps():
    weights = RNG.random(N)
    data = Examples(X, np.eye(2)[BY_SEQUENCE], T, shuffle=False, time_first=True, sample_weight=weights)
    _, (values, options) = next(iter(data))
    np.testing.assert_array_equal(options["weights"], np.repeat(weights[:T, None], 2, 1))
    assert values.shape == (T, 2)


def test_several_inputs_and_dicts():
    class Two(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = fd.nn.LSTM(F, 4, rng=0), fd.nn.Linear(6, 1, rng=1)

        def forward(self, inputs):
            return self.head(np.concatenate([self.lstm(inputs["x"])[-1], inputs["static"]], axis=-1))

    inputs, y = {"x": X, "static": RNG.normal(size=(N, 2))}, X.sum((1, 2))[:, None]
    history = run(Two(), (inputs, y), epochs=20, loss=fd.mse_loss, validation=(inputs, y))
    assert history["validation_loss"][-1] < history["validation_loss"][0]


def test_weights_of_examples_and_classes():
    x, y = RNG.normal(size=(N, F)), RNG.integers(0, 3, N)
    weights = RNG.uniform(0, 2, N)

    def trained(**options):
        model = fd.nn.Linear(F, 3, rng=0)
        run(model, (x, y), epochs=1, batch_size=N, optimizer=fd.optim.SGD(model.parameters(), lr=1.0), **options)
        return model.weight.data.copy()

    def step(own):
        model = fd.nn.Linear(F, 3, rng=0)
        at = order(0)
        _, dy = fd.softmax_cross_entropy(model(x[at].astype(np.float32)), y[at], weights=own[at].astype(np.float32))
        model.backward(dy)
        return model.weight.data - model.weight.grad

    np.testing.assert_allclose(trained(sample_weight=weights), step(weights), rtol=1e-5)
    chosen = np.array([1.0, 3.0, 0.5])
    np.testing.assert_allclose(trained(class_weight={1: 3, 2: 0.5}), step(chosen[y]), rtol=1e-5)
    balanced = N / (3 * np.bincount(y))
    np.testing.assert_allclose(trained(class_weight="balanced"), step(balanced[y]), rtol=1e-5)
    np.testing.assert_allclose(
        trained(class_weight={1: 3, 2: 0.5}, sample_weight=weights), step(chosen[y] * weights), rtol=1e-5
    )
    by_step = run(tagger(), (X, BY_STEP), sample_weight=weights, class_weight={0: 2.0})
    assert len(by_step["loss"]) == 2
    assert len(run(tagger(), (RAGGED, RAGGED_STEPS), sample_weight=weights, class_weight="balanced")["loss"]) == 2


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((X, BY_STEP[:3]), ValueError, r"batches\[1\]: got 3 examples, expected 24"),
        ((X[:0], BY_STEP[:0]), ValueError, r"batches\[0\]: got shape \(0, 7, 3\), expected at least one example"),
        ((X.astype(str), BY_STEP), TypeError, r"batches\[0\]: got dtype <U"),
        ((np.ma.masked_array(X), BY_STEP), TypeError, r"batches\[0\]: got a masked array"),
        ((RAGGED, SHORT), ValueError, r"batches\[1\]\[\d+\]: got \d steps, expected \d"),
        (([X[0], X[1, :, :2]], [0, 1]), ValueError, r"batches\[0\]\[1\]: got shape \(7, 2\), expected \(T, 3\)"),
        (([X[0], "abc"], [0, 1]), TypeError, r"batches\[0\]\[1\]: got str"),
        ((X, RAGGED_STEPS), TypeError, r"batches\[1\]: got sequences of different lengths"),
    ],
)  # fmt: skip
def test_pairs_that_do_not_fit_are_refused_by_name(data, error, message):
    model = tagger()
    before = model.parameters().data.copy()
    with pytest.raises(error, match=message):
        run(model, data)
    assert (model.parameters().data == before).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight: got shape \(3,\), expected \(24,\)"),
        ({"sample_weight": -np.ones(N)}, ValueError, "sample_weight: got a weight that is negative"),
        ({"class_weight": "even"}, ValueError, "class_weight: got 'even', expected one of 'balanced'"),
        ({"class_weight": {0: -1}}, ValueError, r"class_weight\[0\]: got -1"),
        ({"class_weight": {7: 2.0}}, ValueError, r"class_weight: got class 7, expected some of \[0, 1"),
        ({"class_weight": 3}, TypeError, "class_weight: got int"),
        ({"batch_size": 0}, ValueError, "batch_size: got 0"),
        ({"metrics": "accuracy"}, TypeError, "metrics: got 'accuracy', expected a list"),
        ({"metrics": ["exactness"]}, ValueError, r"metrics\[0\]: got 'exactness', expected one of accuracy"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "metrics: got 'accuracy' twice"),
        ({"monitor": 3}, TypeError, "monitor: got 3, expected a str"),
        ({"monitor": "f1", "restore_best": True}, ValueError, "monitor: got 'f1', expected one of epoch, step, loss"),
        ({"average": fd.optim.ExponentialAverage}, TypeError, "average: got the class ExponentialAverage"),
        ({"average": fd.optim.ExponentialAverage(tagger().parameters())}, ValueError, "average: got one over other"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        run(tagger(), (X, BY_STEP), **options)


def test_options_of_a_pair_beside_batches_are_refused():
    batches = ArrayBatches(X[:, 0], BY_SEQUENCE, 8)
    for name, value in (("batch_size", 4), ("shuffle", False), ("seed", 3), ("sample_weight", np.ones(N))):
        with pytest.raises(ValueError, match=rf"{name}: got .*, expected None, since batches \(ArrayBatches\)"):
            run(fd.nn.Linear(F, 2, rng=0), batches, **{name: value})


def test_an_iterable_is_taken_as_it_is_in_the_models_type():
    model = fd.nn.Linear(F, 1, rng=0)
    seen = []

    def loss(outputs, targets):
        seen.append((outputs.dtype, targets.dtype))
        return fd.mse_loss(outputs, targets)

    run(model, [(X[:, 0], X.sum((1, 2))[:, None])], loss=loss)
    assert seen == [(np.float32, np.float32)] * 2
    assert isinstance(evaluate(model, (X[:, 0], X.sum((1, 2))[:, None]), loss=fd.mse_loss), float)


def test_metrics_are_those_of_the_whole():
    model = tagger()
    history = run(model, (X, BY_STEP), metrics=["accuracy", "f1_macro"], validation=(X, BY_STEP))
    model.eval()
    outputs = model(X.astype(np.float32).swapaxes(0, 1).copy())
    assert history["validation_accuracy"][-1] == pytest.approx((outputs.argmax(-1) == BY_STEP.T).mean())
    expected = fd.metrics.f1_score(BY_STEP.T.ravel(), outputs.argmax(-1).ravel(), average="macro")
    assert history["validation_f1_macro"][-1] == pytest.approx(expected)
    assert history.columns[-4:] == ("accuracy", "f1_macro", "validation_accuracy", "validation_f1_macro")
    assert history["learning_rate"] == [0.02] * 2
    assert all(norm > 0 for norm in history["gradient_norm"])


def test_what_is_monitored_decides():
    class Watch(fd.training.Callback):
        def on_epoch_end(self, run):
            values.append((run.history["validation_accuracy"][-1], run.model.parameters().data.copy()))

    values = []
    model = tagger()
    stop = fd.training.EarlyStopping(patience=3)
    optimizer = fd.optim.SGD(model.parameters(), lr=3.0, momentum=0.9)  # which overshoots
    options = {
        "metrics": ["accuracy"],
        "monitor": "validation_accuracy",
        "restore_best": True,
        "callbacks": [Watch(), stop],
    }
    history = run(model, (X, BY_STEP), 12, optimizer, validation=(X, BY_STEP), **options)
    best = int(np.argmax([value for value, _ in values]))
    np.testing.assert_array_equal(model.parameters().data, values[best][1])
    assert len(history["loss"]) == min(best + 4, 12)


def test_the_mean_of_the_weights_is_what_is_judged_and_left():
    model, twin = tagger(), tagger()
    average = fd.optim.ExponentialAverage(model.parameters(), 0.9)
    history = run(model, (X, BY_STEP), validation=(X, BY_STEP), average=average)
    own = fd.optim.ExponentialAverage(twin.parameters(), 0.9)
    run(twin, (X, BY_STEP), callbacks=[fd.training.LambdaCallback(on_step_end=lambda run: own.update())])
    own.apply()
    np.testing.assert_array_equal(model.parameters().data, twin.parameters().data)
    assert history["validation_loss"][-1] == evaluate(model, (X, BY_STEP))


def test_examples_show_what_they_do_and_are_copied():
    data = Examples(X, BY_STEP, 8, time_first=True)
    assert repr(data) == "Examples(24, batch_size=8, x (24, 7, 3) turned to (7, B, 3), y (24, 7) turned to (7, B))"
    assert "sequences of 1 to 7 steps, padded to (B, T, 3)" in repr(Examples(RAGGED, RAGGED_STEPS))
    assert "sequences of 1 to 7 steps, padded to (T, B, 3)" in repr(Examples(RAGGED, RAGGED_STEPS, time_first=True))
    for one in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        for (a, b), (c, d) in zip(data.iterate(1, 1), one.iterate(1, 1), strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)
    assert data.fingerprint() != Examples(X, BY_STEP, 8).fingerprint()


# ---- callbacks --------------------------------------------------------------------------------------------------
def test_a_file_of_rows_grows_with_the_run(tmp_path):
    rows = []

    def count(run):
        with open(tmp_path / "log.csv") as file:
            rows.append(len(list(csv.DictReader(file))))

    log = fd.training.CSVLogger(tmp_path / "log.csv")
    run(
        tagger(), (X, BY_STEP), 3, metrics=["accuracy"], callbacks=[log, fd.training.LambdaCallback(on_epoch_end=count)]
    )
    assert rows == [1, 2, 3]
    with open(tmp_path / "log.csv") as file:
        assert all(0 <= float(row["accuracy"]) <= 1 for row in csv.DictReader(file))
    with pytest.raises(OSError, match="missing"):
        run(tagger(), (X, BY_STEP), callbacks=[fd.training.CSVLogger(tmp_path / "missing" / "log.csv")])


def test_ends():
    assert len(run(tagger(), (X, BY_STEP), 9, callbacks=[fd.training.StopAtTarget(9.9)])["loss"]) == 1
    options = {"metrics": ["accuracy"], "callbacks": [fd.training.StopAtTarget(0.0, "accuracy", "max")]}
    assert len(run(tagger(), (X, BY_STEP), 9, **options)["loss"]) == 1
    history = run(tagger(), (X, BY_STEP), 9, callbacks=[fd.training.TimeLimit(1e-9)])
    assert len(history.losses) == 1
    with pytest.raises(ValueError, match="monitor: got 'f1', expected one of"):
        run(tagger(), (X, BY_STEP), callbacks=[fd.training.StopAtTarget(0.5, "f1")])


def test_functions_at_every_hook():
    seen = []
    names = ("on_train_begin", "on_step_end", "on_epoch_end", "on_train_end")
    own = fd.training.LambdaCallback(**{name: lambda run, name=name: seen.append(name) for name in names})
    run(tagger(), (X, BY_STEP), 2, batch_size=12, callbacks=[own])
    step, epoch = "on_step_end", "on_epoch_end"
    assert seen == ["on_train_begin", step, step, epoch, step, step, epoch, "on_train_end"]
    with pytest.raises(TypeError, match="on_step_end: got int"):
        fd.training.LambdaCallback(on_step_end=3)


def test_events_are_written(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    run(tagger(), (X, BY_STEP), metrics=["accuracy"], callbacks=[fd.training.TensorBoard(tmp_path)])
    (path,) = tmp_path.glob("events*")
    raw, at, seen = path.read_bytes(), 0, {}
    while at < len(raw):  # a record: its length (8 bytes), a checksum (4), the event, a checksum (4)
        size = int.from_bytes(raw[at : at + 8], "little")
        event = Event.FromString(raw[at + 12 : at + 12 + size])
        at += 16 + size
        for one in event.summary.value:
            seen.setdefault(one.tag, []).append((event.step, one.simple_value))
    assert [step for step, _ in seen["loss/step"]] == [1, 2]
    assert len(seen["accuracy"]) == len(seen["learning_rate"]) == 2


def test_sampled_text_needs_a_model_that_writes():
    with pytest.raises(TypeError, match="SampleText: got a Sequential, expected a model with generate"):
        run(tagger(), (X, BY_STEP), callbacks=[fd.training.SampleText()])
