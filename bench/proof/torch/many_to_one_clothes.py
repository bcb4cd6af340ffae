"""The clothes of examples/many_to_one_clothes.py, in torch."""

import fastdl as fd

from ._classifier import program


def read():
    data = fd.datasets.fashion_mnist()
    return [(images / 255, labels) for images, labels in (data.train, data.test)]


model = {"features": 28, "classes": 10, "hidden": 128}
main = program(read, model, epochs=12, batch_size=64, learning_rate=4e-3)
