"""Clipping inside a step brings finite gradients to a finite length, also where their norm overflows."""

import numpy as np
import pytest

import fastdl as fd


@pytest.mark.parametrize("order", [0.5, 1, 2, np.inf])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_a_norm_that_overflows_is_clipped_to(order, scale):
    param, grad = np.zeros(4), np.full(4, 1e308)
    fd.optim.SGD([(param, grad)], lr=1.0, clip_norm=1.0, clip_order=order).step(grad_scale=scale)
    np.testing.assert_allclose(param, -np.ones(4) / fd.norm(np.ones(4), order), rtol=1e-6)
    assert (grad == 1e308).all()
