"""Models both ways: chains of the layers that torch and fd.nn both have."""

import inspect
from typing import Any

import torch

from ... import nn
from ._adapters import Output, TimeMajor
from ._pairs import BY_OWN, BY_TORCH, Pair


def from_torch(module: Any) -> Any:
    """A model of fd.nn with the layers and values of a torch module.

    Parameters
    ----------
    module : torch.nn.Module
        A layer that fd.nn has too, or a Sequential, ModuleList or ModuleDict of such. Behind a recurrent layer an
        :class:`Output` says what goes on. Convolutions, pools and what stands behind them take (B, C, T) in torch and
        (T, B, C) here; within a :class:`TimeMajor` they take the same.

    Returns
    -------
    model : fastdl.nn.Module
        With copies of the values, on the CPU; frozen where a parameter asks for no gradient, in evaluation where the
        module is. Tied weights stay tied.

    Raises
    ------
    TypeError, ValueError
        Of a layer, with its place, that fd.nn does not have, or not so.

    Examples
    --------
    >>> import numpy as np, torch, fastdl as fd
    >>> chain = torch.nn.Sequential(torch.nn.LSTM(3, 4), fd.interop.torch.Output(last=True), torch.nn.Linear(4, 2))
    >>> model = fd.interop.torch.from_torch(chain)
    >>> model
    Sequential()
      (0) LSTM(3, 4, output='last')           144
      (1) Linear(4, 2)                         10
    total                                     154
    >>> x = np.ones((5, 2, 3), np.float32)
    >>> bool(np.allclose(model.forward(x), chain(torch.from_numpy(x)).detach(), atol=1e-6))
    True
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: got {type(module).__name__}, expected a torch.nn.Module")
    return _Reader().read(module, "")


def to_torch(model: Any) -> Any:
    """A torch module with the layers and values of a model of fd.nn.

    Parameters
    ----------
    model : fastdl.nn.Module
        A layer that torch has too, or a Sequential, ModuleList or ModuleDict of such. The layers of
        fd.interop.torch stand in for those that torch does not have: MinGRU, MinLSTM, IndRNN and sLSTM.

    Returns
    -------
    module : torch.nn.Module
        On the CPU, with copies of the values; it takes and gives what the model does. Behind a recurrent layer stands
        an :class:`Output`, around convolutions, pools and batch norm a :class:`TimeMajor`.

    Raises
    ------
    TypeError, ValueError
        Of a layer, with its place, that torch does not have, or not so.

    Examples
    --------
    >>> import numpy as np, torch, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.Embedding(9, 3, rng=0), fd.nn.GRU(3, 4, rng=1), fd.nn.Linear(4, 9, rng=2))
    >>> module = fd.interop.torch.to_torch(model)
    >>> module
    Sequential(
      (0): Embedding(9, 3)
      (1): GRU(3, 4)
      (2): Output()
      (3): Linear(in_features=4, out_features=9, bias=True)
    )
    >>> words = np.array([[1, 2], [3, 4]])
    >>> bool(np.allclose(model.forward(words), module(torch.from_numpy(words)).detach(), atol=1e-6))
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a module of fd.nn")
    return _Writer().write(model, "")


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


