"""fastdl.random: known answers, equality with the reference, statistics, and what is refused."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.reference import random as reference

KNOWN = [  # counter, key, output
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_known_answers(backend, counter, key, expected):
    with fd.backend(backend):
        assert fd.random.philox(words(counter), words(key)).tolist() == words(expected)


@pytest.mark.parametrize("block", [0, 1, 63, 64, 2**32 - 3, 2**40 + 17])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 255, 256, 257, 1000])
def test_words_equal_the_reference(block, count):
    seed = 0x0123456789ABCDEF
    got = fd.random.random_words(seed, block, count)
    np.testing.assert_array_equal(got, reference.random_words(seed, block, count))
    for row in (0, count // 4 - 1) if count >= 4 else ():
        counter = [(block + row) % 2**32, (block + row) >> 32 | 0x40000000, 0, 0]
        assert got[4 * row : 4 * row + 4].tolist() == fd.random.philox(counter, [0x89ABCDEF, 0x01234567]).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 4, 100, 40_000])
def test_floats_equal_the_reference_bit_for_bit(dtype, count):
    raw = fd.random.random_words(5, 0, count)
    if count >= 4:
        raw[:4] = 0  # u next to 0
        raw[-4:] = 0xFFFFFFFF  # u = 1, whose logarithm is 0
    for transform in ("words_to_uniform", "words_to_normal"):
        got = getattr(fd.random, transform)(raw, 0.3, 1.7, dtype)
        want = getattr(reference, transform)(raw, 0.3, 1.7, dtype)
        assert got.dtype == want.dtype == dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("method", ["uniform", "normal"])
def test_a_generator_runs_the_same_on_the_reference(method):
    draws = []
    for backend in ("compiled", "reference"):
        with fd.backend(backend):
            rng = fd.random.Generator(11).stream("weights")
            draws.append([getattr(rng, method)(size=(3, 7), dtype=t) for t in (np.float32, np.float64)])
            draws[-1] += [rng.integers(-3, 9, size=50), rng.permutation(40), getattr(rng, method)()]
    for one, other in zip(*draws, strict=True):
        np.testing.assert_array_equal(one, other)


def test_normals_against_the_platform_functions():
    raw = fd.random.random_words(8, 0, 40_000)
    k = [(raw[i::4] >> 5) * 2.0**26 + (raw[i + 1 :: 4] >> 6) for i in (0, 2)]
    radius, angle = (
        np.sqrt(-2 * np.log((k[0] + 1) * 2.0**-53)),
        (k[1] + 0.5) * 2.0**-53 * 2 * np.pi - np.pi / 4,
    )
    want = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).ravel()
    np.testing.assert_allclose(fd.random.words_to_normal(raw, 0.0, 1.0, np.float64), want, rtol=1e-14, atol=2e-15)


def test_state_resumes_and_streams_are_apart():
    rng = fd.random.Generator(2)
    rng.normal(size=5)
    state = rng.state_dict()
    first = rng.uniform(size=9)
    again = fd.random.Generator()
    again.load_state_dict(state)
    np.testing.assert_array_equal(again.uniform(size=9), first)
    names = [
        "",
        "a",
        "b",
        "aa",
        "weights",
        "weights.0",
        "weights.1",
        "eight by",
        "eight byt",
        "\0",
        "\0\0",
        "ß",
    ]
    assert len({rng.stream(name).seed for name in names}) == len(names)
    assert rng.stream("a").stream("b").seed != rng.stream("b").stream("a").seed


def test_the_default_generator_is_seeded():
    fd.random.seed(4)
    first = fd.random.as_generator(None).uniform(size=3)
    fd.random.seed(4)
    np.testing.assert_array_equal(fd.random.as_generator(None).uniform(size=3), first)
    np.testing.assert_array_equal(fd.random.as_generator(4).uniform(size=3), first)


def test_permutation_and_integers_cover_their_range():
    rng = fd.random.Generator(1)
    assert sorted(rng.permutation(1000).tolist()) == list(range(1000))
    assert set(rng.integers(-2, 3, size=1000).tolist()) == {-2, -1, 0, 1, 2}
    wide = rng.integers(-(2**63), 2**63 - 1, size=1000)
    assert wide.min() < -(2**62)
    assert wide.max() > 2**62
    exact = [(int(a) + (int(b) << 32)) * 10**15 >> 64 for a, b in fd.random.random_words(6, 0, 200).reshape(-1, 2)]
    assert fd.random.Generator(6).integers(0, 10**15, size=100).tolist() == exact


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda rng: fd.random.Generator(-1), ValueError, "seed: got -1"),
        (lambda rng: fd.random.Generator(1.5), TypeError, "seed: got 1.5"),
        (lambda rng: fd.random.philox([0, 0, 0], [0, 0]), ValueError, "counter: got 3 words"),
        (lambda rng: fd.random.philox([0, 0, 0, 2**32], [0, 0]), ValueError, "counter: got 4294967296"),
        (lambda rng: rng.uniform(1.0, 0.0), ValueError, "high: got 0.0"),
        (lambda rng: rng.uniform(float("nan"), 0.0), ValueError, "low: got nan"),
        (lambda rng: rng.normal(0.0, -1.0), ValueError, "std: got -1.0"),
        (lambda rng: rng.normal(size=3, dtype=np.int32), TypeError, "dtype: got int32"),
        (lambda rng: rng.normal(size=(3, -1)), ValueError, "size: got -1"),
        (lambda rng: rng.integers(3, 3), ValueError, "high: got 3"),
        (lambda rng: rng.permutation(-1), ValueError, "n: got -1"),
        (lambda rng: rng.stream(3), TypeError, "name: got int"),
        (lambda rng: rng.load_state_dict({"seed": 1}), ValueError, "state: got keys"),
        (lambda rng: rng.load_state_dict({"seed": 1, "block": -1}), ValueError, "block"),
        (lambda rng: fd.random.as_generator("x"), TypeError, "rng: got str"),
    ],
)
def test_refusals_leave_the_state(call, error, message):
    rng = fd.random.Generator(9)
    with pytest.raises(error, match=message.replace("[", r"\[")):
        call(rng)
    assert rng.state_dict() == {"seed": 9, "block": 0}
