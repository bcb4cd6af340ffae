"""Synthetic voices that say digits (espeak-ng), the cepstra of a recording as Sphinx computes them, and a picture."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from _common import pyplot, save

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh")
ACCENTS = ("en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
SHARES = (0.46, *7 * (0.54 / 7,))  # of the accents: the recordings are American
RATE = 22050  # samples a second that espeak-ng gives
MARKS = "0123456789o"
FRAMES = 3  # of 10 ms that are read as one step
FILTERS, LOWEST, HIGHEST, COEFFICIENTS = 20, 1, 4000, 13


def utterances(count, seed):
    """Cepstra (T, 13) of digits said one after the other, each utterance in another voice; and them, 10 for "oh"."""
    if shutil.which("espeak-ng") is None:
        raise FileNotFoundError(
            "path: espeak-ng, which says the digits, is not installed; get it by\n    apt-get install espeak-ng"
        )
    listed = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    voices = sorted(re.findall(r"!v/(\S+)", listed))
    sources = np.random.SeedSequence(seed).spawn(count)
    with ThreadPoolExecutor(2) as pool:  # the work is done by processes
        said = list(pool.map(lambda one: _utterance(np.random.default_rng(one), voices), sources))
    return [x for x, _ in said], [y for _, y in said]


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


def _utterance(rng, voices):
    """One to seven digits in a random voice, speed, pitch and loudness, with pauses, in noise, as cepstra."""
    digits = rng.integers(0, len(WORDS), rng.integers(1, 8))
    pauses = rng.choice([0, 0, 0.2, 0.5])  # the share of digits with a comma after them
    text = " ".join(WORDS[one] + "," * int(rng.random() < pauses) for one in digits)
    voice = f"{rng.choice(ACCENTS, p=SHARES)}+{rng.choice(voices)}"
    speed, pitch, gap = rng.integers(110, 240), rng.integers(20, 80), rng.choice([0, 0, 2, 5, 10])
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), "-g", str(gap), text]
    wave = subprocess.run(command, capture_output=True, check=True).stdout
    samples = np.frombuffer(wave[44:], "<i2").astype(np.float64)  # after the header
    sound = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    before, after = rng.uniform(0.1, 0.4, 2) * RATE
    samples = np.pad(samples[sound[0] : sound[-1] + 1], (int(before), int(after)))
    samples *= 10 ** rng.uniform(2.2, 3.3) / np.sqrt((samples**2).mean())
    return cepstra(samples + _noise(samples, rng), RATE, np.exp(rng.normal(0, 0.06))), digits


def _noise(samples, rng):
    """Noise of a random colour 15 to 60 dB below the samples, and rounding to integers."""
    colour = np.exp(-np.arange(30) / rng.uniform(1, 15))
    noise = np.convolve(rng.normal(size=samples.size), colour, "same")
    level = np.sqrt((samples**2).mean()) * 10 ** (-rng.uniform(15, 60) / 20)
    return noise * level / noise.std() + rng.integers(-1, 2, samples.size)
