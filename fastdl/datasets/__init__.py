"""Data that the user has: readers for what packages carry, and tasks made on the spot (docs/datasets.md).

Nothing is downloaded or shipped. A reader looks into installed packages, usual folders and the folder that FASTDL_DATA
names, or takes ``path=``; what it does not find, it names with the command that gets it.
"""

from ._brown import brown_tags, brown_words
from ._chorales import chorales, jsb_chorales
from ._cmudict import cmudict
from ._dataset import Dataset
from ._har import har
from ._images import digits, fashion_mnist
from ._keel import movement_libras, optdigits, pen_digits, vowel
from ._sentiment import sentiment
from ._series import m3, sunspots, tourism
from ._speech import connected_digits, japanese_vowels, spoken_digits
from ._strokes import stroke_videos
from ._tasks import adding, copying, temporal_order

__all__ = [
    "Dataset",
    "adding",
    "brown_tags",
    "brown_words",
    "chorales",
    "cmudict",
    "connected_digits",
    "copying",
    "digits",
    "fashion_mnist",
    "har",
    "japanese_vowels",
    "jsb_chorales",
    "m3",
    "movement_libras",
    "optdigits",
    "pen_digits",
    "sentiment",
    "spoken_digits",
    "stroke_videos",
    "sunspots",
    "temporal_order",
    "tourism",
    "vowel",
]


def __dir__() -> list[str]:
    return __all__
