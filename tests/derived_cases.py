"""A module whose forward is given as a function, for the tests of derived modules."""

import numpy as np

import fastdl as fd

RNG = np.random.default_rng(4)
F64 = np.float64


def normal(*shape):
    return RNG.normal(size=shape)


class Derived(fd.nn.Module):
    """A forward given as a function of the module and its inputs, over some layers and an array."""

    def __init__(self, function, size=4, **layers):
        super().__init__()
        object.__setattr__(self, "function", function)
        self.w = fd.nn.Parameter("w", np.random.default_rng(0).normal(size=(size, size)))
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def linear(inputs=4, outputs=4, rng=1):
    return fd.nn.Linear(inputs, outputs, rng=rng, dtype=F64)


X = normal(5, 4)
