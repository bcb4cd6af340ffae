"""Files are replaced whole, by whoever writes, at whatever name; what they were otherwise they stay."""

import errno
import os
import socket
import stat
import threading

import numpy as np
import pytest
from stress import files

from fastdl import _files, _safetensors

ONES = {"a": np.ones(4)}


def test_threads_may_save_to_one_path(tmp_path):
    path, errors = tmp_path / "model", []

    def save(number):
        try:
            for _ in range(5):
                _safetensors.save(path, {"a": np.full(5000, number)}, {})
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=save, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    assert len(set(_safetensors.load(path)[0]["a"])) == 1
    assert os.listdir(tmp_path) == ["model"]


def test_what_another_writer_is_at_work_on_is_left_alone(tmp_path, monkeypatch):
    """Also a writer whose process is not to be seen from here, as in another container."""
    with _files.replacing(tmp_path / "model") as file:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        _safetensors.save(tmp_path / "model", ONES, {})
        file.write(b"the other's")
    assert (tmp_path / "model").read_bytes() == b"the other's"
    assert os.listdir(tmp_path) == ["model"]


def test_arrays_that_change_while_they_are_saved_make_a_whole_file(tmp_path):
    numbers, stop = np.zeros(300_000), threading.Event()

    def change():
        while not stop.is_set():
            numbers[:] += 1

    worker = threading.Thread(target=change)
    worker.start()
    try:
        for _ in range(5):
            _safetensors.save(tmp_path / "model", {"a": numbers}, {})
            loaded = _safetensors.load(tmp_path / "model")[0]["a"]  # which refuses a checksum that does not fit
            assert loaded.shape == numbers.shape
    finally:
        stop.set()
        worker.join()


@pytest.mark.parametrize("name", ["a[1]*?.safetensors", "x" * 255, "-", " ", "модель", "a\nb\x1b[2J", "\udcff"])
def test_any_name_will_do(tmp_path, name):
    _safetensors.save(tmp_path / name, ONES, {})
    assert _safetensors.load(tmp_path / name)[0]["a"].tolist() == [1] * 4
    assert os.listdir(tmp_path) == [name]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_killed_writers_lose_nothing(tmp_path):
    saves, lost = files.kill_writers(tmp_path, 20, seed=1)
    assert lost == 0
    assert saves > 0


# ---- what a file is besides its bytes ---------------------------------------------------------------
def test_symbolic_links_stay_links(tmp_path):
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "real"
    os.symlink("disk/real", tmp_path / "link")
    os.symlink("link", tmp_path / "link of a link")
    for _ in range(2):  # a link to nothing yet, and to a file
        _safetensors.save(tmp_path / "link of a link", ONES, {})
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "link of a link").is_symlink()
        assert target.is_file()
        assert not target.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["disk", "link", "link of a link"]
    os.symlink("circle", tmp_path / "circle")
    with pytest.raises(OSError, match="circle") as caught:
        _safetensors.save(tmp_path / "circle", ONES, {})
    assert caught.value.errno == errno.ELOOP


def test_the_mode_is_kept(tmp_path):
    path = tmp_path / "model"
    before = os.umask(0o027)
    try:
        _safetensors.save(path, ONES, {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o644, 0o664):
            path.chmod(mode)
            _safetensors.save(path, ONES, {})
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_a_private_file_is_private_from_its_first_byte(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"secret")
    path.chmod(0o600)
    with _files.replacing(path):
        (temporary,) = (name for name in os.listdir(tmp_path) if name != "model")
        assert stat.S_IMODE((tmp_path / temporary).stat().st_mode) == 0o600


def test_devices_and_fifos_are_refused_and_not_waited_for(tmp_path):
    """On nodes of the test's own: as root, a mistake here would replace the machine's."""
    kinds = {"fifo": "a FIFO", "link": "a FIFO", "socket": "a socket", "device": "a character device"}
    os.mkfifo(tmp_path / "fifo")
    os.symlink("fifo", tmp_path / "link")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    try:
        os.mknod(tmp_path / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        del kinds["device"]  # for root alone
    before = sorted(os.listdir(tmp_path))
    for name, kind in kinds.items():
        for use in (_safetensors.load, _files.try_replacing, lambda path: _safetensors.save(path, ONES, {})):
            with pytest.raises(ValueError, match=f"{name}: is {kind}, expected a regular file"):
                use(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == before
    assert all(not stat.S_ISREG(os.lstat(tmp_path / name).st_mode) for name in kinds)


def test_a_device_is_not_read():
    with pytest.raises(ValueError, match="/dev/zero: is a character device, expected a regular file"):
        _safetensors.load("/dev/zero")


def test_folders_are_refused(tmp_path):
    for use in (_safetensors.load, lambda path: _safetensors.save(path, ONES, {})):
        with pytest.raises(IsADirectoryError, match=str(tmp_path)):
            use(tmp_path)


# ---- failures ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["fsync", "open", "replace"])
def test_a_failure_keeps_its_class_and_names_the_file(tmp_path, monkeypatch, call, code):
    path = tmp_path / "model"
    _safetensors.save(path, ONES, {})
    whole = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code), *([args[0], None, args[1]] if call == "replace" else []))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(OSError(code, ""))) as caught:
        _safetensors.save(path, {"a": np.zeros(2)}, {})
    monkeypatch.undo()
    assert caught.value.filename == str(path)
    assert str(caught.value).endswith(f"{os.strerror(code)}: {str(path)!r}")
    assert path.read_bytes() == whole
    assert os.listdir(tmp_path) == ["model"]


def test_a_missing_folder_is_named_as_the_caller_did():
    for use in (_files.try_replacing, lambda path: _safetensors.save(path, ONES, {}), _safetensors.load):
        with pytest.raises(FileNotFoundError, match="'nowhere/model'"):
            use("nowhere/model")
    with pytest.raises(ValueError, match="NUL"):
        _safetensors.load("a\0b")
    with pytest.raises(TypeError, match="model: tensors"):
        _safetensors.save("nowhere/model", {"a": [1]}, {})


def test_trying_leaves_all_as_it_was(tmp_path):
    _files.try_replacing(tmp_path / "new")
    (tmp_path / "old").write_text("old")
    _files.try_replacing(tmp_path / "old")
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "old"
