"""Many-to-many, synchronised: a tag for every token."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dense, nn, random, training
from .._validate import integer, number, parts
from ..nn._modes import evaluating
from ._checks import as_many, halves, token_sequences, tokens_and_lengths
from ._fitting import IGNORED, in_batches, padded, predicted, train


class Tagger(nn.Module):
    """A bidirectional LSTM that tags every token of a sequence (many-to-many, synchronised, docs/models.md 5.2).

    Parameters
    ----------
    tokens, tags : int
        Sizes of the vocabulary and of the tag set. Token 0 stands for what is not in the vocabulary.
    embedding : int, default 64
        Size of a token's vector.
    hidden : int, default 128
        Size of the states; an even number, half for each direction.
    dropout : float, default 0.2
        Probability of dropping an element before the output layer in training.
    unknown : float, default 0.05
        Probability that a token is read as token 0 in training, so that the model learns to tag from what is
        around it.
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
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.tokens, self.tags = integer("tokens", tokens, 1), integer("tags", tags, 1)
        self.unknown = number("unknown", unknown, 0.0, 1.0)
        hidden, embedding = halves("hidden", hidden), integer("embedding", embedding, 1)
        dropout = number("dropout", dropout, 0.0, 1.0)
        self.rng = rng = random.as_generator(rng)
        self.embedding = nn.Embedding(tokens, embedding, rng=rng)
        self.lstm = nn.LSTM(embedding, hidden // 2, bidirectional=True, rng=rng)
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
        progress: bool = False,
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
        progress : bool, default False
            Whether to show progress on stderr.

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
        """
        sentences = token_sequences("sentences", sentences, self.tokens)
        wanted = token_sequences("tags", tags, self.tags)
        as_many("tags", wanted, len(sentences), "sentences")
        for i, (sentence, its) in enumerate(zip(sentences, wanted, strict=True)):
            as_many(f"tags[{i}]", its, len(sentence), "tokens")

        def loss(logits: np.ndarray, targets: np.ndarray) -> tuple[Any, np.ndarray]:
            return dense.softmax_cross_entropy(logits, targets, ignore_index=IGNORED)

        def collate(chosen: np.ndarray) -> Any:
            return padded([sentences[i] for i in chosen]), padded([wanted[i] for i in chosen], IGNORED)[0]

        return train(
            self, loss, len(sentences), collate, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
            weight_decay=weight_decay, progress=progress,
        )  # fmt: skip

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
        found = []
        with evaluating(self):
            for part in in_batches(token_sequences("sentences", sentences, self.tokens)):
                best = predicted(self.forward(padded(part)), "sentences")
                found += [best[: len(one), b] for b, one in enumerate(part)]
        return found
