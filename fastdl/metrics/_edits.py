"""How far texts are apart: edit distance, word error rate, character error rate."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from .._validate import members, real_values, shown
from ._inputs import Counts
from ._rules import Rule, State

Symbols = Sequence[Hashable]


def distance(reference: Symbols, hypothesis: Symbols) -> int:
    """The fewest insertions, deletions and substitutions that make one of the other.

    The differences along a column of the table are the bits of two integers, of any length in Python, which one symbol
    of the longer text moves on at once (Myers 1999, in the form of Hyyro 2003).
    """
    if len(reference) > len(hypothesis):
        reference, hypothesis = hypothesis, reference  # the shorter is the column
    rows = len(reference)
    if not rows:
        return len(hypothesis)
    places: dict[Hashable, int] = {}
    for row, symbol in enumerate(reference):
        places[symbol] = places.get(symbol, 0) | 1 << row
    ones = (1 << rows) - 1
    last = 1 << (rows - 1)
    up, down, found = ones, 0, rows  # where the next row is one more, one less; the bottom row's value
    for symbol in hypothesis:
        equal = places.get(symbol, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        right, left = down | ~(diagonal | up) & ones, up & diagonal
        found += bool(right & last) - bool(left & last)
        right = (right << 1 | 1) & ones
        left = (left << 1) & ones
        up, down = left | ~(diagonal | right) & ones, right & diagonal
    return found


# ---- what is compared


def _symbols(name: str, value: Any, split: Callable[[str], Symbols]) -> Symbols:
    """A text as `split` takes it apart; a sequence as it is."""
    if isinstance(value, str):
        return split(value)
    if isinstance(value, np.ndarray):
        array = real_values(name, value, "iuU")
        if array.ndim != 1:
            raise ValueError(f"{name}: got shape {array.shape}, expected a sequence (n,)")
        return array.tolist()
    found = members(name, value, "symbols, or a text")
    for one in found:
        if not isinstance(one, (str, int, np.integer)):
            raise TypeError(f"{name}: got {shown(one)} in a sequence, expected texts or integers")
    return found


def _texts(name: str, value: Any, split: Callable[[str], Symbols]) -> list[Symbols]:
    """Several texts or sequences; one text alone is a list of one."""
    if isinstance(value, np.ndarray) and value.ndim == 2:
        value = list(real_values(name, value, "iu"))
    several = [value] if isinstance(value, str) else members(name, value, "texts or sequences")
    return [_symbols(f"{name}[{i}]", one, split) for i, one in enumerate(several)]


class Edits(Rule):
    """Edits for each symbol of the references, or for each pair. Both are sums, and no mean of what pairs have."""

    target = "reference"

    def __init__(self, split: Callable[[str], Symbols], by_symbol: bool) -> None:
        super().__init__({}, False)
        self.split, self.by_symbol = split, by_symbol

    def gather(self, y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> State:
        said, heard = _texts("reference", y_true, self.split), _texts("hypothesis", y_pred, self.split)
        if len(said) != len(heard):
            raise ValueError(f"hypothesis: got {len(heard)} texts, expected {len(said)} as of the reference")
        if counts.lengths is not None:
            raise ValueError(f"lengths: got {shown(counts.lengths)}, expected None: a sequence has its own length")
        keep, weight = counts.of("reference", (len(said),))
        weight = np.ones(len(said)) if weight is None else weight
        weight = weight if keep is None else np.where(keep, weight, 0.0)
        edits = [distance(*both) if counted else 0 for *both, counted in zip(said, heard, weight > 0, strict=True)]
        sizes = np.array([len(one) for one in said], np.float64) if self.by_symbol else 1.0
        return {"total": (weight * np.array(edits, np.float64)).sum(), "weight": (weight * sizes).sum()}

    def finish(self, state: State, options: dict[str, Any]) -> float:
        return float(state["total"] / state["weight"])


def _as_it_is(text: str) -> str:
    return text


WORD_ERROR_RATE, CHARACTER_ERROR_RATE = Edits(str.split, True), Edits(str.strip, True)
EDIT_DISTANCE = Edits(_as_it_is, False)

# ---- the functions


def edit_distance(reference: Any, hypothesis: Any) -> int:
    """The fewest insertions, deletions and substitutions that make one text of the other (docs/metrics.md 8.18).

    Parameters
    ----------
    reference, hypothesis : str or sequence of str or int
        Two texts, which are sequences of characters, or two sequences of words or numbers.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        If one is neither.

    Notes
    -----
    For texts of m and n symbols it takes m n / 64 operations of a machine word, and memory for m + n.

    References
    ----------
    G. Myers, "A fast bit-vector algorithm for approximate string matching based on dynamic programming", 1999.
    H. Hyyro, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances", 2003.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.edit_distance("kitten", "sitting")
    3
    >>> fd.metrics.edit_distance(["to", "be", "or"], ["to", "bee", "or", "not"])
    2
    """
    return distance(_symbols("reference", reference, _as_it_is), _symbols("hypothesis", hypothesis, _as_it_is))


def word_error_rate(reference: Any, hypothesis: Any, *, sample_weight: Any = None, mask: Any = None) -> float:
    """Edits of words for each word of the references, WER (docs/metrics.md 8.19).

    Parameters
    ----------
    reference : str or sequence of str, or of sequences of words
        What was said. A text's words are what white space parts.
    hypothesis : str or sequence, likewise
        What was recognised, as many.
    sample_weight : array_like of float, optional
        How much each pair counts, at least 0. Default all alike.
    mask : array_like of bool, optional
        True where a pair counts. Default all.

    Returns
    -------
    float
        May be above 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, there are not as many of both, or no word of the references counts.

    Notes
    -----
    Edits of all pairs over words of all references, as in jiwer and NIST's sclite. Nothing is changed before: case and
    punctuation count.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.word_error_rate(["to be or not", "that is it"], ["to be or", "this is it"])
    0.2857142857142857
    """
    return WORD_ERROR_RATE(reference, hypothesis, Counts(sample_weight, mask))


def character_error_rate(reference: Any, hypothesis: Any, *, sample_weight: Any = None, mask: Any = None) -> float:
    """Edits of characters for each character of the references, CER (docs/metrics.md 8.19).

    Parameters
    ----------
    reference : str or sequence of str, or of sequences of symbols
        What was written. White space around a text does not count, but between words it does.
    hypothesis : str or sequence, likewise
        What was read, as many.
    sample_weight : array_like of float, optional
        How much each pair counts, at least 0. Default all alike.
    mask : array_like of bool, optional
        True where a pair counts. Default all.

    Returns
    -------
    float
        May be above 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, there are not as many of both, or no character of the references counts.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.character_error_rate("kitten", "sitting")
    0.5
    >>> fd.metrics.character_error_rate([[1, 2, 3, 4]], [[1, 2, 3]])
    0.25
    """
    return CHARACTER_ERROR_RATE(reference, hypothesis, Counts(sample_weight, mask))
