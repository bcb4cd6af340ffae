"""Metrics of scores and probabilities of classes: log loss, top-k accuracy, bits per character, perplexity."""

import math
from typing import Any

import numpy as np

from .._validate import check_logits, flag, integer, real_values, shown
from ._inputs import Counts, axes, checked_labels, finite, flat, flat_weight, list_of_labels, same_kind, same_shape
from ._inputs import labels as read_labels
from ._rules import Mean, Settings, Values, share
from ._words import told

Targets = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]


def _targets(y_true: Any, counts: Counts) -> Targets:
    """The true classes as they are shaped, those that count, which do, and their weights."""
    true = read_labels("y_true", y_true)
    keep, weight = counts.of("y_true", true.shape)
    return true, checked_labels("y_true", true, keep), keep, flat_weight(weight, keep)


def _places(true: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The place of each true class among the classes."""
    same_kind("labels", classes, true)
    order = np.argsort(classes)
    found = order[np.minimum(np.searchsorted(classes, true, sorter=order), len(classes) - 1)]
    good = classes[found] == true
    if not good.all():
        raise ValueError(f"y_true: got the class {shown(true[~good][0].item())}, expected one of the labels")
    return found


def _columns(name: str, scores: np.ndarray, true: np.ndarray, shape: tuple[int, ...], given: Any) -> np.ndarray:
    """The classes in the order of columns: those given, or those that are true; one column stands for two."""
    classes = np.unique(true) if given is None else given
    wide = 2 if scores.shape == shape else scores.shape[-1]
    if scores.shape not in (shape, (*shape, wide)):
        raise ValueError(f"{name}: got shape {scores.shape}, expected {(*shape, 'classes')} as of y_true, or {shape}")
    if len(classes) != wide:
        where = "y_true" if given is None else "labels"
        raise ValueError(f"{name}: got {wide} classes, expected {len(classes)} as of {where} (labels names all)")
    return classes


# ---- log loss


def _surprise(y_true: Any, y_proba: Any, counts: Counts, options: dict[str, Any]) -> Values:
    """-log of the probability of each true class."""
    true, found, keep, weight = _targets(y_true, counts)
    given = axes("y_proba", y_proba, "fiub")
    if not found.size:
        return np.zeros(0), weight
    places = _places(found, _columns("y_proba", given, found, true.shape, options["labels"]))
    one = given.shape == true.shape
    kept = keep if keep is None or one else keep[..., None]
    proba = finite("y_proba", given, None if kept is None else np.broadcast_to(kept, given.shape))
    epsilon = float(np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps)
    chosen = flat(proba, keep) if one else (proba.reshape(-1, proba.shape[-1]) if keep is None else proba[keep])
    if chosen.min() < 0 or chosen.max() > 1:
        got = chosen.min() if chosen.min() < 0 else chosen.max()
        raise ValueError(f"y_proba: got {got:g}, expected probabilities, from 0 to 1")
    if one:
        return -np.log(np.clip(np.where(places == 1, chosen, 1 - chosen), epsilon, 1 - epsilon)), weight
    apart = np.abs(chosen.sum(1) - 1)
    if apart.max() > math.sqrt(epsilon):
        got = chosen.sum(1)[apart.argmax()]
        raise ValueError(f"y_proba: got a row whose sum is {got:g}, expected probabilities, of sum 1")
    return -np.log(np.clip(chosen[np.arange(len(chosen)), places], epsilon, 1 - epsilon)), weight


def _logits(y_true: Any, logits: Any, counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Logits (n, C) in float64 and true classes (n,) below C, both of what counts, with weights."""
    given = real_values("logits", logits, "f")
    true = read_labels("y_true", y_true)
    if not given.ndim or not given.shape[-1]:
        raise ValueError(f"logits: got shape {given.shape}, expected (..., C) with C at least 1")
    same_shape("logits", given, (*true.shape, given.shape[-1]))
    keep, weight = counts.of("y_true", true.shape)
    found = checked_labels("y_true", true, keep)
    if found.dtype.kind == "U":
        raise TypeError("y_true: got texts, expected the classes' numbers")
    if found.size and (found.min() < 0 or found.max() >= given.shape[-1]):
        got = found.min() if found.min() < 0 else found.max()
        raise ValueError(f"y_true: got {got}, expected 0 to {given.shape[-1] - 1} as of the logits, or a mask")
    if given.size:
        check_logits("logits", given if keep is None else np.where(keep[..., None], given, 0))
    chosen = given.reshape(-1, given.shape[-1]) if keep is None else given[keep]
    return chosen.astype(np.float64, copy=False), found, flat_weight(weight, keep)


def _from_logits(y_true: Any, logits: Any, counts: Counts, options: dict[str, Any]) -> Values:
    """-log softmax of each true class."""
    z, true, weight = _logits(y_true, logits, counts)
    if not len(z):
        return np.zeros(0), weight
    with np.errstate(over="ignore"):
        z = z - z.max(1, keepdims=True)
        return np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), true], weight


# ---- top k


def _among_best(scores: np.ndarray, places: np.ndarray, k: int) -> np.ndarray:
    """Whether the true class is among the k best; of equal scores the class further right is better."""
    own = scores[np.arange(len(scores)), places][:, None]
    later = np.arange(scores.shape[1]) > places[:, None]
    return ((scores > own) | ((scores == own) & later)).sum(1) < k


