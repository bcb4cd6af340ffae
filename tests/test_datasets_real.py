"""fastdl.datasets on the packages themselves, where they are installed or FASTDL_DATA names their downloads."""

import numpy as np
import pytest

import fastdl as fd

SHAPES = {
    "optdigits": {"train": [(3823, 8, 8), (3823,)], "test": [(1797, 8, 8), (1797,)]},
    "pen_digits": {"all": [(10992, 8, 2), (10992,)]},
    "vowel": {"train": [(528, 10), (528,), (528,)], "test": [(462, 10), (462,), (462,)]},
    "movement_libras": {"all": [(360, 45, 2), (360,)]},
    "fashion_mnist": {"train": [(60000, 28, 28), (60000,)], "test": [(10000, 28, 28), (10000,)]},
    "digits": {"all": [(1797, 8, 8), (1797,)]},
    "japanese_vowels": {"train": [(270,), (270,)], "test": [(370,), (370,)]},
    "connected_digits": {"test": [(31,), (31,)]},
    "sentiment": {"train": [(5302,)] * 3, "test": [(5303,)] * 3},
    "brown_tags": {"all": [(57340,)] * 3},
    "brown_words": {"train": [(800000,)], "valid": [(200000,)], "test": [(161192,)]},
    "cmudict": {"train": [(105292,)] * 2, "valid": [(6194,)] * 2, "test": [(12388,)] * 2},
    "m3": {"all": [(3003,)] * 5},
    "tourism": {"all": [(1311,)] * 5},
    "sunspots": {"all": [(309,)] * 2},
    "har": {"train": [(7415, 128, 6), (7415,), (7415,)], "test": [(2996, 128, 6), (2996,), (2996,)]},
    "chorales": {"train": [(187,)] * 2, "valid": [(64,)] * 2, "test": [(66,)] * 2},
}


def real(name, **options):
    try:
        return getattr(fd.datasets, name)(**options)
    except FileNotFoundError as error:
        pytest.skip(str(error).splitlines()[0])


def shape(column):
    return column.shape if isinstance(column, np.ndarray) else (len(column),)


@pytest.mark.parametrize("name", SHAPES)
def test_parts_have_their_sizes(name):
    data = real(name)
    assert {part: [shape(one) for one in columns] for part, columns in data.parts.items()} == SHAPES[name]
    assert data.licence
    assert data.source


@pytest.mark.parametrize("voice", ["en", "es", "fr", "it", "ru"])
def test_ten_digits_are_said(voice):
    x, _ = real("spoken_digits", voice=voice).test
    assert all(1500 < len(one) < 8000 and np.abs(one).max() > 0.05 for one in x)


def test_the_digits_of_scikit_learn_are_ucis_test_part():
    for one, other in zip(real("digits").all, real("optdigits").test, strict=True):
        assert (one == other).all()


def test_words_of_the_brown_corpus_have_the_tags_that_are_published():
    # Counts of the twelve tags as mapped by Petrov, Das and McDonald; three words are mapped otherwise here.
    data = real("brown_tags")
    counts = dict(zip(data.names, np.bincount(np.concatenate(data.all[2])).tolist(), strict=True))
    published = {
        "NOUN": 275558, "VERB": 182750, ".": 147565, "ADP": 144766, "DET": 137019, "ADJ": 83721, "ADV": 56239,
        "PRON": 49334, "CONJ": 38151, "PRT": 29829, "NUM": 14874, "X": 1386,
    }  # fmt: skip
    assert sum(counts.values()) == 1161192
    assert sum(abs(counts[tag] - count) for tag, count in published.items()) == 6


def test_chorales_end_on_c_and_have_four_voices():
    for voices, rolls in real("chorales").parts.values():
        assert all(one[one[:, 3] > 0, 3][-1] % 12 == 0 for one in voices)
        assert all((one.sum(1) <= 4).all() for one in rolls)


def test_series_have_the_horizons_of_their_competition():
    horizons = {"yearly": 6, "quarterly": 8, "monthly": 18, "other": 8}
    past, future, period, _, _ = real("m3").all
    assert all(len(one) == horizons[when] for one, when in zip(future, period, strict=True))
    assert [period.count(one) for one in horizons] == [645, 756, 1428, 174]
    assert min(map(len, past)) == 14


def test_a_number_of_sunspots_is_known():
    year, number = real("sunspots").all
    assert number[year == 1957] == 190.2
