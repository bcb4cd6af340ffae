"""The activities of examples/many_to_one_sensors.py, in torch."""

import fastdl as fd

from ._classifier import program


def read():
    data = fd.datasets.har(step=64)
    (x, y, _), (test, wanted, _) = data.train, data.test
    mean, spread = x.mean((0, 1)), x.std((0, 1))
    return ((x - mean) / spread, y), ((test - mean) / spread, wanted)


model = {"features": 6, "classes": 6, "hidden": 64, "layers": 2, "noise": 0.1, "dropout": 0.5}
main = program(read, model, epochs=20, batch_size=64, learning_rate=2e-3)
