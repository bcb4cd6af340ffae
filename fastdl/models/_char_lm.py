"""The character language model: embedding, LSTM, linear layer."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Unpack

import numpy as np

from .. import _safetensors, dense, nn, random, training
from .._files import shown
from .._validate import flag, integer, number, parts, sampling, written_as
from ..nn._modes import evaluating
from ..nn._streams import Stream
from ..saving._file import values_of
from ..sequence import sample
from ..text import Corpus, TextBatches, Vocabulary
from ._fitting import run
from ._options import FitOptions, check_names
from ._ready import Ready

_FORMAT = "fastdl CharLM 1"


class CharLM(Ready):
    """A language model over characters: P(next character | all before).

    Parameters
    ----------
    vocabulary : fastdl.text.Vocabulary
        The characters it knows.
    embedding : int, default 64
        Size of a character's vector.
    hidden : int, default 256
        Size of the LSTM's state.
    layers : int, default 1
        LSTM layers.
    dropout : float, default 0.0
        Probability of dropping an output of an LSTM layer, between layers and before the linear one
        (Zaremba 2014, docs/dropout.md 4.6).
    rng : None, int or fastdl.random.Generator, default None
        Where the initial weights and the dropout masks come from.

    Attributes
    ----------
    vocabulary : fastdl.text.Vocabulary
    embedding, lstm, dropout, linear : fastdl.nn.Module
        The layers.

    Raises
    ------
    TypeError, ValueError
        If `vocabulary` is none, a size is below 1, or `dropout` is outside [0, 1).

    Examples
    --------
    >>> import fastdl as fd
    >>> model = fd.models.CharLM(fd.text.Vocabulary("abc "), embedding=4, hidden=8, rng=0)
    >>> x, y = next(iter(fd.text.TextBatches(model.vocabulary.encode("abc abc abc abc "), 5, 3)))
    >>> model.forward(x).shape  # (T, B, codes)
    (5, 3, 5)
    """

    _inline = True

    def __init__(
        self,
        vocabulary: Vocabulary,
        embedding: int = 64,
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        *,
        rng: Any = None,
    ) -> None:
        super().__init__()
        if not isinstance(vocabulary, Vocabulary):
            raise TypeError(f"vocabulary: got {type(vocabulary).__name__}, expected a fastdl.text.Vocabulary")
        self.vocabulary = vocabulary
        self.settings = {
            "embedding": integer("embedding", embedding, 1),
            "hidden": integer("hidden", hidden, 1),
            "layers": integer("layers", layers, 1),
            "dropout": number("dropout", dropout, 0.0, 1.0, open_high=True),
        }
        rng = self._start(rng)
        self.embedding = nn.Embedding(len(vocabulary), embedding, rng=rng)
        between = dropout if layers > 1 else 0.0
        # Of text torch's initial weights learn more than the layer's own in so many epochs: docs/recurrent.md.
        self.lstm = nn.LSTM(embedding, hidden, num_layers=layers, dropout=between, init="torch", rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(hidden, len(vocabulary), rng=rng)
        self._stream = Stream()

    def forward(self, x: np.ndarray, state: Any = None, *, return_state: bool = False) -> Any:
        """Logits of the next character.

        Parameters
        ----------
        x : ndarray of ints, shape (T, B)
            Codes.
        state : optional
            The LSTM's initial state; None is zeros.
        return_state : bool, default False
            Whether to return (logits, final state) instead of the logits.

        Returns
        -------
        ndarray of float32, shape (T, B, len(vocabulary))

        Raises
        ------
        TypeError, ValueError
            If `x` holds something else than the vocabulary's codes, or the state does not fit.
        """
        return_state = flag("return_state", return_state)
        h, final = self.lstm.forward(self.embedding.forward(x), state, return_state=True)
        logits = self.linear.forward(self.dropout.forward(h))
        return (logits, final) if return_state else logits

    def step(
        self, x: np.ndarray, state: Any = None, *, out: tuple[np.ndarray | None, Any] | None = None
    ) -> tuple[np.ndarray, Any]:
        """The logits after one more character of each text, in evaluation: nothing is saved, nothing dropped.

        Parameters
        ----------
        x : ndarray of int, shape (B,)
            Codes of the vocabulary.
        state : optional
            The LSTM's state as the last step returned it; None is zeros.
        out : tuple (logits, state), optional
            Arrays to write into, C-contiguous; the state may be the one given. None for the logits makes new ones.

        Returns
        -------
        logits : ndarray of float32, shape (B, len(vocabulary))
        state
            The new state.

        Raises
        ------
        TypeError, ValueError
            If `x`, `state` or `out` do not fit; nothing is written then.

        Examples
        --------
        >>> import numpy as np, fastdl as fd
        >>> model = fd.models.CharLM(fd.text.Vocabulary("abc"), 4, 8, rng=0)
        >>> logits, state = model.step(np.array([1]))
        >>> logits, state = model.step(np.array([2]), state, out=(logits, state))
        >>> logits.shape
        (1, 4)
        """
        layers = [self.embedding, self.lstm, self.dropout, self.linear]
        into = None
        if out is not None:
            logits, ends = parts("out", out, "logits", "state")
            into = logits, [None, ends, None, None]
        with evaluating(self) if self.training else contextlib.nullcontext():
            y, states = self._stream.step(layers, x, [None, state, None, None], into)
        return y, states[1]

    def backward(self, dy: np.ndarray) -> None:
        """Add to the gradients, for the last forward. Codes have no gradient, so there is nothing to return.

        Parameters
        ----------
        dy : ndarray of float32, shape (T, B, len(vocabulary))
            Gradient with respect to the logits.
        """
        self.embedding.backward(self.lstm.backward(self.dropout.backward(self.linear.backward(dy))))

    def _describe(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"CharLM({self.vocabulary!r}, {given})"

    # ---- use ----------------------------------------------------------------------------------------
    def fit(
        self,
        text: str | Corpus,
        *,
        epochs: int = 10,
        seq_len: int = 64,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.0,
        validation: str | Corpus | None = None,
        warm_start: bool = False,
        progress: bool = False,
        **options: Unpack[FitOptions],
    ) -> training.History:
        """Train on a text, by AdamW under a one-cycle schedule; the state is carried from window to window.

        Parameters
        ----------
        text : str or fastdl.text.Corpus
            What to read; characters that the vocabulary does not have become code 0.
        epochs : int, default 10
            Passes over the text.
        seq_len, batch_size : int, default 64 and 32
            As for :meth:`batches`.
        learning_rate : float, default 5e-3
            The largest of the cycle.
        weight_decay : float, default 0.0
            Decoupled: a step takes rate * weight_decay of each weight away.
        validation : str or fastdl.text.Corpus, optional
            Held-out text, measured after every epoch.
        warm_start : bool, default False
            Whether to go on from the present values. Otherwise the weights are drawn anew, as when the model was made;
            frozen ones stay (docs/models.md).
        progress : bool, default False
            Whether to show progress on stderr.
        **options
            Of :func:`fastdl.training.fit`: ``metrics``, ``monitor``, ``restore_best``, ``callbacks``, ``checkpoint``,
            ``resume``, ``average``, ``schedule`` and more (docs/models.md).

        Returns
        -------
        fastdl.training.History
            The learning curve, of nats a character. The model is in evaluation mode afterwards.

        Raises
        ------
        TypeError, ValueError
            If an argument is bad, or a text has fewer than ``batch_size + 1`` characters; the model is as it was.
        FloatingPointError
            If the loss is no longer finite; the model is as it was.

        Warns
        -----
        UserWarning
            If values that were loaded, set or trained by other means are drawn anew, since it is no `warm_start`.

        Examples
        --------
        >>> import fastdl as fd
        >>> text = "the cat sat on the mat. " * 20
        >>> model = fd.models.CharLM(fd.text.Vocabulary(text), 8, 16, rng=0)
        >>> history = model.fit(text, epochs=30, seq_len=16, batch_size=8, learning_rate=0.02, metrics=["accuracy"])
        >>> history["accuracy"][-1] > 0.9
        True
        """
        check_names(options, FitOptions)
        windows = self.batches(text, seq_len, batch_size)
        held = None
        if validation is not None:
            with written_as(text="validation"):
                held = self.batches(validation, seq_len, batch_size)
        return run(
            self, dense.softmax_cross_entropy, windows, held, warm_start=warm_start, epochs=epochs,
            learning_rate=learning_rate, weight_decay=weight_decay, progress=progress,
            options={"unit": "characters", **options, "carry_state": True},
        )  # fmt: skip

    def batches(self, text: str | Corpus, seq_len: int = 64, batch_size: int = 32) -> TextBatches:
        """The text as windows for :func:`fastdl.training.fit`, with ``carry_state=True``.

        Parameters
        ----------
        text : str or fastdl.text.Corpus
            What to read; characters that the vocabulary does not have become code 0.
        seq_len : int, default 64
            Characters a window, T.
        batch_size : int, default 32
            Stretches of the text that are read side by side, B.

        Returns
        -------
        fastdl.text.TextBatches
            It holds the text in 1, 2 or 4 bytes a character.

        Raises
        ------
        TypeError, ValueError
            If `text` is none, or has fewer than ``batch_size + 1`` characters.
        """
        index, table = self.vocabulary.indexed(text)
        if index.size <= integer("batch_size", batch_size, 1):
            raise ValueError(
                f"text: got {index.size} characters, expected at least {batch_size + 1}, more than batch_size"
            )
        return TextBatches(index, seq_len, batch_size, table=table)

    def generate(
        self,
        prompt: str = "",
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        rng: Any = None,
    ) -> Iterator[str]:
        """Write, character after character, without end.

        Parameters
        ----------
        prompt : str, default ""
            Text to go on from; it is read, not repeated. Empty: as after a line's end. Characters the model
            does not know are read as such.
        temperature : float, default 1.0
            Logits are divided by it: below 1 the likely becomes likelier, 0 always takes the likeliest.
        top_k : int, optional
            Choose among the `top_k` likeliest characters only.
        top_p : float in (0, 1], optional
            Choose among the fewest likeliest characters that together have this probability.
        rng : None, int or fastdl.random.Generator, default None
            Where the choices come from.

        Yields
        ------
        str
            One character.

        Raises
        ------
        TypeError, ValueError
            If an argument is out of its range; and while it writes, if the model's logits are not finite.

        Notes
        -----
        Every step works in evaluation mode, and the model's own mode is then as before: a callback may write in the
        middle of training. Nothing is drawn from the model's generators.

        Examples
        --------
        >>> import itertools, fastdl as fd
        >>> model = fd.models.CharLM(fd.text.Vocabulary("abc"), 4, 8, rng=0)
        >>> text = "".join(itertools.islice(model.generate("a", rng=1), 20))
        >>> len(text), set(text) <= set("abc")
        (20, True)
        """
        if not isinstance(prompt, str):
            raise TypeError(f"prompt: got {type(prompt).__name__}, expected a str")
        how = sampling(temperature, top_k, top_p)
        return self._write(self.vocabulary.encode(prompt or "\n"), how, random.as_generator(rng))

    def _write(self, codes: np.ndarray, how: tuple[Any, Any, Any], rng: random.Generator) -> Iterator[str]:
        with evaluating(self):
            logits, state = self.forward(codes[:, None], return_state=True)
        logits = logits[-1]
        while True:
            codes = 1 + sample(logits[:, 1:], *how, rng)  # never "unknown"
            yield self.vocabulary.characters[int(codes[0]) - 1]
            logits, state = self.step(codes, state)

    # ---- files --------------------------------------------------------------------------------------
    def metadata(self) -> dict[str, str]:
        """What a file needs besides the arrays to build the model again.

        Returns
        -------
        dict of str to str
            "model", the format; "settings" and "vocabulary", in JSON.
        """
        import json

        return {
            "model": _FORMAT,
            "settings": json.dumps(self.settings),
            "vocabulary": json.dumps(self.vocabulary.characters),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file in the safetensors layout, atomically.

        Parameters
        ----------
        path : str or path-like
            The file. Arrays are named ``model.<name>`` after :meth:`state_dict`.

        Raises
        ------
        TypeError, ValueError
            If `path` is none.
        OSError
            If the file cannot be written; one that was there is as it was.
        """
        arrays = {f"model.{name}": array for name, array in values_of(self).items()}
        _safetensors.save(path, arrays, self.metadata())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "CharLM":
        """Read a model, from a file that :meth:`save` or a checkpoint wrote.

        Parameters
        ----------
        path : str or path-like
            The file. Reading it executes no code.

        Returns
        -------
        CharLM
            The model, in evaluation mode.

        Raises
        ------
        ValueError
            If the file is damaged or holds something else, with the reason.
        OSError
            If it cannot be read.
        """
        with _safetensors.opened(path) as source:
            try:
                vocabulary, settings = _read_metadata(source.metadata)
                shapes = {name[6:]: one for name, one in source.shapes.items() if name.startswith("model.")}
                _check_sizes({name: shape for name, (shape, _) in shapes.items()}, vocabulary, settings)
                model = cls(vocabulary, **settings, rng=0)
                model._fill_from(shapes, lambda name: source.array(f"model.{name}"))
            except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
                source.check()
                raise ValueError(f"not a character model: {shown(error)}") from None
            source.check()
        model.eval()
        return model


