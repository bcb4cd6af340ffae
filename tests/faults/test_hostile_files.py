"""A file from elsewhere: ValueError whatever it holds, in time and memory that its size explains."""

import json
import os
import time

import numpy as np
import pytest
from stress import files

import fastdl as fd
from fastdl import _files, _safetensors


def test_mutated_files_are_refused_or_sound(tmp_path):
    refused, loaded, foreign = files.fuzz(tmp_path, 3000, seed=2)
    assert foreign == 0
    assert refused > 2500
    assert loaded > 0


@pytest.mark.parametrize("what", files.large_headers(10))
def test_large_headers_take_linear_time_and_memory(tmp_path, what):
    raw = files.raw_file(files.large_headers(600_000)[what])
    seconds, peak, reason = files.cost(raw, tmp_path)
    assert seconds < 10  # most of it is the measuring of memory; the square of the size would be minutes
    assert peak < 80 * len(raw)
    assert len(reason) < 1000


def test_a_header_is_at_most_16_mb(tmp_path):
    (tmp_path / "file").write_bytes(files.raw_file(b"{", length=17 << 20))
    with pytest.raises(ValueError, match="a header of 17825792 bytes"):
        _safetensors.load(tmp_path / "file")
    with pytest.raises(ValueError, match="file: metadata: the header would be"):
        _safetensors.save(tmp_path / "file", {}, {"a": "x" * (17 << 20)})


def test_a_sparse_file_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 200 << 30)
    started = time.perf_counter()
    with pytest.raises(ValueError, match="does not start"):
        _safetensors.load(path)
    size = 1 << 50  # a header that fits its file, and no machine
    header = files.raw_file({"a": files.entry("U8", (size,), (0, size))})
    path.write_bytes(header)
    try:
        os.truncate(path, len(header) + size)
    except OSError:
        return  # more than this file system takes
    with pytest.raises(ValueError, match=f"the arrays take {size} bytes, this machine has"):
        _safetensors.load(path)
    assert time.perf_counter() - started < 1


def test_the_metadata_alone_cost_no_more_than_the_header(tmp_path, monkeypatch):
    _safetensors.save(tmp_path / "file", {"a": np.ones(9)}, {"note": "hello"})
    monkeypatch.setattr(_safetensors.Source, "_read", None)
    assert _safetensors.load_metadata(tmp_path / "file") == {"note": "hello"}
    (tmp_path / "file").write_bytes(b"no")
    with pytest.raises(ValueError, match="file: not a safetensors file: 2 bytes"):
        _safetensors.load_metadata(tmp_path / "file")


HOSTILE = {
    "infinity": b'{"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,0]}}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a lone surrogate": b'{"\xed\xa0\x80":{}}',
    "control characters": b'{"\\u001b]0;pwn\\u0007\\u202e":{}}',
    "a long name": b'{"' + b"x" * 100_000 + b'":{}}',
    "a long dtype": b'{"a":{"dtype":"' + b"x" * 100_000 + b'","shape":[0],"data_offsets":[0,0]}}',
    "a nested dtype": b'{"a":{"dtype":' + b"[" * 900 + b"]" * 900 + b',"shape":[0],"data_offsets":[0,0]}}',
    "a vast size": b'{"a":{"dtype":"F64","shape":[' + b"9223372036854775807," * 63 + b'2],"data_offsets":[0,0]}}',
    "minus zero": b'{"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,-8]}}',
    "twice metadata": b'{"__metadata__":{},"__metadata__":{}}',
    "more dimensions than numpy has": b'{"a":{"dtype":"F64","shape":[' + b"0," * 80 + b'2],"data_offsets":[0,0]}}',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_a_short_clean_value_error(tmp_path, what):
    (tmp_path / "file").write_bytes(files.raw_file(HOSTILE[what]))
    with pytest.raises(ValueError) as caught:
        _safetensors.load(tmp_path / "file")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700
    assert str(tmp_path / "file") in str(caught.value)


def test_foreign_text_is_shown_escaped_and_cut():
    assert _files.shown("a\x1b[2J\n\u202eb\udcff é 読") == "a\\x1b[2J\\n\\u202eb\\udcff é 読"
    assert _files.shown("x" * 1000, 10) == "xxxxxxx..."
    assert _files.shown(ValueError("bad")) == "bad"


# ---- models -----------------------------------------------------------------------------------------
def rewritten(path, settings=None, vocabulary=None):
    tensors, metadata = _safetensors.load(path)
    if settings is not None:
        stored = json.loads(metadata["settings"]) | (settings if isinstance(settings, dict) else {})
        metadata["settings"] = settings if isinstance(settings, str) else json.dumps(stored)
    if vocabulary is not None:
        metadata["vocabulary"] = vocabulary
    _safetensors.save(path, tensors, metadata)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"layers": 10**7}},
        {"settings": {"hidden": 10**9}},
        {"settings": {"hidden": 10**400}},
        {"settings": {"dropout": 10**400}},
        {"settings": {"dropout": float("nan")}},
        {"settings": {"embedding": [[]]}},
        {"settings": {"layers": True}},
        {"settings": {"layers": -1}},
        {"settings": "[" * 100_000},
        {"settings": "null"},
        {"vocabulary": "[" * 100_000},
        {"vocabulary": "5"},
        {"vocabulary": '""'},
        {"vocabulary": '"\\ud800\\u001b"'},
    ],
    ids=lambda change: f"{change!s:.40}",
)
def test_hostile_settings_are_refused_before_a_model_is_built(tmp_path, change):
    fd.models.CharLM(fd.text.Vocabulary("abc"), 4, 8, rng=0).save(tmp_path / "model")
    rewritten(tmp_path / "model", **change)
    with pytest.raises(ValueError, match="not a character model: ") as caught:
        fd.models.CharLM.load(tmp_path / "model")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_a_small_file_does_not_ask_for_a_large_model(tmp_path):
    """The linear layer's H is in few numbers; the LSTM's would be the square of it."""
    fd.models.CharLM(fd.text.Vocabulary("a"), 1, 2, rng=0).save(tmp_path / "model")
    tensors, metadata = _safetensors.load(tmp_path / "model")
    tensors["model.linear.weight"] = np.zeros((2, 300_000), np.float32)
    metadata["settings"] = json.dumps(json.loads(metadata["settings"]) | {"hidden": 300_000})
    _safetensors.save(tmp_path / "model", tensors, metadata)
    with pytest.raises(ValueError, match=r"lstm.weight_ih_l0 is \(8, 1\), expected \(1200000, 1\)"):
        fd.models.CharLM.load(tmp_path / "model")
