"""Files: the safetensors layout, damage, atomic replacement, and resuming to the bit."""

import json
import os
import signal

import numpy as np
import pytest

import fastdl as fd
from fastdl import _safetensors
from fastdl.training import ArrayBatches, Callback, EarlyStopping, fit
from fastdl.training._tree import flatten, restore


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
    name = raw.index(b'"sha256"')
    assert all(name < index < name + 7 for index, _ in unnoticed)


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


def test_leftovers_of_killed_writers_are_removed_and_others_are_not(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    names = [f".file.{child}.tmp", f".file.{os.getppid()}.tmp", ".file.notes.tmp", f".other.{child}.tmp"]
    for name in names:
        (tmp_path / name).write_text("x")
    _safetensors.save(tmp_path / "file", {}, {})
    assert sorted(os.listdir(tmp_path)) == sorted(["file", *names[1:]])


# ---- nested state -----------------------------------------------------------------------------------
def test_nested_state_survives_exactly():
    tree = {
        "steps": 2**63,
        "lr": 0.1 + 0.2,
        "pair": (0.9, np.float64(1e-300)),
        "groups": [{"m": np.arange(3.0), 7: None}["m"], None, True, float("inf"), ""],
        "by number": {0: np.ones(1), 1: "x"},
        "none": {},
    }
    arrays = {}
    plan = json.loads(json.dumps(flatten(tree, "root", arrays)))
    assert sorted(arrays) == ["root.by number.0", "root.groups.0"]
    back = restore(plan, arrays)
    assert back["steps"] == 2**63
    assert back["pair"] == (0.9, 1e-300)
    assert back["lr"] == tree["lr"]
    assert back["groups"][1:] == tree["groups"][1:]
    assert np.array_equal(back["groups"][0], np.arange(3.0))
    assert back["by number"].keys() == {0, 1}
    assert back["none"] == {}


def test_nested_state_refuses():
    for tree in ({1: 0, "a": 0}, {"a": object()}, {(1, 2): 0}):
        with pytest.raises(TypeError, match="root"):
            flatten(tree, "root", {})
    for plan in ([1], {"array": "x"}, {"a": 1, "b": 2}, {"dict": []}, {"surprise": {}}, {}):
        with pytest.raises(ValueError, match="damaged"):
            restore(plan, {})


# ---- resuming ---------------------------------------------------------------------------------------
class StopAt(Callback):
    """Sends this process a signal at a step, as Ctrl-C would."""

    def __init__(self, step=None, signum=signal.SIGINT):
        self.at, self.signum = step, signum

    def on_step_end(self, run):
        if run.step == self.at:
            signal.raise_signal(self.signum)


def sequence_run(
    path, at=None, *, resume=False, epochs=3, seed=0, hidden=6, corpus=0, optimizer=fd.optim.Adam, **given
):
    model = fd.nn.Sequential(
        fd.nn.Embedding(7, 5, rng=seed),
        fd.nn.LSTM(5, hidden, num_layers=2, dropout=0.3, rng=seed + 1),
        fd.nn.Dropout(0.2, rng=seed + 2),
        fd.nn.Linear(hidden, 7, rng=seed + 3),
    )
    codes = fd.random.Generator(corpus).integers(0, 7, 400)
    options = {
        "max_norm": 1.0,
        "carry_state": True,
        "callbacks": [StopAt(at), EarlyStopping(50)],
        "validation": fd.text.TextBatches(codes[:90], 8, 2),
    } | given
    run = lambda: fit(  # noqa: E731
        model,
        optimizer(model.parameters(), lr=0.01),
        fd.text.TextBatches(codes, 6, 4),
        epochs=epochs,
        checkpoint=path,
        resume=resume,
        progress=False,
        **options,
    )
    return model, run


def interrupted(run):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        signal.signal(signal.SIGINT, before)


def curve(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.epochs]


def without_seconds(path):
    tensors, metadata = _safetensors.load(path)
    training = json.loads(metadata["training"])
    training.pop("seconds")
    for row in training["epochs"]:
        row.pop("seconds")
    return {name: array.tobytes() for name, array in tensors.items()}, training


@pytest.mark.parametrize("at", [1, 7, 16, 17, 18, 34, 50])  # within, before, at and after the ends of epochs
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path, at, accumulate):
    if accumulate == 2:
        at = (at + 1) // 2
    whole, run = sequence_run(tmp_path / "whole", accumulate=accumulate)
    expected = run()
    _, run = sequence_run(tmp_path / "parts", at, accumulate=accumulate)
    interrupted(run)
    parts, run = sequence_run(tmp_path / "parts", resume=True, accumulate=accumulate, seed=9)
    history = run()
    assert parts.parameters().data.tobytes() == whole.parameters().data.tobytes()
    assert history.losses == expected.losses
    assert curve(history) == curve(expected)
    assert without_seconds(tmp_path / "parts") == without_seconds(tmp_path / "whole")


