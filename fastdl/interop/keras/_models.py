"""Chains of layers from Keras and to it."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ..._files import name_of, open_regular, shown
from ..._validate import integer, iterated
from ...nn._stack import Stack
from .._extras import needed


def from_keras(model: Any, *, into: nn.Module | None = None) -> nn.Module:
    """The layers of a model of Keras, or of its file, with their weights (docs/interop-keras.md).

    Parameters
    ----------
    model : keras.Model, keras.Layer, or str or path-like
        A Sequential, a model whose layers are one chain, or a layer; or a file, ``.keras``, ``.h5`` or ``.weights.h5``.
    into : Module, optional
        A model of fastdl to copy the weights into, which a ``.weights.h5`` needs, since it holds them alone: as
        ``to_keras(into)`` has them.

    Returns
    -------
    Module
        A Sequential in evaluation mode, whose layers over time are ``batch_first``, as Keras'; or `into`.

    Raises
    ------
    TypeError, ValueError
        If the model has a layer or a setting that fastdl has not, with its name, or the file does not fit.
    ImportError
        If the extra ``keras`` is not installed.
    OSError
        If the file cannot be read.

    Warns
    -----
    UserWarning
        If an embedding has ``mask_zero=True``: fastdl takes `lengths` instead.

    Examples
    --------
    >>> import keras, numpy as np, fastdl as fd
    >>> theirs = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(8), keras.layers.Dense(2)])
    >>> model = fd.interop.keras.from_keras(theirs)
    >>> x = np.ones((4, 7, 3), np.float32)
    >>> bool(np.allclose(model.forward(x), theirs.predict(x, verbose=0), atol=1e-6))
    True
    """
    keras = needed("keras", "keras")
    if into is not None and not isinstance(into, nn.Module):
        raise TypeError(f"into: got {type(into).__name__}, expected a model of fastdl")
    from ._reading import chain_of, fill

    weights_alone = False
    if isinstance(model, (str, bytes, os.PathLike)):
        name = name_of(model, "model")
        weights_alone = name.endswith(".weights.h5")
        if weights_alone and into is None:
            raise ValueError(f"into: got None, expected a model, since {shown(name)} holds weights alone")
        with open_regular(name):
            pass
        if not weights_alone:
            model = _opened(lambda: keras.saving.load_model(name, compile=False), name)
    if into is None:
        if not isinstance(model, keras.layers.Layer):
            raise TypeError(f"model: got {shown(type(model).__name__)}, expected a model or layer of Keras, or a file")
        return nn.Sequential(*chain_of(keras, model)).eval()
    twin, pairs = _twin(keras, into, None)
    if weights_alone:
        _opened(lambda: twin.load_weights(name), name)
    else:
        _copy(model, twin)
    for layer, theirs in pairs:
        fill(layer, theirs)
    return into


def to_keras(model: nn.Module, *, shape: Sequence[int | None] | None = None) -> Any:
    """A model of Keras with the layers and weights of a chain (docs/interop-keras.md).

    Parameters
    ----------
    model : Module
        A layer, or a chain of those that both have.
    shape : sequence of int or None, optional
        Of an input without the batch, None for any number of steps. By default the first layer's that says.

    Returns
    -------
    keras.Sequential
        Its inputs are (B, T, ...), also where the model's are (T, B, ...). ``save("m.keras")`` and
        ``save_weights("m.weights.h5")`` write it.

    Raises
    ------
    TypeError, ValueError
        If Keras has no place for a layer or one of its settings, with its name, or the shape is not known.
    ImportError
        If the extra ``keras`` is not installed.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.LSTM(3, 8, output="last", rng=0), fd.nn.Linear(8, 2, rng=1)).eval()
    >>> theirs = fd.interop.keras.to_keras(model)
    >>> x = np.ones((7, 4, 3), np.float32)
    >>> bool(np.allclose(theirs.predict(x.swapaxes(0, 1), verbose=0), model.forward(x), atol=1e-6))
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a layer or a chain of layers")
    if shape is not None:
        shape = [one if one is None else integer("shape", one, 1) for one in iterated("shape", shape, "sizes")]
    return _twin(needed("keras", "keras"), model, shape)[0]


def _opened(read: Any, name: str) -> Any:
    try:
        return read()
    except Exception as error:  # Keras raises what its readers raise
        raise ValueError(f"{shown(name)}: Keras cannot read it here: {shown(error)}") from None


def _copy(model: Any, twin: Any) -> None:
    given, wanted = model.get_weights(), twin.get_weights()
    if [one.shape for one in given] != [one.shape for one in wanted]:
        shapes = [one.shape for one in wanted]
        raise ValueError(f"model: got weights of shapes {[one.shape for one in given]}, expected {shapes} of `into`")
    twin.set_weights(given)


def _twin(keras: Any, model: nn.Module, shape: Any) -> tuple[Any, list[tuple[nn.Module, list[Any]]]]:
    """The model of Keras, and which of its layers each layer became."""
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(_dtype(model))
        return _made(keras, model, shape)
    finally:
        keras.config.set_dtype_policy(before)


def _dtype(model: nn.Module) -> str:
    dtypes = {one.dtype.name for _, one in model.named_parameters()}
    return dtypes.pop() if len(dtypes) == 1 else "float32"


def _made(keras: Any, model: nn.Module, shape: Any) -> tuple[Any, list[tuple[nn.Module, list[Any]]]]:
    from ._writing import layers_of, written

    pairs: list[tuple[nn.Module, list[Any]]] = []
    values: list[tuple[Any, list[np.ndarray]]] = []
    for where, layer in layers_of(model):
        made = written(keras, layer, where)
        values += made
        pairs.append((layer, [theirs for theirs, _ in made]))
    first = next((one for one in model.modules() if _shape(one) is not None), None)
    if shape is None and first is None:
        raise ValueError("shape: got None, expected the input's without the batch, since the first layer takes any")
    timed = any(isinstance(one, (Stack, nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d)) for one in model.modules())
    lead = (None,) if timed or isinstance(first, nn.Embedding) else ()
    whole = (*lead, *(_shape(first) or ())) if shape is None else shape
    inputs = keras.Input(whole, dtype="int32" if isinstance(first, nn.Embedding) else _dtype(model))
    twin = keras.Sequential([inputs, *[theirs for theirs, _ in values]])
    for theirs, arrays in values:
        if arrays:
            theirs.set_weights(arrays)
    return twin, pairs


def _shape(layer: Any) -> tuple[int, ...] | None:
    """What a layer takes of each step; None for any."""
    if isinstance(layer, nn.Embedding):
        return ()
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape
    names = ("input_size", "in_features", "in_channels", "num_features")
    return next(((getattr(layer, name),) for name in names if isinstance(getattr(layer, name, None), int)), None)
