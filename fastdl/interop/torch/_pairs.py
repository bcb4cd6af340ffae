"""The layers that torch and fd.nn both have: what one says of itself, in the other's arguments."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ... import nn
from . import _layers, _own

Settings = dict[str, Any]
_RECURRENT = ("input_size", "hidden_size", "num_layers", "batch_first", "bidirectional")
# Of a recurrent layer of fd.nn what torch has, or what only decides first values and how backward finds its way.
_SHARED = {*_RECURRENT, "dropout", "bias", "proj_size", "nonlinearity", "positive", "normalized", "heads",
           "forget_gate", "output", "init", "forget_bias", "rng", "dtype", "checkpoint"}  # fmt: skip


class Pair(NamedTuple):
    """A layer on both sides: the arguments that have one name and value, and those to be found."""

    torch: type
    own: type
    names: tuple[str, ...] = ()
    to_own: Callable[[Any], Settings] = lambda module: {}
    to_torch: Callable[[Any], Settings] = lambda layer: {}
    by_channel: bool = False  # torch's takes (B, C, T)
    by_feature: bool = False  # it reads the last axis, which is then time


def _one(value: Any) -> Any:
    """torch's pairs of one number."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


_POOLED = ("kernel_size", "stride", "padding")


def _windows(*names: str) -> Callable[[Any], Settings]:
    return lambda module: {name: _one(getattr(module, name)) for name in names}


def _convolution(module: Any) -> Settings:
    if module.padding_mode != "zeros":
        raise ValueError(f"Conv1d: got padding_mode={module.padding_mode!r}, expected 'zeros'")
    names = "kernel_size", "stride", "padding", "dilation"
    return _windows(*names)(module) | {"bias": module.bias is not None}


def _torch_convolution(layer: Any) -> Settings:
    if layer.padding == "causal":
        raise ValueError("Conv1d: got padding='causal', which torch's layer does not have")
    return {"bias": layer.has_bias} | {
        name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")
    }


def _embedding(module: Any) -> Settings:
    if module.max_norm is not None or module.sparse or module.scale_grad_by_freq:
        raise ValueError("Embedding: got max_norm, sparse or scale_grad_by_freq, which fd.nn's layer does not have")
    return {}


def _pool(module: Any) -> Settings:
    if getattr(module, "return_indices", False):
        raise ValueError("MaxPool1d: got return_indices=True, which fd.nn's layer does not have")
    return _windows(*_POOLED, *["dilation"] * isinstance(module, torch.nn.MaxPool1d))(module)


def _torch_pool(layer: Any) -> Settings:
    return _windows(*_POOLED, *["dilation"] * isinstance(layer, nn.MaxPool1d))(layer)


def _last_axis(name: str) -> Callable[[Any], Settings]:
    def found(one: Any) -> Settings:
        axis = getattr(one, name)
        if axis is None:
            raise ValueError(f"{type(one).__name__}: got no axis, expected one")
        return {"dim" if name == "axis" else "axis": axis}

    return found


def _flat(layer: Any) -> Settings:
    if layer.batch_dim:
        raise ValueError(f"Flatten: got batch_dim={layer.batch_dim}, which torch's layer does not have")
    return {}


def _plain_dropout(layer: Any) -> Settings:
    if layer.broadcast_axes != () or layer.scaling != "inverted":
        raise ValueError(f"{layer._describe()}: torch's layer has neither broadcast_axes nor another scaling")
    return {}


def _norm(one: Any) -> Settings:
    has_weight = getattr(one, "weight", None) is not None
    has_bias = getattr(one, "bias", None) is not None
    return {"elementwise_affine": has_weight, "bias": has_bias or not has_weight}


def _affine(one: Any) -> Settings:
    return {"affine": getattr(one, "weight", None) is not None}


def _recurrent(module: Any) -> Settings:
    own = dict(getattr(module, "_own", {}))
    own |= {"bias": module.bias, "dropout": module.dropout if module.num_layers > 1 else 0.0}
    if isinstance(module, torch.nn.RNN):
        own["nonlinearity"] = module.nonlinearity
    return own | ({"proj_size": module.proj_size} if isinstance(module, torch.nn.LSTM) else {})


