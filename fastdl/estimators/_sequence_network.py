"""The network of the sequence estimators: embedding or convolutions, recurrent layers, pooling, a linear layer."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import nn, random
from .._validate import choice, flag, float_array, integer, lengths_array, mapping, number, shown
from ..nn._stack import Stack

CELLS: dict[str, Any] = {  # every recurrent layer there is
    name.lower(): getattr(nn, name)
    for name in nn.__all__
    if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), Stack)
}
POOLINGS = ("last", "mean", "max", "attention")
OWN = (  # arguments of recurrent layers that the network sets
    "input_size", "hidden_size", "num_layers", "dropout", "bidirectional", "output", "batch_first", "rng", "dtype",
)  # fmt: skip


class Standardize(nn.Module):
    """Numbers less their mean, over their standard deviation; both are buffers, which training does not move."""

    mean: np.ndarray
    scale: np.ndarray

    def __init__(self, size: int, dtype: Any) -> None:
        super().__init__()
        self.register_buffer("mean", np.zeros(size, dtype))
        self.register_buffer("scale", np.ones(size, dtype))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The numbers on the new scale, in their shape."""
        x = float_array("x", x, (None, None, self.mean.size), self.mean.dtype)
        return (x - self.mean) / self.scale

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Gradient with respect to the numbers as they were."""
        return dy / self.scale if input_gradient else None


class Tokens(nn.Module):
    """Vectors of tokens; in training some are read as token 0, so that it learns what an unknown one means."""

    def __init__(self, tokens: int, size: int, unknown: float, rng: random.Generator, dtype: Any) -> None:
        super().__init__()
        self.unknown, self.rng = unknown, rng
        self.embedding = nn.Embedding(tokens, size, rng=rng, dtype=dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Vectors (T, B, size) of tokens (T, B)."""
        if self.training and self.unknown:
            x = np.where(self.rng.uniform(size=x.shape) < self.unknown, 0, x)
        return np.asarray(self.embedding.forward(x))

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> None:
        """Add to the gradient of the vectors; tokens have none."""
        self.embedding.backward(dy)