def test_many_interruptions_are_no_interruption(tmp_path):
    _, run = sequence_run(tmp_path / "whole")
    expected = run()
    for at in range(1, 51, 7):
        _, run = sequence_run(tmp_path / "parts", at, resume=at > 1)
        interrupted(run)
    _, run = sequence_run(tmp_path / "parts", resume=True)
    assert run().losses == expected.losses


def test_shuffled_batches_resume_within_an_epoch(tmp_path):
    def run(path, at=None, resume=False):
        model = fd.nn.Linear(3, 2, rng=1)
        x = fd.random.Generator(0).uniform(-1, 1, (40, 3))
        data = ArrayBatches(x, x[:, :2] * 2, 4, seed=11)
        return model, lambda: fit(
            model,
            fd.optim.Adam(model.parameters(), lr=0.01),
            data,
            loss=fd.mean_squared_error,
            epochs=3,
            checkpoint=path,
            callbacks=[StopAt(at)],
            resume=resume,
            progress=False,
        )

    whole, work = run(tmp_path / "whole")
    work()
    interrupted(run(tmp_path / "parts", 14)[1])
    parts, work = run(tmp_path / "parts", resume=True)
    work()
    assert parts.parameters().data.tobytes() == whole.parameters().data.tobytes()


def test_a_signal_that_the_caller_handles_ends_fit_quietly(tmp_path):
    caught = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: caught.append(signum))
    try:
        _, run = sequence_run(tmp_path / "file", callbacks=[StopAt(5, signal.SIGTERM), EarlyStopping(50)])
        history = run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]
    assert len(history.losses) == 5


def test_checkpoint_every_and_more_epochs(tmp_path):
    steps = []

    class Watch(Callback):
        def on_step_end(self, run):
            if (tmp_path / "file").exists():
                steps.append(json.loads(_safetensors.load(tmp_path / "file")[1]["training"])["step"])

    _, run = sequence_run(tmp_path / "file", epochs=1, checkpoint_every=5, callbacks=[Watch()])
    run()
    assert sorted(set(steps)) == [5, 10, 15]
    _, run = sequence_run(tmp_path / "file", epochs=2, resume=True, callbacks=[Watch()])
    assert len(run().epochs) == 2
    _, run = sequence_run(tmp_path / "file", epochs=2, resume=True, callbacks=[Watch()])
    assert len(run().epochs) == 2  # nothing left to do


def edit_training(path, **changes):
    tensors, metadata = _safetensors.load(path)
    training = json.loads(metadata["training"])
    for name, value in changes.items():
        if value is None:
            del training[name]
        else:
            training[name] = value
    metadata["training"] = json.dumps(training)
    _safetensors.save(path, tensors, metadata)


REFUSED = {
    "another size": ({"hidden": 7}, None, r"another model's: 1\..* is float32 .*, expected"),
    "another optimizer": (
        {"optimizer": fd.optim.SGD},
        None,
        "another run's: optimizer class Adam, expected SGD",
    ),
    "other data": ({"corpus": 1}, None, "other data: crc32 "),
    "other callbacks": ({"callbacks": []}, None, "another run's: callback classes"),
    "other accumulation": ({"accumulate": 2}, None, "another run's: accumulate 1, expected 2"),
    "no optimizer state": ({}, {"optimizer": None}, "'optimizer' is missing"),
    "a broken optimizer state": ({}, {"optimizer": {"dict": {"steps": 3}}}, "another run's or damaged"),
    "a missing array": ({}, {"state": {"array": "state.9"}}, r"the array 'state\.9' is missing"),
    "broken random state": ({}, {"random": {"dict": {}}}, "another run's or damaged"),
    "broken callback state": (
        {},
        {"callbacks": {"list": [{"dict": {}}, {"dict": {}}]}},
        "another run's or damaged",
    ),
    "no format": ({}, "format", "not a checkpoint: format None"),
    "no training": ({}, "training", "the training state is missing"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_touched(tmp_path, what):
    changes, edit, reason = REFUSED[what]
    path = tmp_path / "file"
    interrupted(sequence_run(path, 8)[1])
    if isinstance(edit, dict):
        edit_training(path, **edit)
    elif edit:
        tensors, metadata = _safetensors.load(path)
        metadata.pop(edit)
        _safetensors.save(path, tensors, metadata)
    model, run = sequence_run(path, resume=True, seed=3, **changes)
    before, random_before = model.parameters().data.tobytes(), model.random_state()
    raw = path.read_bytes()
    with pytest.raises(ValueError, match=reason) as caught:
        run()
    assert str(path) in str(caught.value)
    assert model.parameters().data.tobytes() == before
    assert model.random_state() == random_before
    assert path.read_bytes() == raw


def test_a_missing_checkpoint_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sequence_run(tmp_path / "file", resume=True)[1]()
