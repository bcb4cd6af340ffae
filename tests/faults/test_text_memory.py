"""A text takes at most 4 bytes a character on its way from the file to the batches, whatever its alphabet."""

import tracemalloc

import numpy as np
import pytest

import fastdl as fd
from fastdl import text

LENGTH = 1_500_000
ALPHABETS = {
    "ascii": "abcdefgh \n",
    "cyrillic": "абвгдежзи \n",
    "three thousand": "".join(map(chr, range(0x4E00, 0x4E00 + 3000))),
    "emoji": "".join(map(chr, range(0x1F600, 0x1F640))),
    "one emoji in a thousand": "abcdefghij" * 100 + "🙂",
}


@pytest.mark.parametrize("name", ALPHABETS)
def test_from_the_file_to_the_batches(tmp_path, name):
    letters = np.array(list(ALPHABETS[name]))
    chosen = np.random.default_rng(0).integers(0, letters.size, LENGTH)
    (tmp_path / "a.txt").write_text("".join(letters[chosen]), encoding="utf-8", newline="")
    fd.models.CharLM(text.Vocabulary("ab"), 2, 2).batches("abab", 1, 1)  # imports are not the text's
    tracemalloc.start()
    try:
        learnt, held_out = text.split_held_out(text.read_corpus([tmp_path / "a.txt"]))
        model = fd.models.CharLM(text.Vocabulary(learnt.characters), 2, 2, rng=0)
        batches = [model.batches(one, 64, 32) for one in (learnt, held_out)]
        for one in batches:
            one.fingerprint()
            assert sum(y.size for _, y in one) > 0.99 * len((learnt, held_out)[one is batches[1]]) - 32
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(learnt) + len(held_out) == LENGTH
    assert peak < 4 * LENGTH
    if letters.size < 256:
        assert peak < 3 * LENGTH


def test_codes_are_held_once_and_in_their_own_type():
    codes = np.random.default_rng(0).integers(0, 90, 1_000_000)
    tracemalloc.start()
    try:
        text.TextBatches(codes, 64, 32)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        codes.flags.writeable = False
        text.TextBatches(codes, 64, 32)
        assert tracemalloc.get_traced_memory()[1] - held < 100_000
    finally:
        tracemalloc.stop()
    assert held < 1_100_000


def test_codes_that_may_be_written_are_copied():
    codes = np.arange(9)
    batches = text.TextBatches(codes, 4, 2)
    codes[:] = 0
    assert next(iter(batches))[0].T.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int32, np.uint64, ">i4"])
@pytest.mark.parametrize("layout", ["plain", "strided", "backwards", "read-only"])
def test_codes_of_any_type_and_layout(kind, layout):
    codes = (np.arange(101) % 100).astype(kind)
    if layout == "strided":
        codes = codes.repeat(3)[::3]
    elif layout == "backwards":
        codes = codes[::-1].copy()[::-1]
    codes.flags.writeable = layout != "read-only"
    expected = list(text.TextBatches(np.arange(101) % 100, 7, 3))
    for got, wanted in zip(text.TextBatches(codes, 7, 3), expected, strict=True):
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == np.int64
            assert one.flags.c_contiguous


def test_a_table_stands_between_the_codes_and_the_windows():
    batches = text.TextBatches(np.array([0, 1, 2, 1, 0]), 2, 2, table=np.array([7, 8, 300]))
    assert [(x.T.tolist(), y.T.tolist()) for x, y in batches] == [([[7, 8], [300, 8]], [[8, 300], [8, 7]])]


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 65_535, 65_536, 65_537])
def test_a_corpus_of_any_number_of_different_characters(count):
    """Around the borders of the types, in an order that is not that of the code points."""
    points = np.random.default_rng(1).permutation(np.arange(0x20, 0x20 + count + 0x800))
    points = points[(points < 0xD800) | (points >= 0xE000)][:count]
    whole = "".join(map(chr, points))
    pieces = [whole[: count // 3], "", whole[count // 3 :], whole[:2]]
    corpus, joined = text.Corpus(pieces), "".join(pieces)
    assert len(corpus) == len(joined)
    assert corpus.characters == "".join(sorted(whole))
    vocabulary = text.Vocabulary(whole.replace(whole[0], "") or "?")
    got = vocabulary.encode(corpus)
    np.testing.assert_array_equal(got, vocabulary.encode(joined))
    assert vocabulary.decode(got) == joined.replace(whole[0], "\ufffd")
    assert corpus[1:].characters == "".join(sorted(set(joined[1:])))


def test_a_small_vocabulary_and_an_empty_text():
    vocabulary = text.Vocabulary("a")
    assert len(vocabulary) == 2
    assert vocabulary.encode("").shape == vocabulary.encode(text.Corpus([])).shape == (0,)
    assert text.Corpus("").characters == ""
    assert [len(one) for one in text.split_held_out(text.Corpus("a"))] == [0, 1]
    model = fd.models.CharLM(vocabulary, 2, 2, rng=0)
    letters = model.generate("b", rng=0)
    assert [next(letters) for _ in range(3)] == ["a", "a", "a"]
    history = fd.training.fit(
        model, fd.optim.SGD(model.parameters(), lr=0.1), model.batches("aaaa", 2, 1), carry_state=True, progress=False
    )
    assert np.isfinite(history["loss"]).all()
