"""Those recurrent modules that torch has too: its classes, on fastdl's kernels."""

from typing import Any

import torch

from ...nn._call import Cell
from ...recurrent import _run
from ._module import Recurrent, is_traced

_CELLS = {
    "LSTM": Cell(_run.LSTM, "lstm", {"coupled": False}),
    "GRU": Cell(_run.GRU_AFTER, "gru", {"reset_after": True}),
    "RNN_TANH": Cell(_run.RNN_TANH, "rnn", {"nonlinearity": "tanh"}),
    "RNN_RELU": Cell(_run.RNN_RELU, "rnn", {"nonlinearity": "relu"}),
}


class _Torchs(Recurrent):
    """A module that torch has too, made, saved and loaded by its class there, which a tracer sees."""

    mode: str

    def _cell(self) -> Cell:
        return _CELLS[self.mode]

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as torch does: with its generator at the same seed the same values."""
        for one in self.parameters():
            if not one.is_shared():
                one.data = one.data.contiguous()
        super().reset_parameters()
        self.flatten_parameters()

    @torch.compiler.disable
    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Run all layers over the sequences.

        Parameters
        ----------
        input : Tensor (T, B, input_size) or (T, input_size), or PackedSequence
            (B, T, input_size) with ``batch_first=True``; float32 or float64 on the CPU, as the weights.
        hx : optional
            First states, each (num_layers * directions, B, hidden_size), h (..., proj_size) with a projection, without
            B for one sequence; zeros by default. A pair (h, c) for the LSTM.
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
        """
        if is_traced():
            if lengths is not None:
                raise ValueError("lengths: got some while torch traces, expected None; PackedSequence can be traced")
            return super().forward(input, hx)
        return self._answer(input, hx, lengths)


class LSTM(_Torchs, torch.nn.LSTM):
    """torch.nn.LSTM on fastdl's kernels: its arguments, its parameters and state dict, its results.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
    bias : bool, default True
    batch_first : bool, default False
        Whether input and output are (B, T, ...) instead of (T, B, ...).
    dropout : float, default 0
        Probability of dropping an output of each layer but the last, drawn from torch's generator.
    bidirectional : bool, default False
    proj_size : int, default 0
        Size of a projection of h, 0 for none (Sak 2014).
    device : optional
        The CPU, or "meta".
    dtype : torch.float32 (default) or torch.float64

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        torch's, drawn as torch draws them. Matrices lie in memory by columns: what asks for ``view(-1)`` of a parameter
        or its gradient, such as torch.optim.LBFGS, wants ``contiguous()`` first.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.lstm_forward`. There is no second derivative. Where torch traces, for
    torch.jit.trace, torch.export or torch.compile, it sees its own layer.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> lstm = fd.interop.torch.LSTM(3, 4, num_layers=2)
    >>> y, (h, c) = lstm(torch.ones(5, 2, 3))
    >>> y.shape, h.shape, lstm.weight_ih_l0.shape
    (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]), torch.Size([16, 3]))
    >>> y.sum().backward()
    >>> y, (h, c) = lstm(torch.ones(5, 2, 3), lengths=[2, 5])
    >>> bool((h[-1, 0] == y[1, 0]).all()), bool(y[2:, 0].any())
    (True, False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )


class GRU(_Torchs, torch.nn.GRU):
    """torch.nn.GRU on fastdl's kernels: its arguments, its parameters and state dict, its results.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As of :class:`LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        As of :class:`LSTM`, gates in the order r, z, n.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.gru_forward`. What :class:`LSTM` says of derivatives and tracing holds.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> y, h = fd.interop.torch.GRU(3, 4, batch_first=True, bidirectional=True)(torch.ones(2, 5, 3))
    >>> y.shape, h.shape
    (torch.Size([2, 5, 8]), torch.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype
        )


class RNN(_Torchs, torch.nn.RNN):
    """torch.nn.RNN on fastdl's kernels: its arguments, its parameters and state dict, its results.

    Parameters
    ----------
    input_size, hidden_size, num_layers
        As of :class:`LSTM`.
    nonlinearity : {"tanh", "relu"}, default "tanh"
    bias, batch_first, dropout, bidirectional, device, dtype
        As of :class:`LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, weight_ih_l1, ... : Parameter
        As of :class:`LSTM`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    The equations are those of :func:`fastdl.rnn_forward`. What :class:`LSTM` says of derivatives and tracing holds.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> y, h = fd.interop.torch.RNN(3, 4, nonlinearity="relu")(torch.ones(5, 2, 3))
    >>> bool((y[-1] == h[0]).all())
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            nonlinearity,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
