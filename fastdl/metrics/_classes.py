"""Metrics of predicted classes: accuracy, balanced accuracy, F1, the confusion matrix."""

import math
from typing import Any

import numpy as np

from .._validate import choice, flag, number, shown
from ._inputs import Counts, list_of_labels, pair_of_labels, predicted_classes, same_kind
from ._rules import Mean, Pairs, State, Values, share
from ._words import told

# ---- what they are


def _hits(y_true: Any, y_pred: Any, counts: Counts, options: dict[str, Any]) -> Values:
    true, predicted, weight = pair_of_labels(y_true, y_pred, counts)
    if (true.dtype.kind == "U") != (predicted.dtype.kind == "U"):
        return np.zeros(true.shape), weight  # both empty: of no type
    return true == predicted, weight


def _by_class(state: State, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class: the weight that was right, that is true, and that was predicted."""
    order = np.argsort(classes, kind="stable")

    def total(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        places = np.searchsorted(classes, values, sorter=order)
        found = order[np.minimum(places, len(classes) - 1)]
        here = chosen & (classes[found] == values)
        return np.bincount(found[here], weights=state["weight"][here], minlength=len(classes))

    true, predicted = state["true"], state["predicted"]
    every = np.ones(true.shape, bool)
    return total(true, true == predicted), total(true, every), total(predicted, every)


def _balanced(state: State, options: dict[str, Any]) -> float:
    right, true, _ = _by_class(state, np.unique(state["true"]))
    recall = right[true > 0] / true[true > 0]
    score = float(recall.mean())
    if options["adjusted"]:
        chance = 1 / len(recall)
        return (score - chance) / (1 - chance) if len(recall) > 1 else math.nan
    return score


def _f1_classes(state: State, options: dict[str, Any]) -> np.ndarray:
    """The classes of which F1 is wanted."""
    present = np.unique(np.concatenate([state["true"], state["predicted"]]))
    if options["average"] != "binary":
        if options["labels"] is None:
            return present
        same_kind("labels", options["labels"], present)
        return options["labels"]
    if len(present) > 2:
        raise ValueError(f"average: got 'binary', expected another one for {len(present)} classes of y_true and y_pred")
    pos_label = options["pos_label"]
    texts = present.dtype.kind == "U"
    if isinstance(pos_label, str) != texts or (len(present) > 1 and pos_label not in present.tolist()):
        wanted = f"{shown(present.tolist())}, the classes of y_true and y_pred"
        raise ValueError(f"pos_label: got {shown(pos_label)}, expected one of {wanted}")
    return np.array([pos_label])


def _f1(state: State, options: dict[str, Any]) -> Any:
    average = options["average"]
    right, true, predicted = _by_class(state, _f1_classes(state, options))
    if average == "micro":
        right, true, predicted = (np.array([one.sum()]) for one in (right, true, predicted))
    both = true + predicted
    scores = np.full(both.shape, float(options["zero_division"]))
    np.divide(2 * right, both, out=scores, where=both > 0)
    if average is None:
        return scores
    good = ~np.isnan(scores)
    if not good.any():
        return math.nan
    weights = true[good] if average == "weighted" and true[good].sum() > 0 else None
    return float(np.average(scores[good], weights=weights))


def _confusion(state: State, options: dict[str, Any]) -> np.ndarray:
    classes = options["labels"]
    if classes is None:
        classes = np.unique(np.concatenate([state["true"], state["predicted"]]))
    same_kind("labels", classes, state["true"])
    if not np.isin(classes, state["true"]).any():
        raise ValueError("labels: got none of the classes of y_true, expected at least one")
    place = {one: i for i, one in enumerate(classes.tolist())}
    table = np.zeros((len(classes), len(classes)), state["weight"].dtype)
    columns = (state[name].tolist() for name in CONFUSION_MATRIX.kept)
    for true, predicted, weight in zip(*columns, strict=True):
        if true in place and predicted in place:
            table[place[true], place[predicted]] += weight
    if options["normalize"] is None:
        return table
    axis: Any = {"true": 1, "pred": 0, "all": None}[options["normalize"]]
    whole = table.sum(axis=axis, keepdims=True)
    return np.divide(table, whole, out=np.zeros(table.shape), where=whole > 0)


def _zero_division(name: str, value: Any) -> float:
    if isinstance(value, float) and math.isnan(value):
        return value
    found = number(name, value, 0.0, 1.0)
    return float(choice(name, found, (0.0, 1.0)))


def _pos_label(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    found = list_of_labels(name, [value])
    assert found is not None
    return found[0].item()


def _average(name: str, value: Any) -> Any:
    allowed = ("binary", "micro", "macro", "weighted", None)
    return choice(name, value, allowed)


def _normalize(name: str, value: Any) -> Any:
    return None if value is None else choice(name, value, ("true", "pred", "all"))


ACCURACY = Mean(_hits, {"normalize": (True, flag)}, True, share, predicted_classes)
BALANCED_ACCURACY = Pairs({"adjusted": (False, flag)}, True, _balanced)
F1 = Pairs(
    {
        "labels": (None, list_of_labels),
        "pos_label": (1, _pos_label),
        "average": ("binary", _average),
        "zero_division": (0.0, _zero_division),
    },
    True,
    _f1,
)
CONFUSION_MATRIX = Pairs({"labels": (None, list_of_labels), "normalize": (None, _normalize)}, None, _confusion)

# ---- the functions


@told
def accuracy_score(
    y_true: Any, y_pred: Any, *, normalize: bool = True,
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> float:  # fmt: skip
    """The share of targets whose class is predicted (docs/metrics.md 8.1).

    Parameters
    ----------
    {classes}
    normalize : bool, default True
        Whether to give the share; the weight of the right ones otherwise.
    {counts}

    Returns
    -------
    float

    Raises
    ------
    {raises}

    See Also
    --------
    balanced_accuracy_score : where some classes are rare.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.accuracy_score([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    >>> fd.metrics.accuracy_score([[0, 1], [2, 9]], [[0, 1], [2, 0]], lengths=[2, 1])
    1.0
    """
    return ACCURACY(y_true, y_pred, Counts(sample_weight, mask, lengths), normalize=normalize)


@told
def balanced_accuracy_score(
    y_true: Any, y_pred: Any, *, adjusted: bool = False,
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> float:  # fmt: skip
    """The mean of the shares of each true class that are right (docs/metrics.md 8.2).

    Parameters
    ----------
    {classes}
    adjusted : bool, default False
        Whether to give 0 for chance and 1 for all right. Of one class that is NaN.
    {counts}

    Returns
    -------
    float

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.balanced_accuracy_score([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    return BALANCED_ACCURACY(y_true, y_pred, Counts(sample_weight, mask, lengths), adjusted=adjusted)


@told
def f1_score(
    y_true: Any, y_pred: Any, *, labels: Any = None, pos_label: Any = 1, average: str | None = "binary",
    zero_division: float = 0.0, sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> Any:  # fmt: skip
    """The harmonic mean of precision and recall (docs/metrics.md 8.3).

    Parameters
    ----------
    {classes}
    labels : array_like, optional
        The classes of which it is wanted; default those that occur. Not for "binary".
    pos_label : int or str, default 1
        The class that counts, for "binary".
    average : {"binary", "micro", "macro", "weighted", None}, default "binary"
        Of one class; of all decisions together; the mean of the classes; the mean weighted by how often each is true;
        or each class for itself.
    zero_division : {0.0, 1.0, nan}, default 0.0
        The value of a class that is neither true nor predicted. NaN leaves it out of a mean.
    {counts}

    Returns
    -------
    float or ndarray of float64 (labels,)
        An array with ``average=None``.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> import fastdl as fd
    >>> true, predicted = ["a", "b", "b", "c"], ["a", "b", "c", "c"]
    >>> fd.metrics.f1_score(true, predicted, average=None).round(3)
    array([1.   , 0.667, 0.667])
    >>> round(fd.metrics.f1_score(true, predicted, average="macro"), 3)
    0.778
    """
    return F1(
        y_true, y_pred, Counts(sample_weight, mask, lengths),
        labels=labels, pos_label=pos_label, average=average, zero_division=zero_division,
    )  # fmt: skip


@told
def confusion_matrix(
    y_true: Any, y_pred: Any, *, labels: Any = None, normalize: str | None = None,
    sample_weight: Any = None, mask: Any = None, lengths: Any = None,
) -> np.ndarray:  # fmt: skip
    """How often each class was taken for which: rows are true, columns predicted (docs/metrics.md 8.4).

    Parameters
    ----------
    {classes}
    labels : array_like, optional
        The classes, in the order of rows and columns; default those that occur, sorted. Others are left out.
    normalize : {"true", "pred", "all"}, optional
        Whether rows, columns or the whole sum to 1. Default none, but counts.
    {counts}

    Returns
    -------
    ndarray (classes, classes)
        int64; float64 where normalized or weighted.

    Raises
    ------
    {raises}

    See Also
    --------
    fastdl.plots.confusion_matrix : its picture.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.metrics.confusion_matrix(["a", "b", "b", "c"], ["a", "b", "c", "c"])
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """
    return CONFUSION_MATRIX(y_true, y_pred, Counts(sample_weight, mask, lengths), labels=labels, normalize=normalize)
