"""torch's recurrent layers of a model exchanged for fastdl's, in place."""

import warnings
from typing import Any

import torch
from torch.nn.utils import parametrize

from ._layers import GRU, LSTM, RNN
from ._module import laid_apart

_KINDS: dict[type, Any] = {torch.nn.LSTM: LSTM, torch.nn.GRU: GRU, torch.nn.RNN: RNN}


def replace(model: Any) -> Any:
    """Exchange every torch.nn.LSTM, GRU and RNN of a model for fastdl's, in place.

    The modules stay the same objects, of another class: with their names, hooks, mode and parameters, which an
    optimizer that has them goes on with. Their matrices are laid in memory by columns, as kernels read them.

    Parameters
    ----------
    model : torch.nn.Module
        On the CPU. It may be such a layer itself.

    Returns
    -------
    model : torch.nn.Module
        The same.

    Raises
    ------
    TypeError
        If it is no module.

    Warns
    -----
    UserWarning
        Of layers that are left as they are, with the reason: their parameters are not on the CPU, of another type than
        float32 and float64, made by weight norm or another parametrization, or in memory that others share; or the
        class is one of the model's own, made from torch's.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 2)})
    >>> x = torch.ones(5, 2, 3)
    >>> before = model["rnn"](x)[0]
    >>> fd.interop.torch.replace(model)
    ModuleDict(
      (rnn): LSTM(3, 4)
      (head): Linear(in_features=4, out_features=2, bias=True)
    )
    >>> bool(torch.allclose(before, model["rnn"](x)[0], atol=1e-6)), type(model["rnn"]) is fd.interop.torch.LSTM
    (True, True)
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a torch.nn.Module")
    left = []
    for name, module in model.named_modules():
        if not isinstance(module, tuple(_KINDS)) or isinstance(module, tuple(_KINDS.values())):
            continue
        reason = _reason(module)
        if reason:
            left.append(f"{name or 'the model'}: {reason}")
            continue
        exchanged: Any = module
        exchanged.__class__ = _KINDS[type(module)]
        exchanged.flatten_parameters()
    if left:
        warnings.warn(f"replace: left {'; '.join(left)}", UserWarning, stacklevel=2)
    return model


def _reason(module: Any) -> str:
    """Why a layer cannot be exchanged; empty if it can."""
    own, names = module._parameters, module._flat_weights_names
    if parametrize.is_parametrized(module) or any(name not in own for name in names):
        return "its weights are made anew by a parametrization, such as weight norm"
    if type(module) not in _KINDS:
        return f"{type(module).__name__} is a class of its own"
    parameters = [own[name] for name in names]
    if others := {str(one.device) for one in parameters} - {"cpu"}:
        return f"its parameters are on {', '.join(sorted(others))}"
    if others := {str(one.dtype) for one in parameters if one.dtype not in (torch.float32, torch.float64)}:
        return f"its parameters are {', '.join(sorted(others))}"
    if any(one.is_shared() for one in parameters) or not laid_apart(parameters):
        return "its parameters are tied, or lie in memory that others share"
    return ""
