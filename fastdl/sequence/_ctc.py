"""Connectionist temporal classification: the loss with its gradient, and two decoders."""

from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_empty, scratch
from .._threads import threads_for
from .._validate import (
    REDUCTIONS,
    check_logits,
    choice,
    flag,
    float_array,
    index_array,
    integer,
    lengths_array,
    plain_array,
)
from ..reference._loss_value import counted

# Lattice cells below which a second thread costs more than it brings (docs/profiling.md).
_GRAIN = 2_000


@mirrored
def ctc_loss(
    logits: np.ndarray,
    targets: np.ndarray,
    input_lengths: np.ndarray | None = None,
    target_lengths: np.ndarray | None = None,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> tuple[Any, np.ndarray]:
    """Connectionist temporal classification loss, and its gradient with respect to the logits (6.5).

    Parameters
    ----------
    logits : ndarray (T, B, C), float32 or float64
        Before the softmax, which is part of the loss; torch's takes ``log_softmax(logits)``.
    targets : ndarray of int (B, S)
        Labels from 0 to C - 1, none of them `blank`. What lies past a target's length is not read. (torch also takes
        all labels one after the other: pad them to rows instead.)
    input_lengths, target_lengths : ndarray of int (B,), optional
        Steps and labels of each sequence; all T and all S by default.
    blank : int, default 0
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is, as in torch, over the batch, of each loss divided by its target's length (at least 1).
    zero_infinity : bool, default False
        Whether a target that cannot be reached, being longer than its input allows, counts as loss 0 with
        gradient 0. By default its loss is infinite and its gradient NaN.

    Returns
    -------
    loss : fastdl.dense.LossValue, or ndarray float64 (B,) for "none"
        In nats; its `count` is B. NaN for a mean over an empty batch.
    dlogits : ndarray (T, B, C)
        Gradient of the reduced loss (of the sum, for "none"); zero past the inputs' lengths.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or a length or label is out of range.

    Notes
    -----
    P(target) is the sum over all alignments, sequences of T classes that give the target once repetitions are
    merged and blanks dropped. A target with r labels equal to the one before needs at least S + r steps. The
    recursion runs in log space and double precision; sequences are split over the threads.

    References
    ----------
    A. Graves et al., "Connectionist temporal classification", ICML 2006.

    Examples
    --------
    Two steps of even odds between blank and one label: three of the four alignments give the label.

    >>> import numpy as np, fastdl as fd
    >>> loss, dlogits = fd.ctc_loss(np.zeros((2, 1, 2)), np.array([[1]]))
    >>> round(float(np.exp(-loss)), 4), dlogits.shape
    (0.75, (2, 1, 2))
    """
    logits, input_lengths, blank = _logits_arguments(logits, input_lengths, blank)
    T, B, C = logits.shape
    choice("reduction", reduction, REDUCTIONS)
    zero_infinity = flag("zero_infinity", zero_infinity)
    targets = _padded_targets(targets, B)
    S = targets.shape[1]
    target_lengths = _lengths("target_lengths", target_lengths, B, S)
    padding = np.arange(S) >= target_lengths[:, None]
    targets = index_array("targets", np.where(padding, 0, targets), C)
    if ((targets == blank) & ~padding).any():
        raise ValueError(f"targets: got the blank, {blank}, expected labels only")
    scales = np.ones(B)
    if reduction == "mean":
        scales /= np.maximum(target_lengths, 1) * max(B, 1)
    losses, dlogits = np.empty(B), aligned_empty(logits.shape, logits.dtype)
    longest = int(target_lengths.max(initial=0))
    num_threads = threads_for(T * B * (2 * longest + 1), _GRAIN)
    width = kernels.sequence.work_size(T, longest)
    work = scratch(num_threads * width, np.dtype(np.float64))[: num_threads * width]
    kernels.sequence.ctc_loss(
        logits, targets, (input_lengths, target_lengths), scales.astype(logits.dtype), blank, zero_infinity,
        (losses, dlogits, np.empty((T, B))), work.reshape(num_threads, width),
    )  # fmt: skip
    if zero_infinity:
        losses[np.isinf(losses)] = 0
    if reduction == "none":
        return losses, dlogits
    if reduction == "mean" and B == 0:
        return counted(float("nan"), 0, reduction), dlogits
    return counted(float(losses @ scales), B, reduction), dlogits


def ctc_greedy_decode(logits: np.ndarray, input_lengths: np.ndarray | None = None, blank: int = 0) -> list[np.ndarray]:
    """The labels along the likeliest alignment: best class a step, repetitions merged, blanks dropped.

    Parameters
    ----------
    logits : ndarray (T, B, C), float32 or float64
    input_lengths : ndarray of int (B,), optional
        All T by default.
    blank : int, default 0

    Returns
    -------
    list of ndarray of int
        The labels of each sequence.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a length is out of range, or a step's logits hold NaN, infinity, or -inf alone.

    References
    ----------
    A. Graves et al., "Connectionist temporal classification", 2006, section 3.2 (best path decoding); docs/sequence.md.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> best = np.array([0, 2, 2, 0, 2, 1, 1])
    >>> fd.ctc_greedy_decode(np.eye(3)[best][:, None])
    [array([2, 2, 1])]
    """
    logits, input_lengths, blank = _logits_arguments(logits, input_lengths, blank)
    decoded = []
    logits = _check_read(logits, input_lengths)
    for b, length in enumerate(input_lengths):
        path = logits[:length, b].argmax(-1)
        changes = np.append(True, path[1:] != path[:-1])[: path.size]
        decoded.append(path[changes & (path != blank)])
    return decoded


def ctc_beam_search(
    logits: np.ndarray, input_lengths: np.ndarray | None = None, blank: int = 0, width: int = 16
) -> list[list[tuple[np.ndarray, float]]]:
    """The likeliest labellings, each with all its alignments: prefix beam search.

    Parameters
    ----------
    logits : ndarray (T, B, C), float32 or float64
    input_lengths : ndarray of int (B,), optional
        All T by default.
    blank : int, default 0
    width : int, default 16
        Prefixes that go on from step to step.

    Returns
    -------
    list of list of (ndarray of int, float)
        For each sequence up to `width` labellings, best first, with their log probability over the alignments
        that stayed in the beam: exactly ``-ctc_loss`` where none was pruned, else a lower bound.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a length is out of range, or a step's logits hold NaN, infinity, or -inf alone.

    References
    ----------
    A. Hannun et al., "First-pass large vocabulary continuous speech recognition using bi-directional recurrent
    DNNs", 2014.

    Examples
    --------
    The best path is two blanks (0.36), but the label has more in sum (0.64).

    >>> import numpy as np, fastdl as fd
    >>> logits = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))[:, None]
    >>> fd.ctc_greedy_decode(logits)
    [array([], dtype=int64)]
    >>> [(labels.tolist(), round(log_p, 4)) for labels, log_p in fd.ctc_beam_search(logits)[0]]
    [([1], -0.4463), ([], -1.0217)]
    """
    logits, input_lengths, blank = _logits_arguments(logits, input_lengths, blank)
    width = integer("width", width, 1)
    log_p = log_softmax(_check_read(logits, input_lengths))
    return [_search(log_p[:length, b], blank, width) for b, length in enumerate(input_lengths)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """In double, of logits that :func:`check_logits` let pass."""
    with np.errstate(over="ignore"):
        z = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def _check_read(logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The logits, checked as far as they are read; what lies past the lengths may be anything, and is 0 here."""
    past = np.arange(len(logits))[:, None] >= lengths
    return check_logits("logits", np.where(past[..., None], logits.dtype.type(0), logits) if past.any() else logits)


def _padded_targets(targets: Any, batch: int) -> np.ndarray:
    targets = plain_array("targets", targets, "a numpy array of integers (B, S)")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets: got dtype {targets.dtype}, expected integers")
    if targets.ndim != 2 or len(targets) != batch:
        raise ValueError(
            f"targets: got shape {targets.shape}, expected ({batch}, S): a row for each sequence, padded to the longest"
        )
    return targets


def _search(log_p: np.ndarray, blank: int, width: int) -> list[tuple[np.ndarray, float]]:
    """Prefix beam search over (T, C) log probabilities."""
    # Of each prefix, the log probability of its alignments that end in a blank, and that end in its last label.
    prefixes: list[tuple[int, ...]] = [()]
    with_blank, with_label = np.zeros(1), np.full(1, -np.inf)
    for row in log_p:
        total = np.logaddexp(with_blank, with_label)
        last = np.array([prefix[-1] if prefix else blank for prefix in prefixes])
        stay_label = np.where(last == blank, -np.inf, with_label + row[last])
        grow = total[:, None] + row
        # The last label again makes a longer prefix only after a blank; without one it merges.
        grow[np.arange(last.size), last] = with_blank + row[last]
        grow[:, blank] = -np.inf
        places = {prefix: index for index, prefix in enumerate(prefixes)}
        for index, prefix in enumerate(prefixes):
            parent = places.get(prefix[:-1]) if prefix else None
            if parent is not None:  # growing the parent gives a prefix that is in the beam already
                stay_label[index] = np.logaddexp(stay_label[index], grow[parent, prefix[-1]])
                grow[parent, prefix[-1]] = -np.inf
        blank_ends = np.concatenate([total + row[blank], np.full(grow.size, -np.inf)])
        label_ends = np.concatenate([stay_label, grow.ravel()])
        score = np.logaddexp(blank_ends, label_ends)
        best = np.argsort(-score, kind="stable")[:width]
        best = best[score[best] > -np.inf]
        count = len(prefixes)
        prefixes = [
            prefixes[at] if at < count else (*prefixes[(at - count) // row.size], int((at - count) % row.size))
            for at in best
        ]
        with_blank, with_label = blank_ends[best], label_ends[best]
    scores = np.logaddexp(with_blank, with_label)
    return [(np.array(prefixes[at], np.int64), float(scores[at])) for at in np.argsort(-scores, kind="stable")]


def _logits_arguments(logits: Any, lengths: Any, blank: Any) -> tuple[np.ndarray, np.ndarray, int]:
    logits = float_array("logits", logits, (None, None, None))
    T, B, C = logits.shape
    if C == 0:
        raise ValueError(f"logits: got shape {logits.shape}, expected (T, B, C) with C at least 1")
    return logits, _lengths("input_lengths", lengths, B, T), integer("blank", blank, 0, C - 1)


def _lengths(name: str, lengths: Any, batch: int, longest: int) -> np.ndarray:
    if lengths is None:
        return np.full(batch, longest, np.int64)
    return lengths_array(name, lengths, longest, batch)