class _Reader:
    """One model on the way from torch: which of its tables are known, and whether its last axis is time."""

    def __init__(self) -> None:
        self.tables: dict[int, Any] = {}
        self.turned = False

    def read(self, module: Any, place: str, after: Any = None) -> Any:
        """A module; `after` is the adapter that follows it in a chain."""
        if isinstance(module, TimeMajor):
            return self._layer(module.module, _at(place, "module"), {"batch_first": module.batch_first}, False)
        named = module.named_children()
        if isinstance(module, torch.nn.Sequential):
            found: Any = nn.Sequential(*self._chain(module, place))
        elif type(module) is torch.nn.ModuleList:
            found = nn.ModuleList([self.read(one, _at(place, name)) for name, one in named])
        elif type(module) is torch.nn.ModuleDict:
            found = nn.ModuleDict({name: self.read(one, _at(place, name)) for name, one in named})
        else:
            own = {"output": "last"} if isinstance(after, Output) and after.last else {}
            return self._layer(module, place, own, True)
        found.training = module.training
        return found

    def _chain(self, module: Any, place: str) -> list[Any]:
        named = list(module.named_children())
        followers = [one for _, one in named[1:]] + [None]
        return [
            self.read(one, _at(place, name), after)
            for (name, one), after in zip(named, followers, strict=True)
            if not isinstance(one, Output)
        ]

    def _layer(self, module: Any, place: str, own: dict[str, Any], turns: bool) -> Any:
        pair = BY_TORCH.get(type(module))
        where = place or "the module"
        if pair is None:
            raise TypeError(
                f"{where}: got {type(module).__name__}, expected a layer that fd.nn has: {_names(BY_TORCH)}"
            )
        self.turned = self.turned or (turns and pair.by_channel and pair.torch is not torch.nn.BatchNorm1d)
        if self.turned and pair.by_feature:
            raise ValueError(f"{where}: got {type(module).__name__} behind (B, C, T), whose last axis is time here")
        try:
            layer = pair.own(**self._arguments(pair, module, own))
            values = {name: one.detach().cpu().numpy() for name, one in module.state_dict().items()}
            layer.load_state_dict(values)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from None
        for name, one in module.named_parameters():
            if not one.requires_grad:
                getattr(layer, name).freeze()
        if isinstance(module, torch.nn.Embedding):
            self.tables[id(module.weight)] = layer
        return layer if module.training else _evaluated(layer)

    def _arguments(self, pair: Pair, module: Any, own: dict[str, Any]) -> dict[str, Any]:
        found = {name: getattr(module, name) for name in pair.names} | pair.to_own(module)
        known = inspect.signature(pair.own).parameters
        found |= {name: value for name, value in own.items() if name in known}
        if "dtype" in known:
            floats = [one for one in (*module.parameters(), *module.buffers()) if one.is_floating_point()]
            found["dtype"] = str(floats[0].dtype if floats else torch.get_default_dtype()).removeprefix("torch.")
        if isinstance(module, torch.nn.Linear) and id(module.weight) in self.tables:
            found["tied"] = self.tables[id(module.weight)]
        return found


class _Writer:
    """One model on the way to torch: which of its parameters are there already."""

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}

    def write(self, layer: Any, place: str) -> Any:
        own = layer._children.items()
        if type(layer) is nn.Sequential:
            found: Any = torch.nn.Sequential(*[one for of in self._chain(layer, place) for one in of])
        elif type(layer) is nn.ModuleList:
            found = torch.nn.ModuleList([self.write(one, _at(place, name)) for name, one in own])
        elif type(layer) is nn.ModuleDict:
            found = torch.nn.ModuleDict({name: self.write(one, _at(place, name)) for name, one in own})
        else:
            modules = self._layer(layer, place)
            if len(modules) == 1:
                return modules[0]
            found = torch.nn.Sequential(*modules)
        found.training = layer.training
        return found

    def _chain(self, layer: Any, place: str) -> list[list[Any]]:
        chains = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        return [
            [self.write(one, _at(place, name))] if type(one) in chains else self._layer(one, _at(place, name))
            for name, one in layer._children.items()
        ]

    def _layer(self, layer: Any, place: str) -> list[Any]:
        """The module, and the adapter behind it."""
        pair, where = BY_OWN.get(type(layer)), place or "the model"
        if pair is None:
            raise TypeError(f"{where}: got {type(layer).__name__}, expected a layer that torch has: {_names(BY_OWN)}")
        try:
            found = {name: getattr(layer, name) for name in pair.names} | pair.to_torch(layer)
            values = layer.state_dict()
            if values and "dtype" in inspect.signature(type(layer)).parameters:
                found["dtype"] = getattr(torch, str(next(iter(values.values())).dtype))
            module = pair.torch(**found)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        module.load_state_dict({name: torch.tensor(array) for name, array in values.items()})
        for name, parameter in layer._parameters.items():
            if hasattr(module, name):
                if id(parameter) in self.known:
                    setattr(module, name, self.known[id(parameter)])
                self.known[id(parameter)] = getattr(module, name).requires_grad_(not parameter.frozen)
        module.train(layer.training)
        if pair.by_channel:
            return [TimeMajor(module, getattr(layer, "batch_first", False)).train(layer.training)]
        if hasattr(layer, "initial_state"):
            return [module, Output(layer.output == "last", 1 + layer.bidirectional).train(layer.training)]
        return [module]


def _names(pairs: dict[type, Pair]) -> str:
    return ", ".join(sorted({one.__name__ for one in pairs}))


def _evaluated(layer: Any) -> Any:
    layer.eval()
    return layer
