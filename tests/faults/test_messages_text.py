"""What is no text is refused by name, with the place and what may be the matter."""

import codecs
import io
import os
import socket

import numpy as np
import pytest

import fastdl as fd
from fastdl import text

SAMPLE = "Grüße, 東京 🙂\n" * 3

FILES = {
    SAMPLE.encode("utf-16"): r"is UTF-16, expected UTF-8 \(iconv -f UTF-16 -t UTF-8 can convert it\)",
    codecs.BOM_UTF16_BE + SAMPLE.encode("utf-16-be"): "is UTF-16, expected UTF-8",
    SAMPLE.encode("utf-32"): r"is UTF-32, expected UTF-8 \(iconv -f UTF-32 -t UTF-8",
    "caf\xe9 au lait".encode("latin-1"): r"is not UTF-8: byte 3 is 0xe9 \(iconv can convert it\)",
    "Привет, мир".encode("cp1251"): r"is not UTF-8: byte 0 is 0xcf \(iconv can convert it\)",
    "東京都に住んでいます。".encode("euc-jp"): r"is not UTF-8: byte 0 is 0xc5 \(iconv can convert it\)",
    "Grüße, ".encode() * 9 + b"caf\xe9, ": "is not UTF-8: byte 84 is 0xe9, though other characters are .two",
    b"caf\xe9, " + "Grüße, ".encode() * 9: "is not UTF-8: byte 3 is 0xe9, though other characters are .two",
    b"caf\xe9": r"is not UTF-8: byte 3 is 0xe9 \(iconv can convert it\)",
    SAMPLE.encode()[:-2]: "is not UTF-8: byte 58 is 0xf0, a character that the file's end cuts off",
    codecs.BOM_UTF8: "is empty, expected text",
    b"": "is empty, expected text",
    b"ab\0c": "is not a text file: byte 2 is NUL",
    b"a" * 200_000 + b"\0": "is not a text file: byte 200000 is NUL",
    "é".encode() * 150_000 + b"\xff" + b"a" * 99: "is not UTF-8: byte 300000 is 0xff, though other characters are",
}


@pytest.mark.parametrize("raw", FILES)
def test_what_a_file_holds_instead_is_said(tmp_path, raw):
    path = tmp_path / "a[b].txt"
    path.write_bytes(raw)
    for read in (text.read_text, text.read_corpus):
        with pytest.raises(ValueError, match=rf"a\[b\]\.txt: {FILES[raw]}"):
            read([path])


@pytest.mark.parametrize("size", [1, 2, 3, 65534, 65535, 65536, 65537, 131072])
def test_pieces_are_joined_wherever_they_are_cut(tmp_path, size):
    """Line ends and characters of several bytes across the border of what is read at a time."""
    path = tmp_path / "a"
    path.write_bytes(codecs.BOM_UTF8 + b"a" * size + "\r\né\r東🙂\r".encode())
    expected = "a" * size + "\né\n東🙂\n"
    assert text.read_text([path]) == expected
    assert fd.text.Vocabulary(expected).decode(text.Vocabulary(expected).encode(text.read_corpus([path]))) == expected


@pytest.mark.parametrize("call", [text.read_text, text.read_corpus])
def test_names_of_files(call, tmp_path):
    for paths in ("a.txt", b"a.txt", tmp_path, 5, None):
        with pytest.raises(TypeError, match=f"paths: got {type(paths).__name__}, expected a sequence of paths"):
            call(paths)
    (tmp_path / "a").write_text("abc")
    with pytest.raises(TypeError, match=r"paths\[1\]: got int, expected a path"):
        call([tmp_path / "a", 5])
    with pytest.raises(ValueError, match="NUL in a file's name"):
        call(["a\0b"])
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        call([tmp_path])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        call([tmp_path / "nowhere"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_never_ends_is_not_begun(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="fifo: is a FIFO, expected a regular file"):
        text.read_text([tmp_path / "fifo"])
    with pytest.raises(ValueError, match="/dev/zero: is a character device, expected a regular file"):
        text.read_text(["/dev/zero"])
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(ValueError, match="s: is a socket, expected a regular file"):
            text.read_text([tmp_path / "s"])
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="sparse: is not a text file: byte 0 is NUL"):
        text.read_text([tmp_path / "sparse"])


def test_control_characters_of_a_name_are_escaped(tmp_path):
    (tmp_path / "\x1b[2J").write_bytes(b"")
    with pytest.raises(ValueError, match=r"\\x1b\[2J: is empty"):
        text.read_text([tmp_path / "\x1b[2J"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: text.Vocabulary("ab").encode(5), "text: got int, expected a str or a Corpus"),
        (lambda: text.Vocabulary("ab").encode(b"a"), "text: got bytes"),
        (lambda: text.Vocabulary("ab").compact(None), "text: got NoneType"),
        (lambda: text.Vocabulary("ab").decode(["a"]), "codes: got 'a', expected an int"),
        (lambda: text.Vocabulary("ab").decode(None), "codes: got None, expected an int"),
        (lambda: text.Vocabulary("ab").decode([0.5]), "codes: got 0.5, expected an int"),
        (lambda: text.Vocabulary(5), "characters: got int, expected a str"),
        (lambda: text.Vocabulary("\ufffd"), "characters: got none, expected at least one"),
        (lambda: text.Corpus(5), "pieces: got int"),
        (lambda: text.Corpus(b"abc"), "pieces: got bytes"),
        (lambda: text.Corpus(["a", 5]), "pieces: got int, expected each to be a str"),
        (lambda: text.Corpus("abc")[0], "part: got int, expected a slice"),
        (lambda: text.split_held_out(5), "text: got int, expected a str or a Corpus"),
        (lambda: text.TextBatches([1, 2, 3], 1, 1), "codes: got list, expected a numpy array of integers"),
        (lambda: text.TextBatches(np.ma.arange(9), 1, 1), "codes: got a masked array, expected a numpy array"),
        (lambda: text.TextBatches(np.ones((3, 3), int), 1, 1), r"codes: got int64 of shape \(3, 3\)"),
        (lambda: text.TextBatches(np.arange(-1, 9), 1, 1), "codes: got values from -1 to 8, expected 0 or more"),
        (lambda: text.TextBatches(np.arange(0), 1, 1), "codes: got 0 characters, expected at least 2"),
        (lambda: text.TextBatches(np.arange(9), 1, 2**40), "codes: got 9 characters, expected at least"),
        (lambda: text.TextBatches(np.arange(9), 1, 1, table=np.arange(5)), "codes: got 8, expected 0 to 4"),
        (
            lambda: text.decoded(io.StringIO("a"), "x").__next__(),
            "file: got one that gives str, expected a binary",
        ),
    ],
)
def test_text_refuses_by_name(call, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()


def test_paths_are_no_mapping():
    with pytest.raises(TypeError, match="^paths: got dict, expected a sequence of paths"):
        text.read_text({"a.txt": 1})
