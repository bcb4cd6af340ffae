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

from .._validate import check_shape, choice, integer, mapping, real_values
from ._biases import as_two, joined
from ._module import Module
from ._state import all_or_none

# Where gate g of fastdl's order stands in theirs.
_ORDER = {
    ("keras", "LSTM"): (0, 1, 2, 3),
    ("keras", "GRU"): (1, 0, 2),
    ("keras", "RNN"): (0,),
    ("onnx", "LSTM"): (0, 2, 3, 1),
    ("onnx", "coupled LSTM"): (0, 3, 1),
    ("onnx", "GRU"): (1, 0, 2),
    ("onnx", "RNN"): (0,),
}


class FormatsMixin(Module):
    """``state_dict`` in torch's layout, and one layer's weights in Keras' and ONNX's."""

    def _export(self) -> dict[str, np.ndarray]:
        arrays = {}
        for name, array in super()._export().items():
            if not name.startswith("bias_l"):
                arrays[name] = array
                continue
            two = as_two(array, self._gates * self.hidden_size)  # type: ignore[attr-defined]
            arrays |= dict(zip(_torch_names(name), two, strict=True))
        return arrays

    def _import(self, arrays: dict[str, np.ndarray]) -> None:
        merged = dict(arrays)
        for name, parameter in self._parameters.items():
            if name.startswith("bias_l"):
                merged[name] = joined([arrays[one] for one in _torch_names(name)], parameter.size, parameter.dtype)
        super()._import(merged)

    def export_weights(self, layout: str, layer: int = 0) -> dict[str, np.ndarray]:
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
            Keras: "kernel", "recurrent_kernel", "bias" as ``get_weights`` lists them (with "backward_" before them
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
        order, places = self._layout(layout, layer)
        found = [self._parts(place, order) for place in places]
        if layout == "onnx":
            arrays = {
                "W": np.stack([W.T for W, _, _, _ in found]),
                "R": np.stack([R.T for _, R, _, _ in found]),
            }
            if self.bias:  # type: ignore[attr-defined]
                arrays["B"] = np.stack([np.concatenate(biases) for _, _, biases, _ in found])
            if getattr(self, "peepholes", False):
                arrays["P"] = np.stack([peepholes[[0, 2, 1]].ravel() for *_, peepholes in found])
            return arrays
        arrays = {}
        for prefix, (W, R, biases, _) in zip(("", "backward_"), found, strict=False):
            arrays |= {f"{prefix}kernel": W, f"{prefix}recurrent_kernel": R}
            if self.bias:  # type: ignore[attr-defined]
                arrays[f"{prefix}bias"] = np.stack(biases) if self._keeps_two() else biases[0] + biases[1]
        return arrays

    def import_weights(self, layout: str, arrays: Mapping[str, Any], layer: int = 0) -> None:
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
        expected = self.export_weights(layout, layer)
        mapping("arrays", arrays, "names to arrays")
        unknown = sorted(map(str, arrays.keys() - expected.keys()))
        missing = sorted(name for name in expected.keys() - arrays.keys() if not name.endswith(("bias", "B")))
        if unknown or missing:
            raise ValueError(f"arrays: missing {missing or 'none'}, unknown {unknown or 'none'}")
        given = {
            name: real_values(f"arrays[{name!r}]", arrays.get(name, np.zeros_like(like)))
            for name, like in expected.items()
        }
        for name, array in given.items():
            check_shape(f"arrays[{name!r}]", array, expected[name].shape)
        with all_or_none(self):
            self._write(layout, layer, given)

    def _write(self, layout: str, layer: int, given: Mapping[str, np.ndarray]) -> None:
        order, places = self._layout(layout, layer)
        H, bias = self.hidden_size, self.bias  # type: ignore[attr-defined]
        for d, place in enumerate(places):
            if layout == "onnx":
                W, R = given["W"][d].T, given["R"][d].T
                two = np.split(given["B"][d], 2) if bias else []
                if "P" in given:
                    self._parameters[f"peephole{place}"].data = given["P"][d].reshape(3, H)[[0, 2, 1]]
            else:
                prefix = "backward_" if d else ""
                W, R = given[f"{prefix}kernel"], given[f"{prefix}recurrent_kernel"]
                one = given[f"{prefix}bias"] if bias else None
                two = [] if one is None else list(one) if self._keeps_two() else [one, np.zeros_like(one)]
            back = np.concatenate([np.arange(at * H, (at + 1) * H) for at in order])
            self._parameters[f"weight_ih{place}"].data = W[:, back]
            self._parameters[f"weight_hh{place}"].data = R[:, back]
            self._put_biases(place, [one[back] for one in two])

    def _layout(self, layout: str, layer: int) -> tuple[tuple[int, ...], list[str]]:
        choice("layout", layout, ("keras", "onnx"))
        kind = "coupled LSTM" if layout == "onnx" and getattr(self, "coupled", False) else type(self).__name__
        names = ["proj_size", "layer_norm", "learned_state", "cell_clip"]
        names += ["peepholes", "coupled", "clip"] if layout == "keras" else []
        barred = {name: getattr(self, name, None) for name in names}
        for name, value in barred.items():
            if value:
                raise ValueError(f"layout: {layout} has no place for {name}={value}")
        layer = integer("layer", layer, 0, self.num_layers - 1)  # type: ignore[attr-defined]
        return _ORDER[layout, kind], [f"_l{layer}{suffix}" for suffix, _ in self.directions]  # type: ignore[attr-defined]

    def _keeps_two(self) -> bool:
        """Whether Keras' layer has two biases."""
        return bool(getattr(self, "reset_after", False))

    def _put_biases(self, place: str, two: list[np.ndarray]) -> None:
        if self.bias == "single":  # type: ignore[attr-defined]
            parameter = self._parameters[f"bias{place}"]
            parameter.data = joined(two, parameter.size, parameter.dtype)
            return
        for name, array in zip(("bias_ih", "bias_hh"), two, strict=False):
            self._parameters[name + place].data = array

    def _two_biases(self, place: str, width: int) -> list[np.ndarray]:
        """That of x's product and that of h's, or none."""
        if self.bias == "single":  # type: ignore[attr-defined]
            return list(as_two(self._parameters[f"bias{place}"].data, width))
        names = ("bias_ih", "bias_hh") if self.bias else ()  # type: ignore[attr-defined]
        return [self._parameters[name + place].data for name in names]

    def _parts(self, place: str, order: tuple[int, ...]) -> tuple[Any, ...]:
        """W, R, [bias of W, bias of R] with the gates in their order, and the peepholes."""
        named, width = self._parameters, len(order) * self.hidden_size  # type: ignore[attr-defined]
        peepholes = named[f"peephole{place}"].data if f"peephole{place}" in named else None
        return (
            _placed(named[f"weight_ih{place}"].data, order),
            _placed(named[f"weight_hh{place}"].data, order),
            [_placed(one, order) for one in self._two_biases(place, width)],
            peepholes,
        )


def _placed(ours: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The gates of the last axis where they stand in theirs, zeros where there is none."""
    gates = np.split(ours, len(order), axis=-1)
    empty = np.zeros_like(gates[0])
    return np.concatenate([gates[order.index(at)] if at in order else empty for at in range(max(order) + 1)], axis=-1)


def _torch_names(name: str) -> tuple[str, str]:
    """What torch calls the two biases that `name`, our single one, stands for."""
    return name.replace("bias_", "bias_ih_"), name.replace("bias_", "bias_hh_")
