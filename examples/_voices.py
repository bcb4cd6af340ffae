"""Synthetic voices that say digits (espeak-ng, flite), cepstra of recordings as Sphinx computes them, a picture."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from _common import pyplot, save

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh")
ACCENTS = ("en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
SHARES = (0.46, *7 * (0.54 / 7,))  # of the accents: the recordings are American
FLITE = 0.3  # the share of utterances by flite, whose voices are made of recordings
WARP = 0.12  # the spread of the throats' lengths, as the logarithm of their resonances
MARKS = "0123456789o"
FRAMES = 3  # of 10 ms that are read as one step
FILTERS, LOWEST, HIGHEST, COEFFICIENTS = 20, 1, 4000, 13


def utterances(count, seed):
    """Cepstra (T, 13) and digits, 10 for "oh", of `count` utterances, each by two throats of other lengths."""
    for program in ("espeak-ng", "flite"):
        if shutil.which(program) is None:
            raise FileNotFoundError(
                f"path: {program}, which says the digits, is not installed; get it by\n    apt-get install {program}"
            )
    listed = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    variants = sorted(re.findall(r"!v/(\S+)", listed))
    sources = np.random.SeedSequence(seed).spawn(count)
    with ThreadPoolExecutor(2) as pool:  # the work is done by processes
        said = list(pool.map(lambda one: _utterance(np.random.default_rng(one), variants), sources))
    return [x for both, _ in said for x in both], [y for _, y in said for _ in range(2)]


def cepstra(samples, rate, warp=1.0):
    """Mel-frequency cepstra (T, 13), 100 frames a second, of samples with 16 bits; `warp` stretches the mel filters.

    The settings are those of Sphinx's model of TIDIGITS: windows of 25 ms, 20 filters up to 4 kHz. Its pre-emphasis is
    done as a factor of the spectrum, so that recordings of any rate give the same.
    """
    length = round(0.025 * rate)
    frames = np.lib.stride_tricks.sliding_window_view(samples, length)[:: round(0.01 * rate)]
    size = 1 << (length - 1).bit_length()
    power = np.abs(np.fft.rfft((frames - frames.mean(1, keepdims=True)) * np.hamming(length), size)) ** 2
    hertz = np.fft.rfftfreq(size, 1 / rate)
    power *= np.abs(1 - 0.97 * np.exp(-2j * np.pi * hertz / 16000)) ** 2
    low, high = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    edges = warp * 700 * (10 ** (np.linspace(low, high, FILTERS + 2)[:, None] / 2595) - 1)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    filters = np.maximum(0, np.minimum((hertz - left) / (middle - left), (right - hertz) / (right - middle)))
    logs = np.log(np.maximum(power @ (2 * filters / (right - left)).T, 1e-3))
    k = np.arange(COEFFICIENTS)[:, None]
    cosines = np.cos(np.pi * k * (np.arange(FILTERS) + 0.5) / FILTERS) * np.sqrt(np.where(k, 2, 1) / FILTERS)
    return (logs @ cosines.T).astype(np.float32)


def features(some):
    """Cepstra and their slopes, each utterance's with mean 0 and spread 1, some frames side by side."""
    values = (some - some.mean(0)) / some.std(0)
    values = np.concatenate([values, 3 * np.gradient(values, axis=0)], 1)
    return values[: len(values) // FRAMES * FRAMES].reshape(-1, FRAMES * values.shape[1]).astype(np.float32)


def draw(said, found, shares, path):
    """When the network saw which digit: the probabilities over time."""
    figure, axes = pyplot().subplots(len(said), figsize=(9, 2.4 * len(said)), layout="constrained")
    for ax, *texts, share in zip(axes, said, found, shares, strict=True):
        extent = (0, len(share) * FRAMES / 100, -0.5, 10.5)
        ax.imshow(share[:, 1:].T, aspect="auto", origin="lower", cmap="gray_r", extent=extent, vmin=0, vmax=1)
        ax.set_yticks(range(11), MARKS)
        wanted, got = ("".join(MARKS[k] for k in one) for one in texts)
        ax.set(title=f"said {wanted}, read {got}", ylabel="digit")
    axes[-1].set_xlabel("seconds")
    save(figure, path)


def _utterance(rng, variants):
    """One to seven digits in a random voice, speed, pitch and loudness, with pauses, in noise: cepstra, and digits."""
    digits = rng.integers(0, len(WORDS), rng.integers(1, 8))
    pauses = rng.choice([0, 0, 0.2, 0.5])  # the share of digits with a comma after them
    text = " ".join(WORDS[one] + "," * int(rng.random() < pauses) for one in digits)
    command = _flite(rng) if rng.random() < FLITE else _espeak(rng, variants)
    wave = subprocess.run([*command, text], capture_output=True, check=True).stdout
    rate, samples = int.from_bytes(wave[24:28], "little"), np.frombuffer(wave[44:], "<i2").astype(np.float64)
    sound = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    before, after = (rng.uniform(0.1, 0.4, 2) * rate).astype(int)
    samples = np.pad(samples[sound[0] : sound[-1] + 1], (before, after))
    samples *= 10 ** rng.uniform(2.2, 3.3) / np.sqrt((samples**2).mean())
    samples += _noise(samples, rng)
    return [cepstra(samples, rate, np.exp(rng.normal(0, WARP))) for _ in range(2)], digits


def _espeak(rng, variants):
    voice = f"{rng.choice(ACCENTS, p=SHARES)}+{rng.choice(variants)}"
    speed, pitch, gap = rng.integers(110, 240), rng.integers(20, 80), rng.choice([0, 0, 2, 5, 10])
    return ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), "-g", str(gap)]


def _flite(rng):
    stretch, voice = f"duration_stretch={rng.uniform(0.7, 1.4):.2f}", rng.choice(["awb", "kal16", "rms", "slt"])
    return ["flite", "-voice", voice, "--setf", stretch, "-o", "/dev/stdout", "-t"]


def _noise(samples, rng):
    """Noise of a random colour 15 to 60 dB below the samples, and rounding to integers."""
    colour = np.exp(-np.arange(30) / rng.uniform(1, 15))
    noise = np.convolve(rng.normal(size=samples.size), colour, "same")
    level = np.sqrt((samples**2).mean()) * 10 ** (-rng.uniform(15, 60) / 20)
    return noise * level / noise.std() + rng.integers(-1, 2, samples.size)