def _read_metadata(metadata: Mapping[str, str]) -> tuple[Vocabulary, dict[str, Any]]:
    import json

    if metadata.get("model") != _FORMAT:
        raise ValueError(f"model {metadata.get('model')!r}, expected {_FORMAT!r}")
    settings = json.loads(metadata["settings"])
    if not isinstance(settings, dict) or settings.keys() != {"embedding", "hidden", "layers", "dropout"}:
        raise ValueError(f"settings {metadata['settings']!r}")
    return Vocabulary(json.loads(metadata["vocabulary"])), settings


def _check_sizes(weights: Mapping[str, tuple[int, ...]], vocabulary: Vocabulary, settings: Mapping[str, Any]) -> None:
    """Compare the arrays with the settings, before a model of a size that a file merely claims is made."""
    layers = sum(name.startswith("lstm.weight_ih_l") for name in weights)
    found = [weights["embedding.weight"], weights["linear.weight"], layers]
    wanted = [
        (len(vocabulary), settings["embedding"]),
        (len(vocabulary), settings["hidden"]),
        settings["layers"],
    ]
    if found != wanted:
        raise ValueError(f"embedding, linear weights and layers are {found}, expected {wanted}")
    hidden, size = settings["hidden"], settings["embedding"]
    for layer in range(layers):
        for name, columns in ((f"lstm.weight_ih_l{layer}", size), (f"lstm.weight_hh_l{layer}", hidden)):
            if weights[name] != (4 * hidden, columns):
                raise ValueError(f"{name} is {weights[name]}, expected {(4 * hidden, columns)}")
        size = hidden
