"""Spectra have the same bits for any number of threads, whatever the BLAS beneath NumPy does with them."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastdl as fd

PROGRAM = """
import hashlib, numpy as np, fastdl as fd
rng = np.random.default_rng(0)
x, y = rng.standard_normal((2, 6, 20, 24))
model = fd.nn.Sequential(fd.nn.Linear(24, 40, rng=0, dtype=np.float64), fd.nn.Tanh(),
                         fd.nn.Linear(40, 24, rng=1, dtype=np.float64))
point = fd.curvature.LossPoint(model, fd.mse_loss, (x, y))
small = fd.curvature.FunctionPoint(lambda z: 0.0, np.zeros(40), hess=lambda z, A=rng.standard_normal((40, 40)): A + A.T)
density = fd.curvature.spectral_density(point, 2, 30, rng=0)
results = [*fd.curvature.eigenpairs(point, 2, "both", tol=1e-3), *fd.curvature.eigenpairs(small, 3), density.nodes,
           density.weights, np.array(fd.curvature.trace(point, 4, rng=0))]
print(hashlib.sha256(b"".join(one.tobytes() for one in results)).hexdigest())
"""


@pytest.mark.compiled_only("the bits of any number of threads")
def test_the_same_bits_in_processes_with_other_threads_and_cores():
    found = set()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for threads, affinity in [("1", cores[:1]), ("2", cores)]:
        pin = f"import os; os.sched_setaffinity(0, {affinity!r})\n" if affinity else ""
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", pin + PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 8, 33])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_the_dense_solver_against_lapack(n, scale):
    A = np.random.default_rng(n).standard_normal((n, n)) * scale
    values, vectors = fd.curvature._eigen.symmetric_eigen(A + A.T)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(A + A.T), rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose((A + A.T) @ vectors, vectors * values, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(n), rtol=0, atol=1e-14)


@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
@pytest.mark.parametrize(
    "eigenvalues",
    [np.linspace(-3, 10, 120), np.r_[np.zeros(118), 1.0, 2.0], np.r_[-1.0, np.ones(119)], np.geomspace(1e-2, 1, 120),
     np.zeros(120), -np.linspace(1, 2, 120) * 1e-200, np.geomspace(1e-12, 1, 120),
     np.r_[[0.0] * 3, np.linspace(1, 9, 114), [10.0] * 3]],
)  # fmt: skip
def test_lanczos_finds_both_ends_of_awkward_spectra(eigenvalues, which):
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A, scale = (Q * eigenvalues) @ Q.T, np.abs(eigenvalues).max()
    point = fd.curvature.FunctionPoint(lambda z: 0.0, np.zeros(n), hess=lambda z: A)
    values, vectors = fd.curvature.eigenpairs(point, 2, which)
    ordered = np.sort(eigenvalues)
    expected = {"largest": ordered[-2:], "smallest": ordered[:2], "both": np.r_[ordered[:2], ordered[-2:]]}[which]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(A @ vectors, vectors * values, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), rtol=0, atol=1e-10)


def test_every_copy_of_an_eigenvalue_that_repeats_is_found():
    eigenvalues = np.r_[[0.0] * 40, np.linspace(1, 9, 160), [10.0] * 5]  # one start shows one vector of each
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A = (Q * eigenvalues) @ Q.T
    point = fd.curvature.FunctionPoint(lambda z: 0.0, np.zeros(n), hess=lambda z: A)
    for which, expected in [("largest", [*eigenvalues[-6:]]), ("smallest", [0.0] * 6)]:
        values, _ = fd.curvature.eigenpairs(point, 6, which)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-8)