class Pooling(nn.Module):
    """One vector of each sequence (T, B, H) up to its true end: the mean, the largest values, or attention.

    Attention is the mean under the weights softmax(h_t . q / sqrt(H)). Its query q is a parameter that begins with
    zeros, so that it is the plain mean at first.
    """

    def __init__(self, mode: str, size: int, dtype: Any = np.float32) -> None:
        super().__init__()
        self.mode, self.size = mode, size
        if mode == "attention":
            self.query = nn.Parameter("query", np.zeros(size, dtype))
            self.attention = nn.DotAttention(scaled=True)

    def forward(self, x: np.ndarray, *, lengths: Any = None) -> np.ndarray:
        """Vectors (B, H) of sequences (T, B, H)."""
        x = float_array("x", x, (None, None, self.size))
        T, B, H = x.shape
        lengths = np.full(B, T) if lengths is None else lengths_array("lengths", lengths, T, B, 1)
        if self.mode == "attention":
            queries = np.ascontiguousarray(np.broadcast_to(self.query.data, (1, B, H)))
            return np.asarray(self.attention.forward(queries, x, lengths)[0])
        real = (np.arange(T)[:, None] < lengths)[..., None]
        kept: np.ndarray
        if self.mode == "mean":
            kept = real / lengths[:, None].astype(x.dtype)  # the weight of each step
            y = np.einsum("tbh,tb->bh", x, kept[..., 0])
        else:
            kept = np.where(real, x, -np.inf).argmax(0)  # the step that each value is from
            y = np.take_along_axis(x, kept[None], 0)[0]
        if self.training:
            self._tape.append((x.shape, kept))
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Gradient with respect to the sequences."""
        if self.mode == "attention":
            dqueries, dx = self.attention.backward(np.ascontiguousarray(dy[None]))
            place, accumulate = self.query.claim_grad()
            place[...] = place + dqueries.sum((0, 1)) if accumulate else dqueries.sum((0, 1))
            return np.asarray(dx)
        shape, kept = self._pop()
        if self.mode == "mean":
            return np.asarray(dy * kept)
        dx = np.zeros(shape, dy.dtype)
        np.put_along_axis(dx, kept[None], dy[None], 0)
        return dx

    def lengths_after(self, lengths: Any) -> None:
        """None, since no steps are left."""


class SequenceNetwork(nn.Module):
    """The network of the sequence estimators, their ``model_`` (docs/estimators-sequences.md).

    Numbers are standardised, get noise and go through convolutions; tokens become vectors. Then come recurrent layers,
    pooling, dropout and a linear layer.

    Parameters
    ----------
    inputs, outputs : int
        Features of a step, or the size of the vocabulary; and numbers that come out.
    tokens : bool, default False
        Whether the inputs are tokens.
    standardize : bool, default True
        Whether features get the buffers `mean` and `scale` of ``standardization``.
    cell : str, default "lstm"
        The recurrent layer: one of :mod:`fastdl.nn`, in small letters.
    hidden_size, num_layers : int, default 64 and 1
        Units of each direction, and layers.
    bidirectional : bool, default False
        Whether sequences are read in both directions.
    pooling : {"last", "mean", "max", "attention"}, optional
        What makes one vector of a sequence; by default there are outputs at each step.
    dropout, noise : float, default 0
        Probability of dropping an element between and behind the recurrent layers, and deviation of noise on the
        standardised features, in training.
    conv_channels : sequence of int, default ()
        Channels of convolutions in front, each with ReLU behind it.
    conv_kernel_size : int, default 5
        Their windows' steps.
    embedding_size : int, default 64
        Size of a token's vector.
    unknown : float, default 0
        Probability that a token is read as token 0 in training.
    cell_options : mapping, optional
        Further arguments of the recurrent layer.
    rng : None, int or fastdl.random.Generator, default None
        Where weights, masks and noise come from.
    dtype : float32 (default) or float64

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> network = fd.estimators.SequenceNetwork(3, 2, cell="gru", hidden_size=8, pooling="mean", rng=0)
    >>> network.forward((np.ones((5, 4, 3), np.float32), np.array([5, 3, 1, 2]))).shape
    (4, 2)
    """

    def __init__(
        self, inputs: int, outputs: int, *, tokens: bool = False, standardize: bool = True, cell: str = "lstm",
        hidden_size: int = 64, num_layers: int = 1, bidirectional: bool = False, pooling: str | None = None,
        dropout: float = 0.0, noise: float = 0.0, conv_channels: Sequence[int] = (), conv_kernel_size: int = 5,
        embedding_size: int = 64, unknown: float = 0.0, cell_options: Mapping[str, Any] | None = None, rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inputs, self.outputs = integer("inputs", inputs, 1), integer("outputs", outputs, 1)
        rng = random.as_generator(rng)
        layers: list[nn.Module] = []
        if flag("tokens", tokens):
            size = integer("embedding_size", embedding_size, 1)
            layers.append(Tokens(self.inputs, size, number("unknown", unknown, 0, 1), rng, dtype))
        else:
            layers, size = _front(self.inputs, standardize, noise, conv_channels, conv_kernel_size, rng, dtype)
        dropout, num_layers = number("dropout", dropout, 0, 1), integer("num_layers", num_layers, 1)
        pooling = choice("pooling", pooling, (None, *POOLINGS))
        kind = CELLS[choice("cell", cell, tuple(CELLS))]
        options = checked_options(cell_options, kind)
        recurrent = kind(
            size, hidden_size, num_layers, dropout if num_layers > 1 else 0.0, bidirectional=bidirectional,
            output="last" if pooling == "last" else "sequence", rng=rng, dtype=dtype, **options,
        )  # fmt: skip
        layers.append(recurrent)
        width = recurrent._both.width(recurrent.proj_size or recurrent.hidden_size)
        if pooling not in (None, "last"):
            layers.append(Pooling(pooling, width, dtype))
        if dropout:
            layers.append(nn.Dropout(dropout, rng=rng))
        self.layers = nn.Sequential(*layers, nn.Linear(width, self.outputs, rng=rng, dtype=dtype))

    @property
    def standardization(self) -> nn.Module | None:
        """The layer with the buffers `mean` and `scale`; None without."""
        first = self.layers[0]
        return first if isinstance(first, Standardize) else None

    def forward(self, x: Any) -> np.ndarray:
        """Outputs of sequences.

        Parameters
        ----------
        x : ndarray (T, B, inputs), or (T, B) of tokens; or (x, lengths)
            Sequences, time first, and their true lengths where they differ.

        Returns
        -------
        ndarray (B, outputs), or (T, B, outputs) without pooling

        Raises
        ------
        TypeError, ValueError
            If `x` is none of these.
        """
        return np.asarray(self.layers.forward(x))

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """Add to the gradients, for the last forward.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the outputs.
        input_gradient : bool, default True
            Whether the gradient with respect to the sequences is wanted.

        Returns
        -------
        ndarray (T, B, inputs), or None
            None with ``input_gradient=False``, and of tokens.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        return self.layers.backward(dy, input_gradient=input_gradient)


def _front(
    features: int, standardize: Any, noise: Any, channels: Any, kernel_size: Any, rng: random.Generator, dtype: Any
) -> tuple[list[nn.Module], int]:
    """What numbers go through before the recurrent layers, and how many come out a step."""
    layers: list[nn.Module] = [Standardize(features, dtype)] if flag("standardize", standardize) else []
    if noise := number("noise", noise, 0):
        layers.append(nn.GaussianNoise(noise, rng=rng))
    size = integer("conv_kernel_size", kernel_size, 1)
    for wide in checked_channels("conv_channels", channels):
        layers += [nn.Conv1d(features, wide, size, padding="same", rng=rng, dtype=dtype), nn.ReLU()]
        features = wide
    return layers, features


def checked_channels(name: str, value: Any) -> list[int]:
    """Sizes of convolutions in a row; there may be none."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name}: got {shown(value)}, expected a sequence of int, as (64, 64)")
    return [integer(f"{name}[{place}]", one, 1) for place, one in enumerate(value)]


def checked_options(value: Any, kind: Any) -> dict[str, Any]:
    """Arguments of a recurrent layer of that class which are no settings of the network."""
    given = {} if value is None else dict(mapping("cell_options", value, "names to settings"))
    known = [name for name in list(inspect.signature(kind.__init__).parameters)[1:] if name not in OWN]
    for name in given:
        if name in OWN:
            raise ValueError(f"cell_options: got {name!r}, which has a setting of its own or is the network's")
        if name not in known:
            raise ValueError(f"cell_options: {kind.__name__} has no {name!r}, expected some of {', '.join(known)}")
    return given
