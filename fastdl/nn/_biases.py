"""The biases of a recurrent layer: torch's two, one as in Keras, or none. Functions and kernels take one, `b`.

    bias       parameters           b
    True       bias_ih, bias_hh     their sum
    "single"   bias                 the same
    False                           zeros

b of a GRU with the reset after the product has H numbers more, in the end: the bias within that product. That is the
last part of bias_hh, which is added to nothing, and neither is the last part of bias_ih.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._validate import shown

Form = bool | str


def checked_form(bias: Any) -> Form:
    """True, "single" or False."""
    if isinstance(bias, (bool, np.bool_)):
        return bool(bias)
    if isinstance(bias, str) and bias == "single":
        return bias
    error = ValueError if isinstance(bias, str) else TypeError
    raise error(f"bias: got {shown(bias)}, expected True, False or 'single'")


def bias_shapes(form: Form, width: int, size: int) -> dict[str, tuple[int, ...]]:
    """The parameters by name. width: of the gates' pre-activations; size: of b."""
    if form == "single":
        return {"bias": (size,)}
    return {"bias_ih": (width,), "bias_hh": (width,)} if form else {}


def join_into(b: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """What `joined` gives of two biases, in its place."""
    if b.size == first.size:
        np.add(first, second, b)
        return
    shared = 2 * first.size - b.size
    b[: first.size], b[first.size :] = first, second[shared:]
    b[:shared] += second[:shared]


def joined(biases: Sequence[np.ndarray], size: int, dtype: np.dtype | None = None) -> np.ndarray:
    """b, of `size` numbers, from the values of a layer's biases; zeros of `dtype` where there are none."""
    if len(biases) < 2:
        return biases[0] if biases else np.zeros(size, dtype)
    first, second = biases
    width = first.size
    if size == width:
        return first + second
    shared = 2 * width - size
    b = np.concatenate((first, second[shared:]))
    b[:shared] += second[:shared]
    return b


def parted(b: np.ndarray, count: int, width: int) -> list[np.ndarray]:
    """What of arrays laid out as b, gradients say, belongs to each of a layer's `count` biases."""
    if count < 2:
        return [b][:count]
    size = b.shape[-1]
    if size == width:
        return [b, b]
    return [b[..., :width], np.concatenate([b[..., : 2 * width - size], b[..., width:]], axis=-1)]


def place_of(by_bias: Sequence[np.ndarray], size: int, add: bool, dtype: np.dtype) -> np.ndarray:
    """Where a kernel writes the gradient with respect to b, or adds it: a bias's own place if it may be, else zeros."""
    if len(by_bias) == 1 or (len(by_bias) == 2 and not add and by_bias[0].size == size):
        return by_bias[0]
    return np.zeros(size, dtype)


def hand_on(db: np.ndarray, first: np.ndarray, second: np.ndarray, add: bool) -> None:
    """Write, or add, the gradient with respect to b to those of two biases, which may be one array, or the first db."""
    if first is db and second is not db and second.size == db.size and not add:  # the usual
        second[...] = db
        return
    width, again = first.size, add or first is second
    shared = 2 * width - db.size
    if first is not db:
        first[...] = first + db[:width] if add else db[:width]
    second[:shared] = second[:shared] + db[:shared] if again else db[:shared]
    if shared < width:
        second[shared:] = second[shared:] + db[width:] if again else db[width:]


def as_two(b: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A single bias as frameworks with two have it: all in the first, but for what only the second has a place for."""
    second = np.zeros(width, b.dtype)
    second[2 * width - b.size :] = b[width:]
    return b[:width].copy(), second


def to_torch(arrays: Mapping[str, np.ndarray], width: int) -> dict[str, np.ndarray]:
    """A state of parameters with single biases as torch has it: each as two."""
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        two = zip(_torch_names(name), as_two(array, width), strict=True) if name.startswith("bias") else [(name, array)]
        found.update(two)
    return found


def from_torch(arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Undo `to_torch`: two biases are added. sizes: of the single ones, by name."""
    return dict(arrays) | {
        name: joined([arrays[one] for one in _torch_names(name)], size) for name, size in sizes.items()
    }


def _torch_names(name: str) -> tuple[str, str]:
    """What torch calls the two biases that `name`, our single one, stands for."""
    return name.replace("bias_", "bias_ih_"), name.replace("bias_", "bias_hh_")
