"""Files in the safetensors layout: what is written, what is refused, and how a file is replaced."""

import importlib
import json
import os

import numpy as np
import pytest

from fastdl import _dispatch, _safetensors


def some_tensors():
    return {
        "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
        "strided": np.arange(12, dtype=np.float64)[::2],
        "big endian": np.arange(3, dtype=">i4"),
        "flags": np.array([True, False, True]),
        "scalar": np.array(-5, np.int64),
        "empty": np.zeros((0, 4), np.float16),
        "transposed": np.arange(6, dtype=np.uint8).reshape(2, 3).T,
        "読": np.array([np.nan, np.inf, -0.0], np.float32),
    }


def assert_same_arrays(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes(), name


# ---- the layout -------------------------------------------------------------------------------------
def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "file.safetensors"
    _safetensors.save(path, some_tensors(), {"note": 'a "quoted" 読\n'})
    tensors, metadata = _safetensors.load(path)
    assert_same_arrays(tensors, some_tensors())
    assert metadata == {"note": 'a "quoted" 読\n'}
    assert os.listdir(tmp_path) == ["file.safetensors"]


def test_the_safetensors_package_reads_ours_and_we_read_its(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    from safetensors import safe_open

    _safetensors.save(tmp_path / "ours", some_tensors(), {"note": "hello"})
    assert_same_arrays(theirs.load_file(tmp_path / "ours"), some_tensors())
    with safe_open(tmp_path / "ours", "numpy") as file:
        assert file.metadata()["note"] == "hello"
    contiguous = {name: np.ascontiguousarray(array) for name, array in some_tensors().items()}
    del contiguous["big endian"]
    theirs.save_file(contiguous, tmp_path / "theirs", {"note": "there"})
    tensors, metadata = _safetensors.load(tmp_path / "theirs")
    assert metadata == {"note": "there"}
    expected = {name: array.reshape(tensors[name].shape) for name, array in contiguous.items()}
    assert_same_arrays(tensors, expected)


def test_the_header_is_as_the_format_says(tmp_path):
    _safetensors.save(tmp_path / "file", {"a": np.ones(3, np.float32), "b": np.ones(1)}, {})
    raw = (tmp_path / "file").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert (8 + length) % 8 == 0
    assert header["b"] == {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}
    assert header["a"] == {"dtype": "F32", "shape": [3], "data_offsets": [8, 20]}
    assert len(raw) == 8 + length + 20


def test_save_refuses_what_the_format_has_no_name_for(tmp_path):
    for array in (np.ones(2, complex), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError, match="got dtype"):
            _safetensors.save(tmp_path / "file", {"a": array}, {})
    with pytest.raises(TypeError, match=r"metadata\['n'\]: got int"):
        _safetensors.save(tmp_path / "file", {}, {"n": 1})
    assert os.listdir(tmp_path) == []


def raw_file(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


DAMAGED = {
    "nothing": (b"", "not a safetensors file: 0 bytes"),
    "seven bytes": (b"\x01" * 7, "not a safetensors file: 7 bytes"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "a header of"),
    "a zip": (b"PK\x03\x04" + b"\0" * 100, "not a safetensors file|truncated"),
    "a pickle": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os", "a header of"),
    "a huge header": (raw_file({}, length=2**63), "a header of 9223372036854775808 bytes"),
    "header beyond the file": (raw_file({}, length=500), "truncated: the header ends at byte 508"),
    "not an object": (raw_file(b"[1]     "), "does not start with '{'"),
    "not JSON": (raw_file(b"{'a': 1}"), "the header is not JSON"),
    "not UTF-8": (raw_file(b'{"\xff": 1}'), "the header is not JSON"),
    "endless nesting": (raw_file(b'{"a":' + b"[" * 100_000), "the header is not JSON"),
    "an endless number": (raw_file(b'{"a":' + b"9" * 10_000 + b"}"), "damaged|digits"),
    "a name twice": (
        raw_file(b'{"a": %s, "a": %s}' % ((json.dumps(entry()).encode(),) * 2), b"\0" * 8),
        "'a' twice",
    ),
    "a field twice": (
        raw_file(b'{"a": {"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
        "twice",
    ),
    "a number for an array": (raw_file({"a": 5}), "does not have exactly dtype"),
    "a field missing": (raw_file({"a": {"dtype": "F32", "shape": [0]}}), "does not have exactly dtype"),
    "a field too many": (
        raw_file({"a": {**entry(shape=[0], offsets=(0, 0)), "x": 1}}),
        "does not have exactly",
    ),
    "an unknown dtype": (raw_file({"a": entry("BF16", (4,))}, b"\0" * 8), "has dtype 'BF16'"),
    "a list as dtype": (raw_file({"a": entry(["F32"])}, b"\0" * 8), "has dtype"),
    "a negative extent": (raw_file({"a": entry(shape=(-2,))}, b"\0" * 8), "has shape"),
    "a broken extent": (raw_file({"a": entry(shape=(2.0,))}, b"\0" * 8), "has shape"),
    "true as extent": (raw_file({"a": entry(shape=(True,), offsets=(0, 4))}, b"\0" * 4), "has shape"),
    "a shape that is no list": (raw_file({"a": {**entry(), "shape": "2"}}, b"\0" * 8), "has shape"),
    "an overflowing shape": (
        raw_file({"a": entry(shape=(2**62, 4))}, b"\0" * 8),
        "takes 73786976294838206464",
    ),
    "too many dimensions": (
        raw_file({"a": entry(shape=(1,) * 65, offsets=(0, 4))}, b"\0" * 4),
        "65 dimensions",
    ),
    "one offset": (raw_file({"a": entry(offsets=(0,))}, b"\0" * 8), "1 offsets"),
    "offsets backwards": (raw_file({"a": entry(offsets=(8, 0))}, b"\0" * 8), "its offsets give it -8"),
    "offsets too short": (raw_file({"a": entry(offsets=(0, 4))}, b"\0" * 4), "takes 8 bytes"),
    "an overlap": (
        raw_file({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12),
        "'b' starts at 4 and overlaps",
    ),
    "a hole": (
        raw_file({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20),
        "'b' starts at 12 and leaves a",
    ),
    "a hole at the start": (raw_file({"a": entry(offsets=(8, 16))}, b"\0" * 16), "leaves a hole"),
    "data cut off": (
        raw_file({"a": entry()}, b"\0" * 7),
        "truncated: the arrays take 8 bytes, the file has 7",
    ),
    "data left over": (raw_file({"a": entry()}, b"\0" * 9), "1 bytes after the last array"),
    "metadata with a number": (raw_file({"__metadata__": {"a": 1}}), "__metadata__ is not"),
    "metadata that is a list": (raw_file({"__metadata__": []}), "__metadata__ is not"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_and_foreign_files_are_refused_with_a_reason(tmp_path, what):
    raw, reason = DAMAGED[what]
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(ValueError, match=reason) as caught:
        _safetensors.load(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


def test_every_truncation_and_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "file"
    _safetensors.save(path, {"a": np.arange(9, dtype=np.float32)}, {"note": "text"})
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError):
            _safetensors.load(path)
    unnoticed = []
    for index in range(len(raw)):
        for bit in range(8):
            path.write_bytes(raw[:index] + bytes([raw[index] ^ 1 << bit]) + raw[index + 1 :])
            try:
                _safetensors.load(path)
            except ValueError:
                continue
            unnoticed.append((index, bit))
    # The one thing that cannot be noticed is the loss of the checksum itself: its name is then another's.
    name = raw.index(b'"fastdl.checksum"')
    assert all(name < index < name + 16 for index, _ in unnoticed)


def mixed(pieces):
    """The checksum by its definition, in Python's integers."""
    odd, mask = 0x9E3779B97F4A7C15, 2**64 - 1

    def stirred(lane, word):
        lane = (lane ^ word) * odd & mask
        return lane ^ lane >> 32

    data = b"".join(pieces)
    lanes = [stirred(odd, j) for j in range(8)]
    padded = data + b"\0" * (-len(data) % 64)
    for place in range(0, len(padded), 8):
        lane = place // 8 % 8
        lanes[lane] = stirred(lanes[lane], int.from_bytes(padded[place : place + 8], "little"))
    total = len(data)
    for lane in lanes:
        total = stirred(total, lane)
    return total


@pytest.mark.parametrize("sizes", [[], [0], [1], [63, 1], [64], [65], [7] * 40, [200, 0, 3, 128, 61]])
def test_the_checksum_is_that_of_the_bytes_whatever_pieces_they_come_in(sizes):
    rng = np.random.default_rng(0)
    pieces = [rng.integers(0, 256, size).astype(np.uint8) for size in sizes]
    for level in _dispatch._system.supported_levels():
        checksum = importlib.import_module(f"fastdl.kernels.{level}.system").Checksum()
        for piece in pieces:
            checksum.update(piece)
            checksum.value()  # which changes nothing
        assert checksum.value() == mixed([one.tobytes() for one in pieces])


def test_arrays_of_many_pieces_and_any_layout_are_written_and_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    tensors = {
        "tall": rng.normal(size=(700, 3)).astype(np.float32).T,
        "wide": rng.normal(size=(1300, 1100)).T,
        "all turned": rng.normal(size=(5, 6, 7)).T,
        "a row": rng.normal(size=(1, 5000)),
        "every second": rng.normal(size=(40, 60))[::2, ::3],
    }
    for piece in (8, 1000, 1 << 20):
        monkeypatch.setattr(_safetensors, "_PIECE", piece)
        _safetensors.save(tmp_path / "file", tensors, {})
        raw = (tmp_path / "file").read_bytes()
        assert_same_arrays(_safetensors.load(tmp_path / "file")[0], tensors)
        monkeypatch.undo()
        assert_same_arrays(_safetensors.load(tmp_path / "file")[0], tensors)
        _safetensors.save(tmp_path / "file", tensors, {})
        assert (tmp_path / "file").read_bytes() == raw


def reads_b_alone(path):
    with _safetensors.opened(path) as source:
        found = source.array("b")
        source.check()
        return found


def test_arrays_are_read_in_any_order_and_none_passes_unchecked(tmp_path):
    path = tmp_path / "file"
    _safetensors.save(path, {"a": np.ones(9), "b": np.ones(7, np.float32)}, {})
    assert reads_b_alone(path).sum() == 7
    raw = path.read_bytes()
    for place in (-1, -100):  # in b, in a
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place:][1:])
        with pytest.raises(ValueError, match="file: damaged: the checksum"):
            reads_b_alone(path)


# ---- replacing --------------------------------------------------------------------------------------
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    _safetensors.save(path, {"a": np.ones(2)}, {})

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        _safetensors.save(path, {"a": np.zeros(2)}, {})
    assert os.listdir(tmp_path) == ["file"]
    assert _safetensors.load(path)[0]["a"].tolist() == [1, 1]


def test_the_order_is_write_flush_rename_flush_folder(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def note_replace(source, target):
        assert os.path.dirname(source) == os.path.dirname(target)
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    _safetensors.save(tmp_path / "file", {"a": np.ones(2)}, {})
    assert steps == ["file", "replace", "folder"]


def test_leftovers_of_killed_writers_are_removed_by_age_and_others_are_not(tmp_path):
    names = [".fastdl-0a.tmp", ".fastdl-1b.tmp", ".file.notes.tmp", ".fastdl-notes"]
    for name in names:
        (tmp_path / name).write_text("x")
        if name != names[1]:
            os.utime(tmp_path / name, (0, 0))
    _safetensors.save(tmp_path / "file", {}, {})
    assert sorted(os.listdir(tmp_path)) == sorted(["file", *names[1:]])
