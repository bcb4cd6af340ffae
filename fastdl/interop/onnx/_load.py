"""ONNX files to models."""

import os
from typing import Any

from ... import nn
from ..._files import name_of, open_regular, shown
from .._extras import needed


def load(path: str | os.PathLike[str]) -> nn.Sequential:
    """The model of an ONNX file whose graph is a chain of layers (docs/interop-onnx.md).

    Parameters
    ----------
    path : str or path-like
        The file, of this library or of another one. Reading it executes nothing.

    Returns
    -------
    Sequential
        In evaluation mode: a layer for each RNN, LSTM, GRU, Gemm, MatMul with Add, Gather, LayerNormalization,
        Softmax, LogSoftmax, Relu, LeakyRelu, Elu, Tanh and Sigmoid. Lengths and states that are inputs of the graph
        are arguments of its ``forward``.

    Raises
    ------
    ValueError
        If the file is no ONNX model, or holds what is not known here, with a list of it.
    ImportError
        If the extra ``onnx`` is not installed.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.GRU(3, 4, bidirectional=True, rng=0), fd.nn.Linear(8, 2, rng=1)).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fd.interop.onnx.export(model, os.path.join(folder, "model.onnx"))
    ...     again = fd.interop.onnx.load(os.path.join(folder, "model.onnx"))
    >>> x = np.ones((5, 2, 3), np.float32)
    >>> bool((again.forward(x) == model.forward(x)).all())
    True
    """
    onnx: Any = needed("onnx", "onnx")
    name = name_of(path)
    with open_regular(path) as file:
        data = file.read()
    from ._reading import Reading

    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # of several classes, protobuf's among them
        raise ValueError(f"{shown(name)}: not an ONNX model: {shown(error)}") from None
    try:
        return nn.Sequential(*Reading(model.graph).layers()).eval()  # type: ignore[return-value]
    except ValueError as error:
        raise ValueError(f"{shown(name)}: {error}") from None
