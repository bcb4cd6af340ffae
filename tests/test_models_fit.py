"""What the models' own fit hands on to training.fit; where a fit begins; what is asked of a fitted model."""

import copy
import os
import pickle
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from model_cases import CASES, LABELS, RAGGED, ROWS, SERIES, TEXT, VECTORS, WORDS, same

import fastdl as fd

TAGS = [one % 3 for one in WORDS]
DATA = {
    "Classifier": (VECTORS, LABELS), "SequenceClassifier": (RAGGED, LABELS), "Tagger": (WORDS, TAGS),
    "Seq2Seq": (WORDS, WORDS), "SequenceGenerator": (LABELS, ROWS), "Forecaster": (SERIES,),
    "CharLM": (TEXT,),
}  # fmt: skip
OF_CLASSES = ("Classifier", "SequenceClassifier", "Tagger")


def held_out(name):
    return DATA[name] if len(DATA[name]) == 2 else DATA[name][0]


def metric_of(name):
    return "r2" if name == "Forecaster" else "accuracy"


# ---- what is handed on --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", DATA)
def test_validation_and_metrics_are_in_the_history(name):
    case, metric = CASES[name], metric_of(name)
    model = case.make()
    history = case.fit(model, epochs=3, batch_size=3, validation=held_out(name), metrics=[metric])
    assert all(np.isfinite(history[column]).all() for column in ("validation_loss", metric, f"validation_{metric}"))
    plain = case.make()
    assert case.fit(plain, epochs=3, batch_size=3).losses == history.losses
    assert same(model, plain)


@pytest.mark.parametrize("name", [*OF_CLASSES, "Forecaster"])
def test_the_last_validation_is_what_score_says(name):
    case, metric = CASES[name], metric_of(name)
    model = case.make()
    history = case.fit(model, epochs=2, validation=held_out(name), metrics=[metric])
    assert history[f"validation_{metric}"][-1] == pytest.approx(model.score(*DATA[name]), abs=1e-6)


def test_the_forecasters_errors_are_in_the_units_of_the_series():
    model = CASES["Forecaster"].make()
    history = model.fit(SERIES, epochs=2, validation=SERIES, metrics=["mae"])
    errors = np.abs(SERIES[5:] - model.predict(SERIES)[5:-1])
    assert history["validation_mae"][-1] == pytest.approx(errors.mean(), rel=1e-5)


