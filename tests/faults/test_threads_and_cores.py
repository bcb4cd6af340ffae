"""Products that promise equal bits give them for any number of threads and cores, BLAS's as well as our own."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import fastdl as fd
from fastdl._products import dot, product, product_of_transpose, product_with_transpose

PROGRAM = """
import hashlib, os, sys
if sys.argv[1] == "one core" and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np, fastdl as fd
digest = hashlib.sha256()
for dtype in (np.float64, np.float32):
    for shape in ((300, 100), (100, 300), (257, 257), (3, 1000)):
        w = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        grad = np.zeros_like(w)
        digest.update(repr(fd.add_orthogonal_(w, grad, 0.5)).encode() + grad.tobytes())
print(digest.hexdigest())
"""


def test_the_orthogonal_penalty_has_the_same_bits_for_any_threads_and_cores():
    digests = set()
    for threads, cores in (("1", "all"), ("2", "all"), ("2", "one core"), ("4", "all")):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, cores], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (3, 700, 5), (300, 100, 33), (0, 3, 2), (2, 0, 3), (2, 3, 0), (1, 4000, 20)]
)
def test_products_are_matrix_products_of_equal_bits(dtype, sizes, level):
    m, k, n = sizes
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    tolerance = 1e-4 if dtype is np.float32 else 1e-11
    expected = a.astype(np.float64) @ b
    bits = set()
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        results = [product(a, b), product_with_transpose(a, b.T.copy()), product_of_transpose(a.T.copy(), b)]
        for result in results:
            np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
            assert result.dtype == dtype
        bits.add(hashlib.sha256(b"".join(one.tobytes() for one in results)).hexdigest())
    assert len(bits) == 1


def test_the_scalar_product_is_one():
    a = np.random.default_rng(2).standard_normal(50_001)
    assert dot(a, a) == pytest.approx(float(np.linalg.norm(a)) ** 2, rel=1e-13)
