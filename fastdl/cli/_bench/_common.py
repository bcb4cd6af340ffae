"""What the adapters share: weights by layer, and results that can be compared."""

import math
from typing import Any

import numpy as np

from ._table import Arrays, Missing

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "sLSTM": 4}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def suffixes(at: int, both: bool) -> list[str]:
    """Of a layer's weights in torch's names."""
    return [f"_l{at}", f"_l{at}_reverse"][: 1 + both]


def stacked(weights: Arrays) -> dict[str, Any]:
    """How many layers these are the weights of, and whether they go both ways."""
    both = "weight_ih_l0_reverse" in weights
    return {"num_layers": sum(name.startswith("weight_ih") for name in weights) // (1 + both), "bidirectional": both}


def by_layer(weights: dict[str, Any]) -> list[list[list[Any]]]:
    """Of every layer the weights of each direction, in the order of their names."""
    found = stacked(weights)
    layers = (suffixes(at, found["bidirectional"]) for at in range(found["num_layers"]))
    return [[[weights[name + end] for name in WEIGHTS] for end in ends] for ends in layers]


def single(weights: Arrays) -> list[np.ndarray]:
    """The weights, where they are one layer's in one direction: what some adapters are written for."""
    if len(weights) != 4:
        raise Missing("several layers or directions (not written for it here)")
    return by_layer(weights)[0][0]


def parts(weights: dict[str, Any]) -> list[str]:
    """A model's layers by name, in order."""
    return list(dict.fromkeys(key.partition(".")[0] for key in weights))


def under(name: str, weights: dict[str, Any]) -> dict[str, Any]:
    """Of a model's weights those of one layer."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def renamed(settings: dict[str, Any], **names: str) -> dict[str, Any]:
    """An optimizer's settings by the names of a library; of Adam's betas each is a number of its own."""
    parts = dict(zip(("beta1", "beta2"), settings.get("betas", ()), strict=False))
    others = {name: value for name, value in settings.items() if name != "betas"}
    return {names.get(name, name): value for name, value in (parts | others).items()}


def dropped(x: np.ndarray, dy: np.ndarray, out: Arrays, p: float) -> Arrays:
    """What two libraries' dropout have in common, since their masks differ; the masks are checked here."""
    seen = (x != 0) & (dy != 0)  # where a zero tells that an element was dropped
    y, dx = out["y"][seen] / x[seen], out["dx"][seen] / dy[seen]
    kept = y != 0
    assert (kept == (dx != 0)).all(), "forward and backward drop different elements"
    assert abs(kept.mean() - (1 - p)) < 6 * math.sqrt(p * (1 - p) / kept.size), f"kept {kept.mean()} with p={p}"
    return {"scales": np.array([f(scales[kept]) for scales in (y, dx) for f in (np.min, np.max)])}
