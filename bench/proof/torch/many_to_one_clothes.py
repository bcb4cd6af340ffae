"""The clothes of examples/many_to_one_clothes.py, in torch."""

import numpy as np

import fastdl as fd

from ._classifier import program


def read():
    data = fd.datasets.fashion_mnist()
    (x, y), (test, wanted) = data.train, data.test
    return (np.concatenate([x, x[:, :, ::-1]]) / np.float32(255), np.tile(y, 2)), (test / 255, wanted)


model = {"features": 28, "classes": 10, "hidden": 128}
main = program(read, model, epochs=10, batch_size=64, learning_rate=4e-3)
