"""The base of the models with ``fit``: where a training starts from."""

import inspect
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import nn, optim, random
from ..nn._tape import warn
from ..saving._describe import arguments_of, call_with

GOES_ON = "fit(warm_start=True) goes on from the present values"


class Ready(nn.Module):
    """A model that can be trained anew: it knows where the generator stood that its first values came from."""

    rng: random.Generator
    _origin: dict[str, int] | None = None  # the generator's state before anything was drawn
    _fitted: int | None = None  # checksum of the values that the last fit left

    def _start(self, rng: Any) -> random.Generator:
        """The generator of that argument, which a constructor draws from."""
        self.rng = random.as_generator(rng)
        self._origin = self.rng.state_dict()
        return self.rng

    def _has_its_own_values(self) -> bool:
        """Whether nobody has loaded, set or trained the values since the last fit; False where there was none."""
        return self._fitted == values_of(self)


def checksum(arrays: Iterable[np.ndarray]) -> int:
    """Of the values of some arrays."""
    found = 0
    for one in arrays:
        found = zlib.crc32(np.ascontiguousarray(one).reshape(-1).view(np.uint8).data, found)
    return found


def values_of(model: nn.Module) -> int:
    """A checksum of all parameters."""
    return checksum(one.data for _, one in model.named_parameters())


def start_anew(model: Ready, average: Any = None) -> None:
    """Give a model the values that its constructor would give it; frozen parameters keep theirs.

    Of an int seed these are always the same ones. A Generator, or the default one, is drawn from where it is; but a
    model that still has its first values keeps them.
    """
    before = model.rng.state_dict()
    fresh = _made_again(model)
    shared = fresh.rng is model.rng
    if not shared:
        untouched = _has_values_of(model, fresh)
    elif _takes_rng(model):
        untouched = _has_values_of(model, _made_again(model, model._origin))
    else:  # a class of somebody's own, whose first values cannot be drawn again
        untouched = model._fitted is None
    if shared and untouched:
        model.rng.load_state_dict(before)
        return
    if not (untouched or model._has_its_own_values()):
        warn(
            f"{type(model).__name__}.fit: the model's values, which were loaded, set or trained by other means, "
            f"are drawn anew: {GOES_ON}"
        )
    _take_values(model, fresh)
    if isinstance(average, (optim.ExponentialAverage, optim.StochasticAverage)):
        begun = {"updates": 0, "arrays": [one.copy() for one in average._params]}
        average.load_state_dict(average.state_dict() | begun)


def _takes_rng(model: Ready) -> bool:
    return "rng" in inspect.signature(type(model).__init__).parameters


def _made_again(model: Ready, origin: dict[str, int] | None = None) -> Ready:
    """What the constructor gives for the same arguments; with a generator at `origin` in the place of the model's."""
    try:
        arguments = arguments_of(model)
        if origin is not None:
            arguments["rng"] = random.Generator()
            arguments["rng"].load_state_dict(origin)
        made = call_with(type(model), arguments)
    except Exception as error:
        raise ValueError(
            f"{type(model).__name__}: cannot be made again to be trained anew ({error}): {GOES_ON}"
        ) from error
    own, its = dict(model.named_parameters()), dict(made.named_parameters())
    for name, one in own.items():
        if not one.frozen and (name not in its or its[name].shape != one.shape):
            raise ValueError(
                f"{name}: got a parameter that the constructor of {type(model).__name__} does not make, so that its "
                f"first values are not known: {GOES_ON}"
            )
    result: Ready = made
    return result


def _has_values_of(model: Ready, other: Ready) -> bool:
    its = dict(other.named_parameters())
    return all(one.frozen or np.array_equal(one.data, its[name].data) for name, one in model.named_parameters())


def _take_values(model: Ready, fresh: Ready) -> None:
    """Parameters that are trained, buffers, and where random numbers go on."""
    its = dict(fresh.named_parameters())
    for name, one in model.named_parameters():
        if not one.frozen:
            one.data = its[name].data
    buffers, modules = dict(fresh.named_buffers()), dict(model.named_modules())
    for name, value in buffers.items():
        path, _, last = name.rpartition(".")
        if path in modules and last in modules[path]._buffers:
            setattr(modules[path], last, value)
    try:
        model.load_random_state(fresh.random_state())
    except ValueError as error:
        raise ValueError(
            f"{type(model).__name__}: draws other random numbers than its constructor makes it ({error}): {GOES_ON}"
        ) from error
