"""What the examples share: arguments, pictures and sounds, distorted digits, a model's size, a loop that trains."""

import argparse
import wave
from pathlib import Path

import numpy as np

import fastdl as fd


def arguments(description):
    """--quick, for a trial of some seconds, --seed, and --out, the folder for pictures."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a trial of some seconds: worse figures")
    parser.add_argument("--seed", type=int, default=0, help="of weights, noise and drawn data (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for pictures (%(default)s)")
    return parser


def pyplot():
    """matplotlib.pyplot, drawing into files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure, path):
    """Write a figure into a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    pyplot().close(figure)
    print(f"picture: {path}")


def save_sound(signal, rate, path):
    """Write a signal (T,) as a sound file of `rate` samples a second, as loud as it goes, into a folder as above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(signal), "NONE", ""))
        file.writeframes((signal / np.abs(signal).max() * 32000).astype("<i2").tobytes())
    print(f"sound: {path}")


def size(*models):
    """How many parameters they have."""
    return sum(parameter.size for model in models for parameter in model.parameters())


def remember(layer, T):
    """The LSTM or GRU, its gates beginning with lags spread up to T (Tallec and Ollivier 2018)."""
    H, lags = layer.hidden_size, np.random.default_rng(0).uniform(1, T - 1, layer.hidden_size)
    bias = layer.bias_ih_l0.data
    bias[H : 2 * H] = np.log(lags)  # an LSTM's forget gate, a GRU's update gate
    if isinstance(layer, fd.nn.LSTM):
        bias[:H] = -np.log(lags)
        layer.bias_hh_l0.data[:H] = 0
    layer.bias_hh_l0.data[H : 2 * H] = 0
    return layer


def steps_of(model, draw, loss_of, steps, rate, schedule):
    """Train on what is drawn for each step, by Adam with clipped gradients; yields the losses."""
    optimizer = fd.optim.Adam(model.parameters(), lr=rate)
    scheduler = fd.optim.Scheduler(optimizer, schedule)
    for _ in range(steps):
        x, target = draw()
        loss, gradient = loss_of(model.forward(x), target)
        model.backward(gradient)
        fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        yield loss


def second_half(labels):
    """Indices to train and to test on: the second half of the digits was written by others."""
    return np.split(np.arange(len(labels)), [len(labels) // 2])


def stratified_half(labels, seed):
    """Indices to train and to test on: a random half of every class."""
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(np.flatnonzero(labels == c)), 2) for c in np.unique(labels)]
    return [np.concatenate(part) for part in zip(*halves, strict=True)]


def distorted(images, copies, seed):
    """The images scaled to [0, 1], and copies of them turned, sheared, scaled and moved a little at random."""
    images = images / 16
    rng = np.random.default_rng(seed)
    results = [images]
    for _ in range(copies):
        count = len(images)
        angle, shear, size = (rng.normal(0, s, count)[:, None, None] for s in (0.15, 0.2, 0.1))
        down, right = rng.normal(0, 0.6, (2, count))[:, :, None, None]
        y, x = np.mgrid[:8, :8] - 3.5
        cos, sin = np.cos(angle) / np.exp(size), np.sin(angle) / np.exp(size)
        results.append(
            _interpolated(images, cos * y + sin * x + down + 3.5, cos * x - sin * y + shear * y + right + 3.5)
        )
    return np.concatenate(results).astype(np.float32)


def _interpolated(images, y, x):
    """Bilinear values of each image at its points; 0 outside."""
    padded = np.pad(images, ((0, 0), (1, 2), (1, 2)))
    y, x = np.clip(y, -1, 8) + 1, np.clip(x, -1, 8) + 1
    row, column = y.astype(int), x.astype(int)
    below, beside = y - row, x - column
    which = np.arange(len(images))[:, None, None]
    top = (1 - beside) * padded[which, row, column] + beside * padded[which, row, column + 1]
    bottom = (1 - beside) * padded[which, row + 1, column] + beside * padded[which, row + 1, column + 1]
    return (1 - below) * top + below * bottom
