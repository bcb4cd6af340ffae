"""fastdl.interop loads nothing before it is asked, and says what is missing."""

import subprocess
import sys

import pytest

import fastdl as fd


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_fastdl_imports_none_of_it():
    loaded = "sorted({'torch', 'fastdl.interop'} & set(sys.modules))"
    code = f"import sys, fastdl; print({loaded}, 'torch' in dir(fastdl.interop))"
    assert python(code).stdout == "[] True\n"


def test_a_missing_package_is_an_error_that_names_the_extra():
    for way in ("import fastdl; fastdl.interop.torch", "import fastdl.interop.torch.optim"):
        error = python(f"import sys; sys.modules['torch'] = None; {way}").stderr.splitlines()[-1]
        assert error == 'ImportError: fastdl.interop.torch needs torch: pip install "fastdl[torch]"'


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'mxnet'"):
        _ = fd.interop.mxnet
