"""Text: reading, the vocabulary, windows, and the character model's files and writing."""

import hashlib
import itertools
import json
import sys

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors, text
from fastdl.models import CharLM


# ---- reading ----------------------------------------------------------------------------------------
def test_the_default_corpus_is_english_of_some_size():
    corpus = text.default_corpus()
    assert corpus.count(" the ") > 3000
    if sys.version_info[:3] == (3, 11, 7):  # the text that docs and figures speak of
        assert hashlib.sha256(corpus.encode()).hexdigest().startswith(CORPUS_3_11_7)


CORPUS_3_11_7 = "37d06970fc926e60"


def test_files_are_joined_and_normalized(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffгде\r\n".encode())
    (tmp_path / "b").write_bytes("東京\rα".encode())
    assert text.read_text([tmp_path / "a", str(tmp_path / "b")]) == "где\n東京\nα"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is empty"),
        (b"abc\0def", "is not a text file: byte 3 is NUL"),
        (b"caf\xe9 au lait", "is not UTF-8: byte 3 is 0xe9"),
        (b"ends in the middle \xe2\x82", "is not UTF-8: byte 19"),
        (b"\xed\xa0\x80", "is not UTF-8"),
    ],
)
def test_what_is_not_text_is_refused(tmp_path, raw, reason):
    (tmp_path / "bad.txt").write_bytes(raw)
    with pytest.raises(ValueError, match=rf"bad\.txt: {reason}"):
        text.read_text([tmp_path / "bad.txt"])


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        text.read_text([tmp_path / "nowhere"])
    with pytest.raises(IsADirectoryError):
        text.read_text([tmp_path])


# ---- vocabulary -------------------------------------------------------------------------------------
@pytest.mark.parametrize("sample", ["abc", "日本語のテキスト", "🙂🙃 emoji", "עברית", "a\ud800b", "x" * 1000])
def test_encode_and_decode_are_inverse_over_any_alphabet(sample):
    vocabulary = text.Vocabulary(sample)
    codes = vocabulary.encode(sample)
    assert codes.dtype == np.int64
    assert len(codes) == len(sample)
    assert codes.min() >= 1
    assert codes.max() == len(vocabulary) - 1
    assert vocabulary.decode(codes) == sample


def test_unknown_characters_have_the_code_0():
    vocabulary = text.Vocabulary("bd")
    assert vocabulary.encode("abcde\U0010ffff\0").tolist() == [0, 1, 0, 2, 0, 0, 0]
    assert vocabulary.encode("").tolist() == []
    assert vocabulary.decode([0, 1]) == "\ufffdb"
    assert text.Vocabulary("a\ufffd").characters == "a"


def test_vocabulary_refuses():
    with pytest.raises(ValueError, match="characters: got none"):
        text.Vocabulary("")
    with pytest.raises(TypeError, match="characters: got list"):
        text.Vocabulary(["a"])
    with pytest.raises(ValueError, match="codes: got 3"):
        text.Vocabulary("ab").decode([3])


# ---- windows ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("length", "seq_len", "batch_size"), [(2, 1, 1), (100, 7, 3), (99, 64, 5), (65, 8, 8)])
def test_windows_are_the_text_side_by_side(length, seq_len, batch_size):
    codes = np.arange(length, dtype=np.int32)
    batches = text.TextBatches(codes, seq_len, batch_size)
    windows = list(batches)
    assert len(windows) == len(batches)
    x = np.concatenate([x for x, _ in windows])
    y = np.concatenate([y for _, y in windows])
    stretch = (length - 1) // batch_size
    assert x.T.ravel().tolist() == list(range(stretch * batch_size))
    assert np.array_equal(y, x + 1)
    for inputs, targets in windows:
        assert inputs.shape == targets.shape
        assert inputs.shape[1] == batch_size
        assert inputs.flags.c_contiguous
        assert targets.flags.c_contiguous
        assert inputs.dtype == targets.dtype == np.int64
    assert all(len(inputs) == seq_len for inputs, _ in windows[:-1])
    later = list(batches.iterate(4, 1))
    assert len(later) == len(windows) - 1
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(later, windows[1:], strict=True))


def test_windows_refuse():
    with pytest.raises(ValueError, match="codes: got 4 characters, expected at least 5"):
        text.TextBatches(np.arange(4), 2, 4)
    with pytest.raises(TypeError, match="codes: got float64 of shape"):
        text.TextBatches(np.ones(9), 2, 4)
    with pytest.raises(ValueError, match="seq_len: got 0"):
        text.TextBatches(np.arange(9), 0, 4)


# ---- the character model ----------------------------------------------------------------------------
SAMPLE = "the quick brown fox jumps over the lazy dog.\n" * 12


