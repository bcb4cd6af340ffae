"""Many-to-many, different lengths: an encoder, attention, a decoder."""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from .. import nn, sequence, training
from .._validate import choice, float_array, index_array, integer, number, parts
from ..nn._modes import evaluating
from ..nn._whole import whole
from ._checks import as_many, at_least_one, lstm_settings, token_sequences, tokens_and_lengths
from ._fitting import IGNORED, Prepared, in_batches, loss_of_tokens, padded, real_tokens, train
from ._options import ExampleOptions
from ._ready import Ready


class Seq2Seq(Ready):
    """Reads a sequence of tokens and writes another, of another length (many-to-many, docs/models.md 5.2).

    A bidirectional LSTM encodes the source; its final states start the decoder's LSTM. Each state of that looks over
    the encoder's outputs, and both together give the next token (global attention, Luong 2015).

    Parameters
    ----------
    source_tokens, target_tokens : int
        Sizes of the two vocabularies: sequences are integers from 0 to size - 1. A token that begins and ends the
        target is added.
    embedding : int, default 32
        Size of a token's vector.
    hidden : int, default 128
        Size of the states; with both directions an even number, half for each direction of the encoder.
    attention : {"dot", "additive"}, default "dot"
        :class:`fastdl.nn.DotAttention` or :class:`fastdl.nn.AdditiveAttention`.
    teacher_forcing : float in [0, 1], default 1
        Probability that a training step reads the true token before, instead of the model's own likeliest
        (scheduled sampling, Bengio 2015). At 1, and in evaluation mode, all steps of the decoder run at once.
    dropout : float, default 0.0
        Probability of dropping an element before the output layer in training.
    layers : int, default 1
        LSTM layers of encoder and decoder; `dropout` acts between them too.
    bidirectional : bool, default True
        Whether the source is read in both directions; `hidden` is then even, half for each.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks, forced tokens and the order of the examples come from.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, `hidden` is odd, a probability is outside [0, 1], or the attention is not known.

    References
    ----------
    I. Sutskever et al., "Sequence to sequence learning with neural networks", 2014; M.-T. Luong et al., "Effective
    approaches to attention-based neural machine translation", 2015; S. Bengio et al., "Scheduled sampling for
    sequence prediction with recurrent neural networks", 2015.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> sources = [np.array(values) for values in ([0, 1], [1, 2, 2], [2], [2, 0])]
    >>> model = fd.models.Seq2Seq(3, 3, embedding=8, hidden=16, rng=0)
    >>> history = model.fit(sources, [values[::-1] for values in sources], epochs=150, learning_rate=0.02)
    >>> model.predict(sources[:2])
    [array([1, 0]), array([2, 2, 1])]
    """

    def __init__(
        self,
        source_tokens: int,
        target_tokens: int,
        embedding: int = 32,
        hidden: int = 128,
        attention: str = "dot",
        teacher_forcing: float = 1.0,
        dropout: float = 0.0,
        *,
        layers: int = 1,
        bidirectional: bool = True,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.source_tokens = integer("source_tokens", source_tokens, 1)
        self.target_tokens = self.boundary = integer("target_tokens", target_tokens, 1)
        self.teacher_forcing = number("teacher_forcing", teacher_forcing, 0.0, 1.0)
        embedding, dropout = integer("embedding", embedding, 1), number("dropout", dropout, 0.0, 1.0)
        width, stack = lstm_settings(hidden, layers, bidirectional, dropout)
        self.hidden = hidden = width * (2 if stack["bidirectional"] else 1)
        choice("attention", attention, ("dot", "additive"))
        rng = self._start(rng)
        self.source_embedding = nn.Embedding(source_tokens, embedding, rng=rng)
        self.encoder = nn.LSTM(embedding, width, **stack, rng=rng)
        self.target_embedding = nn.Embedding(target_tokens + 1, embedding, rng=rng)
        self.decoder = nn.LSTM(embedding, hidden, **{**stack, "bidirectional": False}, rng=rng)
        if attention == "dot":
            self.attention: nn.Module = nn.DotAttention()
        else:
            self.attention = nn.AdditiveAttention(hidden, hidden, hidden, rng=rng)
        self.output = nn.Sequential(
            nn.Linear(2 * hidden, hidden, rng=rng),
            nn.Tanh(),
            nn.Dropout(dropout, rng=rng),
            nn.Linear(hidden, target_tokens + 1, rng=rng),
        )

    # ---- the two passes -----------------------------------------------------------------------------
    def forward(self, x: Any) -> np.ndarray:
        """Logits of the target's tokens.

        Parameters
        ----------
        x : (sources (S, B), lengths (B,), before (T, B)), all of int
            Padded sources, their lengths, and the true token before each of the target's.

        Returns
        -------
        ndarray of float32 (T, B, target_tokens + 1)
            The last class ends the target.

        Raises
        ------
        TypeError, ValueError
            If `x` is no such triple, or a token or length is out of range.
        """
        sources, lengths, before = parts("x", x, "sources (S, B)", "lengths (B,)", "tokens before (T, B)")
        sources, lengths = tokens_and_lengths(("x[0]", "x[1]"), sources, lengths, self.source_tokens)
        before = index_array("x[2]", before, self.boundary + 1, (None, sources.shape[1]))
        at_least_one("x[2]", before, "token")
        encoded, state = self.encode(sources, lengths)
        if self.teacher_forcing == 1 or not self.training:
            pieces = [before]
        else:
            pieces = [before[t : t + 1] for t in range(len(before))]
            forced = self.rng.uniform(size=before.shape) < self.teacher_forcing
        logits: list[np.ndarray] = []
        for t, piece in enumerate(pieces):
            if logits:
                piece = np.where(forced[t], piece, logits[-1].argmax(-1))
            some, state = self.decode(piece, state, encoded, lengths)
            logits.append(some)
        if self.training:
            self._tape.append(([len(piece) for piece in pieces], before.shape))
        return np.concatenate(logits)

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients, for the last forward. Choices of tokens have no gradient.

        Parameters
        ----------
        dy : ndarray of float32 (T, B, target_tokens + 1)
            Gradient with respect to the logits.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        pieces, shape = self._peek()
        dy = float_array("dy", dy, (*shape, self.target_tokens + 1), self.decoder.dtype)
        self._pop()
        end, dencoded, dstate = len(dy), np.zeros((), np.float32), None
        for size in reversed(pieces):
            dh, dcontext = np.split(self.output.backward(dy[end - size : end]), 2, axis=2)
            dquery, dsource = self.attention.backward(np.ascontiguousarray(dcontext))
            dembedded, dstate = self.decoder.backward(dh + dquery, dstate, return_state=True)
            self.target_embedding.backward(dembedded)
            dencoded = dencoded + dsource
            end -= size
        self.source_embedding.backward(self.encoder.backward(dencoded, self._split(dstate)))

    @whole
    def encode(self, sources: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """What the decoder needs of the sources.

        Parameters
        ----------
        sources : ndarray of int (S, B)
            Tokens from 0 to source_tokens - 1, padded.
        lengths : ndarray of int (B,)
            True lengths, 0 to S.

        Returns
        -------
        encoded : ndarray of float32 (S, B, hidden)
            The encoder's outputs, both directions side by side.
        state : tuple (h, c) of ndarray of float32 (layers, B, hidden)
            The decoder's initial state.

        Raises
        ------
        TypeError, ValueError
            If a token or length is out of range.
        """
        sources, lengths = tokens_and_lengths(("sources", "lengths"), sources, lengths, self.source_tokens)
        embedded = self.source_embedding.forward(sources)
        encoded, (h, c) = self.encoder.forward(embedded, lengths=lengths, return_state=True)
        return encoded, (self._joined(h), self._joined(c))

    @whole
    def decode(
        self, tokens: np.ndarray, state: tuple[np.ndarray, np.ndarray], encoded: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Logits after each of some tokens, which follow each other.

        Parameters
        ----------
        tokens : ndarray of int (T, B)
            From 0 to target_tokens, which begins a target.
        state : tuple (h, c) of ndarray of float32 (layers, B, hidden)
            From :meth:`encode`, or from the call for the tokens before.
        encoded : ndarray of float32 (S, B, hidden)
            From :meth:`encode`.
        lengths : ndarray of int (B,)
            The sources' true lengths.

        Returns
        -------
        logits : ndarray of float32 (T, B, target_tokens + 1)
            Of the next token; the last class ends the target.
        state : tuple (h, c)
            After the last token.

        Raises
        ------
        TypeError, ValueError
            If shapes or types do not fit, or a token or length is out of range.
        """
        encoded = float_array("encoded", encoded, (None, None, self.hidden), self.decoder.dtype)
        tokens = index_array("tokens", tokens, self.boundary + 1, (None, encoded.shape[1]))
        h, state = self.decoder.forward(self.target_embedding.forward(tokens), state, return_state=True)
        context = self.attention.forward(h, encoded, lengths)
        return self.output.forward(np.concatenate([h, context], 2)), state

    def _joined(self, states: np.ndarray) -> np.ndarray:
        """The encoder's states (layers * directions, B, width) as the decoder's, (layers, B, hidden)."""
        rows, B, width = states.shape
        layers = self.decoder.num_layers
        sides = states.reshape(layers, rows // layers, B, width).swapaxes(1, 2)
        return sides.reshape(layers, B, self.hidden)

    def _split(self, dstate: Any) -> Any:
        """Undo :meth:`_joined`, for h and c."""
        layers, width = self.decoder.num_layers, self.encoder.hidden_size
        return tuple(
            one.reshape(layers, one.shape[1], -1, width).swapaxes(1, 2).reshape(-1, one.shape[1], width)
            for one in dstate
        )

    # ---- use ----------------------------------------------------------------------------------------
    def fit(
        self,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        *,
        epochs: int = 10,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        validation: Any = None,
        warm_start: bool = False,
        progress: bool = False,
        **options: Unpack[ExampleOptions],
    ) -> training.History:
        """Train on sources and their targets, of any lengths, by AdamW under a one-cycle schedule.

        Parameters
        ----------
        sources, targets : sequence of array_like of int (S,), (T,)
            As many of each, with at least one token: from 0 to source_tokens - 1, and to target_tokens - 1.
        epochs : int, default 10
            Passes over the data.
        batch_size : int, default 64
            Pairs a step.
        learning_rate : float, default 3e-3
            The largest of the cycle.
        weight_decay : float, default 0.01
            Decoupled: a step takes rate * weight_decay of each weight away.
        validation : tuple (sources, targets), optional
            Held-out data in the same form, measured after every epoch.
        warm_start : bool, default False
            Whether to go on from the present values. Otherwise the weights are drawn anew, as when the model was made;
            frozen ones stay (docs/models.md).
        progress : bool, default False
            Whether to show progress on stderr.
        **options
            Of :func:`fastdl.training.fit`: ``metrics``, ``monitor``, ``restore_best``, ``callbacks``, ``checkpoint``,
            ``resume``, ``average``, ``schedule``, ``sample_weight`` and more (docs/models.md).

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
            self, loss_of_tokens, (sources, targets), self._prepared, validation=validation, warm_start=warm_start,
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            progress=progress, options=options,
            form=real_tokens,
        )  # fmt: skip

    def _prepared(self, sources: Any, targets: Any) -> Prepared:
        sources = token_sequences("sources", sources, self.source_tokens)
        targets = token_sequences("targets", targets, self.target_tokens)
        as_many("targets", targets, len(sources), "sources")

        def collate(chosen: np.ndarray) -> Any:
            before = [np.append(self.boundary, targets[i]) for i in chosen]
            after = [np.append(targets[i], self.boundary) for i in chosen]
            inputs = (*padded([sources[i] for i in chosen]), padded(before)[0])
            return inputs, padded(after, IGNORED)[0]

        return Prepared(len(sources), collate, axis=1)

    def predict(
        self, sources: Sequence[np.ndarray], *, max_length: int = 64, width: int = 1, length_penalty: float = 0.0
    ) -> list[np.ndarray]:
        """Write a target for each source.

        Parameters
        ----------
        sources : sequence of array_like of int (S,)
            Tokens from 0 to source_tokens - 1, at least one each.
        max_length : int, default 64
            Tokens a target gets at most.
        width : int, default 1
            Of :func:`fastdl.beam_search`; 1 takes the likeliest token at every step.
        length_penalty : float, default 0.0
            Of :func:`fastdl.beam_search`: above 0 longer targets are favoured.

        Returns
        -------
        list of ndarray of int

        Raises
        ------
        TypeError, ValueError
            If an argument is out of its range, or the model's logits are not finite.

        Notes
        -----
        Works in evaluation mode; the model's own mode is then as before.
        """
        found = []
        with evaluating(self):
            for part in in_batches(token_sequences("sources", sources, self.source_tokens)):
                batch, lengths = padded(part)
                encoded, initial = self.encode(batch, lengths)
                state = {"decoder": initial, "encoded": encoded, "lengths": lengths}
                first = np.full(len(part), self.boundary)
                results = sequence.beam_search(
                    self._step, first, state, max_length, self.boundary, width=width, length_penalty=length_penalty
                )
                found += [best[0][0] for best in results]
        return found

    def _step(self, tokens: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        logits, decoder = self.decode(tokens[None], state["decoder"], state["encoded"], state["lengths"])
        return logits[0], {**state, "decoder": decoder}
