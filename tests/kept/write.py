"""Write the files of this version that later versions have to read: ``python tests/kept/write.py``, once a format.

A file that lies here stays as it is, and so does what its model gives (outputs.json): tests/test_kept_files.py.
"""

import json
from pathlib import Path

import numpy as np

import fastdl as fd

HERE = Path(__file__).parent
VERSION = 2  # of the format: 1 had a SHA-256
TOKENS = np.array([[0, 1], [2, 0], [3, 3]])  # (T, B)
VECTORS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 2, 4)


def models():
    """Name: (model, input)."""
    numbers = fd.nn.Sequential(
        fd.nn.GRU(4, 3, rng=0), fd.nn.LayerNorm(3), fd.nn.Dropout(0.5), fd.nn.Linear(3, 2, rng=1)
    )
    return {
        "layers": (numbers, VECTORS),
        "tokens": (fd.nn.Sequential(fd.nn.Embedding(5, 4, rng=0), fd.nn.LSTM(4, 3, rng=1, bidirectional=True)), TOKENS),
        "tagger": (fd.models.Tagger(6, 3, 4, 4, rng=0), (TOKENS, np.array([3, 2]))),
        "characters": (fd.models.CharLM(fd.text.Vocabulary("abcd"), 3, 4, rng=0), TOKENS),
    }


def main() -> None:
    """Write every file that is not there yet."""
    outputs = HERE / "outputs.json"
    kept = json.loads(outputs.read_text()) if outputs.exists() else {}
    for name, (model, x) in models().items():
        if f"{name}-{VERSION}.safetensors" not in kept:
            fd.save(model, HERE / f"{name}-{VERSION}.safetensors")
            kept[f"{name}-{VERSION}.safetensors"] = model.eval().forward(x).tolist()
    checkpoint = f"checkpoint-{VERSION}.safetensors"
    if checkpoint not in kept:
        model = fd.nn.Sequential(fd.nn.LSTM(4, 3, rng=0), fd.nn.Linear(3, 2, rng=1))
        optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
        data = [(VECTORS, TOKENS % 2)]
        fd.training.fit(model, optimizer, data, checkpoint=HERE / checkpoint, progress=False)
        kept[checkpoint] = model.eval().forward(VECTORS).tolist()
    outputs.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