def _torch_recurrent(layer: Any) -> Settings:
    arguments, given = inspect.signature(type(layer)).parameters, layer._given
    bound = inspect.signature(type(layer)).bind(*given[0], **given[1]).arguments
    beyond = [f"{k}={v!r}" for k, v in bound.items() if k not in _SHARED and v != arguments[k].default]
    if beyond:
        raise ValueError(f"{type(layer).__name__}: got {', '.join(beyond)}, which torch's layer does not have")
    names = ("proj_size", "nonlinearity", "positive", "normalized", "heads", "forget_gate")
    kept = {name: bound[name] for name in names if name in bound}
    return kept | {"bias": bool(layer.bias), "dropout": layer.dropout if layer.num_layers > 1 else 0.0}


def _of_recurrent(kind: type, own: type) -> Pair:
    return Pair(kind, own, _RECURRENT, _recurrent, _torch_recurrent, by_feature=True)


_there, _here = torch.nn, nn
PAIRS = [
    Pair(_there.Linear, _here.Linear, ("in_features", "out_features"), lambda m: {"bias": m.bias is not None},
         lambda m: {"bias": m.has_bias}, by_feature=True),
    Pair(_there.Embedding, _here.Embedding, ("num_embeddings", "embedding_dim", "padding_idx"), _embedding),
    Pair(_there.LayerNorm, _here.LayerNorm, ("normalized_shape", "eps"), _norm, _norm, by_feature=True),
    Pair(_there.BatchNorm1d, _here.BatchNorm1d, ("num_features", "eps", "momentum", "track_running_stats"), _affine,
         _affine, by_channel=True),
    Pair(_there.Conv1d, _here.Conv1d, ("in_channels", "out_channels", "groups"), _convolution, _torch_convolution,
         by_channel=True),
    Pair(_there.MaxPool1d, _here.MaxPool1d, ("ceil_mode",), _pool, _torch_pool, by_channel=True),
    Pair(_there.AvgPool1d, _here.AvgPool1d, ("ceil_mode", "count_include_pad"), _pool, _torch_pool, by_channel=True),
    Pair(_there.Flatten, _here.Flatten, ("start_dim", "end_dim"), to_torch=_flat, by_feature=True),
    Pair(_there.Softmax, _here.Softmax, (), _last_axis("dim"), _last_axis("axis"), by_feature=True),
    Pair(_there.LogSoftmax, _here.LogSoftmax, (), _last_axis("dim"), _last_axis("axis"), by_feature=True),
    Pair(_there.Identity, _here.Identity),
    Pair(_there.Dropout, _here.Dropout, ("p",), to_torch=_plain_dropout),
    Pair(_there.AlphaDropout, _here.AlphaDropout, ("p",)),
    Pair(_there.ReLU, _here.ReLU),
    Pair(_there.SiLU, _here.SiLU),
    Pair(_there.Sigmoid, _here.Sigmoid),
    Pair(_there.Tanh, _here.Tanh),
    Pair(_there.GELU, _here.GELU, ("approximate",)),
    Pair(_there.LeakyReLU, _here.LeakyReLU, ("negative_slope",)),
    Pair(_there.ELU, _here.ELU, ("alpha",)),
    Pair(_there.Softplus, _here.Softplus, ("beta", "threshold")),
    Pair(_there.Hardtanh, _here.Hardtanh, ("min_val", "max_val")),
    _of_recurrent(_there.LSTM, _here.LSTM),
    _of_recurrent(_there.GRU, _here.GRU),
    _of_recurrent(_there.RNN, _here.RNN),
    _of_recurrent(_own.MinGRU, _here.MinGRU),
    _of_recurrent(_own.MinLSTM, _here.MinLSTM),
    _of_recurrent(_own.IndRNN, _here.IndRNN),
    _of_recurrent(_own.sLSTM, _here.sLSTM),
]  # fmt: skip
BY_TORCH = {pair.torch: pair for pair in PAIRS} | {
    kind: _of_recurrent(kind, own)
    for kind, own in ((_layers.LSTM, nn.LSTM), (_layers.GRU, nn.GRU), (_layers.RNN, nn.RNN))
}
BY_OWN = {pair.own: pair for pair in PAIRS}
