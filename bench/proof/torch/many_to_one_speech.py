"""The speakers of examples/many_to_one_speech.py, in torch."""

import fastdl as fd

from ._classifier import program


def read():
    data = fd.datasets.japanese_vowels()
    return data.train, data.test


model = {"features": 12, "classes": 9, "hidden": 128, "bidirectional": True, "noise": 0.1, "dropout": 0.5}
main = program(read, model, epochs=60, learning_rate=3e-3)
