"""Weights of recurrent layers in other frameworks' layouts.

    layout   gates of LSTM   gates of GRU   matrices        biases
    fastdl   i f g o         r z n          (I, G H)        bias_ih, bias_hh; or one, of a GRU with a fourth part
    torch    i f g o         r z n          transposed      bias_ih, bias_hh
    Keras    i f c o         z r h          (I, G H)        one; GRU with reset_after (2, 3 H)
    ONNX     i o f c         z r h          (D, G H, I)     (D, 2 G H): of W, then of R

Where there is one bias it takes the sum of two, and gives itself and zeros. Without biases there is no entry for them.
A coupled LSTM has no f. ONNX keeps its place, which ``input_forget=1`` ignores: it is filled with zeros, and not read.

torch's is that of ``state_dict``. Sources: keras.layers.LSTM and GRU; ONNX operators LSTM-22, GRU-22, RNN-22.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validate import choice, integer, mapping, real_values
from ._biases import as_two, joined
from ._layer import Layer
from ._stack import Stack
from ._state import all_or_none

# Where gate g of fastdl's order stands in theirs.
ORDERS = {
    ("keras", "lstm"): (0, 1, 2, 3),
    ("keras", "gru"): (1, 0, 2),
    ("keras", "rnn"): (0,),
    ("onnx", "lstm"): (0, 2, 3, 1),
    ("onnx", "coupled lstm"): (0, 3, 1),
    ("onnx", "gru"): (1, 0, 2),
    ("onnx", "rnn"): (0,),
}


def export_weights(self: Stack, layout: str, layer: int = 0) -> dict[str, np.ndarray]:
    """One layer's weights in another framework's layout.

    Parameters
    ----------
    layout : {"keras", "onnx"}
        For torch's use ``state_dict``.
    layer : int, default 0
        Which of the stack.

    Returns
    -------
    dict of ndarray
        Keras: "kernel", "recurrent_kernel", "bias" as ``get_weights`` lists them (with ``backward_`` before them
        for a second direction). ONNX: the inputs "W", "R", "B", and "P" with peepholes.

    Raises
    ------
    ValueError
        If the layout has no place for an option of this layer.

    Examples
    --------
    >>> import fastdl as fd
    >>> {name: array.shape for name, array in fd.nn.GRU(3, 4, rng=0).export_weights("onnx").items()}
    {'W': (1, 12, 3), 'R': (1, 12, 4), 'B': (1, 24)}
    """
    order, layers = _chosen(self, layout, layer)
    found = [weights_in(one, order) for one in layers]
    if layout == "onnx":
        arrays = {"W": np.stack([W.T for W, _, _ in found]), "R": np.stack([R.T for _, R, _ in found])}
        if self.bias:
            arrays["B"] = np.stack([np.concatenate(biases) for _, _, biases in found])
        if self.peepholes:
            arrays["P"] = np.stack([one.weights().peepholes[[0, 2, 1]].ravel() for one in layers])
        return arrays
    arrays = {}
    for prefix, (W, R, biases) in zip(("", "backward_"), found, strict=False):
        arrays |= {f"{prefix}kernel": W, f"{prefix}recurrent_kernel": R}
        if biases:
            arrays[f"{prefix}bias"] = np.stack(biases) if _keeps_two(self) else biases[0] + biases[1]
    return arrays


def import_weights(self: Stack, layout: str, arrays: Mapping[str, Any], layer: int = 0) -> None:
    """Copy one layer's weights in from another framework's layout.

    Parameters
    ----------
    layout, layer
        As of :meth:`export_weights`.
    arrays : mapping of str to ndarray
        As :meth:`export_weights` gives them; a missing bias is zero.

    Raises
    ------
    ValueError
        If a name is missing or unknown or a shape differs; nothing is written then.
    """
    expected = export_weights(self, layout, layer)
    mapping("arrays", arrays, "names to arrays")
    unknown = sorted(map(str, arrays.keys() - expected.keys()))
    missing = sorted(name for name in expected.keys() - arrays.keys() if not name.endswith(("bias", "B")))
    if unknown or missing:
        raise ValueError(f"arrays: missing {missing or 'none'}, unknown {unknown or 'none'}")
    given = {
        name: real_values(f"arrays[{name!r}]", arrays.get(name, np.zeros_like(like))) for name, like in expected.items()
    }
    for name, array in given.items():
        if array.shape != expected[name].shape:
            wanted = f"expected {expected[name].shape} of layer {layer}"
            raise ValueError(f"arrays[{name!r}]: got shape {array.shape}, {wanted}")
    with all_or_none(self):
        _write(self, layout, layer, given)


def _write(stack: Stack, layout: str, layer: int, given: Mapping[str, np.ndarray]) -> None:
    order, layers = _chosen(stack, layout, layer)
    H = stack.hidden_size
    back = np.concatenate([np.arange(at * H, (at + 1) * H) for at in order])
    for d, one in enumerate(layers):
        W_x, W_h, _, peepholes, _ = one.arrays
        if layout == "onnx":
            W, R = given["W"][d].T, given["R"][d].T
            biases = np.split(given["B"][d], 2) if stack.bias else []
            if peepholes is not None:
                peepholes.data = given["P"][d].reshape(3, H)[[0, 2, 1]]
        else:
            prefix = "backward_" if d else ""
            W, R, bias = (given.get(prefix + name) for name in ("kernel", "recurrent_kernel", "bias"))
            biases = [] if bias is None else list(bias) if _keeps_two(stack) else [bias, np.zeros_like(bias)]
        W_x.data, W_h.data = W[:, back], R[:, back]
        biases = [bias[back] for bias in biases]
        if len(one.biases) == 1:
            biases = [joined(biases, one.biases[0].size)]
        for parameter, bias in zip(one.biases, biases, strict=True):
            parameter.data = bias


def _chosen(stack: Stack, layout: str, layer: int) -> tuple[tuple[int, ...], list[Layer]]:
    """Where the gates stand, and the layer in each direction."""
    choice("layout", layout, ("keras", "onnx"))
    kind = stack._cell.function
    names = ["proj_size", "layer_norm", "learned_state", "cell_clip"]
    names += ["peepholes", "coupled", "clip"] if layout == "keras" else []
    for name in names:
        if value := getattr(stack, name, None):
            raise ValueError(f"layout: {layout} has no place for {name}={value}")
    layer, D = integer("layer", layer, 0, stack.num_layers - 1), len(stack.directions)
    order = ORDERS[layout, f"coupled {kind}" if getattr(stack, "coupled", False) else kind]
    return order, stack._layers[layer * D : layer * D + D]


def _keeps_two(stack: Stack) -> bool:
    """Whether Keras' layer has two biases."""
    return bool(getattr(stack, "reset_after", False))


def weights_in(layer: Layer, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """W, R, and the biases of both or none, with the gates in their order."""
    weights, biases = layer.weights(), [one.data for one in layer.biases]
    if len(biases) == 1:
        biases = list(as_two(biases[0], weights.W_h.shape[1]))
    return _placed(weights.W_x, order), _placed(weights.W_h, order), [_placed(one, order) for one in biases]


def _placed(ours: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The gates of the last axis where they stand in theirs, zeros where there is none."""
    gates = np.split(ours, len(order), axis=-1)
    empty = np.zeros_like(gates[0])
    return np.concatenate([gates[order.index(at)] if at in order else empty for at in range(max(order) + 1)], axis=-1)
