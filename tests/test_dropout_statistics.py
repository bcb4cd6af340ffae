"""Are the masks and deviates random? Each check fails a perfect generator once in a million seeds (RATE); the
seeds are fixed, so a failure is a change of the generator, not bad luck."""

import math
from statistics import NormalDist

import numpy as np
import pytest

import fastdl as fd

RATE = 1e-6
WHERE = {"seed": 12345, "stream": 2, "step": 9}
MILLIONS = 1 << 24
ORDINARY = (0.1, 0.5, 0.9)


def z_bound(tests=1):
    """Two-sided bound on a standard normal that `tests` of them together exceed with probability RATE."""
    return NormalDist().inv_cdf(1 - RATE / 2 / tests)


def chi_square_bound(freedom):
    """Upper bound of chi-square by Wilson and Hilferty, far below their error for many degrees of freedom."""
    z = NormalDist().inv_cdf(1 - RATE)
    return freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3


def correlation_z(a, b):
    """Correlation of two masks in units of its standard deviation under independence."""
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / math.sqrt((a @ a) * (b @ b)) * math.sqrt(a.size))


@pytest.fixture(scope="module")
def masks():
    return {p: fd.dropout_mask(MILLIONS, p, **WHERE) for p in ORDINARY}


@pytest.mark.parametrize("p", ORDINARY)
def test_counts_by_position(masks, p):
    """Chi-square of the drops at each place of a group: frequency and equidistribution at once."""
    drops = MILLIONS // 1024 - masks[p].reshape(-1, 1024).sum(axis=0, dtype=np.int64)
    expected = MILLIONS // 1024 * p
    assert ((drops - expected) ** 2 / (expected * (1 - p))).sum() < chi_square_bound(1024)
    total_z = (drops.sum() - MILLIONS * p) / math.sqrt(MILLIONS * p * (1 - p))
    assert abs(total_z) < z_bound()


@pytest.mark.parametrize("p", [1e-6, 1 - 1e-6])
def test_counts_at_rare_events(p):
    """The number of rare elements is Poisson; its tails are summed exactly."""
    kept = int(fd.dropout_mask(MILLIONS, p, **WHERE).sum(dtype=np.int64))
    rare = MILLIONS - kept if p < 0.5 else kept
    mean = MILLIONS * 1e-6
    below = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(rare + 1))
    at = math.exp(rare * math.log(mean) - mean - math.lgamma(rare + 1))
    assert below > RATE / 2
    assert 1 - below + at > RATE / 2


def test_probability_between_bytes():
    """The ties carry the threshold's lower 24 bits: p and p + 2^-10 differ by what they should."""
    base = 77 / 256
    for extra in (2**-10, 2**-9, 3 * 2**-10):
        kept = fd.dropout_mask(MILLIONS, base + extra, **WHERE).sum(dtype=np.int64)
        at_base = fd.dropout_mask(MILLIONS, base, **WHERE).sum(dtype=np.int64)
        z = (at_base - kept - MILLIONS * extra) / math.sqrt(MILLIONS * extra)
        assert abs(z) < z_bound(3)


@pytest.mark.parametrize("p", ORDINARY)
def test_runs(masks, p):
    """Wald and Wolfowitz: the number of changes between neighbours."""
    keep = masks[p]
    n, kept = keep.size, int(keep.sum(dtype=np.int64))
    runs = 1 + int(np.count_nonzero(keep[1:] != keep[:-1]))
    mean = 1 + 2 * kept * (n - kept) / n
    assert abs(runs - mean) / ((mean - 1) / math.sqrt(n)) < z_bound()


@pytest.mark.parametrize("p", ORDINARY)
def test_serial_correlation(masks, p):
    """Lags from 1 up, and those at which the layout repeats words, blocks and groups."""
    keep = masks[p][: 1 << 21].astype(np.float32)
    lags = [*range(1, 18), 63, 64, 65, 128, 192, 255, 256, 257, 512, 768, 1023, 1024, 1025, 2048, 4096, 65536]
    z = [correlation_z(keep[lag:], keep[:-lag]) for lag in lags]
    assert max(map(abs, z)) < z_bound(len(lags))


