"""Files of every version are read by this one: tests/kept holds some, and what their models gave (write.py there)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

KEPT = Path(__file__).parent / "kept"
OUTPUTS = json.loads((KEPT / "outputs.json").read_text())


def models():
    sys.path.insert(0, str(KEPT))
    try:
        import write
    finally:
        sys.path.remove(str(KEPT))
    return write


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_kept_file_is_the_model_it_was(name, capsys):
    module = models()
    kind = name.split("-")[0]
    x = module.VECTORS if kind == "checkpoint" else module.models()[kind][1]
    np.testing.assert_allclose(fd.load(KEPT / name).forward(x), OUTPUTS[name], rtol=1e-5, atol=1e-7)
    assert fd.saving.info(KEPT / name)["parameters"] > 0


@pytest.mark.parametrize("version", [1, 2])
def test_a_kept_checkpoint_is_gone_on_with(version, tmp_path):
    module = models()
    shutil.copy(KEPT / f"checkpoint-{version}.safetensors", tmp_path / "run.safetensors")
    model = fd.nn.Sequential(fd.nn.LSTM(4, 3, rng=5), fd.nn.Linear(3, 2, rng=6))
    optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
    data = [(module.VECTORS, module.TOKENS % 2)]
    options = {"checkpoint": tmp_path / "run.safetensors", "resume": True, "progress": False}
    history = fd.training.fit(model, optimizer, data, epochs=3, **options)
    assert (history.epochs[-1]["step"], len(history.epochs)) == (3, 3)
    assert history["loss"][2] < history["loss"][0]


def test_every_file_is_held(tmp_path):
    assert {one.name for one in KEPT.glob("*.safetensors")} == set(OUTPUTS)
    before = (KEPT / "outputs.json").read_bytes()
    subprocess.run([sys.executable, KEPT / "write.py"], check=True, cwd=Path(__file__).parents[1])  # changes nothing
    assert (KEPT / "outputs.json").read_bytes() == before
