"""Data that are not finite, or not data, are refused before training: by name, place and value."""

import numpy as np
import pytest
from model_cases import CASES, LABELS, RAGGED, ROWS, SERIES, VECTORS, WORDS, same

import fastdl as fd


def spoilt(array, place, value):
    array = np.array(array, np.float64)
    array[place] = value
    return array


def ragged(value):
    return [RAGGED[0], RAGGED[1], spoilt(RAGGED[2], (4, 1), value), RAGGED[3]]


VALUES = [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, r"1e\+300, expected at most 3.40282e\+38")]


@pytest.mark.parametrize(("value", "said"), VALUES)
def test_numbers_that_are_not_finite_in_float32(value, said):
    classifier, reader = CASES["Classifier"].make(), CASES["SequenceClassifier"].make()
    for call in (lambda x: classifier.fit(x, LABELS), classifier.predict):
        with pytest.raises(ValueError, match=rf"^x\[2, 1\]: got {said}"):
            call(spoilt(VECTORS, (2, 1), value))
    for call in (lambda x: reader.fit(x, LABELS), reader.predict):
        with pytest.raises(ValueError, match=rf"^x\[2\]\[4, 1\]: got {said}"):
            call(ragged(value))


MASKED = np.ma.masked_array(VECTORS, VECTORS > 0.5)
FITS = {
    "x: got a masked array": lambda: CASES["Classifier"].make().fit(MASKED, LABELS),
    "y: got a masked array": lambda: CASES["Classifier"].make().fit(VECTORS, np.ma.masked_array(LABELS)),

    r"x\[1\]: got a masked array": lambda: CASES["SequenceClassifier"].make().fit([RAGGED[0], MASKED[:, :2]], [0, 1]),
    "series: got a masked array": lambda: CASES["Forecaster"].make().fit(np.ma.masked_array(SERIES, SERIES > 1000)),
    r"sentences\[0\]: got a masked array": lambda: CASES["Tagger"].make().predict([np.ma.masked_array([1, 2])]),
    "values: got a masked array": lambda: CASES["SequenceGenerator"].make().fit(LABELS, np.ma.masked_array(ROWS)),
    r"labels: got shape \(\)": lambda: CASES["SequenceGenerator"].make().generate(1),
    "x: got int": lambda: CASES["SequenceClassifier"].make().fit(5, [0]),
    "x: got str": lambda: CASES["SequenceClassifier"].make().predict("ab"),
    "x: got list, expected": lambda: CASES["Classifier"].make().predict([[1, 2, 3], [1, 2]]),
    r"x\[0\]: got list, expected": lambda: CASES["SequenceClassifier"].make().predict([[[1, 2], [1]]]),
    r"x\[1\]: got shape \(0, 2\), expected at least one step":
        lambda: CASES["SequenceClassifier"].make().predict([RAGGED[0], np.zeros((0, 2))]),
    r"x: got shape \(0, 3\), expected at least one vector":
        lambda: CASES["Classifier"].make().fit(np.zeros((0, 3)), np.zeros(0, int)),
    r"values: got shape \(0, 4, 2\), expected at least one":
        lambda: CASES["SequenceGenerator"].make().fit([], np.zeros((0, 4, 2), int)),
    r"tags: got 1, expected 2, as many as sentences": lambda: CASES["Tagger"].make().fit(WORDS[:2], [[0, 0, 0]]),
    r"tags\[1\]: got 2, expected 1, as many": lambda: CASES["Tagger"].make().fit(WORDS[:2], [[0, 0, 0], [0, 0]]),
    "y: got dtype float64, expected integers": lambda: CASES["Classifier"].make().fit(VECTORS, [0.0, 1.0, 1.0, 0.0]),
    "y: got values from 0 to 2, expected 0 to 1": lambda: CASES["Classifier"].make().fit(VECTORS, [0, 1, 2, 0]),
    "label_smoothing: got 1": lambda: CASES["Classifier"].make().fit(VECTORS, LABELS, label_smoothing=1),
    r"learning_rate: got 1e\+308": lambda: CASES["Seq2Seq"].make().fit(WORDS, WORDS, learning_rate=1e308),
    "learning_rate: got settings": lambda: CASES["Classifier"].make().fit(VECTORS, LABELS, learning_rate=3e38),
    "learning_rate: got inf": lambda: CASES["Seq2Seq"].make().fit(WORDS, WORDS, learning_rate=np.inf),
    "x: got ndarray, expected": lambda: CASES["SequenceClassifier"].make().forward(np.zeros((3, 2, 2), np.float32)),
    "x: got 2 parts, expected": lambda: CASES["Seq2Seq"].make().forward((WORDS[0], [1])),
    r"x\[0\]: got list": lambda: CASES["Tagger"].make().forward(([[1]], [1])),
    "text: got 3 characters, expected at least 33":
        lambda: fd.models.CharLM(fd.text.Vocabulary("ab"), 2, 2).batches("aba"),
    "vocabulary: got str": lambda: fd.models.CharLM("abc"),
}  # fmt: skip