@pytest.mark.parametrize("p", ORDINARY)
def test_neighbouring_counters_are_uncorrelated(p):
    """Seeds, streams and steps next to each other, and stream and step exchanged, in all pairs."""
    seed, stream, step = 41, 5, 6
    places = [(seed, stream, step), (seed + 1, stream, step), (seed + 2**32, stream, step)]
    places += [(seed, stream + 1, step), (seed, stream, step + 1), (seed, step, stream), (stream, seed, step)]
    drawn = [fd.dropout_mask(1 << 20, p, seed=a, stream=b, step=c).astype(np.float32) for a, b, c in places]
    pairs = [(i, j) for i in range(len(drawn)) for j in range(i)]
    z = [correlation_z(drawn[i], drawn[j]) for i, j in pairs]
    assert max(map(abs, z)) < z_bound(len(pairs))


@pytest.mark.parametrize("p", ORDINARY)
def test_expectation_and_variance_of_the_output(p):
    """Mean 1 and variance 1 / (1 - p) - 1, within what n draws allow."""
    n, scale = 1 << 22, 1 / (1 - p)
    y = fd.dropout_forward(np.ones(n), p, **WHERE)
    spread = z_bound() * math.sqrt(p * (1 - p) / n)  # of the fraction kept
    assert abs(y.mean() - 1) < scale * spread
    assert abs(y.var() - (scale - 1)) < scale**2 * (abs(2 * p - 1) * spread + spread**2)


def normal_z(values):
    """Mean, variance, skewness and kurtosis of n standard normals, each in its own standard deviations."""
    n = values.size
    moments = [(values**k).mean() for k in (1, 2, 3, 4)]
    return [
        (moment - mean) * math.sqrt(n / variance)
        for moment, mean, variance in zip(moments, (0, 1, 0, 3), (1, 2, 15, 96), strict=True)
    ]


@pytest.mark.parametrize("source", ["float32", "float64", "noise"])
def test_normals(source):
    """Moments; chi-square over 256 cells of equal probability; neighbours and pair partners uncorrelated."""
    n = 1 << 20
    if source == "noise":
        values = fd.gaussian_noise(np.zeros(n), 1.0, **WHERE)
        lags = [1, 2, 127, 128, 129, 256]
    else:
        values = fd.random.Generator(7).normal(size=n, dtype=source).astype(np.float64)
        lags = [1, 2, 3, 4, 64]
    assert max(map(abs, normal_z(values))) < z_bound(4)
    edges = [NormalDist().inv_cdf(k / 256) for k in range(1, 256)]
    counts = np.bincount(np.searchsorted(edges, values), minlength=256)
    assert ((counts - n / 256) ** 2 / (n / 256)).sum() < chi_square_bound(255)
    for series in (values, values**2):
        assert max(abs(correlation_z(series[lag:], series[:-lag])) for lag in lags) < 1.3 * z_bound(2 * len(lags))


def test_uniforms_and_integers():
    n, rng = 1 << 20, fd.random.Generator(8)
    for draw in (
        rng.uniform(size=n) * 1000,
        rng.uniform(size=n, dtype=np.float64) * 1000,
        rng.integers(0, 1000, size=n),
        rng.permutation(n) * (1000 / n),
    ):
        cells = np.asarray(draw).astype(np.int64)
        counts = np.bincount(cells, minlength=1000)
        assert counts.size == 1000
        assert ((counts - n / 1000) ** 2 / (n / 1000)).sum() < chi_square_bound(999)
        assert abs(correlation_z(cells[1:].astype(float), cells[:-1].astype(float))) < z_bound(4)
