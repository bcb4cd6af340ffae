"""What completion offers of a public module is what it has for its users: all of it, and no more."""

import importlib
import subprocess
import sys
import types

import pytest

import fastdl as fd

LAZY = ["cli", "curvature", "datasets", "estimators", "interop", "metrics", "models", "plots", "reference", "text"]
LAZY += ["training"]
TOPICS = [
    "cli",
    "curvature",
    "dense",
    "dropout",
    "metrics",
    "models",
    "nn",
    "norms",
    "optim",
    "optim.schedules",
    "random",
]
TOPICS += ["recurrent", "saving", "sequence", "text", "training"]


def test_the_package_shows_what_is_imported_when_asked_for():
    code = "import sys, fastdl as fd; print(*dir(fd)); print('fastdl.models' in sys.modules)"
    shown, imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.splitlines()
    assert set(shown.split()) == {*fd.__all__, *LAZY, "__version__"}
    assert imported == "False"
    for name in shown.split():
        assert getattr(fd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'model'"):
        fd.model  # noqa: B018


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_shows_its_own_names(topic):
    module = importlib.import_module(f"fastdl.{topic}")
    assert set(module.__all__) <= set(dir(module))
    for name in dir(module):
        value = getattr(module, name)
        assert not name.startswith("_")
        assert not isinstance(value, types.ModuleType) or name in module.__all__
        assert getattr(value, "__module__", "fastdl").startswith(("fastdl", "collections.abc", "typing")), name
