"""Sentences that twenty people rated each: the corpora of VADER's paper, in the sdist of vaderSentiment."""

import io
import tarfile
from typing import NamedTuple

import numpy as np

from .._files import PathLike
from .._validate import choice, integer
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing

_VADER = Source(
    package="PyPI's vaderSentiment 3.3.2 (the sdist)",
    command="pip download --no-deps --no-binary :all: vaderSentiment==3.3.2",
    licence="MIT",
    archives=("vaderSentiment-*.tar.gz", "vadersentiment-*.tar.gz"),
)
_VADER_SHA = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
_CLASSES = ("negative", "neutral", "positive")
_LARGEST = 2**24  # bytes of one of the corpora; the longest has 1.4 million


class _Corpus(NamedTuple):
    title: str
    file: str


_CORPORA = {
    "movies": _Corpus("sentences of film reviews", "movieReviewSnippets"),
    "products": _Corpus("sentences of product reviews", "amazonReviewSnippets"),
    "news": _Corpus("sentences of newspaper editorials", "nytEditorialSnippets"),
    "tweets": _Corpus("tweets", "tweets"),
}


def sentiment(corpus: str = "movies", path: PathLike | None = None, check: bool = True, seed: int = 0) -> Dataset:
    """Rated sentences: negative, neutral or positive? Half of them to train on, half to test, at random.

    Parameters
    ----------
    corpus : {"movies", "products", "news", "tweets"}, default "movies"
        10,605 sentences of film reviews, 3,708 of product reviews, 5,190 of newspaper editorials, 4,200 tweets.
    path : path, optional
        The sdist of vaderSentiment (its wheel lacks the data), a folder it was unpacked to, or the archive
        hutto_ICWSM_2014.tar.gz in it. Default: FASTDL_DATA.
    check : bool, default True
        Whether to refuse a file of another release.
    seed : int, default 0
        Of the halves.

    Returns
    -------
    Dataset
        train and test: texts, a list of str; score (N,), float32 from -1 to 1, the mean of twenty ratings over 4;
        y (N,), int64: negative where the score is below -0.05, positive where it is above 0.05, else neutral.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    ValueError
        If an argument is none of these, or the file is damaged or of another release.

    References
    ----------
    C. Hutto, E. Gilbert, "VADER: a parsimonious rule-based model for sentiment analysis of social media text",
    ICWSM 2014.

    Examples
    --------
    >>> import fastdl as fd
    >>> texts, score, y = fd.datasets.sentiment().train  # doctest: +SKIP
    """
    which = _CORPORA[choice("corpus", corpus, tuple(_CORPORA))]
    seed = integer("seed", seed, 0)
    found = find(_VADER, path, ["additional_resources/hutto_ICWSM_2014.tar.gz"], _VADER_SHA, check)
    with parsing(found.place, "the corpora of VADER's paper"):
        texts, scores = _rated(found.contents[0], f"{which.file}_GroundTruth.txt")
    y = 1 + (scores > 0.05).astype(np.int64) - (scores < -0.05)
    order = np.random.default_rng(seed).permutation(len(texts))
    halves = {"train": np.sort(order[: len(order) // 2]), "test": np.sort(order[len(order) // 2 :])}
    parts = {name: ([texts[i] for i in rows], scores[rows], y[rows]) for name, rows in halves.items()}
    told = found.told(_VADER)
    return Dataset(f"sentiment: {which.title}", parts, ("texts", "score", "y"), _CLASSES, {}, _VADER.licence, told)


def _rated(data: bytes, wanted: str) -> tuple[list[str], np.ndarray]:
    """Texts and scores of one corpus: lines of number, mean rating and text, with tabs between."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        member = next((one for one in archive if one.isreg() and one.name.endswith(f"/{wanted}")), None)
        expect(member, f"it has no {wanted}")
        assert member is not None
        expect(member.size <= _LARGEST, f"{wanted} has {member.size:,} bytes")
        stream = archive.extractfile(member)
        assert stream is not None
        lines = stream.read().decode("utf-8").splitlines()
    rows = [line.split("\t", 2) for line in lines if line]
    expect(rows, f"{wanted} is empty")
    scores = np.array([float(row[1]) for row in rows]) / 4
    expect((np.abs(scores) <= 1).all(), "a rating is not from -4 to 4")
    return [row[2] for row in rows], scores.astype(np.float32)