@pytest.mark.parametrize("message", FITS)
def test_what_is_no_data_is_refused_by_name(message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        FITS[message]()


SIZES = {
    "CharLM": {"embedding": 0, "hidden": 0, "layers": 0, "dropout": 1.0},
    "Classifier": {"hidden": 0, "layers": 0, "dropout": 1.5, "noise": -1.0, "features": 0, "classes": "2"},
    "Forecaster": {"window": 0, "hidden": 0, "dropout": np.nan},
    "Seq2Seq": {"embedding": 0, "hidden": 3, "dropout": 2, "teacher_forcing": -1, "attention": "x", "source_tokens": 0},
    "SequenceClassifier": {"hidden": 0, "dropout": -0.1, "noise": np.inf, "features": 1.5},
    "SequenceGenerator": {"hidden": 0, "dropout": "x", "levels": 1, "steps": 0},
    "Tagger": {"embedding": 0, "hidden": 1, "dropout": None, "unknown": 2, "tags": 0},
}
NEEDED = {
    "CharLM": {"vocabulary": fd.text.Vocabulary("ab")},
    "Classifier": {"features": 2, "classes": 2},
    "Forecaster": {},
    "Seq2Seq": {"source_tokens": 3, "target_tokens": 3},
    "SequenceClassifier": {"features": 2, "classes": 2},
    "SequenceGenerator": {"classes": 2, "steps": 2, "features": 1, "levels": 3},
    "Tagger": {"tokens": 3, "tags": 2},
}


@pytest.mark.parametrize(
    ("name", "argument"), [(name, one) for name, options in SIZES.items() for one in [*options, "rng"]]
)
def test_a_bad_size_is_refused_by_the_name_the_caller_gave_it(name, argument):
    value = SIZES[name].get(argument, -1)
    with pytest.raises((TypeError, ValueError), match=f"^{argument}: got "):
        getattr(fd.models, name)(**NEEDED[name] | {argument: value})


# ---- refits that fail -------------------------------------------------------------------------------
FITTED = [name for name, case in CASES.items() if case.fit]


@pytest.mark.parametrize("name", FITTED)
def test_a_refused_refit_leaves_the_model_as_it_was(name):
    case = CASES[name]
    model = case.make()
    case.fit(model, epochs=1)
    before, draws, asked = model.state_dict(), model.random_state(), case.ask(model)
    for options in ({"epochs": 0}, {"batch_size": 0}, {"learning_rate": -1.0}, {"weight_decay": np.nan}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))}: got "):
            case.fit(model, **options)
    assert not model.training
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())
    assert model.random_state() == draws
    np.testing.assert_array_equal(case.ask(model), asked)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("kind", [FloatingPointError, MemoryError, KeyboardInterrupt])
def test_a_refit_that_fails_on_the_way(name, kind, monkeypatch):
    """An error puts everything back; after Ctrl-C the model has what it learnt."""
    case = CASES[name]
    model, twin = case.make(), case.make()
    for one in (model, twin):
        case.fit(one, epochs=1)
    model.train()
    step, steps = fd.optim.AdamW.step, []

    def fails(self, *args, **options):
        step(self, *args, **options)
        steps.append(1)
        if len(steps) == 3:
            raise kind

    with monkeypatch.context() as patch:
        patch.setattr(fd.optim.AdamW, "step", fails)
        with pytest.raises(kind):
            case.fit(model, epochs=9)
    if kind is KeyboardInterrupt:
        assert not model.training
        assert not same(model, twin)
        case.ask(model)
        return
    assert model.training
    assert same(model, twin)
    assert model.random_state() == twin.random_state()
    assert not any(len(module._tape) for module in model.modules())
    for one in (model, twin):
        case.fit(one, epochs=2)
    assert same(model, twin)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_refused_by_name():
    for call in (CASES["Classifier"].make().predict, fd.models.Forecaster(1, 2).fit):
        with pytest.raises(TypeError, match="^(x|series): got a matrix"):
            call(np.asmatrix(VECTORS))