def _top_k(y_true: Any, y_score: Any, counts: Counts, options: dict[str, Any]) -> Values:
    true, found, keep, weight = _targets(y_true, counts)
    given = axes("y_score", y_score, "fiub")
    if not found.size:
        return np.zeros(0), weight
    places = _places(found, _columns("y_score", given, found, true.shape, options["labels"]))
    one = given.shape == true.shape
    kept = keep if keep is None or one else np.broadcast_to(keep[..., None], given.shape)
    scores = finite("y_score", given, kept)
    if not one:
        rows = scores.reshape(-1, given.shape[-1]) if keep is None else scores[keep]
        return _among_best(rows, places, options["k"]), weight
    chosen = flat(scores, keep)
    threshold = 0.5 if chosen.min() >= 0 and chosen.max() <= 1 else 0.0
    return (places == (chosen > threshold)) | (options["k"] > 1), weight


def _top_k_of_logits(targets: Any, outputs: Any, counts: Counts, options: dict[str, Any]) -> Values:
    z, true, weight = _logits(targets, outputs, counts)
    return _among_best(z, true, options["k"]), weight


def _k(name: str, value: Any) -> int:
    return integer(name, value, 1)


_SETTINGS: Settings = {"normalize": (True, flag), "labels": (None, list_of_labels)}
LOG_LOSS = Mean(_surprise, _SETTINGS, False, share, of_outputs=_from_logits)
TOP_K_ACCURACY = Mean(_top_k, {"k": (2, _k), **_SETTINGS}, True, share, of_outputs=_top_k_of_logits)
BITS_PER_CHARACTER = Mean(
    _from_logits, {}, False, lambda total, weight, options: float(total / weight / math.log(2)), of_outputs=_from_logits
)
PERPLEXITY = Mean(
    _from_logits, {}, False, lambda total, weight, options: float(np.exp(total / weight)), of_outputs=_from_logits
)

# ---- the functions


@told
def log_loss(
    y_true: Any, y_proba: Any, *, normalize: bool = True, labels: Any = None,
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> float:  # fmt: skip
    """The mean of -log of the probability that the true class was given, in nats (docs/metrics.md 8.5).

    Parameters
    ----------
    y_true : array_like of int or str
        The true classes, of any shape of one axis or more.
    y_proba : array_like of float
        Probabilities (..., classes) whose rows sum to 1; or of `y_true`'s shape, of the second of two classes.
    normalize : bool, default True
        Whether to give the mean; the sum otherwise.
    labels : array_like, optional
        The classes in the order of columns; default those that are true, sorted.
    {counts}

    Returns
    -------
    float

    Raises
    ------
    {raises}

    Notes
    -----
    Probabilities are kept within [eps, 1 - eps] of their type, as in scikit-learn. A :class:`Metric` takes logits
    instead, which needs no such bound.

    Examples
    --------
    >>> import fastdl as fd
    >>> round(fd.metrics.log_loss([0, 1], [[0.9, 0.1], [0.5, 0.5]]), 4)
    0.3993
    """
    return LOG_LOSS(y_true, y_proba, Counts(sample_weight, mask, lengths), normalize=normalize, labels=labels)


@told
def top_k_accuracy_score(
    y_true: Any, y_score: Any, *, k: int = 2, normalize: bool = True, labels: Any = None,
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> float:  # fmt: skip
    """The share of targets whose class is among the k of the largest scores (docs/metrics.md 8.6).

    Parameters
    ----------
    y_true : array_like of int or str
        The true classes, of any shape of one axis or more.
    y_score : array_like of float
        Scores (..., classes), logits or probabilities; or of `y_true`'s shape, of the second of two classes.
    k : int, default 2
        At least 1.
    normalize : bool, default True
        Whether to give the share; the weight of the hits otherwise.
    labels : array_like, optional
        The classes in the order of columns; default those that are true, sorted.
    {counts}

    Returns
    -------
    float

    Raises
    ------
    {raises}

    Notes
    -----
    Of equal scores the class further right counts as the larger, as in scikit-learn.

    Examples
    --------
    >>> import fastdl as fd
    >>> scores = [[0.5, 0.2, 0.3], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]
    >>> fd.metrics.top_k_accuracy_score([0, 1, 2], scores, k=2)
    0.6666666666666666
    """
    counts = Counts(sample_weight, mask, lengths)
    return TOP_K_ACCURACY(y_true, y_score, counts, k=k, normalize=normalize, labels=labels)


@told
def bits_per_character(
    y_true: Any, logits: Any, *, sample_weight: Any = None, mask: Any = None, lengths: Any = None
) -> float:
    """The mean of -log2 softmax of the true characters (docs/metrics.md 8.7).

    Parameters
    ----------
    y_true : array_like of int
        The true characters, from 0 to C - 1.
    logits : array_like of float
        (..., C); -inf is what cannot be.
    {counts}

    Returns
    -------
    float

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.metrics.bits_per_character([3, 1, 0], np.zeros((3, 4)))
    2.0
    """
    return BITS_PER_CHARACTER(y_true, logits, Counts(sample_weight, mask, lengths))


@told
def perplexity(y_true: Any, logits: Any, *, sample_weight: Any = None, mask: Any = None, lengths: Any = None) -> float:
    """exp of the mean of -log softmax of the true tokens (docs/metrics.md 8.8).

    Parameters
    ----------
    y_true : array_like of int
        The true tokens, from 0 to C - 1.
    logits : array_like of float
        (..., C); -inf is what cannot be.
    {counts}

    Returns
    -------
    float
        C for a model that knows nothing.

    Raises
    ------
    {raises}

    References
    ----------
    F. Jelinek et al., "Perplexity: a measure of the difficulty of speech recognition tasks", 1977.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> round(fd.metrics.perplexity([3, 1, 0], np.zeros((3, 4))), 12)
    4.0
    """
    return PERPLEXITY(y_true, logits, Counts(sample_weight, mask, lengths))
