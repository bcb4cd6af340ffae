"""Videos and their captions as arrays, padded and moved at random, and as a picture."""

import numpy as np
from _common import pyplot, save

import fastdl as fd

LETTERS = " efghinorstuvwxz"
BOUNDARY = len(LETTERS)  # begins and ends a caption
IGNORED = -1  # past its end
PIXELS = 12  # a side of a frame


def padded(rows, fill):
    """Arrays of different lengths as one, (N, longest, ...)."""
    result = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), fill, rows[0].dtype)
    for place, row in zip(result, rows, strict=True):
        place[: len(row)] = row
    return result


def flattened(videos):
    """Frames as rows of pixels, (N, T, pixels), and the lengths."""
    return padded([one.reshape(len(one), -1) for one in videos], 0), np.array([len(one) for one in videos])


def examples(videos, captions):
    """Videos, lengths and the letters before each; and the letters, of which those past the end do not count."""
    after = padded([np.array([*map(LETTERS.index, one), BOUNDARY]) for one in captions], IGNORED)
    before = np.roll(np.where(after == IGNORED, BOUNDARY, after), 1, 1)
    before[:, 0] = BOUNDARY
    return (*flattened(videos), before), after


def moved(x, after, rng):
    """Every video moved by up to a pixel along both axes; letters as (L, B)."""
    frames, lengths, before = x
    images = frames.reshape(*frames.shape[:2], PIXELS, PIXELS)
    steps = rng.integers(-1, 2, (len(images), 2))
    images = np.stack([np.roll(one, step, (1, 2)) for one, step in zip(images, steps, strict=True)])
    return (images.reshape(frames.shape), lengths, before), after.T.copy()


def draw(video, caption, weights, path):
    """The frames of a video, and below them the attention (L, T) that each letter of its caption pays to each."""
    figure, (above, below) = pyplot().subplots(2, figsize=(10, 6), height_ratios=(1, 4), layout="constrained")
    above.imshow(np.hstack([np.pad(frame, 1, constant_values=0.5) for frame in video]), cmap="gray_r")
    above.axis("off")
    names = [*caption.replace(" ", "_"), "end"]
    fd.plots.attention_map(weights, source=range(1, len(video) + 1), target=names, ax=below)
    below.set(xlabel="frame", ylabel="letter")
    save(figure, path)
