"""Small torch modules that stand where torch and fd.nn differ in what a layer takes and gives."""

from typing import Any

import torch


class Output(torch.nn.Module):
    """What a chain goes on with behind a recurrent module, which gives (output, states).

    Parameters
    ----------
    last : bool, default False
        Whether it is the last layer's last state, all directions side by side, as ``output="last"`` of a layer of
        fd.nn, or the outputs of all steps.
    ways : int, default 1
        Directions of the layer before it, 1 or 2.

    Raises
    ------
    ValueError
        If `ways` is neither.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> chain = torch.nn.Sequential(torch.nn.LSTM(3, 4), fd.interop.torch.Output(last=True), torch.nn.Linear(4, 2))
    >>> chain(torch.ones(5, 2, 3)).shape
    torch.Size([2, 2])
    """

    def __init__(self, last: bool = False, ways: int = 1) -> None:
        super().__init__()
        if ways not in (1, 2):
            raise ValueError(f"ways: got {ways!r}, expected 1 or 2")
        self.last, self.ways = bool(last), ways

    def forward(self, pair: tuple[Any, Any]) -> Any:
        """The one of the two that is wanted.

        Parameters
        ----------
        pair : tuple (output, states)
            What a recurrent module gave.

        Returns
        -------
        Tensor
            (T, B, W) or (B, T, W) as it was, or (B, W) for the last state.
        """
        output, states = pair
        if not self.last:
            return output
        h = states[0] if isinstance(states, tuple) else states
        return torch.cat(list(h[-self.ways :]), -1)

    def extra_repr(self) -> str:
        """The arguments that are not the defaults, as torch shows them.

        Returns
        -------
        str
        """
        return ", ".join(["last=True"] * self.last + ["ways=2"] * (self.ways == 2))


class TimeMajor(torch.nn.Module):
    """A module over (B, C, T), such as torch.nn.Conv1d, for what lies as fd.nn has it: (T, B, C) or (B, T, C).

    Parameters
    ----------
    module : torch.nn.Module
        It takes and gives (B, C, T). What has no time axis, (B, C), goes through as it is.
    batch_first : bool, default False
        Whether sequences are (B, T, C).

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> fd.interop.torch.TimeMajor(torch.nn.Conv1d(3, 4, 2))(torch.ones(5, 2, 3)).shape
    torch.Size([4, 2, 4])
    """

    def __init__(self, module: Any, batch_first: bool = False) -> None:
        super().__init__()
        self.module, self.batch_first = module, bool(batch_first)

    def forward(self, x: Any) -> Any:
        """Turn, run and turn back.

        Parameters
        ----------
        x : Tensor (T, B, C), (B, T, C) or (B, C)

        Returns
        -------
        Tensor
            Laid out as `x`.
        """
        if x.dim() < 3:
            return self.module(x)
        if self.batch_first:
            return self.module(x.transpose(1, 2)).transpose(1, 2)
        return self.module(x.permute(1, 2, 0)).permute(2, 0, 1)
