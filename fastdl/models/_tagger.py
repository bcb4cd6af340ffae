"""Many-to-many, synchronised: a tag for every token."""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from .. import nn, training
from .._validate import integer, number, parts
from ..metrics import accuracy_score
from ._checks import as_many, lstm_settings, token_sequences, tokens_and_lengths
from ._fitting import IGNORED, Prepared, in_turn, loss_of_tokens, padded, predicted, probable, real_tokens, train
from ._options import ClassOptions
from ._ready import Ready


class Tagger(Ready):
    """An LSTM that reads both ways and tags every token (many-to-many, synchronised, docs/models.md 5.2).

    Parameters
    ----------
    tokens, tags : int
        Sizes of the vocabulary and of the tag set. Token 0 stands for what is not in the vocabulary.
    embedding : int, default 64
        Size of a token's vector.
    hidden : int, default 128
        Size of the states; with both directions an even number, half for each.
    dropout : float, default 0.2
        Probability of dropping an element before the output layer in training.
    unknown : float, default 0.05
        Probability that a token is read as token 0 in training, so that the model learns to tag from what is
        around it.
    layers : int, default 1
        LSTM layers; `dropout` acts between them too.
    bidirectional : bool, default True
        Whether a sentence is read in both directions; `hidden` is then even, half for each.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks and the order of the examples come from.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, `hidden` is odd, or a probability is outside [0, 1].

    Examples
    --------
    A 1 is tagged by what follows it.

    >>> import numpy as np, fastdl as fd
    >>> sentences = [np.array(values) for values in ([1, 2, 2], [1, 3], [3, 1, 3, 1, 2])]
    >>> tags = [np.array(values) for values in ([0, 1, 1], [2, 1], [1, 2, 1, 0, 1])]
    >>> model = fd.models.Tagger(4, 3, embedding=8, hidden=8, dropout=0.0, unknown=0.0, rng=0)
    >>> history = model.fit(sentences, tags, epochs=100, learning_rate=0.02)
    >>> model.predict([np.array([1, 3, 1, 2])])
    [array([2, 1, 0, 1])]
    >>> model.score(sentences, tags), [rows.shape for rows in model.predict_proba(sentences)]
    (1.0, [(3, 3), (2, 3), (5, 3)])
    """

    def __init__(
        self,
        tokens: int,
        tags: int,
        embedding: int = 64,
        hidden: int = 128,
        dropout: float = 0.2,
        unknown: float = 0.05,
        *,
        layers: int = 1,
        bidirectional: bool = True,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.tokens, self.tags = integer("tokens", tokens, 1), integer("tags", tags, 1)
        self.unknown = number("unknown", unknown, 0.0, 1.0)
        width, stack = lstm_settings(hidden, layers, bidirectional, dropout)
        embedding = integer("embedding", embedding, 1)
        dropout = number("dropout", dropout, 0.0, 1.0)
        rng = self._start(rng)
        self.embedding = nn.Embedding(tokens, embedding, rng=rng)
        self.lstm = nn.LSTM(embedding, width, **stack, rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(hidden, tags, rng=rng)

    def forward(self, x: Any) -> np.ndarray:
        """Logits of the tags.

        Parameters
        ----------
        x : (tokens (T, B), lengths (B,)), both of int
            Padded sentences, from 0 to tokens - 1, and their true lengths.

        Returns
        -------
        ndarray of float32 (T, B, tags)
            Before the softmax.

        Raises
        ------
        TypeError, ValueError
            If `x` is no such pair, or a token or length is out of range.
        """
        tokens, lengths = parts("x", x, "tokens (T, B)", "lengths (B,)")
        tokens, lengths = tokens_and_lengths(("x[0]", "x[1]"), tokens, lengths, self.tokens)
        if self.training and self.unknown:
            tokens = np.where(self.rng.uniform(size=tokens.shape) < self.unknown, 0, tokens)
        h = self.lstm.forward(self.embedding.forward(tokens), lengths=lengths)
        return self.linear.forward(self.dropout.forward(h))

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients, for the last forward. Tokens have no gradient, so there is nothing to return.

        Parameters
        ----------
        dy : ndarray of float32 (T, B, tags)
            Gradient with respect to the logits.
        """
        self.embedding.backward(self.lstm.backward(self.dropout.backward(self.linear.backward(dy))))

    def fit(
        self,
        sentences: Sequence[np.ndarray],
        tags: Sequence[np.ndarray],
        *,
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        validation: Any = None,
        warm_start: bool = False,
        progress: bool = False,
        **options: Unpack[ClassOptions],
    ) -> training.History:
        """Train on sentences and their tags, of any lengths, by AdamW under a one-cycle schedule.

        Parameters
        ----------
        sentences, tags : sequence of array_like of int (T,)
            As many of each, of the same lengths: from 0 to tokens - 1, and from 0 to tags - 1.
        epochs : int, default 10
            Passes over the data.
        batch_size : int, default 32
            Sentences a step.
        learning_rate : float, default 5e-3
            The largest of the cycle.
        weight_decay : float, default 0.01
            Decoupled: a step takes rate * weight_decay of each weight away.
        validation : tuple (sentences, tags), optional
            Held-out data in the same form, measured after every epoch.
        warm_start : bool, default False
            Whether to go on from the present values. Otherwise the weights are drawn anew, as when the model was made;
            frozen ones stay (docs/models.md).
        progress : bool, default False
            Whether to show progress on stderr.
        **options
            Of :func:`fastdl.training.fit`: ``metrics``, ``monitor``, ``restore_best``, ``callbacks``, ``checkpoint``,
            ``resume``, ``average``, ``schedule``, ``sample_weight``, ``class_weight`` and more (docs/models.md).

        Returns
        -------
        fastdl.training.History
            The learning curve, of nats a token. The model is in evaluation mode afterwards.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad; the model is as it was.
        FloatingPointError
            If the loss is no longer finite; the model is as it was.

        Warns
        -----
        UserWarning
            If values that were loaded, set or trained by other means are drawn anew, since it is no `warm_start`.
        """
        return train(
            self, loss_of_tokens, (sentences, tags), self._prepared, validation=validation, warm_start=warm_start,
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            progress=progress, options=options,
            form=real_tokens, allowed=ClassOptions,
        )  # fmt: skip

    def _prepared(self, sentences: Any, tags: Any) -> Prepared:
        sentences, tags = self._pairs(sentences, tags)

        def collate(chosen: np.ndarray) -> Any:
            return padded([sentences[i] for i in chosen]), padded([tags[i] for i in chosen], IGNORED)[0]

        return Prepared(len(sentences), collate, axis=1, classes=tags)

    def _pairs(self, sentences: Any, tags: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        read = token_sequences("sentences", sentences, self.tokens)
        wanted = token_sequences("tags", tags, self.tags)
        as_many("tags", wanted, len(read), "sentences")
        for i, (sentence, its) in enumerate(zip(read, wanted, strict=True)):
            as_many(f"tags[{i}]", its, len(sentence), "tokens")
        return read, wanted

    def predict(self, sentences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The likeliest tag of each token.

        Parameters
        ----------
        sentences : sequence of array_like of int (T,)
            Tokens from 0 to tokens - 1, at least one each.

        Returns
        -------
        list of ndarray of int64 (T,)

        Raises
        ------
        TypeError, ValueError
            If a token is out of range, or the model's logits are not finite.
        """
        return self._read(token_sequences("sentences", sentences, self.tokens), predicted)

    def predict_proba(self, sentences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The probability of every tag, for each token.

        Parameters
        ----------
        sentences : sequence of array_like of int (T,)
            As for :meth:`predict`.

        Returns
        -------
        list of ndarray of float32 (T, tags)
            Rows sum to 1.

        Raises
        ------
        TypeError, ValueError
            As :meth:`predict`.
        """
        return self._read(token_sequences("sentences", sentences, self.tokens), probable)

    def _read(self, sentences: list[np.ndarray], read: Any) -> list[np.ndarray]:
        """What `read` makes of the logits, sentence by sentence without the padding."""
        batches = in_turn(self, sentences, padded, read, "sentences")
        columns = (batch[:, b] for batch in batches for b in range(batch.shape[1]))
        return [column[: len(one)] for column, one in zip(columns, sentences, strict=True)]

    def score(self, sentences: Sequence[np.ndarray], tags: Any) -> float:
        """The share of tokens that :meth:`predict` names rightly (:func:`fastdl.metrics.accuracy_score`).

        Parameters
        ----------
        sentences, tags
            As for :meth:`fit`.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad, or the model's logits are not finite.
        """
        sentences, wanted = self._pairs(sentences, tags)
        return float(accuracy_score(np.concatenate(wanted), np.concatenate(self.predict(sentences))))