@pytest.mark.parametrize("name", DATA)
def test_restore_best_gives_back_the_best_epoch(name):
    class Keep(fd.training.Callback):
        def __init__(self):
            self.states = []

        def on_epoch_end(self, run):
            self.states.append(run.model.state_dict())

    case, keep = CASES[name], Keep()
    model = case.make()
    options = {"monitor": "validation_loss", "restore_best": True, "callbacks": [keep], "learning_rate": 0.3}
    history = case.fit(model, epochs=5, validation=held_out(name), **options)
    best = keep.states[int(np.argmin(history["validation_loss"]))]
    assert all(np.array_equal(value, best[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", DATA)
def test_a_run_that_was_stopped_resumes_bit_for_bit(name, tmp_path):
    case = CASES[name]

    class Stops(fd.training.Callback):
        def __init__(self, at):
            self.at = at

        def on_epoch_end(self, run):
            if run.epoch == self.at:
                os.kill(os.getpid(), signal.SIGINT)

    straight = case.make()
    losses = case.fit(straight, epochs=4, batch_size=2).losses
    options = {"epochs": 4, "batch_size": 2, "checkpoint": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        case.fit(case.make(), callbacks=[Stops(2)], **options)
    model = case.make()
    assert case.fit(model, resume=True, callbacks=[Stops(0)], **options).losses == losses
    assert same(model, straight)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    options = {"epochs": 1, "checkpoint": tmp_path / "run"}
    CASES["Classifier"].make().fit(VECTORS, LABELS, **options)
    model = CASES["Classifier"].make()
    with pytest.raises(ValueError, match="other data: crc32"):
        model.fit(VECTORS + 1, LABELS, resume=True, **options)
    assert same(model, CASES["Classifier"].make())
    model.layers[1].bias.data = np.ones(6)  # what a checkpoint replaces is not drawn anew, so there is no warning
    model.fit(VECTORS, LABELS, resume=True, **options)


@pytest.mark.parametrize("name", [name for name in DATA if name != "CharLM"])
def test_weights_of_examples(name):
    """Ones change nothing but rounding; what has no weight is not learnt from."""
    case = CASES[name]
    count = 25 if name == "Forecaster" else 4
    ones, plain = case.make(), case.make()
    np.testing.assert_allclose(
        case.fit(ones, epochs=2, sample_weight=np.ones(count)).losses, case.fit(plain, epochs=2).losses, rtol=1e-5
    )
    half = np.ones(count)
    half[1] = 0
    assert not same(plain, fitted(case, sample_weight=half))


def fitted(case, **options):
    model = case.make()
    case.fit(model, epochs=2, **options)
    return model


@pytest.mark.parametrize("name", OF_CLASSES)
def test_weights_of_classes_are_weights_of_their_examples(name):
    case = CASES[name]
    by_class = case.fit(case.make(), epochs=2, class_weight={0: 2.0}).losses
    assert by_class != case.fit(case.make(), epochs=2).losses
    if name != "Tagger":
        by_example = case.fit(case.make(), epochs=2, sample_weight=np.where(LABELS == 0, 2.0, 1.0)).losses
        assert by_class == by_example
    case.fit(case.make(), epochs=1, class_weight="balanced")


def test_padding_is_not_among_what_a_metric_of_ones_own_sees():
    seen = []

    def all_right(outputs, targets):
        seen.append((outputs.shape, targets.shape))
        return 1.0

    history = CASES["Tagger"].make().fit(WORDS, TAGS, epochs=1, metrics=[all_right])
    tokens = sum(map(len, WORDS))
    assert seen == [((tokens, 3), (tokens,))]
    assert history["all_right"] == [1.0]


def test_a_schedule_of_ones_own_and_none():
    rates = CASES["Classifier"].make().fit(VECTORS, LABELS, epochs=3, schedule=None)["learning_rate"]
    assert rates == [5e-3] * 3
    history = CASES["Classifier"].make().fit(VECTORS, LABELS, epochs=2, schedule=lambda step: 0.5**step)
    assert history["learning_rate"] == [2.5e-3, 1.25e-3]


# ---- what is refused ----------------------------------------------------------------------------------------
BAD = {
    "metrix": (1, TypeError, "metrix: got 1, but the model's fit has no such argument; did you mean metrics?"),
    "zzz": (1, TypeError, "zzz: got 1, but the model's fit has no such argument; it has epochs, batch_size"),
    "loss": (fd.mse_loss, TypeError, "but the model chooses it itself: fastdl.training.fit takes it"),
    "metrics": (["acc"], ValueError, r"metrics\[0\]: got 'acc', expected one of accuracy"),
    "callbacks": ([3], TypeError, r"callbacks\[0\]: got int"),
    "validation": ((), (TypeError, ValueError), "validation: got "),
    "sample_weight": ([1.0], (TypeError, ValueError), "sample_weight: got "),
    "schedule": (3, TypeError, "schedule: got 3, expected a function of the step"),
    "warm_start": (1, TypeError, "warm_start: got 1, expected True or False"),
    "resume": (True, ValueError, "checkpoint: got None"),
    "accumulate": (0, ValueError, "accumulate: got 0"),
    "average": (1, TypeError, "average: got int"),
}


@pytest.mark.parametrize("option", BAD)
@pytest.mark.parametrize("name", DATA)
def test_a_refused_option_leaves_the_model_as_it_was(name, option):
    case, (value, error, message) = CASES[name], BAD[option]
    model = case.make()
    case.fit(model, epochs=1)
    model.train()
    twin, modes = copy.deepcopy(model), [one.training for one in model.modules()]
    with pytest.raises(error, match=message.replace("?", r"\?")):
        case.fit(model, **{option: value})
    assert same(model, twin)
    assert model.random_state() == twin.random_state()
    assert [one.training for one in model.modules()] == modes


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CASES["Forecaster"].make().fit(SERIES, class_weight={}), TypeError, "class_weight: got {}, but"),
        (lambda: CASES["Seq2Seq"].make().fit(WORDS, WORDS, class_weight={}), TypeError, "class_weight: got {}, but"),
        (lambda: CASES["Classifier"].make().fit(VECTORS, LABELS, validation=(VECTORS, LABELS[:2])), ValueError,
         r"validation\[1\]: got shape \(2,\)"),
        (lambda: CASES["Tagger"].make().fit(WORDS, TAGS, validation=(WORDS, TAGS[:1])), ValueError,
         r"validation\[1\]: got 1, expected 4, as many"),
        (lambda: CASES["Forecaster"].make().fit(SERIES, validation=SERIES[:5]), ValueError,
         r"validation: got shape \(5,\), expected \(6 or"),
        (lambda: CASES["Forecaster"].make().fit(SERIES, epochs=1, validation=SERIES[:6], metrics=["r2"]), ValueError,
         r"metrics: r2 of these data is none \(targets: got one value"),
        (lambda: CASES["Forecaster"].make().score(SERIES[:6]), ValueError, r"series: got shape \(6,\), expected"),
        (lambda: CASES["Classifier"].make().score(VECTORS, LABELS[:2]), ValueError, r"y: got shape \(2,\)"),
        (lambda: fd.models.Forecaster(layers=0), ValueError, "layers: got 0"),
        (lambda: fd.models.Tagger(3, 3, bidirectional=1), TypeError, "bidirectional: got 1"),
        (lambda: fd.models.SequenceClassifier(3, 3, 7, bidirectional=True), ValueError, "hidden: got 7, expected"),
    ],
)  # fmt: skip
def test_bad_data_are_refused_by_the_callers_names(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- where a fit begins -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", DATA)
def test_a_second_fit_is_the_first_one_again(name, tmp_path):
    case = CASES[name]
    model = case.make()
    losses = case.fit(model, epochs=2).losses
    once, draws = copy.deepcopy(model), model.random_state()
    again = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model]
    for one in again:
        assert case.fit(one, epochs=2).losses == losses
        assert same(one, once)
        assert one.random_state() == draws
    fd.save(model, tmp_path / "model")
    loaded = fd.load(tmp_path / "model")
    with pytest.warns(UserWarning, match="loaded, set or trained by other means, are drawn anew: fit\\(warm_start"):
        assert case.fit(loaded, epochs=2).losses == losses
    assert same(loaded, once)


@pytest.mark.parametrize("name", DATA)
def test_a_warm_start_goes_on(name, tmp_path):
    case = CASES[name]
    model = case.make()
    losses = case.fit(model, epochs=2).losses
    fd.save(model, tmp_path / "model")
    loaded = fd.load(tmp_path / "model")
    later = case.fit(model, epochs=2, warm_start=True).losses
    assert later != losses
    assert case.fit(loaded, epochs=2, warm_start=True).losses == later
    new = case.make()
    assert case.fit(new, epochs=2, warm_start=True).losses == losses


def test_a_generator_is_drawn_on():
    rng = fd.random.Generator(5)
    model = fd.models.Classifier(3, 2, 6, rng=rng)
    first = model.fit(VECTORS, LABELS, epochs=2).losses
    assert first == fd.models.Classifier(3, 2, 6, rng=5).fit(VECTORS, LABELS, epochs=2).losses
    assert model.rng is rng
    place = rng.state_dict()
    assert model.fit(VECTORS, LABELS, epochs=2).losses != first
    assert rng.state_dict() != place
    rng.load_state_dict(place)  # as it was, so the same values are drawn
    twin = model.fit(VECTORS, LABELS, epochs=2).losses
    rng.load_state_dict(place)
    assert model.fit(VECTORS, LABELS, epochs=2).losses == twin


def test_frozen_parameters_keep_their_values():
    model = CASES["Tagger"].make()
    model.embedding.weight.data = np.full(model.embedding.weight.shape, 0.25)
    model.embedding.freeze()
    losses = model.fit(WORDS, TAGS, epochs=2).losses
    assert model.fit(WORDS, TAGS, epochs=2).losses == losses
    assert (model.embedding.weight.data == 0.25).all()


def test_what_somebody_put_into_a_model_is_not_drawn_anew_in_silence():
    model, other = CASES["Classifier"].make(), fitted(CASES["Classifier"])
    losses = model.fit(VECTORS, LABELS, epochs=1).losses
    model.load_state_dict(other.state_dict())
    with pytest.warns(UserWarning, match="Classifier.fit: the model's values, which were loaded") as caught:
        assert model.fit(VECTORS, LABELS, epochs=1).losses == losses
    assert caught[0].filename == __file__


def test_an_average_starts_anew_with_the_model():
    model = CASES["Classifier"].make()
    average = fd.optim.ExponentialAverage(model.parameters(), 0.9)
    states = []
    for _ in range(2):
        model.fit(VECTORS, LABELS, epochs=3, average=average)
        states.append(copy.deepcopy(model))
        assert average.updates == 3
    assert same(*states)


def test_a_model_of_another_make_than_its_constructors():
    model = CASES["Classifier"].make()
    model.layers = fd.nn.Linear(3, 2, rng=0)
    twin = copy.deepcopy(model)
    with pytest.raises(ValueError, match=r"layers.weight: .* fit\(warm_start=True\) goes on from the present values"):
        model.fit(VECTORS, LABELS)
    assert same(model, twin)
    model.fit(VECTORS, LABELS, epochs=1, warm_start=True)


def test_a_class_of_ones_own():
    class Own(fd.models.Classifier):
        def __init__(self, rng):
            super().__init__(3, 2, 6, rng=rng)

    class Unseeded(fd.models.Classifier):
        def __init__(self):
            super().__init__(3, 2, 6)

    model = Own(4)
    assert model.fit(VECTORS, LABELS, epochs=2).losses == model.fit(VECTORS, LABELS, epochs=2).losses
    model = Unseeded()
    assert model.fit(VECTORS, LABELS, epochs=2).losses != model.fit(VECTORS, LABELS, epochs=2).losses


def test_a_warm_start_keeps_the_scale():
    model = CASES["Forecaster"].make()
    model.fit(SERIES, epochs=1)
    scale = model.mean, model.std
    model.fit(SERIES + 100, epochs=1, warm_start=True)
    assert (model.mean, model.std) == scale
    model.fit(SERIES + 100, epochs=1)
    assert model.mean == pytest.approx(scale[0] + 100)


# ---- what is asked of it ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", OF_CLASSES)
def test_probabilities_and_score(name):
    case = CASES[name]
    x, y = DATA[name]
    model = fitted(case)
    found, likeliest = model.predict_proba(x), model.predict(x)
    rows = np.concatenate(found) if name == "Tagger" else found
    if name == "Tagger":
        assert [len(one) for one in found] == [len(one) for one in x]
        y, likeliest = np.concatenate(y), np.concatenate(likeliest)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(rows.argmax(1), likeliest)
    assert model.score(*DATA[name]) == np.mean(y == likeliest)


def test_lists_and_doubles_are_taken():
    model = fitted(CASES["Classifier"])
    expected = model.predict_proba(VECTORS)
    np.testing.assert_array_equal(model.predict_proba(VECTORS.astype(np.float64)), expected)
    np.testing.assert_array_equal(model.predict_proba(VECTORS.tolist()), expected)
    assert model.predict_proba(np.zeros((0, 3))).shape == (0, 2)
    model = fitted(CASES["SequenceClassifier"])
    doubles = [one.astype(np.float64).tolist() for one in RAGGED]
    np.testing.assert_array_equal(model.predict_proba(doubles), model.predict_proba(RAGGED))
    assert model.score(doubles, LABELS.tolist()) == model.score(RAGGED, LABELS)
    model.fit(doubles, LABELS.tolist(), epochs=1, validation=(doubles, LABELS.tolist()))


def test_the_forecasters_score_is_r2():
    model = fitted(CASES["Forecaster"])
    truth, found = SERIES[5:], model.predict(SERIES)[5:-1]
    assert model.score(SERIES) == pytest.approx(1 - ((truth - found) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


# ---- more layers, one direction or two ----------------------------------------------------------------------
DEEP = {
    "SequenceClassifier": lambda **o: fd.models.SequenceClassifier(2, 2, 6, 0.2, rng=1, **o),
    "Forecaster": lambda **o: fd.models.Forecaster(5, 6, 0.2, rng=1, **o),
    "Tagger": lambda **o: fd.models.Tagger(4, 3, 4, 6, rng=1, **o),
    "Seq2Seq": lambda **o: fd.models.Seq2Seq(4, 4, 4, 6, rng=1, **o),
}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", DEEP)
def test_layers_and_directions(name, both, layers, tmp_path):
    model = DEEP[name](layers=layers, bidirectional=both)
    losses = CASES[name].fit(model, epochs=40, learning_rate=0.02)["loss"]
    assert losses[-1] < losses[0]
    fd.save(model, tmp_path / "model")
    loaded = fd.load(tmp_path / "model")
    assert same(loaded, model)
    np.testing.assert_array_equal(CASES[name].ask(loaded), CASES[name].ask(model))


def test_a_generator_of_sequences_with_two_layers():
    model = fd.models.SequenceGenerator(2, 4, 2, 3, 6, layers=2, rng=1)
    model.fit(LABELS, ROWS, epochs=1)
    assert model.generate(LABELS, rng=0).shape == ROWS.shape


@pytest.mark.parametrize("both", [False, True])
def test_gradients_through_an_encoder_decoder_of_two_layers(both):
    model = fd.models.Seq2Seq(3, 3, embedding=4, hidden=4, layers=2, bidirectional=both, rng=0)
    x = np.array([[0, 1], [1, 2]]), np.array([2, 1]), np.array([[3, 3], [1, 1]])
    assert model.check_gradients(x, entries=1)


def test_the_code_of_the_page_runs():
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/models.md", "exec"), {})
