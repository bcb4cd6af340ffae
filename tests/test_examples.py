"""The examples, in their quick form: they run, and give the figures they promise to print."""

import importlib

import pytest

import fastdl as fd

pytest.importorskip("sklearn")
pytest.importorskip("statsmodels")
pytest.importorskip("babel")
pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    ("name", "least", "picture"),
    [
        ("one_to_one_digits", {"accuracy": 0.85}, None),
        ("one_to_many_digits", {"recognised": 0.4}, "digits.png"),
        ("many_to_one_digits", {"second half": 0.6, "stratified half": 0.6}, None),
        ("one_to_one_optdigits", {"accuracy": 0.93}, "wrong-digits.png"),
        ("one_to_one_clothes", {"accuracy": 0.7}, "wrong-clothes.png"),
        ("many_to_one_clothes", {"accuracy": 0.5}, "clothes.png"),
        ("many_to_one_speech", {"accuracy": 0.5}, "speakers.png"),
        ("many_to_one_gestures", {"accuracy": 0.2}, "gestures.png"),
        ("many_to_one_sensors", {"accuracy": 0.3}, "activities.png"),
        ("many_to_one_sentiment", {"F1": 0.4, "naive Bayes": 0.74}, "sentiment.png"),
        ("many_to_one_sunspots", {"LSTM": 0, "AR(12)": 0.118, "naive": 0.38}, "sunspots.png"),
        ("many_to_many_tagging", {"names": 0.7, "baseline": 0.3}, None),
        ("amplifier", {"explained by LSTM": 0.9, "explained by best gain": 0.5}, "amplifier.png"),
        ("one_to_many_chorales", {"test NLL": 8}, "chorale.png"),
        ("many_to_many_captions", {"exact": 0}, "captions.png"),
        ("many_to_many_spoken_digits", {"people": 0, "prompts": 0}, "spoken-digits.png"),
        ("many_to_many_parts_of_speech", {"accuracy": 0.5}, "parts-of-speech.png"),
        ("many_to_many_words", {"perplexity": 1, "words a second": 1}, "words.png"),
        ("many_to_many_pronunciation", {"word error rate": 0.5, "phone error rate": 0}, "pronunciation.png"),
        ("dates", {"all": 0}, None),
        ("many_to_many_m3", {"GlobalForecaster": 13.0, "SeasonalNaive": 17.4, "ETS": 14.2, "Theta": 14.2}, "m3.png"),
        ("long_lags", {"adding": 0, "temporal order": 0}, "long-lags.png"),
        ("long_copying", {"cross-entropy": 0, "right": 0}, "copied.png"),
    ],
)
@pytest.mark.filterwarnings("default")  # of the libraries that bring the data
def test_examples_run_in_their_quick_form(name, least, picture, tmp_path, capsys):
    fd.set_num_threads(1)  # they are small, and the machine may be busy
    try:
        results = importlib.import_module(name).main(["--quick", "--out", str(tmp_path)])
    except FileNotFoundError as error:  # of a reader of fastdl.datasets
        pytest.skip(str(error).splitlines()[0])
    for key, value in least.items():
        assert results[key] >= value, (key, results)
    if picture:
        assert (tmp_path / picture).stat().st_size > 10_000
    assert capsys.readouterr().out
