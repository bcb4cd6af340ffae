"""An estimator that names every step of a sequence."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from .. import dense
from .._validate import shown
from ..nn._modes import evaluating
from ._sequence_data import Sequences, entries
from ._sequences import BOTH_WAYS, FRONT, RECURRENT, ROWS, SequenceEstimator
from ._settings import CLASS_WEIGHT, TRAINING
from ._targets import Classifying

PADDING = -1  # where a sequence has ended


class SequenceTagger(
    SequenceEstimator,
    positional=RECURRENT,
    by_name={
        "bidirectional": BOTH_WAYS["bidirectional"]._replace(default=True),
        **FRONT,
        **TRAINING,
        "class_weight": CLASS_WEIGHT["class_weight"]._replace(told="How much each tag counts."),
    },
):
    """A recurrent network that tags every step of sequences of any lengths (docs/estimators-sequences.md).

    Parameters
    ----------
    {settings}

    Attributes
    ----------
    model_ : SequenceNetwork
        The network; its outputs are logits at every step.
    classes_ : ndarray
        The tags that ``fit`` saw.
    n_features_in_, feature_names_in_, vocabulary_, mean_, scale_
        As of :class:`SequenceClassifier`.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, out_activation_
        As of :class:`MLPClassifier`; the loss is one of each step.

    Raises
    ------
    TypeError
        If there is no setting of a name. What they are is asked in ``fit``.

    Examples
    --------
    >>> import fastdl as fd
    >>> texts = [text.split() for text in ("the dog runs", "a cat sleeps", "the cat runs", "dogs run", "a dog")]
    >>> tags = [text.split() for text in ("D N V", "D N V", "D N V", "N V", "D N")]
    >>> tagger = fd.estimators.SequenceTagger(hidden_size=8, learning_rate_init=0.02, random_state=0).fit(texts, tags)
    >>> [one.tolist() for one in tagger.predict(["a cat runs".split(), "the cat".split()])]
    [['D', 'N', 'V'], ['D', 'N']]
    >>> tagger.score(texts, tags), [one.shape for one in tagger.predict_proba(texts[3:])]
    (1.0, [(2, 3), (2, 3)])
    """

    partial_fit = Classifying.__dict__["partial_fit"]  # the descriptor itself: tags are known as classes are

    # ---- targets ----
    def _targets(self, y: Any, inputs: Sequences, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """The tags' places in ``classes_`` (N, T), and PADDING past the ends: for the loss and for the score."""
        lengths = inputs.lengths
        flat = np.concatenate(read_tags(y, lengths))
        if how["fresh"]:
            self.classes_ = np.unique(flat if how["classes"] is None else np.asarray(how["classes"]))
            self.n_outputs_, self.out_activation_ = len(self.classes_), "softmax"
        unknown = np.setdiff1d(flat, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y: got the tags {unknown.tolist()}, expected some of {self.classes_.tolist()}, as before"
            )
        places = np.full((len(inputs), int(lengths.max())), PADDING, np.int64)
        places[np.arange(places.shape[1]) < lengths[:, None]] = np.searchsorted(self.classes_, flat)
        return places, places

    def _class_weights(self, places: np.ndarray, incremental: bool) -> None:
        """None of each sequence: what the tags count goes into the loss."""
        self._tag_weights = None
        if self.class_weight is None:
            return
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight: got {self.class_weight!r}, expected a mapping or None, since partial_fit does not see "
                "all examples"
            )
        flat = self.classes_[places[places != PADDING]]
        self._tag_weights = compute_class_weight(self.class_weight, classes=self.classes_, y=flat)

    def _loss(self) -> Any:
        return partial(of_steps, class_weights=self._tag_weights)

    # ---- predictions ----
    def _outputs(self, inputs: Sequences) -> np.ndarray:
        """Logits of all steps of one sequence after the other."""
        lengths, found = inputs.lengths, []
        for first in range(0, len(inputs), ROWS):
            logits = self.model_.forward(inputs.batch(slice(first, first + ROWS)))
            found += [logits[:n, place] for place, n in enumerate(lengths[first : first + ROWS])]
        return np.concatenate(found)

    def _rated(self, logits: np.ndarray, places: np.ndarray, weights: Any) -> float:
        real = places != PADDING
        each = None if weights is None else np.repeat(weights, real.sum(1))
        return float(accuracy_score(places[real], logits.argmax(-1), sample_weight=each))

    def _by_sequence(self, X: Any, read: Any) -> Any:
        """What `read` makes of the logits: a list, or one array where X is one."""
        check_is_fitted(self)
        inputs = self._inputs(X, fresh=False)
        with evaluating(self.model_):
            found = read(self._outputs(inputs))
        parts = np.split(found, np.cumsum(inputs.lengths)[:-1])
        return np.stack(parts) if getattr(X, "ndim", 0) > 1 and not hasattr(X, "columns") else parts

    def predict(self, X: Any) -> Any:
        """The likeliest tag of each step.

        Parameters
        ----------
        X : as for fit
            Sequences.

        Returns
        -------
        list of ndarray (T,), or ndarray (N, T)
            An array where X is one.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If `X` does not fit.
        """
        return self._by_sequence(X, lambda logits: self.classes_[logits.argmax(-1)])

    def predict_proba(self, X: Any) -> Any:
        """The probability of each tag, at each step.

        Parameters
        ----------
        X : as for fit
            Sequences.

        Returns
        -------
        list of ndarray (T, tags), or ndarray (N, T, tags)
            In the order of ``classes_``; an array where X is one.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If `X` does not fit.
        """
        return self._by_sequence(X, lambda logits: np.asarray(dense.softmax(logits)))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of steps whose tag is the right one.

        Parameters
        ----------
        X, y
            As for :meth:`fit`; tags that ``fit`` did not see count as wrong.
        sample_weight : array_like (N,), optional
            How much each step of a sequence counts.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If an argument does not fit.
        """
        predicted = list(self.predict(X))
        lengths = np.array([len(one) for one in predicted])
        each = None if sample_weight is None else np.repeat(np.asarray(sample_weight), lengths)
        right = np.concatenate(read_tags(y, lengths)) == np.concatenate(predicted)
        return float(np.average(right, weights=each))


def read_tags(y: Any, lengths: np.ndarray) -> list[np.ndarray]:
    """Tags as arrays, one for each step of each sequence."""
    found = list(y) if isinstance(y, np.ndarray) and y.ndim == 2 else None if y is None else entries(y)
    if found is None:
        raise ValueError(f"y: got {shown(y)}, expected a list of sequences of tags, or an array (N, T)")
    if len(found) != len(lengths):
        raise ValueError(f"y: got {len(found)} sequences of tags, expected {len(lengths)}, as many as X has")
    tags = []
    for place, (one, length) in enumerate(zip(found, lengths, strict=True)):
        array = np.asarray(one)
        if array.ndim != 1 or len(array) != length:
            raise ValueError(
                f"y[{place}]: got shape {array.shape}, expected ({length},), a tag for each step of X[{place}]"
            )
        if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.round(array)).all()):
            raise ValueError(f"y[{place}]: got {shown(one)}, expected whole numbers or texts as tags")
        tags.append(array)
    kinds = {array.dtype.kind in "US" for array in tags}
    if len(kinds) > 1:
        raise ValueError("y: got texts and numbers, expected tags of one kind")
    return tags


def of_steps(outputs: np.ndarray, places: np.ndarray, weights: Any = None, class_weights: Any = None) -> Any:
    """Cross-entropy of logits (T, B, K) with places (B, T or more); `weights` (B,) are the sequences'."""
    targets = np.ascontiguousarray(places[:, : len(outputs)].T)
    each = None if weights is None else np.broadcast_to(weights, targets.shape)
    return dense.softmax_cross_entropy(
        outputs, targets, ignore_index=PADDING, class_weights=class_weights, weights=each
    )
