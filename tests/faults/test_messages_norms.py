"""Refusals name the argument, and are ValueError or TypeError."""

import numpy as np
import pytest

import fastdl as fd

X = np.ones(3)


@pytest.mark.parametrize(
    ("call", "kind", "match"),
    [
        (lambda: fd.norm(np.ones((2, 2)), axis=(0, 0)), ValueError, "^axis: got"),
        (lambda: fd.l2(X, axis=2**64), ValueError, "^axis: got"),
        (lambda: fd.l2(X, dtype=0), TypeError, "^dtype: got 0"),
        (lambda: fd.max_norm_(X.copy(), 10**400), ValueError, "^radius: got"),
        (lambda: fd.max_norm_(X.copy(), np.array([0.1])), TypeError, "^radius: got an array"),
        (lambda: fd.max_norm_(X.astype(np.float16), 1.0), TypeError, "^w: .*float32 or float64"),
        (lambda: fd.norms.L2(0.1).add("x"), TypeError, "^parameters: got 'x'"),
        (lambda: fd.norms.L2(0.1).add([3]), TypeError, r"^parameters\[0\]: got 3"),
        (lambda: fd.norms.MaxNorm(1.0).apply("x"), TypeError, "^parameters: got 'x'"),
        (lambda: fd.random.Generator(0).permutation(np.arange(3)), TypeError, "^n: got an array"),
        (lambda: fd.random.Generator(0).normal(size=2**64), ValueError, "^size: got"),
        (lambda: fd.dropout_forward(X, np.array([0.1])), TypeError, "^p: got an array"),
        (lambda: fd.softmax_cross_entropy(np.ones((1, 2)), np.zeros(1, int), 2**64), ValueError, "^ignore_index: got"),
        (lambda: fd.mse_loss(X, X, np.array(["mean", "sum"])), ValueError, "^reduction: got an array"),
    ],
)
def test_the_argument_is_named(call, kind, match):
    with pytest.raises(kind, match=match) as caught:
        call()
    assert len(str(caught.value)) < 300


def test_an_order_that_no_float_holds_is_refused_by_name():
    for size in (2, 5000):
        with pytest.raises(ValueError, match=r"^ord: got 1000.*, expected a number that a float can hold"):
            fd.norm(np.ones(size), 10**400)
