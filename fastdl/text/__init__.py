"""Text as data: files and the default corpus, a vocabulary of characters, windows for truncated BPTT.

The unit is the character (Unicode code point), so any alphabet works and nothing has to be tokenized. A str takes up to
4 bytes a character; what is long is held as :class:`Corpus`, in 1 byte while there are at most 256 different ones.
"""

from ._reading import UNKNOWN, Corpus, decoded, default_corpus, read_corpus, read_text, split_held_out
from ._vocabulary import TextBatches, Vocabulary

__all__ = [
    "UNKNOWN",
    "Corpus",
    "TextBatches",
    "Vocabulary",
    "decoded",
    "default_corpus",
    "read_corpus",
    "read_text",
    "split_held_out",
]


def __dir__() -> list[str]:
    return __all__
