"""JSON files of models: read whole and checked, written in one step, with float32 in as few digits as bring it back."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import nn
from ..._files import name_of, open_regular, replacing, shown, try_replacing

IDENTITIES = (nn.Identity, nn.AlphaDropout, nn.GaussianDropout, nn.GaussianNoise)


@contextlib.contextmanager
def read(path: str | os.PathLike[str]) -> Iterator[Any]:
    """What the file says; whatever is wrong with it inside is a ValueError with the file's name."""
    name = name_of(path)
    with open_regular(path) as file:
        data = file.read()
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError(f"got {type(found).__name__}, expected an object of JSON")
        yield found
    except KeyError as error:
        raise ValueError(f"{shown(name)}: {error.args[0]!r} is missing") from None
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{shown(name)}: {shown(error)}") from None


def write(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON; numbers that are not finite are refused before."""
    try:
        text = json.dumps(content, allow_nan=False)
    except ValueError:
        raise ValueError("model: got a weight that is not finite, expected finite ones, as JSON has them") from None
    try_replacing(path)
    with replacing(path) as file:
        file.write(text.encode())


def listed(values: Any) -> Any:
    """An array as lists of numbers, each of float32 with nine digits."""
    with np.errstate(over="ignore"):
        array = np.asarray(values, np.float32)
    if array.ndim == 0:
        return float(f"{array:.9g}")
    return [listed(one) for one in array]


def floats(name: str, values: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of finite float32 of a list in a file."""
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, np.float32)
    except (ValueError, TypeError):
        raise ValueError(f"{name}: got no numbers in even rows") from None
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name}: got shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: got a number that is not finite in float32")
    return array


def passes(layer: nn.Module) -> bool:
    """Whether a layer does nothing in evaluation."""
    return isinstance(layer, IDENTITIES) or (isinstance(layer, nn.Dropout) and layer.scaling == "inverted")


def layers_of(model: Any, where: str = "model") -> list[tuple[str, nn.Module]]:
    """The layers of a chain that do something, each with its place; those of a chain in it among them."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a layer or a chain of layers")
    if not isinstance(model, nn.Sequential):
        return [] if passes(model) else [(where, model)]
    return [pair for name, one in model._children.items() for pair in layers_of(one, f"{where}.{name}")]
