"""Recurrent modules that torch does not have: the layers of fd.nn, with the arguments of torch's."""

from typing import Any

import torch

from ... import nn
from ...nn._call import Cell
from ._module import Recurrent, is_traced


class _Own(Recurrent):
    """A module that torch does not have: made as the layer of fd.nn of its name, with the arguments of torch's."""

    _biases = 1
    _kind: type

    def __init__(
        self, own: dict[str, Any], input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool,
        dropout: float, bidirectional: bool, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self._own = own
        dtype = torch.get_default_dtype() if dtype is None else dtype
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype: got {dtype}, expected torch.float32 or torch.float64")
        twin = self._twin(dtype)
        self._recurrence = twin._cell
        for name, array in twin.state_dict().items():
            tensor = torch.tensor(array, dtype=dtype, device=device)
            setattr(self, name, torch.nn.Parameter(tensor))
        self.flatten_parameters()

    def _twin(self, dtype: Any) -> Any:
        """The layer of fd.nn, with first values that torch's generator decides."""
        settings = {"bias": self.bias, "bidirectional": self.bidirectional, "batch_first": self.batch_first} | self._own
        seed = int(torch.randint(2**31 - 1, ()))
        kind = "float64" if dtype == torch.float64 else "float32"
        return self._kind(
            self.input_size, self.hidden_size, self.num_layers, self.dropout, rng=seed, dtype=kind, **settings
        )

    def _cell(self) -> Cell:
        cell: Cell = self._recurrence
        return cell

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters anew, as at the making."""
        for name, array in self._twin(self.weight_ih_l0.dtype).state_dict().items():
            getattr(self, name).copy_(torch.from_numpy(array))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self.flatten_parameters()
        return self

    @torch.compiler.disable
    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Run all layers over the sequences.

        Parameters
        ----------
        input : Tensor (T, B, input_size) or (T, input_size), or PackedSequence
            (B, T, input_size) with ``batch_first=True``; float32 or float64 on the CPU, as the weights.
        hx : optional
            First states (num_layers * directions, B, hidden_size), without B for one sequence; zeros by default. For
            the sLSTM (h, c, n, m).
        lengths : Tensor or array of int (B,), optional
            True lengths, 0 to T, in any order. Outputs past the end are 0, last states are those at the true end, and
            the work is proportional to the sum.

        Returns
        -------
        output : Tensor (T, B, directions * hidden_size), or PackedSequence
        hx
            The last states, as the first ones.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit the module, or is not on the CPU.
        RuntimeError
            While torch traces, since it has no such layer.
        """
        if is_traced():
            raise RuntimeError(f"{type(self).__name__}: got a trace, or vmap or its kin: torch has no such layer")
        return self._answer(input, hx, lengths)

    def extra_repr(self) -> str:
        """The arguments that are not the defaults, as torch shows them.

        Returns
        -------
        str
        """
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        given = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        return ", ".join(
            [f"{self.input_size}, {self.hidden_size}", *[f"{k}={v!r}" for k, v in (given | self._own).items()]]
        )


class MinGRU(_Own):
    """Minimal gated recurrent units (Feng 2024), whose gates read the input alone.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As of :class:`LSTM`.
    positive : bool, default False
        Whether candidates are positive.
    device, dtype : optional
        As of :class:`LSTM`.

    Attributes
    ----------
    weight_ih_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (2 H, I) and (2 H,).

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.mingru_forward`, arguments and state dict those of
    :class:`fastdl.nn.MinGRU`. There is no second derivative, and torch cannot trace it.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> y, h = fd.interop.torch.MinGRU(3, 4)(torch.ones(5, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    _kind = nn.MinGRU

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        positive: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        own = {"positive": positive}
        super().__init__(
            own, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        )


class MinLSTM(_Own):
    """Minimal long short-term memory (Feng 2024), whose gates read the input alone.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As of :class:`LSTM`.
    positive : bool, default False
        Whether candidates are positive.
    normalized : bool, default True
        Whether the two gates are divided by their sum.
    device, dtype : optional
        As of :class:`LSTM`.

    Attributes
    ----------
    weight_ih_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (3 H, I) and (3 H,), gates in the order f, i, n.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.minlstm_forward`, arguments and state dict those of
    :class:`fastdl.nn.MinLSTM`. There is no second derivative, and torch cannot trace it.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> y, h = fd.interop.torch.MinLSTM(3, 4)(torch.ones(5, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    _kind = nn.MinLSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        positive: bool = False,
        normalized: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        own = {"positive": positive, "normalized": normalized}
        super().__init__(
            own, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        )


class IndRNN(_Own):
    """Independently recurrent layers (Li 2018), whose units each see their own state alone.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As of :class:`LSTM`.
    nonlinearity : {"relu", "tanh"}, default "relu"
    device, dtype : optional
        As of :class:`LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (H, I), (H,) and (H,).

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.indrnn_forward`, arguments and state dict those of
    :class:`fastdl.nn.IndRNN`. There is no second derivative, and torch cannot trace it.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> y, h = fd.interop.torch.IndRNN(3, 4)(torch.ones(5, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    _kind = nn.IndRNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        nonlinearity: str = "relu",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        own = {"nonlinearity": nonlinearity}
        super().__init__(
            own, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        )


class sLSTM(_Own):
    """Scalar long short-term memory (Beck 2024): exponential gates, and a normalizer beside c.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As of :class:`LSTM`.
    heads : int, default 1
        Parts of h, of which a unit's gates read its own alone; a divisor of `hidden_size`.
    forget_gate : {"sigmoid", "exp"}, default "sigmoid"
    init : {"xlstm", "torch"}, default "xlstm"
    device, dtype : optional
        As of :class:`LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        (4 H, I), (4 H, H) and (4 H,), gates in the order i, f, z, o. With several heads weight_hh is
        (heads, H / heads, 4 H / heads).

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.slstm_forward`, arguments and state dict those of
    :class:`fastdl.nn.sLSTM`. There is no second derivative, and torch cannot trace it.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> y, (h, c, n, m) = fd.interop.torch.sLSTM(3, 4)(torch.ones(5, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    _kind = nn.sLSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        heads: int = 1,
        forget_gate: str = "sigmoid",
        init: str = "xlstm",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        own = {"heads": heads, "forget_gate": forget_gate, "init": init}
        super().__init__(
            own, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        )