def small_model(**settings):
    return CharLM(text.Vocabulary(SAMPLE), 6, 10, rng=3, **settings)


def test_the_gradients_of_the_character_model_are_those_of_its_loss():
    model = CharLM(text.Vocabulary("abcd"), 3, 4, layers=2, rng=1)
    x, y = next(iter(model.batches("abcdabdcabbadc" * 2, seq_len=5, batch_size=3)))

    def loss():
        value, gradient = fd.softmax_cross_entropy(model.forward(x), y)
        return float(value), gradient

    model.train()
    _, gradient = loss()
    model.backward(gradient)
    parameters = model.parameters()
    parameters.settle_gradients()
    direction = fd.random.Generator(0).normal(size=parameters.data.size) * (parameters.grad != 0)
    expected = float(direction @ parameters.grad)
    model.eval()
    start, step = parameters.data.copy(), np.float32(1e-2)
    ends = []
    for sign in (1, -1):
        parameters.data[...] = start + sign * step * direction
        ends.append(loss()[0])
    assert (ends[0] - ends[1]) / (2 * float(step)) == pytest.approx(expected, rel=2e-2)


def test_the_character_model_learns_a_sentence_by_heart():
    model = CharLM(text.Vocabulary(SAMPLE), 8, 32, rng=0)
    optimizer = fd.optim.Adam(model.parameters(), lr=0.02)
    data = model.batches(SAMPLE, seq_len=30, batch_size=4)
    history = fd.training.fit(model, optimizer, data, epochs=40, max_norm=1.0, carry_state=True, progress=False)
    assert history["loss"][-1] < 0.2
    written = "".join(itertools.islice(model.generate("the quick br", temperature=0), 30))
    assert written.startswith("own fox jumps over the lazy")


def test_generate_is_seeded_and_keeps_to_top_k():
    model = small_model()

    def write(**options):
        return "".join(itertools.islice(model.generate("the", **options), 60))

    assert write(rng=1) == write(rng=1)
    assert write(rng=1) != write(rng=2)
    assert write(temperature=0) == write(top_k=1, rng=5) == write(top_p=1e-9, rng=2) == write(temperature=1e-6, rng=9)
    assert text.UNKNOWN not in write(rng=4, temperature=100.0)
    assert "".join(itertools.islice(model.generate("∞"), 3))
    assert "".join(itertools.islice(model.generate(""), 3))


@pytest.mark.parametrize("options", [{"temperature": -1}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0}])
def test_generate_refuses_at_once(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        small_model().generate("a", **options)


def test_a_saved_model_writes_the_same(tmp_path):
    model = small_model(layers=2, dropout=0.4)
    model.save(tmp_path / "model.safetensors")
    again = CharLM.load(tmp_path / "model.safetensors")
    assert not again.training
    assert again.settings == {"embedding": 6, "hidden": 10, "layers": 2, "dropout": 0.4}
    assert again.vocabulary.characters == model.vocabulary.characters
    assert repr(again) == repr(model)
    before, after = model.state_dict(), again.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    one, other = (itertools.islice(m.generate("fox", rng=1), 40) for m in (model, again))
    assert "".join(one) == "".join(other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "another 1"}, "model 'another 1', expected 'fastdl CharLM 1'"),
        ({"model": None}, "model None"),
        ({"settings": json.dumps({"hidden": 10})}, "settings"),
        (
            {"settings": json.dumps({"embedding": 6, "hidden": 10**12, "layers": 1, "dropout": 0.0})},
            "expected",
        ),
        (
            {"settings": json.dumps({"embedding": 6, "hidden": 10, "layers": 10**9, "dropout": 0.0})},
            "expected",
        ),
        (
            {"settings": json.dumps({"embedding": 6, "hidden": 10, "layers": 1, "dropout": 7})},
            "dropout: got 7",
        ),
        ({"settings": "{"}, "not a character model"),
        ({"vocabulary": json.dumps("abc")}, "expected"),
        ({"vocabulary": json.dumps([1])}, "characters: got list"),
        ({"vocabulary": None}, "vocabulary"),
    ],
)
def test_a_file_that_is_no_character_model_is_refused(tmp_path, change, reason):
    path = tmp_path / "model.safetensors"
    small_model().save(path)
    tensors, metadata = _safetensors.load(path)
    for name, value in change.items():
        if value is None:
            del metadata[name]
        else:
            metadata[name] = value
    _safetensors.save(path, tensors, metadata)
    with pytest.raises(ValueError, match=reason) as caught:
        CharLM.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_array_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    small_model().save(path)
    tensors, metadata = _safetensors.load(path)
    del tensors["model.linear.bias"]
    _safetensors.save(path, tensors, metadata)
    with pytest.raises(ValueError, match=r"linear\.bias"):
        CharLM.load(path)
