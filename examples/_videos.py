"""Videos and their captions as arrays: padded, and moved at random."""

import numpy as np

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
