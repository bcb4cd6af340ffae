"""The rooms of fastdl.interop are imported when they are asked for, and say which extra they need."""

import subprocess
import sys

import pytest

import fastdl as fd


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_fastdl_imports_none_of_them():
    done = run("import sys, fastdl; print([name for name in sys.modules if name.startswith('fastdl.interop')])")
    assert done.stdout.strip() == "[]", done.stderr


def test_rooms_are_listed_and_others_refused():
    assert {"audio", "c", "keras", "onnx", "torch"} <= set(dir(fd.interop))
    with pytest.raises(AttributeError, match="no attribute 'caffe'"):
        fd.interop.caffe  # noqa: B018


@pytest.mark.parametrize(
    ("room", "package", "call"),
    [
        ("onnx", "onnx", "fd.interop.onnx.export(fd.nn.Linear(2, 2), 'never.onnx')"),
        ("onnx", "onnx", "fd.interop.onnx.load('never.onnx')"),
        ("keras", "keras", "fd.interop.keras.to_keras(fd.nn.Linear(2, 2))"),
        ("keras", "keras", "fd.interop.keras.from_keras('never.keras')"),
        ("torch", "torch", "fd.interop.torch"),
        ("torch", "torch", "import fastdl.interop.torch.optim"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(room, package, call):
    done = run(f"import sys; sys.modules['{package}'] = None\nimport fastdl as fd\n{call}")
    wanted = f'ImportError: fastdl.interop.{room} needs {package}: pip install "fastdl[{room}]"'
    assert done.stderr.strip().splitlines()[-1] == wanted
