"""Random numbers that are the same everywhere: counter-based, seeded, resumable.

Everything is drawn from Philox4x32-10, a pure function of a counter and a key (the seed). Floats are made of
its words with +, -, *, / and sqrt alone, so a seed gives the same bits on every machine, build and thread
count, compiled or by the reference. The mathematics is in ``docs/random.md``.
"""

from ._generator import Generator, as_generator, seed
from ._words import philox, random_words, words_to_normal, words_to_uniform

__all__ = [
    "Generator",
    "as_generator",
    "philox",
    "random_words",
    "seed",
    "words_to_normal",
    "words_to_uniform",
]


def __dir__() -> list[str]:
    return __all__
