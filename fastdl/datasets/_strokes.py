"""Videos that are made up of real pen strokes: digits being written one after the other, and their caption."""

import numpy as np

from .._files import PathLike
from .._validate import integer
from ._dataset import Dataset
from ._finding import expect, parsing
from ._keel import pen_digits

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TRAIN = 7494  # rows of the pen digits; as many as UCI has in its part to train on
_FRAMES = 8  # of a digit: as many as its path has points
_FADE = 0.8  # of the ink from one frame to the next


def stroke_videos(
    count: int = 2000,
    longest: int = 3,
    size: int = 12,
    seed: int = 0,
    path: PathLike | None = None,
    check: bool = True,
) -> Dataset:
    """Videos of one to three digits being written, and what they say in words. Made up of :func:`pen_digits`.

    The strokes are real; the videos are not, since no captions of real videos are to be had from a package. Each digit
    takes eight frames, in which its ink appears and fades.

    Parameters
    ----------
    count : int, default 2000
        Videos to train on; a quarter as many, at least one, to test on, made of other strokes.
    longest : int, default 3
        Digits of the longest.
    size : int, default 12
        Height and width of a frame, at least 4.
    seed : int, default 0
        Of the choice of digits.
    path, check
        As for :func:`pen_digits`.

    Returns
    -------
    Dataset
        train and test: x, a list of arrays (8 digits, size, size), float32 from 0 to 1; y, a list of str such as
        "two seven".

    Raises
    ------
    FileNotFoundError
        If the pen digits are not found; the message says how to get them.
    TypeError, ValueError
        If an argument is none of these, or the file is damaged or of another release.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.stroke_videos(100).train  # doctest: +SKIP
    """
    count, longest = integer("count", count, 1), integer("longest", longest, 1)
    size, rng = integer("size", size, 4), np.random.default_rng(integer("seed", seed, 0))
    strokes = pen_digits(path, check)
    points, labels = strokes.all
    parts = {}
    cut = min(_TRAIN, len(points) * 3 // 4)  # a file that is not checked may have fewer
    with parsing(strokes.source, "pen strokes for two parts"):
        expect(cut, f"it has {len(points)} rows")
    for name, rows, videos in (
        ("train", np.arange(cut), count),
        ("test", np.arange(cut, len(points)), max(1, count // 4)),
    ):
        chosen = [rng.choice(rows, rng.integers(1, longest + 1)) for _ in range(videos)]
        x = [np.concatenate([_video(points[i], size) for i in some]) for some in chosen]
        parts[name] = x, [" ".join(_WORDS[labels[i]] for i in some) for some in chosen]
    facts = {"made up": "of real pen strokes"}
    title = "stroke videos: digits being written, in words"
    return Dataset(title, parts, ("x", "y"), _WORDS, facts, strokes.licence, strokes.source)


def _video(points: np.ndarray, size: int) -> np.ndarray:
    """Frames (8, size, size) of a pen that moves along eight points of [0, 100] x [0, 100] and leaves fading ink."""
    frames = np.zeros((_FRAMES, size, size), np.float32)
    for i in range(1, _FRAMES):
        frames[i] = frames[i - 1] * _FADE
        along = np.linspace(0, 1, 2 * size)[:, None]
        right, up = ((1 - along) * points[i - 1] + along * points[i]).T / 100 * (size - 1)
        frames[i, np.rint(size - 1 - up).astype(int), np.rint(right).astype(int)] = 1
    return frames
